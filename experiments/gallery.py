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

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import commandline
from experiments.jobs import generator
from experiments.record import Run, claim
from hopfield import (
    BinaryMemory,
    DensityMemory,
    Exponential,
    LogSumExp,
    LogSumReLU,
    PseudoLikelihood,
    hebbian,
    pseudo_inverse,
)
from hopfield.landscape import change

SIZE = 16  # of a letter, in spins
DAMAGE = 0.15  # share of its spins flipped
SHOWN = "R"
BETA = 18.0  # of log-sum-exp in the plane; a third of it lets Epanechnikov kernels overlap alike
PARTS = (0.25, 0.5, 1.0)  # of the first sweep, drawn as steps
COLUMNS = ["picture", "memory", "item", "sweep", "energy", "overlap"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SPINS = np.array([-1, 1], np.int8)

Row = dict[str, Any]


def letters() -> NDArray[np.int8]:
    """Return the letters A … Z as spins (26, SIZE²), drawn with matplotlib's own font."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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


def alphabet_memories(stored: NDArray[np.int8]) -> dict[str, Any]:
    """Return the memories that repair letters."""
    return {
        "Hopfield": hebbian(stored),
        "pseudo-inverse": pseudo_inverse(stored),
        "exponential": BinaryMemory(stored, Exponential()),
        "pseudo-likelihood": PseudoLikelihood.fit(stored, steps=600, lr=0.3),
    }


def repair(stored: NDArray[np.int8], seed: int) -> tuple[list[Row], dict[str, list[Any]], float]:
    """Repair all letters; return rows, the pictures of one letter's repair, and the largest rise.

    Spins are visited in one random order by all memories; energies are those of whole sweeps.
    """
    rng = generator(seed, "letters")
    L = stored.shape[1]
    order = rng.permutation(L)  # the same for all: states are shuffled, not the visits
    damaged = change(stored, round(DAMAGE * L), _SPINS, rng)
    shuffled, noisy = stored[:, order], damaged[:, order]
    back = np.argsort(order)
    shown = LETTERS.index(SHOWN)
    rows, pictures, rise = [], {}, 0.0
    for name, memory in alphabet_memories(shuffled).items():
        found = memory.recall(noisy)
        overlaps = (found.state * shuffled).mean(axis=1)
        for letter, energies, overlap in zip(LETTERS, found.energies, overlaps, strict=True):
            rows += [
                {"picture": "letters", "memory": name, "item": letter, "sweep": k,
                 "energy": float(E), "overlap": float(overlap)}
                for k, E in enumerate(energies)
            ]  # fmt: skip
        if name != "pseudo-likelihood":  # which has no energy to rise
            scale = np.abs(found.energies).max()
            rise = max(rise, float(np.diff(found.energies, axis=1).max() / scale))
        first = memory.recall(noisy[shown : shown + 1], max_sweeps=1).state[0]
        steps = [noisy[shown].copy() for _ in PARTS]
        for state, part in zip(steps, PARTS, strict=True):
            state[: round(part * L)] = first[: round(part * L)]
        pictures[name] = [
            x[back].reshape(SIZE, SIZE) for x in (noisy[shown], *steps, found.state[shown])
        ]
    return rows, pictures, rise


def traces(L: int, seed: int) -> tuple[list[Row], float]:
    """Return energies of recalls from a tenth of flips, below and above capacity; largest rise."""
    rows, rise = [], 0.0
    for load in (0.05, 0.25):
        rng = generator(seed, f"traces {load}")
        patterns = rng.choice(_SPINS, size=(round(load * L), L))
        noisy = change(patterns[:20], L // 10, _SPINS, rng)
        found = hebbian(patterns).recall(noisy, rng=rng)
        scale = np.abs(found.energies).max()
        rise = max(rise, float(np.diff(found.energies, axis=1).max() / scale))
        overlaps = (found.state * patterns[:20]).mean(axis=1)
        for item, (energies, overlap) in enumerate(zip(found.energies, overlaps, strict=True)):
            rows += [
                {"picture": "traces", "memory": f"P/L = {load:g}", "item": item, "sweep": k,
                 "energy": float(E / L), "overlap": float(overlap)}
                for k, E in enumerate(energies)
            ]  # fmt: skip
    return rows, rise


def plane(seed: int, points: int) -> dict[str, dict[str, Any]]:
    """Return for both memories the points, the basin of every start, minima and some paths."""
    X = generator(seed, "plane").uniform(-1, 1, size=(9, 2))
    ticks = np.linspace(-1.5, 1.5, points)
    starts = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    some = np.stack(np.meshgrid(ticks[:: points // 12], ticks[:: points // 12]), axis=-1)
    found = {}
    for name, F in (("log-sum-exp", LogSumExp(BETA)), ("Epanechnikov", LogSumReLU(BETA / 3))):
        memory = DensityMemory(X, F)
        path = memory.flow(starts, 250, 0.1)
        end = memory.recall(path[-1], max_steps=2000).state
        _, basin = np.unique(np.round(end, 4), axis=0, return_inverse=True)
        centres = np.array([end[basin == k][0] for k in range(basin.max() + 1)])
        pulled = np.isfinite(memory.energy(centres))
        energies = np.stack([memory.energy(x) for x in path[::10]])
        with np.errstate(invalid="ignore"):
            rises = np.diff(energies, axis=0)
        found[name] = {
            "X": X, "ticks": ticks, "centres": centres, "pulled": pulled,
            "basin": basin.reshape(points, points),
            "path": memory.flow(some.reshape(-1, 2), 250, 0.1),
            "rise": float(np.nanmax(rises)),
        }  # fmt: skip
    return found


def draw(out: Path, maps: dict[str, Any], rows: list[Row], pictures: dict[str, Any]) -> None:
    """Draw the maps, the traces, and the repair of one letter."""
    from matplotlib.colors import ListedColormap

    from experiments.figures import plt, save

    figure = plt.figure(figsize=(12, 7.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    left, middle, right = top.subplots(1, 3)
    for axes, (name, found) in zip((left, middle), maps.items(), strict=True):
        colours = plt.get_cmap("tab20")(np.arange(len(found["centres"])) % 20)
        colours = 0.45 * colours + 0.55  # pale
        colours[~found["pulled"]] = 1  # starts that no pattern pulls
        axes.imshow(found["basin"], extent=(-1.5, 1.5, -1.5, 1.5), origin="lower",
                    cmap=ListedColormap(colours), interpolation="nearest",
                    vmin=-0.5, vmax=len(colours) - 0.5)  # fmt: skip
        axes.plot(*found["path"][::8].transpose(2, 0, 1), color="0.25", lw=0.6, alpha=0.7)
        axes.plot(*found["X"].T, "o", ms=6, mfc="none", mec="k")
        axes.plot(*found["centres"][found["pulled"]].T, "x", ms=7, mew=2, color="#D55E00")
        minima = int(found["pulled"].sum())
        axes.set_title(f"{name}: {len(found['X'])} points, {minima} minima")
        axes.grid(visible=False)
    for memory, colour in (("P/L = 0.05", "#0072B2"), ("P/L = 0.25", "#D55E00")):
        lines: dict[int, list[float]] = {}
        for row in rows:
            if (row["picture"], row["memory"]) == ("traces", memory):
                lines.setdefault(row["item"], []).append(row["energy"])
        for item, line in lines.items():
            right.plot(line, color=colour, lw=0.9, marker=".", alpha=0.7,
                       label=memory if item == 0 else None)  # fmt: skip
    right.set_xlabel("sweep")
    right.set_xlim(-0.3, 12)
    right.set_ylabel("energy per spin")
    right.set_title("Hopfield's network: 20 recalls")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend()
    titles = ["damaged", *(f"after {round(part * SIZE**2)} spins" for part in PARTS), "at rest"]
    grid = bottom.subplots(2, 2 * len(titles))
    for k, (name, states) in enumerate(pictures.items()):
        row, offset = divmod(k, 2)
        for j, (state, title) in enumerate(zip(states, titles, strict=True)):
            axes = grid[row, offset * len(titles) + j]
            axes.imshow(state, cmap="gray_r", vmin=-1.4, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
            for side in axes.spines.values():
                side.set_visible(True)
            axes.set_title(title, size=7.5, loc="center")
            if j == 0:
                axes.set_ylabel(name, size=9)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("gallery", claim(__doc__))
    args = p.parse_args(argv)
    run, out = Run("gallery", __doc__, argv), p.folder(args)
    stored = letters()
    repaired, pictures, rise = repair(stored, args.seed)
    traced, rise_of_traces = traces(200 if args.quick else 1000, args.seed)
    maps = plane(args.seed, 61 if args.quick else 241)
    table = traced + repaired
    good = {
        name: len({r["item"] for r in repaired if r["memory"] == name and r["overlap"] == 1})
        for name in pictures
    }
    rises = max(rise, rise_of_traces, *(found["rise"] for found in maps.values()))
    counted = ", ".join(f"{name} {number}" for name, number in good.items())
    text = (
        f"Of 26 letters with {DAMAGE:.0%} of their {SIZE**2} spins flipped, whole again are: "
        f"{counted}. Nine points in the plane have "
        f"{int(maps['log-sum-exp']['pulled'].sum())} minima under log-sum-exp and "
        f"{int(maps['Epanechnikov']['pulled'].sum())} under the Epanechnikov energy at a third of "
        f"its β. Along all recalls and paths the energy rises by at most {max(rises, 0.0):.0e}, "
        f"which is rounding."
    )
    draw(out, maps, table, pictures)
    run.leave(
        out,
        COLUMNS,
        table,
        {"size": SIZE, "damage": DAMAGE, "seed": args.seed},
        {"letters_repaired": good, "largest_rise": max(rises, 0.0),
         "minima": {name: int(found["pulled"].sum()) for name, found in maps.items()}},
        text,
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
