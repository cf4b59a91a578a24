"""How many random patterns a memory keeps is a matter of its separation function.

Random patterns of ±1 are stored and recalled from themselves [T17]:

    n = 2           the retrieved overlap falls through .95 at a load P/L near .138, for large L
    n = 3, 4        it falls at a P that grows like L^{n-1}
    exponential     *all* patterns stay where they are up to a P that grows like 2^{L/2}: beyond,
                    some pair is at distance 1; most of them are still retrieved far above that
    log-sum-exp     at β = 0.3, and the Epanechnikov kernel that reaches as far as L/4 flips: P is
                    exponential in L as well, with a smaller exponent, for they see further

Growth is the slope of a line through the logarithms, its interval a bootstrap over pattern sets.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit.cells import Found
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.intervals import columns, inside, spread
from experiments.kit.record import Record
from hopfield import BinaryMemory, Exponential, LogSumExp, LogSumReLU, Power, hebbian
from hopfield.landscape import CapacityCurve, Memory, capacity
from minuddm.probes import Interval

LEVEL = 0.95
BETA = 0.3  # of log-sum-exp; the exponential memory has 1
MEMORIES: dict[str, Callable[[Any], Memory]] = {
    "n = 2": hebbian,
    "n = 3": lambda xi: BinaryMemory(xi, Power(3)),
    "n = 4": lambda xi: BinaryMemory(xi, Power(4)),
    "exponential": lambda xi: BinaryMemory(xi, Exponential()),
    "log-sum-exp": lambda xi: BinaryMemory(xi, LogSumExp(BETA)),
    "Epanechnikov": lambda xi: BinaryMemory(xi, LogSumReLU(2 / xi.shape[1], float(xi.shape[1]))),
}
"""Epanechnikov's kernel vanishes where L/4 spins are flipped: at an overlap of L/2."""
LOGARITHMIC = {"exponential": (0.9, -3.0), "log-sum-exp": (0.63, -3.1), "Epanechnikov": (0.26, 0.8)}
"""Memories whose P is a power of 2 in L, and a line near which log2 P is looked for."""
COLUMNS = ["memory", "L", "P", "load", "sets", "overlap", "overlap_lo", "overlap_hi", "all_stay"]
Shapes = dict[tuple[str, int], CapacityCurve]
Grown = dict[int, NDArray[np.float64]]
_SPINS = np.array([-1, 1], np.int8)


@dataclass(frozen=True)
class Load:
    """A memory at one load: the overlap retrieved, for several sets of patterns."""

    memory: str
    L: int
    P: int
    sets: int
    probed: int
    seed: int


@dataclass(frozen=True)
class Growth:
    """Sequences of patterns stored one by one in the exponential memory until one of them moves."""

    L: int
    sequences: int
    seed: int


def load(task: Load) -> dict[str, Any]:
    """Return the mean overlap of each set."""
    curve = capacity(
        MEMORIES[task.memory], lambda P, rng: rng.choice(_SPINS, size=(P, task.L)), [task.P],
        task.L, generator(task.seed, f"{task.memory} {task.L} {task.P}"), sets=task.sets,
        probed=task.probed,
    )  # fmt: skip
    return {"sets": curve.sets[0]}


def growth(task: Growth) -> dict[str, Any]:
    """Return log2 of the largest P, in steps of ¼, at which the first P patterns all stay."""
    rng = generator(task.seed, f"growth {task.L}")
    found = []
    for _ in range(task.sequences):
        patterns = rng.choice(_SPINS, size=(round(2 ** (task.L / 2 + 3)), task.L))
        log2 = 1.0
        while _all_stay(patterns[: round(2 ** (log2 + 0.25))]):
            log2 += 0.25
        found.append(log2)
    return {"log2": found}


def _all_stay(patterns: NDArray[np.int8]) -> bool:
    memory = BinaryMemory(patterns, Exponential())
    blocks = np.array_split(patterns, max(1, len(patterns) // 64))
    return all((memory.recall(x, max_sweeps=1).steps == 0).all() for x in blocks)


def neighbours(L: float) -> float:
    """Return the P at which random patterns hold a pair at distance 1 with chance ½.

    P²/2 pairs, each with chance L 2^-L, are none with chance e^{-P² L / 2^{L+1}}.
    """
    return float(2 ** (L / 2) * np.sqrt(2 * np.log(2) / L))


def plan(args: Namespace) -> tuple[list[Load], list[Growth]]:
    """Return what is measured, the long cells last."""
    quick, seed = args.quick, args.seed
    sets = 2 if quick else 6
    loads = []
    for memory, (rise, start) in LOGARITHMIC.items():
        many = sets if memory == "exponential" else 4 * sets  # their patterns are few
        for L in (10, 12, 14) if quick else (10, 12, 14, 16, 18):
            log2 = rise * L + start + np.arange(-1.5, 2, 0.5)
            sizes = np.unique(np.round(2**log2).astype(int))
            loads += [Load(memory, L, int(P), many, 200, seed) for P in sizes if P > 1]
    for n, lengths, sizes in (
        (4, (24, 36) if quick else (24, 36, 54, 80), np.geomspace(0.006, 0.018, 7)),
        (3, (40, 60, 90) if quick else (40, 60, 90, 135, 200), np.geomspace(0.045, 0.14, 7)),
    ):
        for L in lengths:
            P = (round(c * L ** (n - 1)) for c in sizes)
            loads += [Load(f"n = {n}", L, number, sets, 200, seed) for number in P]
    fractions = np.arange(0.12, 0.166, 0.005)
    for L in (500,) if quick else (500, 1000, 2000):
        loads += [Load("n = 2", L, round(c * L), sets, L, seed) for c in fractions]
    lengths = (10, 12, 14, 16) if quick else (12, 14, 16, 18, 20, 22, 24)
    return loads, [Growth(L, 10 if quick else 40, seed) for L in lengths]


def curves(tasks: Sequence[Load], found: Sequence[Found]) -> Shapes:
    """Return one curve of overlap against load for each memory and L."""
    grouped: dict[tuple[str, int], list[tuple[float, list[float]]]] = {}
    for task, piece in zip(tasks, found, strict=True):
        grouped.setdefault((task.memory, task.L), []).append((task.P / task.L, piece["sets"]))
    return {key: CapacityCurve.of(*zip(*points, strict=True)) for key, points in grouped.items()}


def slope(x: Sequence[float], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the slope of a line and its interval: y[0] the values (K,), then replicates.

    NaN where a value is not known; replicates that are not known are left out.
    """
    if np.isnan(y[0]).any():
        return np.nan, np.nan, np.nan
    fits = np.polyfit(np.asarray(x), y[np.isfinite(y).all(axis=1)].T, 1)[0]
    low, high = np.quantile(fits[1:], [0.025, 0.975])
    return float(fits[0]), float(low), float(high)


def falls_and_slopes(shapes: Shapes, grown: Grown, seed: int) -> dict[str, Any]:
    """Return where curves fall through .95, and how that grows with L."""
    falls, sizes, slopes = {}, {}, {}
    for (memory, L), curve in shapes.items():
        rng = generator(seed, f"bootstrap {memory} {L}")
        falls[memory, L] = curve.falls_through(LEVEL, rng)
        again = curve.replicates(LEVEL, rng)
        sizes[memory, L] = L * np.concatenate([falls[memory, L][:1], again])
    for memory in MEMORIES:
        lengths = [L for name, L in sizes if name == memory]
        if len(lengths) > 1 and memory != "n = 2":
            P = np.stack([sizes[memory, L] for L in lengths], axis=1)
            x = np.array(lengths) if memory in LOGARITHMIC else np.log2(lengths)
            slopes[memory] = slope(x, np.log2(P))
    rng = generator(seed, "bootstrap growth")
    values = np.array(list(grown.values()))
    picked = rng.integers(values.shape[1], size=(1000, *values.shape))
    again = np.take_along_axis(values[None], picked, axis=2).mean(axis=2)
    slopes["all stay"] = slope(list(grown), np.vstack([values.mean(axis=1), again]))
    return {"falls": falls, "slopes": slopes}


def draw(shapes: Shapes, grown: Grown, found: dict[str, Any]) -> Figure:
    """Draw overlap against load for n = 2, and the sizes at which memories fall against L."""
    figure, (left, middle, right) = subplots(1, 3, (12, 4))
    classical = [(L, curve) for (memory, L), curve in shapes.items() if memory == "n = 2"]
    for (L, curve), shade in zip(classical, ("#9ecae1", "#4a98c9", "#08519c"), strict=False):
        left.plot(curve.loads, curve.mean, color=shade, label=f"L = {L}")
        left.fill_between(curve.loads, curve.low, curve.high, color=shade, alpha=0.2, lw=0)
    left.axvline(0.138, color="0.3", ls=":", lw=1)
    left.text(0.1385, 0.995, "0.138", size=9, color="0.3", va="top")
    left.axhline(LEVEL, color="0.3", ls=":", lw=1)
    left.set(title="n = 2: overlap against load", xlabel="load P / L", ylim=(0.75, 1))
    left.set_ylabel("retrieved overlap")
    left.legend()

    def falls(axes: Any, memory: str, label: str) -> None:
        lengths = [L for name, L in shapes if name == memory]
        P = np.array([found["falls"][memory, L] * L for L in lengths])
        bars = np.abs(P[:, 1:] - P[:, :1]).T
        colour = COLOURS[list(MEMORIES).index(memory)] if memory != "Epanechnikov" else "0.45"
        axes.errorbar(lengths, P[:, 0], bars, fmt="o-", ms=4, color=colour, label=label)

    for memory in ("n = 2", "n = 3", "n = 4"):
        power = found["slopes"].get(memory)
        falls(middle, memory, f"{memory}: slope {spread(power)}" if power else memory)
    middle.set(xscale="log", yscale="log", ylim=(None, 5e4))
    middle.set_xticks([25, 50, 100, 200, 500, 1000, 2000])
    middle.xaxis.set_major_formatter("{x:g}")
    middle.xaxis.set_minor_formatter("")
    middle.set(title="Polynomial: P against L", xlabel="spins L")
    middle.set_ylabel(f"patterns P at which overlap is {LEVEL:g}")
    middle.legend(fontsize=8.5, loc="upper right")
    for memory in LOGARITHMIC:
        falls(right, memory, f"{memory}, overlap .95: 2^({found['slopes'][memory][0]:.2f} L)")
    L = np.array(list(grown))
    mean = np.array([np.mean(v) for v in grown.values()])
    error = 1.96 * np.array([np.std(v) / np.sqrt(len(v)) for v in grown.values()])
    label = "exponential, all stay: 2^({:.2f} L)".format(found["slopes"]["all stay"][0])
    bars = np.abs(2 ** np.stack([mean - error, mean + error]) - 2**mean)
    right.errorbar(L, 2**mean, bars, fmt="s-", ms=4, color="#56B4E9", label=label)
    right.plot(L, [neighbours(n) for n in L], color="0.4", ls=":", lw=1.2,
               label="a pair at distance 1: √(2 ln 2 · 2^L / L)")  # fmt: skip
    right.set_yscale("log", base=2)
    right.set(title="Logarithmic energies: P against L", xlabel="spins L", ylabel="patterns P",
              ylim=(None, 2.0**21))  # fmt: skip
    right.legend(fontsize=7.5, loc="upper left")
    return figure


def rows(shapes: Shapes, grown: Grown) -> list[dict[str, Any]]:
    """Return the table: one row per memory, L and P; and per L the mean P at which all stay."""
    table: list[dict[str, Any]] = [
        {"memory": memory, "L": L, "P": round(load * L), "load": load,
         "sets": curve.sets.shape[1], **columns("overlap", Interval(*overlap))}
        for (memory, L), curve in shapes.items()
        for load, *overlap in zip(*(x.tolist() for x in curve[:4]), strict=True)
    ]  # fmt: skip
    return table + [
        {"memory": "exponential", "L": L, "sets": len(values), "all_stay": 2 ** values.mean()}
        for L, values in grown.items()
    ]


def measure(plan: tuple[list[Load], list[Growth]], run: Run) -> Findings:
    """Measure all curves, and where they fall."""
    loads, growths = plan
    shapes = curves(loads, run.each(load, loads))
    pieces = run.each(growth, growths)
    grown = {task.L: piece["log2"] for task, piece in zip(growths, pieces, strict=True)}
    found = falls_and_slopes(shapes, grown, run.args.seed)
    largest = max(L for memory, L in shapes if memory == "n = 2")
    critical, slopes = found["falls"]["n = 2", largest], found["slopes"]
    pairs = np.polyfit(list(grown), [np.log2(neighbours(L)) for L in grown], 1)[0]
    text = (
        f"For finite L the number of patterns that all stay should grow like 2^(cL) with c = "
        f"{pairs:.2f}. An overlap of {LEVEL:g} is kept up to c = {spread(slopes['exponential'])} "
        f"by the exponential, {spread(slopes['log-sum-exp'])} by log-sum-exp at β = {BETA:g}, and "
        f"{spread(slopes['Epanechnikov'])} by the Epanechnikov kernel."
    )
    return Findings(
        rows(shapes, grown),
        {
            "critical_load": critical.tolist(),
            "falls": {f"{name}, L = {L}": x.tolist() for (name, L), x in found["falls"].items()},
            "slopes": slopes,
        },
        text,
        draw(shapes, grown, found),
        {"seed": run.args.seed, "level": LEVEL, "loads": [asdict(task) for task in loads[-1:]],
         "sequences": growths[0].sequences},
        {"intervals": "95 %; curves: Student over pattern sets; else bootstrap over sets"},
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge loads and powers of finite L: within .01, .25 and .05 of the theory of large ones."""
    of = {"critical": record.headline["critical_load"], **record.headline["slopes"]}
    slopes = {name: [np.nan if x is None else x for x in ends] for name, ends in of.items()}
    critical = slopes["critical"]
    largest = max(int(row["L"]) for row in record.table if row["memory"] == "n = 2")
    return [
        Verdict(
            "n = 2 falls through an overlap of 0.95 within .01 of a load of .138",
            f"P/L = {spread(critical, 4)} at L = {largest}",
            (inside(critical, 0.128, 0.148),),
        ),
        Verdict(
            "n = 3 and 4 keep as many patterns as powers of L within .25 of 2 and 3",
            " and ".join(f"L^{spread(slopes[f'n = {n}'])}" for n in (3, 4)),
            tuple(inside(slopes[f"n = {n}"], n - 1.25, n - 0.75) for n in (3, 4)),
        ),
        Verdict(
            "the exponential keeps all of 2^(cL), c within .05 of ½",
            f"2^(cL), c = {spread(slopes['all stay'])}",
            (inside(slopes["all stay"], 0.45, 0.55),),
        ),
    ]


EXPERIMENT = Experiment("capacity", __doc__, COLUMNS, measure, verdicts, plan)

if __name__ == "__main__":
    EXPERIMENT.main()
