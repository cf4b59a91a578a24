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

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments import commandline
from experiments.jobs import Found, each, generator
from experiments.record import Run, claim
from hopfield import (
    BinaryMemory,
    Exponential,
    LogSumExp,
    LogSumReLU,
    Power,
    TokenMemory,
    hebbian,
)
from hopfield.landscape import CapacityCurve, Memory, capacity, change

LEVEL = 0.95
BETA = 0.3  # of log-sum-exp; the exponential memory has 1
MEMORIES: dict[str, Callable[[Any], Memory]] = {
    "n = 2": hebbian,
    "n = 3": lambda patterns: BinaryMemory(patterns, Power(3)),
    "n = 4": lambda patterns: BinaryMemory(patterns, Power(4)),
    "exponential": lambda patterns: BinaryMemory(patterns, Exponential()),
    "log-sum-exp": lambda patterns: BinaryMemory(patterns, LogSumExp(BETA)),
    "Epanechnikov": lambda patterns: BinaryMemory(patterns, _epanechnikov(patterns.shape[1])),
}
LOGARITHMIC = {"exponential": (0.9, -3.0), "log-sum-exp": (0.63, -3.1), "Epanechnikov": (0.26, 0.8)}
"""Memories whose P is a power of 2 in L, and a line near which log2 P is looked for."""
COLUMNS = ["memory", "L", "P", "load", "sets", "overlap", "overlap_lo", "overlap_hi", "all_stay"]
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


def load(task: Load) -> Found:
    """Return the mean overlap of each set."""
    curve = capacity(
        MEMORIES[task.memory],
        lambda P, rng: rng.choice(_SPINS, size=(P, task.L)),
        [task.P],
        task.L,
        generator(task.seed, f"{task.memory} {task.L} {task.P}"),
        sets=task.sets,
        probed=task.probed,
    )
    return {"sets": curve.sets[0].tolist()}


def growth(task: Growth) -> Found:
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


def _epanechnikov(L: int) -> LogSumReLU:
    """Return the kernel that vanishes where L/4 spins are flipped: at an overlap of L/2."""
    return LogSumReLU(2 / L, float(L))


def _all_stay(patterns: NDArray[np.int8]) -> bool:
    memory = BinaryMemory(patterns, Exponential())
    blocks = np.array_split(patterns, max(1, len(patterns) // 64))
    return all((memory.recall(x, max_sweeps=1).steps == 0).all() for x in blocks)


def neighbours(L: float) -> float:
    """Return the P at which random patterns hold a pair at distance 1 with chance ½.

    P²/2 pairs, each with chance L 2^-L, are none with chance e^{-P² L / 2^{L+1}}.
    """
    return float(2 ** (L / 2) * np.sqrt(2 * np.log(2) / L))


def plan(quick: bool, seed: int) -> tuple[list[Load], list[Growth]]:
    """Return what is measured, the long pieces last."""
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
        loads += [
            Load(f"n = {n}", L, round(c * L ** (n - 1)), sets, 200, seed)
            for L in lengths
            for c in sizes
        ]
    for L in (500,) if quick else (500, 1000, 2000):
        loads += [
            Load("n = 2", L, round(c * L), sets, L, seed) for c in np.arange(0.12, 0.166, 0.005)
        ]
    lengths = (10, 12, 14, 16) if quick else (12, 14, 16, 18, 20, 22, 24)
    return loads, [Growth(L, 10 if quick else 40, seed) for L in lengths]


def curves(tasks: Sequence[Load], found: Sequence[Found]) -> dict[tuple[str, int], CapacityCurve]:
    """Return one curve of overlap against load for each memory and L."""
    grouped: dict[tuple[str, int], list[tuple[float, list[float]]]] = {}
    for task, piece in zip(tasks, found, strict=True):
        grouped.setdefault((task.memory, task.L), []).append((task.P / task.L, piece["sets"]))
    return {
        key: CapacityCurve.of(*map(list, zip(*points, strict=True)))
        for key, points in grouped.items()
    }


def slope(x: Sequence[float], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the slope of a line and its interval: y[0] the values (K,), then replicates."""
    fits = np.polyfit(np.asarray(x), y.T, 1)[0]
    low, high = np.quantile(fits[1:], [0.025, 0.975])
    return float(fits[0]), float(low), float(high)


def measure(
    shapes: dict[tuple[str, int], CapacityCurve], grown: dict[int, list[float]], seed: int
) -> dict[str, Any]:
    """Return where curves fall through .95, and how that grows with L."""
    falls, sizes = {}, {}
    for (memory, L), curve in shapes.items():
        rng = generator(seed, f"bootstrap {memory} {L}")
        falls[memory, L] = curve.falls_through(LEVEL, rng)
        again = curve.replicates(LEVEL, rng)
        sizes[memory, L] = L * np.concatenate([falls[memory, L][:1], again])
    slopes = {}
    for memory in MEMORIES:
        lengths = [L for name, L in sizes if name == memory]
        if len(lengths) > 1 and memory != "n = 2":
            P = np.stack([sizes[memory, L] for L in lengths], axis=1)
            P = P[np.isfinite(P).all(axis=1)]
            x = np.array(lengths) if memory in LOGARITHMIC else np.log2(lengths)
            slopes[memory] = slope(x, np.log2(P))
    rng = generator(seed, "bootstrap growth")
    values = np.array(list(grown.values()))
    picked = rng.integers(values.shape[1], size=(1000, *values.shape))
    again = np.take_along_axis(values[None], picked, axis=2).mean(axis=2)
    slopes["all stay"] = slope(list(grown), np.vstack([values.mean(axis=1), again]))
    return {"falls": falls, "slopes": slopes}


def speed() -> dict[str, float]:
    """Time, on one thread, a classical recall beside the matrix products of its sweeps alone.

    1,000 queries with 10 % of 1,000 spins flipped, P = 100; and a token memory of P = 10,000
    patterns, L = 32, V = 28, from 1,000 queries with 30 % of tokens changed. Best of three.
    """
    rng = np.random.default_rng(0)
    patterns = rng.choice(_SPINS, size=(100, 1000))
    memory = hebbian(patterns)
    queries = change(np.repeat(patterns, 10, axis=0), 100, _SPINS, rng)
    sequences = rng.integers(28, size=(10_000, 32))
    tokens = TokenMemory(sequences, 28, 3.0)
    noisy = change(sequences[:1000], 10, np.arange(28), rng)
    columns = np.ascontiguousarray(queries.T, dtype=np.float64)
    memory.recall(queries[:1])
    tokens.recall(noisy[:1])

    def best(act: Callable[[], object]) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            act()
            times.append(time.perf_counter() - start)
        return min(times)

    with threadpool_limits(1):
        sweeps = memory.recall(queries).energies.shape[1] - 1
        recall = best(lambda: memory.recall(queries))
        product = best(lambda: [memory.W @ columns for _ in range(sweeps)])
        return {
            "classical_recall_seconds": recall,
            "products_of_the_same_sweeps_seconds": product,
            "recall_over_products": recall / product,
            "token_recall_seconds": best(lambda: tokens.recall(noisy)),
            "sweeps": sweeps,
        }


def draw(
    out: Path, shapes: dict[tuple[str, int], CapacityCurve], grown: dict[int, list[float]],
    found: dict[str, Any],
) -> None:  # fmt: skip
    """Draw overlap against load for n = 2, and the sizes at which memories fall against L."""
    from experiments.figures import plt, save

    colours = dict(zip(
        MEMORIES, ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "0.45"), strict=True
    ))  # fmt: skip
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 4))
    classical = [(L, curve) for (memory, L), curve in shapes.items() if memory == "n = 2"]
    for (L, curve), shade in zip(classical, ("#9ecae1", "#4a98c9", "#08519c"), strict=False):
        left.plot(curve.loads, curve.mean, color=shade, label=f"L = {L}")
        left.fill_between(curve.loads, curve.low, curve.high, color=shade, alpha=0.2, lw=0)
    left.axvline(0.138, color="0.3", ls=":", lw=1)
    left.text(0.1385, 0.995, "0.138", size=9, color="0.3", va="top")
    left.axhline(LEVEL, color="0.3", ls=":", lw=1)
    left.set_ylim(0.75, 1.0)
    left.set_xlabel("load P / L")
    left.set_ylabel("retrieved overlap")
    left.set_title("n = 2: overlap against load")
    left.legend()
    for memory in ("n = 2", "n = 3", "n = 4"):
        lengths = [L for name, L in shapes if name == memory]
        P = np.array([found["falls"][memory, L] * L for L in lengths])
        label = memory
        if memory in found["slopes"]:
            label += ": slope {:.2f} ({:.2f} to {:.2f})".format(*found["slopes"][memory])
        bars = np.abs(P[:, 1:] - P[:, :1]).T
        middle.errorbar(lengths, P[:, 0], bars, fmt="o-", ms=4, color=colours[memory], label=label)
    middle.set_xscale("log")
    middle.set_yscale("log")
    middle.set_xticks([25, 50, 100, 200, 500, 1000, 2000])
    middle.xaxis.set_major_formatter("{x:g}")
    middle.xaxis.set_minor_formatter("")
    middle.set_xlabel("spins L")
    middle.set_ylabel(f"patterns P at which overlap is {LEVEL:g}")
    middle.set_title("Polynomial: P against L")
    middle.set_ylim(top=5e4)
    middle.legend(fontsize=8.5, loc="upper right")
    for memory in LOGARITHMIC:
        lengths = [L for name, L in shapes if name == memory]
        P = np.array([found["falls"][memory, L] * L for L in lengths])
        label = f"{memory}, overlap .95: 2^({found['slopes'][memory][0]:.2f} L)"
        bars = np.abs(P[:, 1:] - P[:, :1]).T
        right.errorbar(lengths, P[:, 0], bars, fmt="o-", ms=4, color=colours[memory], label=label)
    L = np.array(list(grown))
    mean = np.array([np.mean(v) for v in grown.values()])
    error = 1.96 * np.array([np.std(v) / np.sqrt(len(v)) for v in grown.values()])
    label = "exponential, all stay: 2^({:.2f} L)".format(found["slopes"]["all stay"][0])
    bars = np.abs(2 ** np.stack([mean - error, mean + error]) - 2**mean)
    right.errorbar(L, 2**mean, bars, fmt="s-", ms=4, color="#56B4E9", label=label)
    right.plot(L, [neighbours(n) for n in L], color="0.4", ls=":", lw=1.2,
               label="a pair at distance 1: √(2 ln 2 · 2^L / L)")  # fmt: skip
    right.set_yscale("log", base=2)
    right.set_xlabel("spins L")
    right.set_ylabel("patterns P")
    right.set_title("Logarithmic energies: P against L")
    right.set_ylim(top=2.0**21)
    right.legend(fontsize=7.5, loc="upper left")
    save(out, figure)


def rows(tasks: Sequence[Load], shapes: dict[tuple[str, int], CapacityCurve],
         grown: dict[int, list[float]]) -> list[dict[str, Any]]:  # fmt: skip
    """Return the table: one row per memory, L and P; and per L the mean P at which all stay."""
    table = []
    for (memory, L), curve in shapes.items():
        points = zip(curve.loads, curve.mean, curve.low, curve.high, strict=True)
        for at, mean, low, high in points:
            table.append({
                "memory": memory, "L": L, "P": round(at * L), "load": float(at),
                "sets": curve.sets.shape[1], "overlap": float(mean), "overlap_lo": float(low),
                "overlap_hi": float(high),
            })  # fmt: skip
    for L, values in grown.items():
        table.append({
            "memory": "exponential", "L": L, "sets": len(values),
            "all_stay": float(2 ** np.mean(values)),
        })  # fmt: skip
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("capacity", claim(__doc__))
    args = p.parse_args(argv)
    run, out = Run("capacity", __doc__, argv), p.folder(args)
    loads, growths = plan(args.quick, args.seed)
    shapes = curves(loads, each(load, loads, out, args.workers, quiet=args.quick))
    pieces = each(growth, growths, out, args.workers, quiet=args.quick)
    grown = {task.L: piece["log2"] for task, piece in zip(growths, pieces, strict=True)}
    found, timed = measure(shapes, grown, args.seed), speed()
    largest = max(L for memory, L in shapes if memory == "n = 2")
    critical, slopes = found["falls"]["n = 2", largest], found["slopes"]
    pairs = np.polyfit(list(grown), [np.log2(neighbours(L)) for L in grown], 1)[0]
    text = (
        f"Recalled from themselves, patterns of L = {largest} spins fall through an overlap of "
        f"{LEVEL:g} at a load of {critical[0]:.4f} (95 % interval {critical[1]:.4f} to "
        f"{critical[2]:.4f}) for n = 2, where theory has 0.138 for large L. For n = 3 and 4 the "
        f"number of patterns grows like L to the power {_interval(slopes['n = 3'])} and "
        f"{_interval(slopes['n = 4'])}, theory 2 and 3 for large L. In the exponential memory all "
        f"patterns stay up to a number that doubles with every "
        f"{1 / slopes['all stay'][0]:.1f} spins, 2^(cL) with c = {_interval(slopes['all stay'])}, "
        f"theory 1/2 for large L and {pairs:.2f} for these; an overlap of {LEVEL:g} is kept up to "
        f"c = {_interval(slopes['exponential'])}, by log-sum-exp at β = {BETA:g} up to "
        f"{_interval(slopes['log-sum-exp'])}, by the Epanechnikov kernel up to "
        f"{_interval(slopes['Epanechnikov'])}. A classical recall of 1,000 queries "
        f"(L = 1,000, P = 100) takes {timed['recall_over_products']:.2f} times the matrix "
        f"products of its sweeps, one of 1,000 sequences of tokens among 10,000 takes "
        f"{timed['token_recall_seconds']:.2f} s, on one thread."
    )
    draw(out, shapes, grown, found)
    run.leave(
        out,
        COLUMNS,
        rows(loads, shapes, grown),
        {"seed": args.seed, "level": LEVEL, "loads": [asdict(task) for task in loads[-1:]],
         "sequences": growths[0].sequences},
        {
            "critical_load": critical.tolist(),
            "falls": {f"{memory}, L = {L}": x.tolist() for (memory, L), x in
                      found["falls"].items()},
            "slopes": slopes,
        },
        text,
        speed=timed,
        intervals="95 %; curves: Student over pattern sets; crossings, slopes: bootstrap over sets",
    )  # fmt: skip


def _interval(x: Sequence[float]) -> str:
    return f"{x[0]:.2f} ({x[1]:.2f} to {x[2]:.2f})"


if __name__ == "__main__":
    commandline.run(main)
