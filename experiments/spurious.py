"""Overload a memory, and minima appear that nobody stored: mixtures first, then minima of its own.

    Hopfield's network     where random starts end, against load: at the patterns, at mixtures of
                           three, five, seven of them, or at none of these [T17]
    points on a circle     two opposite ones are two minima; nine random ones merge into some that
                           are none of them; a thousand are a ring, whose energy at distance R from
                           the centre is the exact curve of infinitely many points, with Bessel's
                           I₀ [T20]
    random points          the Epanechnikov energy [T18] keeps its patterns and has minima at
                           centroids of overlapping ones beside them, in great number;
                           log-sum-exp has either patterns or merged minima

"Emergent" is a minimum further than 1e-4 from every pattern, or 0.05 on the circle, where minima of
log-sum-exp sit close to the patterns and not upon them.
"""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.kit import circle
from experiments.kit.cells import Found, grouped
from experiments.kit.circle import RADII, Floats
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import DASH, band, subplots
from experiments.kit.intervals import columns, headers
from experiments.kit.patterns import SPINS, plane
from experiments.kit.record import Record
from hopfield import DensityMemory, LogSumExp, LogSumReLU, hebbian
from hopfield.landscape import SPURIOUS, STORED, UNCONVERGED, census
from minuddm.probes import bootstrap_mean

KINDS = {STORED: "stored", 3: "mixture of 3", 5: "mixture of 5", 7: "mixture of 7",
         SPURIOUS: "none of these", UNCONVERGED: "not at rest"}  # fmt: skip
ON_CIRCLE = (2, 9, 1000)
KEPT = 0.9  # share of patterns that are minima, from which a memory counts as keeping its patterns
COLUMNS = ["part", "memory", "L", "P", "load", "kind", "sets", *headers(["share"]), "distinct",
           "reach", "stored", "emergent", "R", "energy", "exact"]  # fmt: skip
_SAME = 1e-6  # minima closer than this are one

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Overload:
    """Hopfield's network with P random patterns, and random starts."""

    P: int
    L: int
    starts: int
    seed: int


@dataclass(frozen=True)
class Reach:
    """P random points in the unit cube of D dimensions, and kernels that reach so far.

    `reach` is the radius of an Epanechnikov kernel, √(2/β), in units of the median distance from
    a pattern to its nearest neighbour. Log-sum-exp stands at the same β.
    """

    memory: str
    reach: float
    P: int
    D: int
    starts: int
    seed: int


def overload(task: Overload) -> dict[str, Any]:
    """Return the share of starts and the number of distinct ends of every kind."""
    rng = generator(task.seed, f"overload {task.P}")
    patterns = rng.choice(SPINS, size=(task.P, task.L))
    starts = rng.choice(SPINS, size=(task.starts, task.L))
    found = census(hebbian(patterns), starts, patterns, rng)
    return {str(kind): [found.share(kind), found.distinct(kind)] for kind in KINDS}


def reach(task: Reach) -> dict[str, Any]:
    """Return how many patterns are minima, and how many minima are none."""
    rng = generator(task.seed, f"reach {task.P} {task.D}")  # the same points at every reach
    X = rng.random((task.P, task.D))
    apart = np.linalg.norm(X[:, None] - X, axis=2)
    radius = task.reach * np.median(np.sort(apart, axis=1)[:, 1])
    F = {"log-sum-exp": LogSumExp, "Epanechnikov": LogSumReLU}[task.memory](2 / radius**2)
    one, other = np.triu_indices(task.P, 1)
    starts = np.concatenate([X, (X[one] + X[other]) / 2, rng.random((task.starts, task.D))])
    return counts(minima(DensityMemory(X, F), starts), X, 1e-4)


def plan(args: Namespace) -> tuple[list[Overload], list[Reach]]:
    """Return what is measured."""
    quick, seed = args.quick, 1000 * args.seed
    L, points, D = (200, 30, 8) if quick else (500, 60, 16)
    overloads = [
        Overload(P, L, L, seed + s)
        for P in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
        for s in range(2 if quick else 8)
    ]
    reaches = [
        Reach(memory, x, points, D, 4000, seed + s)
        for memory in ("log-sum-exp", "Epanechnikov")
        for x in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0)
        for s in range(2 if quick else 4)
    ]
    return overloads, reaches


def minima(memory: DensityMemory, starts: Floats) -> Floats:
    """Return the different places (n, D) where recalls from `starts` come to rest, pulled there."""
    found = memory.recall(starts, max_steps=5000, tolerance=1e-10)
    ends = found.state[found.converged & np.isfinite(found.energies[:, -1])]
    _, first = np.unique(np.round(ends / _SAME), axis=0, return_index=True)
    distinct: list[Floats] = []
    for x in ends[np.sort(first)]:
        if all(np.linalg.norm(x - y) > 10 * _SAME for y in distinct):
            distinct.append(x)
    return np.array(distinct).reshape(-1, starts.shape[1])


def counts(ends: Floats, patterns: Floats, within: float) -> dict[str, int]:
    """Return how many minima are patterns, within a distance, and how many are none."""
    near = np.linalg.norm(ends[:, None] - patterns, axis=2).min(axis=1) < within
    return {"stored": int(near.sum()), "emergent": int((~near).sum())}


class Ring(NamedTuple):
    """Points of the circle, their minima, and the energy (81, 360) at `RADII` along rays."""

    memory: DensityMemory
    minima: Floats
    counts: dict[str, int]
    energy: Floats


def on_circle(P: int, seed: int, side: int) -> Ring:
    """Return P points, two opposite or random, and their minima from side² starts."""
    rng = generator(seed, f"circle {P}")
    angle = 2 * np.pi * (rng.random() + np.arange(2) / 2 if P == 2 else rng.random(P))
    memory = circle.memory(angle)
    ends = minima(memory, plane(1.5, side) + 1e-3)  # not on a ridge
    rays = RADII[:, None, None] * circle.points(2 * np.pi * np.arange(360) / 360)
    energy = circle.energy(memory, rays.reshape(-1, 2)).reshape(len(RADII), -1)
    return Ring(memory, ends, counts(ends, memory.patterns, 0.05), energy)


def overload_rows(tasks: Sequence[Overload], found: Sequence[Found], seed: int) -> Rows:
    """Return one row per P and kind, with intervals over sets of patterns."""
    rows = []
    for P, pieces in grouped(tasks, found, "P").items():
        for kind, name in KINDS.items():
            shares, numbers = np.array([f[str(kind)] for f in pieces]).T
            interval = bootstrap_mean(shares, generator(seed, f"bootstrap {P} {kind}"))
            rows.append({
                "part": "overload", "memory": "n = 2", "L": tasks[0].L, "P": P, "kind": name,
                "load": P / tasks[0].L, "sets": len(pieces), **columns("share", interval),
                "distinct": numbers.mean(),
            })  # fmt: skip
    return rows


def reach_rows(tasks: Sequence[Reach], found: Sequence[Found]) -> Rows:
    """Return one row per memory and reach: means over sets of points."""
    return [
        {"part": "reach", "memory": memory, "L": tasks[0].D, "P": tasks[0].P, "reach": x,
         "sets": len(pieces),
         **{name: float(np.mean([f[name] for f in pieces])) for name in ("stored", "emergent")}}
        for (memory, x), pieces in grouped(tasks, found, "memory", "reach").items()
    ]  # fmt: skip


def circle_rows(rings: dict[int, Ring]) -> Rows:
    """Return the mean energy against R, one row per P and R."""
    exact = circle.bessel(RADII)
    return [
        {"part": "circle", "memory": "log-sum-exp", "L": 2, "P": P, "R": RADII[k],
         "energy": ring.energy[k].mean(), "exact": exact[k], **ring.counts}
        for P, ring in rings.items()
        for k in range(len(RADII))
    ]  # fmt: skip


def draw(rings: dict[int, Ring], overloads: Rows, reaches: Rows) -> Figure:
    """Draw the circle as maps; where starts end; Bessel's curve; and what emerges."""
    blue, red, orange = "#0072B2", "#D55E00", "#E69F00"
    figure, (top, (left, middle, right)) = subplots(2, 3, (12, 8))
    x = plane(1.6, 81)
    at, levels = x.T.reshape(2, 81, 81), np.linspace(0, 1.5, 26)
    for axes, (P, ring) in zip(top, rings.items(), strict=True):
        energy = circle.energy(ring.memory, x).reshape(81, 81)
        image = axes.contourf(*at, energy, levels, extend="max")
        size = 5 if P < 100 else 1.5
        axes.plot(*ring.memory.patterns.T, "o", ms=size, mfc="none", mec="w", mew=0.9)
        axes.plot(*ring.minima.T, "x", ms=8, mew=2, color=red)
        axes.set_title(f"P = {P}: {len(ring.minima)} minima, {ring.counts['emergent']} emergent")
        axes.grid(visible=False)
        axes.set_aspect("equal")
    figure.colorbar(image, ax=top[2], shrink=0.85, label="energy E")
    shades = (blue, orange, "#CC79A7", "#56B4E9", red)
    for name, colour in zip(KINDS.values(), shades, strict=False):  # all but "not at rest"
        line = [row for row in overloads if row["kind"] == name]
        band(left, line, "load", "share", color=colour, marker=".", label=name)
    left.axvline(0.138, color="0.3", ls=":", lw=1)
    left.set(title="Hopfield's network: where starts end", xscale="log", xlabel="load P / L")
    left.set_ylabel("share of random starts")
    for (P, ring), colour in zip(rings.items(), (blue, orange, "#009E73"), strict=True):
        middle.plot(RADII, ring.energy.mean(axis=1), color=colour, label=f"P = {P}")
    ends = ring.energy.min(axis=1), ring.energy.max(axis=1)
    middle.fill_between(RADII, *ends, color=colour, alpha=0.2, lw=0)
    middle.plot(RADII, circle.bessel(RADII), color="0.2", ls="--", label="infinitely many, exact")
    middle.set(title="The circle's energy", xlabel="distance R from the centre", ylim=(-0.1, 3))
    middle.set_ylabel("energy E, mean over directions")
    for memory, colour in (("Epanechnikov", red), ("log-sum-exp", blue)):
        for name, dash in (("stored", DASH["train"]), ("emergent", DASH["test"])):
            line = [(row["reach"], row[name]) for row in reaches if row["memory"] == memory]
            right.plot(*zip(*line, strict=True), color=colour, ls=dash, marker=".",
                       label=f"{memory}, {name}")  # fmt: skip
    right.set_yscale("symlog", linthresh=1)
    right.set(title=f"{reaches[0]['P']} random points in {reaches[0]['L']} dimensions",
              xlabel="reach of a pattern / distance to its neighbour", ylabel="minima found",
              ylim=(-0.1, 100 * max(row["emergent"] for row in reaches)))  # fmt: skip
    for axes, length in ((left, 2), (middle, 2), (right, 3.2)):
        axes.legend(fontsize=8.5, handlelength=length)
    return figure


def measure(plan: tuple[list[Overload], list[Reach]], run: Run) -> Findings:
    """Measure where starts end, what is left of the circle, and what kernels add."""
    (overloads, reaches), seed = plan, run.args.seed
    ends = overload_rows(overloads, run.each(overload, overloads), seed)
    kernels = reach_rows(reaches, run.each(reach, reaches))
    rings = {P: on_circle(P, seed, 13 if run.args.quick else 31) for P in ON_CIRCLE}
    exact, L, last = circle.exactness(), overloads[0].L, overloads[-1].P
    share = {(row["P"], row["kind"]): row["share"] for row in ends}
    mixed = {P: sum(share[P, KINDS[k]] for k in (3, 5, 7)) for P, _ in share}
    peak = max(mixed, key=lambda P: mixed[P])
    taken = next(P for P in mixed if share[P, "none of these"] > share[P, "stored"])
    best = max((row for row in kernels if row["memory"] == "Epanechnikov"),
               key=lambda row: row["emergent"] * (row["stored"] >= KEPT * row["P"]))  # fmt: skip
    same = next(row for row in kernels
                if row["memory"] == "log-sum-exp" and row["reach"] == best["reach"])  # fmt: skip
    text = (
        f"Of random starts in Hopfield's network of {L} spins, mixtures of patterns take their "
        f"largest share, {mixed[peak]:.2f}, at P = {peak}, where ends that are neither stored nor "
        f"mixtures have {share[peak, 'none of these']:.2f}; these outnumber the stored ones from "
        f"P = {taken} and have {share[last, 'none of these']:.2f} at P = {last}. On the circle "
        f"{', '.join(map(str, rings))} points have "
        f"{', '.join(str(len(ring.minima)) for ring in rings.values())} minima, of which "
        f"{', '.join(str(ring.counts['emergent']) for ring in rings.values())} are at no pattern; "
        f"the energy of 1000 equally spaced ones is Bessel's curve to {exact:.0e}. With kernels "
        f"that reach {best['reach']:g} of the distance to a neighbour, the Epanechnikov memory of "
        f"{best['P']} points keeps {best['stored']:.0f} of them and has at least "
        f"{best['emergent']:.0f} more minima; log-sum-exp at the same β keeps {same['stored']:.0f} "
        f"and has {same['emergent']:.0f}."
    )
    return Findings(
        ends + circle_rows(rings) + kernels,
        {"mixtures_peak": [peak, mixed[peak]], "spurious_outnumber_stored_at": taken,
         "circle_minima": {P: list(ring.counts.values()) for P, ring in rings.items()},
         "bessel_error": exact,
         "epanechnikov": {k: best[k] for k in ("reach", "stored", "emergent", "P")}},
        text,
        draw(rings, ends, kernels),
        {"L": L, "starts": overloads[0].starts, "circle_beta": circle.BETA, "points": best["P"],
         "dimensions": best["L"], "seed": seed},
        {"intervals": "95 %, percentile bootstrap over sets of patterns"},
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge the order in which minima appear, and whether Epanechnikov's come beside patterns."""
    peak, share = record.headline["mixtures_peak"]
    taken = record.headline["spurious_outnumber_stored_at"]
    _, stored, emergent, P = record.headline["epanechnikov"].values()
    return [
        Verdict(
            "overload: mixtures first, then minima of its own",
            f"mixtures {share:.2f} of starts at P = {peak}; others ahead from P = {taken}",
            (taken > peak,),
        ),
        Verdict(
            "Epanechnikov keeps its patterns and adds minima",
            f"{stored:.0f} of {P} kept, {emergent:.0f} more",
            (stored >= KEPT * P, emergent > 0),
        ),
    ]


EXPERIMENT = Experiment("spurious", __doc__, COLUMNS, measure, verdicts, plan)

if __name__ == "__main__":
    EXPERIMENT.main()
