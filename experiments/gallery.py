"""Recall goes downhill: every start falls into one basin, and its energy never rises on the way.

Three pictures of it:

    a map         starts all over the plane, coloured by the minimum that the gradient flow takes
                  them to, for the Gaussian and the Epanechnikov memory of the same points [T18]
    traces        the energy of recalls of random patterns, sweep by sweep, at a low load and
                  beyond capacity [T17]
    letters       the 26 letters as 16 × 16 spins; damaged, and repaired spin by spin by four
                  memories, one of which has no energy [T22]

Letters look alike, so Hebb's couplings confuse them; the exponential memory does not.
"""

from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS
from experiments.kit.patterns import SPINS, plane
from experiments.kit.record import Record
from hopfield import (
    BinaryMemory,
    DensityMemory,
    Exponential,
    LogSumExp,
    LogSumReLU,
    PseudoLikelihood,
    Recall,
    hebbian,
    pseudo_inverse,
)
from hopfield.landscape import change

SIZE = 16  # of a letter, in spins
DAMAGE = 0.15  # share of its spins flipped
SHOWN = "R"
BETA = 18.0  # of log-sum-exp in the plane; a third of it lets Epanechnikov kernels overlap alike
HALF = 1.5  # of the side of the map
PARTS = (0.25, 0.5, 1.0)  # of the first sweep, drawn as steps
ROUNDING = 1e-12  # of energies, in float64
COLUMNS = ["picture", "memory", "item", "sweep", "energy", "overlap"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MEMORIES: dict[str, Callable[[Any], Any]] = {
    "Hopfield": hebbian,
    "pseudo-inverse": pseudo_inverse,
    "exponential": lambda xi: BinaryMemory(xi, Exponential()),
    "pseudo-likelihood": lambda xi: PseudoLikelihood.fit(xi, steps=600, lr=0.3),
}

Spins = NDArray[np.int8]
Rows = list[dict[str, Any]]


def letters() -> Spins:
    """Return the letters A … Z as spins (26, SIZE²), drawn with matplotlib's own font."""
    drawn = []
    for letter in LETTERS:
        figure = Figure(figsize=(1, 1), dpi=8 * SIZE)
        figure.text(0.5, 0.47, letter, size=92, ha="center", va="center", weight="bold",
                    family="DejaVu Sans Mono")  # fmt: skip
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        ink = 255.0 - np.asarray(canvas.buffer_rgba())[..., 0]
        blocks = ink.reshape(SIZE, 8, SIZE, 8).mean(axis=(1, 3))
        drawn.append(np.where(blocks > 100, 1, -1).ravel())
    return np.array(drawn, np.int8)


def rows(
    picture: str, memory: str, items: Iterable[Any], found: Recall, x: Spins, per: int = 1
) -> Rows:
    """Return one row per recall and sweep: energy `per` so many spins, and the overlap at rest."""
    overlaps = (found.state * x).mean(axis=1)
    return [
        {"picture": picture, "memory": memory, "item": item, "sweep": k, "energy": E / per,
         "overlap": overlap}
        for item, energies, overlap in zip(items, found.energies, overlaps, strict=True)
        for k, E in enumerate(energies)
    ]  # fmt: skip


def rise(found: Recall) -> float:
    """Return the largest rise of an energy from sweep to sweep, relative to the largest energy."""
    return float(np.diff(found.energies, axis=1).max() / np.abs(found.energies).max())


def repair(stored: Spins, seed: int) -> tuple[Rows, dict[str, list[Any]], float]:
    """Repair all letters; return rows, the pictures of one letter's repair, and the largest rise.

    Spins are visited in one random order by all memories; energies are those of whole sweeps.
    """
    rng = generator(seed, "letters")
    L = stored.shape[1]
    order = rng.permutation(L)  # the same for all: states are shuffled, not the visits
    damaged = change(stored, round(DAMAGE * L), SPINS, rng)
    shuffled, noisy = stored[:, order], damaged[:, order]
    back = np.argsort(order)
    shown = LETTERS.index(SHOWN)
    table, pictures, rises = [], {}, []
    for name, store in MEMORIES.items():
        memory = store(shuffled)
        found = memory.recall(noisy)
        table += rows("letters", name, LETTERS, found, shuffled)
        if name != "pseudo-likelihood":  # which has no energy to rise
            rises.append(rise(found))
        first = memory.recall(noisy[shown : shown + 1], max_sweeps=1).state[0]
        steps = [np.where(np.arange(L) < round(part * L), first, noisy[shown]) for part in PARTS]
        states = (noisy[shown], *steps, found.state[shown])
        pictures[name] = [x[back].reshape(SIZE, SIZE) for x in states]
    return table, pictures, max(rises)


def traces(L: int, seed: int) -> tuple[Rows, float]:
    """Return energies of recalls from a tenth of flips, below and above capacity; largest rise."""
    table, rises = [], []
    for load in (0.05, 0.25):
        rng = generator(seed, f"traces {load}")
        patterns = rng.choice(SPINS, size=(round(load * L), L))
        noisy = change(patterns[:20], L // 10, SPINS, rng)
        found = hebbian(patterns).recall(noisy, rng=rng)
        table += rows("traces", f"P/L = {load:g}", range(len(noisy)), found, patterns[:20], L)
        rises.append(rise(found))
    return table, max(rises)


def maps(seed: int, side: int) -> dict[str, dict[str, Any]]:
    """Return for both memories the points, the basin of side² starts, minima and some paths."""
    X = generator(seed, "plane").uniform(-1, 1, size=(9, 2))
    found = {}
    for name, F in (("log-sum-exp", LogSumExp(BETA)), ("Epanechnikov", LogSumReLU(BETA / 3))):
        memory = DensityMemory(X, F)
        path = memory.flow(plane(HALF, side), 250, 0.1)
        end = memory.recall(path[-1], max_steps=2000).state
        _, basin = np.unique(np.round(end, 4), axis=0, return_inverse=True)
        centres = np.array([end[basin == k][0] for k in range(basin.max() + 1)])
        energies = np.stack([memory.energy(x) for x in path[::10]])
        with np.errstate(invalid="ignore"):
            rises = np.diff(energies, axis=0)  # ∞ - ∞ where no pattern pulls
        found[name] = {
            "X": X, "centres": centres, "pulled": np.isfinite(memory.energy(centres)),
            "basin": basin.reshape(side, side), "path": memory.flow(plane(HALF, 13), 250, 0.1),
            "rise": float(np.nanmax(rises)),
        }  # fmt: skip
    return found


def draw_map(axes: Any, name: str, found: Mapping[str, Any]) -> None:
    """Draw basins, paths, points (circles) and minima (crosses) of one memory."""
    colours = colormaps["tab20"](np.arange(len(found["centres"])) % 20)
    colours = 0.45 * colours + 0.55  # pale
    colours[~found["pulled"]] = 1  # starts that no pattern pulls
    axes.imshow(found["basin"], extent=(-HALF, HALF, -HALF, HALF), origin="lower",
                cmap=ListedColormap(colours), interpolation="nearest",
                vmin=-0.5, vmax=len(colours) - 0.5)  # fmt: skip
    axes.plot(*found["path"][::8].transpose(2, 0, 1), color="0.25", lw=0.6, alpha=0.7)
    axes.plot(*found["X"].T, "o", ms=6, mfc="none", mec="k")
    axes.plot(*found["centres"][found["pulled"]].T, "x", ms=7, mew=2, color=COLOURS[1])
    axes.set_title(f"{name}: {len(found['X'])} points, {found['pulled'].sum()} minima")
    axes.grid(visible=False)


def draw_traces(axes: Any, table: Rows) -> None:
    """Draw energy against sweeps, one line a recall, one colour a load."""
    memories = list(dict.fromkeys(row["memory"] for row in table))
    for memory, item in dict.fromkeys((row["memory"], row["item"]) for row in table):
        line = [r["energy"] for r in table if (r["memory"], r["item"]) == (memory, item)]
        axes.plot(line, color=COLOURS[memories.index(memory)], lw=0.9, marker=".", alpha=0.7,
                  label=memory if item == 0 else None)  # fmt: skip
    axes.set(title="Hopfield's network: 20 recalls", xlabel="sweep", xlim=(-0.3, 12))
    axes.set_ylabel("energy per spin")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()


def draw(found: Mapping[str, Any], traced: Rows, pictures: Mapping[str, Any]) -> Figure:
    """Draw the maps, the traces, and the repair of one letter."""
    figure = Figure((12, 7.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    *panels, right = top.subplots(1, 3)
    for axes, name in zip(panels, found, strict=True):
        draw_map(axes, name, found[name])
    draw_traces(right, traced)
    titles = ["damaged", *(f"after {round(part * SIZE**2)} spins" for part in PARTS), "at rest"]
    grid = bottom.subplots(2, 2 * len(titles)).reshape(len(pictures), len(titles))
    for (name, states), line in zip(pictures.items(), grid, strict=True):
        for axes, state, title in zip(line, states, titles, strict=True):
            axes.imshow(state, cmap="gray_r", vmin=-1.4, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            axes.spines[:].set_visible(True)
            axes.set_title(title, size=7.5, loc="center")
        line[0].set_ylabel(name, size=9)
    return figure


def measure(args: Namespace, run: Run) -> Findings:
    """Draw the three pictures, and count what comes back whole."""
    repaired, pictures, rise_of_letters = repair(letters(), args.seed)
    traced, rise_of_traces = traces(200 if args.quick else 1000, args.seed)
    found = maps(args.seed, 61 if args.quick else 241)
    kept = [row["memory"] for row in repaired if row["sweep"] == 0 and row["overlap"] == 1]
    whole = {name: kept.count(name) for name in MEMORIES}
    minima = {name: int(x["pulled"].sum()) for name, x in found.items()}
    largest = max(0.0, rise_of_letters, rise_of_traces, *(x["rise"] for x in found.values()))
    text = (
        f"Of {len(LETTERS)} letters with {DAMAGE:.0%} of their {SIZE**2} spins flipped, whole "
        f"again are: {', '.join(f'{name} {number}' for name, number in whole.items())}. Nine "
        f"points in the plane have {minima['log-sum-exp']} minima under log-sum-exp and "
        f"{minima['Epanechnikov']} under the Epanechnikov energy at a third of its β. Along all "
        f"recalls and paths the energy, where there is one, rises by at most {largest:.0e}."
    )
    return Findings(
        traced + repaired,
        {"letters_repaired": whole, "largest_rise": largest, "minima": minima},
        text,
        draw(found, traced, pictures),
        {"size": SIZE, "damage": DAMAGE, "seed": args.seed},
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether energies rise beyond rounding, and which memories tell letters apart."""
    largest, whole = record.number("largest_rise"), record.headline["letters_repaired"]
    number = len({row["item"] for row in record.rows(picture="letters")})
    listed = ", ".join(f"{name} {count}" for name, count in whole.items())
    return [
        Verdict("recall never goes uphill", f"largest rise {largest:.0e}", (largest <= ROUNDING,)),
        Verdict(
            "letters look alike: Hebb's couplings confuse most, the exponential memory none",
            f"whole again of {number} damaged letters: {listed}",
            (whole["Hopfield"] < number / 2, whole["exponential"] == number),
        ),
    ]


EXPERIMENT = Experiment("gallery", __doc__, COLUMNS, measure, verdicts)

if __name__ == "__main__":
    EXPERIMENT.main()
