"""Where memory turns into generalisation: estimates read off curves against P.

    plateau_left    the P at which a training curve falls through 0.95
    curves_meet     the P at which the 95 % intervals of training and test first overlap
    curves_cross    the P at which one quantity of the same sequences falls below another
    gap_closes      curves_meet, of a gap that has to open first

All are read with straight lines in log P; a curve that is below from the start has its smallest
P, one that never falls has NaN. Each gets an interval (`probes.intervals`). By bootstrap, sequences
are drawn anew, the same ones at every P that measured the same ones, and P is read again; a
replicate that never crosses counts as beyond the largest P. Where several networks were trained at
each P, their values are rows, and P is read for each seed: the estimate is the geometric mean, its
interval Student's in log P.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.probes.intervals import (
    DRAWS,
    Interval,
    percentile_interval,
    student_interval,
)

PLATEAU = 0.95
_TOUCHING = float(np.nextafter(0, 1))  # below it: overlapping or just touching
_Z = 1.96  # half-width of a 95 % interval, in standard errors

Values = list[NDArray[np.float64]]


class Curve(NamedTuple):
    """A quantity per sequence at each P: sequences (K), training[k] (n_k,), test[k] (n,).

    With S seeds, training[k] is (S, n_k) and test[k] (S, n). NaN entries, where the quantity is
    undefined, are left out of every mean.
    """

    sequences: list[int]
    training: Values
    test: Values


def plateau_left(curve: Curve, rng: Generator, draws: int = DRAWS) -> Interval:
    """Return the P at which the training mean falls through 0.95."""

    def read(P: NDArray[np.float64], training: Values) -> float:
        return falls_below(P, [_mean_and_half(x)[0] for x in training], PLATEAU)

    return _interval(curve.sequences, [curve.training], read, rng, draws)


def curves_meet(curve: Curve, rng: Generator, draws: int = DRAWS) -> Interval:
    """Return the P at which the intervals of training and test means first overlap."""

    def read(P: NDArray[np.float64], training: Values, test: Values) -> float:
        one, other = (np.array([_mean_and_half(x) for x in xs]) for xs in (training, test))
        apart = np.abs(one[:, 0] - other[:, 0]) - one[:, 1] - other[:, 1]
        return falls_below(P, apart, _TOUCHING)

    return _interval(curve.sequences, [curve.training, curve.test], read, rng, draws)


def curves_cross(
    sequences: list[int], one: Values, other: Values, rng: Generator, draws: int = DRAWS
) -> Interval:
    """Return the P at which the mean of `one` falls below that of `other`.

    Both are measured on the same sequences at each P, which are drawn anew together.
    """

    def read(P: NDArray[np.float64], gaps: Values) -> float:
        return falls_below(P, [_mean_and_half(x)[0] for x in gaps], 0.0)

    gaps = [x - y for x, y in zip(one, other, strict=True)]
    return _interval(sequences, [gaps], read, rng, draws)


def gap_closes(curve: Curve, rng: Generator, draws: int = DRAWS) -> Interval:
    """Return the P at which the intervals of training and test means overlap, after the widest gap.

    Of a gap that was never open that is the first P, which says that it closed there or below; if
    those of some seeds were not, the interval goes from there to infinity.
    """
    P, training, test = late = from_the_widest(curve)
    found, least = curves_meet(late, rng, draws), float(curve.sequences[0])
    seeds = range(len(np.atleast_2d(training[0])))
    each = [
        Curve(P, *([np.atleast_2d(x)[s] for x in line] for line in (training, test))) for s in seeds
    ]
    shut = [curves_meet(one, rng, draws=1).value <= P[0] for one in each]
    if all(shut):
        return Interval(least, np.nan, np.nan)
    return found._replace(low=least, high=np.inf) if any(shut) else found


def from_the_widest(curve: Curve) -> Curve:
    """Return the curve from the P on at which its two means are furthest apart.

    A gap that opens before it closes is closed at the start, too; only what comes after counts.
    """
    gaps = [
        abs(_mean_and_half(one)[0] - _mean_and_half(other)[0])
        for one, other in zip(curve.training, curve.test, strict=True)
    ]
    k = int(np.nanargmax(gaps))
    return Curve(curve.sequences[k:], curve.training[k:], curve.test[k:])


def falls_below(P: ArrayLike, values: ArrayLike, level: float) -> float:
    """Return the first P at which `values` is below `level`, linear in log P; NaN if never.

    Points with an unknown value (NaN) are passed over.
    """
    checks.finite(level, "level")
    P, y = np.asarray(P, dtype=np.float64), np.asarray(values, dtype=np.float64)
    P, y = P[~np.isnan(y)], y[~np.isnan(y)]
    below = np.flatnonzero(y < level)
    if len(below) == 0:
        return float("nan")
    k = below[0]
    if k == 0:
        return float(P[0])
    share = (y[k - 1] - level) / (y[k - 1] - y[k])
    return float(P[k - 1] * (P[k] / P[k - 1]) ** share)


def _interval(
    sequences: list[int],
    curves: list[Values],
    read: Callable[..., float],
    rng: Generator,
    draws: int,
) -> Interval:
    """Read P from the curves, with its interval."""
    P = np.asarray(sequences, dtype=np.float64)
    if any(len(curve) != len(P) for curve in curves) or (np.diff(P) <= 0).any():
        raise ValueError("a curve needs one array of values for each rising P")
    if len(P) == 0 or not (np.isfinite(P) & (P > 0)).all():
        raise ValueError(f"a curve needs positive numbers of sequences P, got {sequences}")
    checks.generator(rng)
    checks.count(draws, "draws")
    grids = [[np.atleast_2d(x) for x in curve] for curve in curves]
    S = len(grids[0][0])
    if any(len(x) != S for grid in grids for x in grid):
        raise ValueError("all points of a curve need the same number of seeds")
    own = np.array([read(P, *([x[s] for x in grid] for grid in grids)) for s in range(S)])
    if S == 1 and all(x.size == 1 for grid in grids for x in grid):
        return Interval(float(own[0]), np.nan, np.nan)
    if S == 1:
        return _bootstrap(
            float(own[0]), P, [[x[0] for x in grid] for grid in grids], read, rng, draws
        )
    if np.isnan(own).any():  # a seed that does not cross is beyond the largest P
        pooled = read(P, *([x.ravel() for x in grid] for grid in grids))
        return Interval(pooled, float(np.nanmin([*own, P[-1]])), np.inf)
    value, low, high = np.exp(student_interval(np.log(own))).tolist()
    value = min(max(value, own.min()), own.max())  # rounding moves the mean of equal P
    return Interval(value, min(low, value), max(high, value))


def _bootstrap(
    value: float,
    P: NDArray[np.float64],
    curves: list[Values],
    read: Callable[..., float],
    rng: Generator,
    draws: int,
) -> Interval:
    """One vector of uniforms a curve: points with equally many sequences draw the same ones."""
    replicates = np.empty(draws)
    for d in range(draws):
        drawn = []
        for curve in curves:
            u = rng.random(max(len(x) for x in curve))
            drawn.append([x[(u[: len(x)] * len(x)).astype(int)] for x in curve])
        replicates[d] = read(P, *drawn)
    replicates[np.isnan(replicates)] = np.inf
    return percentile_interval(value, replicates, method="nearest")


def _mean_and_half(values: NDArray[np.float64]) -> tuple[float, float]:
    x = values[~np.isnan(values)]
    if len(x) == 0:
        return float("nan"), float("nan")
    return float(x.mean()), float(_Z * x.std() / np.sqrt(len(x)))
