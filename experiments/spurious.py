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

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import i0e

from experiments import commandline
from experiments.jobs import Found, each, generator
from experiments.record import Run, claim
from hopfield import DensityMemory, LogSumExp, LogSumReLU, hebbian
from hopfield.landscape import SPURIOUS, STORED, UNCONVERGED, census
from minuddm.probes import bootstrap_mean

KINDS = {STORED: "stored", 3: "mixture of 3", 5: "mixture of 5", 7: "mixture of 7",
         SPURIOUS: "none of these", UNCONVERGED: "not at rest"}  # fmt: skip
BETA = 10.0  # of the circle, in the units of [T20], where the kernel is e^{-β d²}
ON_CIRCLE = (2, 9, 1000)
COLUMNS = ["part", "memory", "L", "P", "load", "kind", "sets", "share", "share_lo", "share_hi",
           "distinct", "reach", "stored", "emergent", "R", "energy", "exact"]  # fmt: skip
_SPINS = np.array([-1, 1], np.int8)
_SAME = 1e-6  # minima closer than this are one


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


def overload(task: Overload) -> Found:
    """Return the share of starts and the number of distinct ends of every kind."""
    rng = generator(task.seed, f"overload {task.P}")
    patterns = rng.choice(_SPINS, size=(task.P, task.L))
    starts = rng.choice(_SPINS, size=(task.starts, task.L))
    found = census(hebbian(patterns), starts, patterns, rng)
    return {str(kind): [found.share(kind), found.distinct(kind)] for kind in KINDS}


def reach(task: Reach) -> Found:
    """Return how many patterns are minima, and how many minima are none."""
    rng = generator(task.seed, f"reach {task.P} {task.D}")  # the same points at every reach
    X = rng.random((task.P, task.D))
    apart = np.linalg.norm(X[:, None] - X, axis=2)
    radius = task.reach * np.median(np.sort(apart, axis=1)[:, 1])
    F = {"log-sum-exp": LogSumExp, "Epanechnikov": LogSumReLU}[task.memory](2 / radius**2)
    one, other = np.triu_indices(task.P, 1)
    starts = np.concatenate([X, (X[one] + X[other]) / 2, rng.random((task.starts, task.D))])
    ends = minima(DensityMemory(X, F), starts)
    near = np.linalg.norm(ends[:, None] - X, axis=2).min(axis=1) < 1e-4
    return {"stored": int(near.sum()), "emergent": int((~near).sum())}


def minima(memory: DensityMemory, starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the different places (n, D) where recalls from `starts` come to rest, pulled there."""
    found = memory.recall(starts, max_steps=5000, tolerance=1e-10)
    ends = found.state[found.converged & np.isfinite(found.energies[:, -1])]
    _, first = np.unique(np.round(ends / _SAME), axis=0, return_index=True)
    distinct: list[NDArray[np.float64]] = []
    for x in ends[np.sort(first)]:
        if all(np.linalg.norm(x - y) > 10 * _SAME for y in distinct):
            distinct.append(x)
    return np.array(distinct).reshape(-1, starts.shape[1])


def on_circle(P: int, rng: np.random.Generator) -> DensityMemory:
    """Return the memory of P points of the unit circle, two opposite or random, at [T20]'s β."""
    angle = 2 * np.pi * (rng.random() + np.arange(2) / 2 if P == 2 else rng.random(P))
    return DensityMemory(np.stack([np.cos(angle), np.sin(angle)], axis=1), LogSumExp(2 * BETA))


def circle_energy(memory: DensityMemory, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return E of [T20], -(1/β) log of the mean over patterns of e^{-β d²}, (B,).

    The memory holds e^{-β' d²/2} with β' = 2β, and the sum where [T20] has the mean.
    """
    return np.asarray(2 * memory.energy(x) + np.log(len(memory.patterns)) / BETA)


def bessel(R: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R² + 1 - (1/β) log I₀(2βR), the energy of infinitely many points [T20]."""
    return np.asarray(R**2 + 1 - (np.log(i0e(2 * BETA * R)) + 2 * BETA * R) / BETA)


def circles(seed: int, points: int) -> dict[int, dict[str, Any]]:
    """Return for each P the memory, its minima from points² starts, and its energy along rays."""
    grid = np.linspace(-1.5, 1.5, points)
    starts = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2) + 1e-3  # not on a ridge
    R = np.linspace(0, 2, 81)
    found = {}
    for P in ON_CIRCLE:
        memory = on_circle(P, generator(seed, f"circle {P}"))
        ends = minima(memory, starts)
        near = np.linalg.norm(ends[:, None] - memory.patterns, axis=2).min(axis=1) < 0.05
        angles = 2 * np.pi * np.arange(360) / 360
        rays = R[:, None, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        mean = circle_energy(memory, rays.reshape(-1, 2)).reshape(len(R), -1)
        found[P] = {"memory": memory, "minima": ends, "stored": int(near.sum()),
                    "emergent": int((~near).sum()), "R": R, "mean": mean.mean(axis=1),
                    "low": mean.min(axis=1), "high": mean.max(axis=1),
                    "round": float(np.ptp(mean[np.argmin(np.abs(R - 1))]))}  # fmt: skip
    return found


def exactness(P: int = 1000) -> float:
    """Return how far the energy of P equally spaced points is from Bessel's curve, at most."""
    angle = 2 * np.pi * np.arange(P) / P
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    R = np.linspace(0, 2, 81)
    x = np.stack([R * np.cos(0.3), R * np.sin(0.3)], axis=1)
    energy = circle_energy(DensityMemory(circle, LogSumExp(2 * BETA)), x)
    return float(np.abs(energy - bessel(R)).max())


def plan(quick: bool, seed: int) -> tuple[list[Overload], list[Reach]]:
    """Return what is measured."""
    sets = 2 if quick else 8
    overloads = [
        Overload(P, 200 if quick else 500, 200 if quick else 500, 1000 * seed + s)
        for P in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
        for s in range(sets)
    ]
    P, D = (30, 8) if quick else (60, 16)
    reaches = [
        Reach(memory, float(x), P, D, 4000, 1000 * seed + s)
        for memory in ("log-sum-exp", "Epanechnikov")
        for x in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0)
        for s in range(2 if quick else 4)
    ]
    return overloads, reaches


def overload_rows(tasks: Sequence[Overload], found: Sequence[Found], seed: int) -> list[Any]:
    """Return one row per P and kind, with intervals over sets of patterns."""
    rows = []
    for P in dict.fromkeys(task.P for task in tasks):
        pieces = [f for task, f in zip(tasks, found, strict=True) if task.P == P]
        for kind, name in KINDS.items():
            shares, counts = zip(*(f[str(kind)] for f in pieces), strict=True)
            interval = bootstrap_mean(shares, generator(seed, f"bootstrap {P} {kind}"))
            rows.append({
                "part": "overload", "memory": "n = 2", "L": tasks[0].L, "P": P,
                "load": P / tasks[0].L, "kind": name, "sets": len(pieces),
                "share": interval.value, "share_lo": interval.low, "share_hi": interval.high,
                "distinct": float(np.mean(counts)),
            })  # fmt: skip
    return rows


def reach_rows(tasks: Sequence[Reach], found: Sequence[Found]) -> list[Any]:
    """Return one row per memory and reach: means over sets of points."""
    rows = []
    for memory, x in dict.fromkeys((task.memory, task.reach) for task in tasks):
        pieces = [
            f
            for task, f in zip(tasks, found, strict=True)
            if (task.memory, task.reach) == (memory, x)
        ]
        rows.append({
            "part": "reach", "memory": memory, "L": tasks[0].D, "P": tasks[0].P, "reach": x,
            "sets": len(pieces), "stored": float(np.mean([f["stored"] for f in pieces])),
            "emergent": float(np.mean([f["emergent"] for f in pieces])),
        })  # fmt: skip
    return rows


def circle_rows(rings: dict[int, dict[str, Any]]) -> list[Any]:
    """Return the mean energy against R, one row per P and R."""
    return [
        {"part": "circle", "memory": "log-sum-exp", "L": 2, "P": P, "R": float(R),
         "energy": float(energy), "exact": float(bessel(np.array([R]))[0]),
         "stored": ring["stored"], "emergent": ring["emergent"]}
        for P, ring in rings.items()
        for R, energy in zip(ring["R"], ring["mean"], strict=True)
    ]  # fmt: skip


def draw(
    out: Path, rings: dict[int, dict[str, Any]], overloads: list[Any], reaches: list[Any]
) -> None:
    """Draw the circle as maps; where starts end; Bessel's curve; and what emerges."""
    from experiments.figures import band, plt, save

    figure, panels = plt.subplots(2, 3, figsize=(12, 8))
    grid = np.linspace(-1.6, 1.6, 81)
    plane = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    for axes, (P, ring) in zip(panels[0], rings.items(), strict=True):
        energy = circle_energy(ring["memory"], plane).reshape(81, 81)
        image = axes.contourf(grid, grid, energy, np.linspace(0, 1.5, 26), extend="max")
        X, ends = ring["memory"].patterns, ring["minima"]
        axes.plot(*X.T, "o", ms=5 if P < 100 else 1.5, mfc="none", mec="w", mew=0.9)
        axes.plot(*ends.T, "x", ms=8, mew=2, color="#D55E00")
        axes.set_title(f"P = {P}: {len(ends)} minima, {ring['emergent']} emergent")
        axes.grid(visible=False)
        axes.set_aspect("equal")
    figure.colorbar(image, ax=panels[0, 2], shrink=0.85, label="energy E")
    left, middle, right = panels[1]
    colours = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00")
    for name, colour in zip(list(KINDS.values())[:5], colours, strict=True):
        line = [row for row in overloads if row["kind"] == name]
        band(left, line, "load", "share", color=colour, marker=".", label=name)
    left.axvline(0.138, color="0.3", ls=":", lw=1)
    left.set_xscale("log")
    left.set_xlabel("load P / L")
    left.set_ylabel("share of random starts")
    left.set_title("Hopfield's network: where starts end")
    left.legend(fontsize=8.5)
    for (P, ring), colour in zip(rings.items(), ("#0072B2", "#E69F00", "#009E73"), strict=True):
        middle.plot(ring["R"], ring["mean"], color=colour, label=f"P = {P}")
    R = rings[2]["R"]
    ring = rings[1000]
    middle.fill_between(R, ring["low"], ring["high"], color="#009E73", alpha=0.2, lw=0)
    middle.plot(R, bessel(R), color="0.2", ls="--", label="infinitely many, exact")
    middle.set_ylim(-0.1, 3)
    middle.set_xlabel("distance R from the centre")
    middle.set_ylabel("energy E, mean over directions")
    middle.set_title("The circle's energy")
    middle.legend(fontsize=8.5)
    for memory, colour in (("Epanechnikov", "#D55E00"), ("log-sum-exp", "#0072B2")):
        line = [row for row in reaches if row["memory"] == memory]
        x = [row["reach"] for row in line]
        for name, dash in (("stored", "-"), ("emergent", (0, (4, 2)))):
            right.plot(x, [row[name] for row in line], color=colour, ls=dash, marker=".",
                       label=f"{memory}, {name}")  # fmt: skip
    right.set_yscale("symlog", linthresh=1)
    right.set_ylim(-0.1, 100 * max(row["emergent"] for row in reaches))
    right.set_xlabel("reach of a pattern / distance to its neighbour")
    right.set_ylabel("minima found")
    right.set_title(f"{reaches[0]['P']} random points in {reaches[0]['L']} dimensions")
    right.legend(fontsize=8.5, handlelength=3.2)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("spurious", claim(__doc__))
    args = p.parse_args(argv)
    run, out = Run("spurious", __doc__, argv), p.folder(args)
    overloads, reaches = plan(args.quick, args.seed)
    ends = overload_rows(overloads, each(overload, overloads, out, args.workers, quiet=args.quick),
                         args.seed)  # fmt: skip
    kernels = reach_rows(reaches, each(reach, reaches, out, args.workers, quiet=args.quick))
    rings, exact = circles(args.seed, 13 if args.quick else 31), exactness()
    share = {(row["P"], row["kind"]): row["share"] for row in ends}
    sizes = sorted({P for P, _ in share})
    mixed = {P: sum(share[P, f"mixture of {k}"] for k in (3, 5, 7)) for P in sizes}
    peak = max(mixed, key=lambda P: mixed[P])
    taken = next(P for P in sizes if share[P, "none of these"] > share[P, "stored"])
    best = max((row for row in kernels if row["memory"] == "Epanechnikov"),
               key=lambda row: row["emergent"] * (row["stored"] >= 0.9 * row["P"]))  # fmt: skip
    same = next(row for row in kernels
                if row["memory"] == "log-sum-exp" and row["reach"] == best["reach"])  # fmt: skip
    ring = rings[1000]
    text = (
        f"Of random starts in Hopfield's network of {overloads[0].L} spins, mixtures of patterns "
        f"take their largest share, {mixed[peak]:.2f}, at P = {peak} (load "
        f"{peak / overloads[0].L:g}), where ends that are neither stored nor mixtures have "
        f"{share[peak, 'none of these']:.2f}; these outnumber the stored ones from P = {taken} "
        f"(load {taken / overloads[0].L:g}) and have {share[sizes[-1], 'none of these']:.2f} at P "
        f"= {sizes[-1]}. On the circle 2, 9 and 1000 points have "
        f"{', '.join(str(len(rings[P]['minima'])) for P in ON_CIRCLE)} minima, of which "
        f"{', '.join(str(rings[P]['emergent']) for P in ON_CIRCLE)} are at no pattern; along the "
        f"ring itself the energy varies by {rings[9]['round']:.2f} for 9 points and "
        f"{ring['round']:.2f} for 1000, where nothing but a shallow wave is left. The energy "
        f"of 1000 equally spaced points is Bessel's curve to {exact:.0e}, that of 1000 random "
        f"ones to {np.abs(ring['mean'] - bessel(ring['R'])).max():.3f} in the mean over "
        f"directions. With kernels that reach {best['reach']:g} of the distance to a neighbour, "
        f"the Epanechnikov memory of {best['P']} points keeps {best['stored']:.0f} of them and has "
        f"at least {best['emergent']:.0f} more minima; log-sum-exp at the same β keeps "
        f"{same['stored']:.0f} and has {same['emergent']:.0f}."
    )
    draw(out, rings, ends, kernels)
    run.leave(
        out,
        COLUMNS,
        ends + circle_rows(rings) + kernels,
        {"L": overloads[0].L, "starts": overloads[0].starts, "circle_beta": BETA,
         "points": best["P"], "dimensions": best["L"], "seed": args.seed},
        {"mixtures_peak": [peak, mixed[peak]], "spurious_outnumber_stored_at": taken,
         "circle_minima": {P: [r["stored"], r["emergent"]] for P, r in rings.items()},
         "bessel_error": exact,
         "epanechnikov": {k: best[k] for k in ("reach", "stored", "emergent", "P")}},
        text,
        intervals="95 %, percentile bootstrap over sets of patterns",
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
