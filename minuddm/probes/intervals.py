"""Intervals, such that a fresh run lies inside: over training seeds where there are several.

    one seed       bootstrap over sequences, which are the independent draws (tokens are not): draw
                   N of the N sequences with replacement, many times, and estimate anew; take the
                   2.5 % and 97.5 % quantiles (Efron & Tibshirani 1993, ch. 13)
    shares         of yes and no: exact, by Clopper and Pearson
    several        Student's interval of the seeds' own estimates: each seed trained a network of
                   its own and drew sequences of its own, so their scatter holds both; of one
                   corpus, so what another corpus would change it does not hold

Three seeds are too few for a bootstrap: it never leaves the range of their means, which holds the
mean of all seeds in three cases of four only. Student's factor 4.3 makes good for it.
"""

from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import ArrayLike

from minuddm import checks

DRAWS = 1000
_BLOCK = 50_000_000 // 8  # indices held at a time


class Interval(NamedTuple):
    """An estimate and the ends of its 95 % interval; NaN where there is nothing to estimate."""

    value: float
    low: float
    high: float


def bootstrap_mean(values: ArrayLike, rng: Generator, draws: int = DRAWS) -> Interval:
    """Return the mean of one value per sequence (N,), NaN left out, and its 95 % interval.

    Fewer than two values have no interval: its ends are NaN.
    """
    checks.generator(rng)
    means = np.empty(checks.count(draws, "draws"))
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return Interval(float(x[0]) if len(x) else np.nan, np.nan, np.nan)
    block = max(1, _BLOCK // len(x))
    for start in range(0, draws, block):
        stop = min(draws, start + block)
        means[start:stop] = x[rng.integers(len(x), size=(stop - start, len(x)))].mean(axis=1)
    return percentile_interval(float(x.mean()), means)


def mean_interval(values: ArrayLike, rng: Generator) -> Interval:
    """Return the mean, and its 95 % interval, of one value per sequence: (N,), or (S, n) by seeds.

    NaN is left out; every seed has the same weight.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim < 2 or len(x) == 1:
        return bootstrap_mean(x, rng)
    known = ~np.isnan(x)
    number = known.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return student_interval(np.where(known, x, 0).sum(axis=1) / number)


def proportion_interval(successes: int, n: int) -> Interval:
    """Return the share of `successes` among n draws, and its exact 95 % interval; NaN for n = 0.

    No less than 95 % of such intervals hold the true share (Clopper & Pearson 1934).
    """
    k, of = checks.count(successes, "successes", 0), checks.count(n, "n", 0)
    if k > of:
        raise ValueError(f"successes must be at most n = {of}, got {k}")
    if of == 0:
        return Interval(np.nan, np.nan, np.nan)
    low = scipy.special.betaincinv(k, of - k + 1, 0.025) if k else 0.0
    high = scipy.special.betaincinv(k + 1, of - k, 0.975) if k < of else 1.0
    return Interval(k / of, float(low), float(high))


def student_interval(estimates: ArrayLike) -> Interval:
    """Return the mean of independent estimates (S,), S ≥ 2, NaN left out, and its 95 % interval."""
    x = np.asarray(estimates, dtype=np.float64)
    x = x[~np.isnan(x)]
    if len(x) < 2:
        return Interval(float(x.mean()) if len(x) else np.nan, np.nan, np.nan)
    factor = scipy.special.stdtrit(len(x) - 1, 0.975) / np.sqrt(len(x))
    mean, half = float(x.mean()), float(factor * x.std(ddof=1))
    return Interval(mean, mean - half, mean + half)


def percentile_interval(
    value: float, replicates: ArrayLike, method: Literal["linear", "nearest"] = "linear"
) -> Interval:
    """Return an estimate and the quantiles of its replicates (draws,) that enclose 95 % of them.

    Where replicates may be infinite only the "nearest" of them is a quantile.
    """
    low, high = np.quantile(np.asarray(replicates, np.float64), [0.025, 0.975], method=method)
    return Interval(value, float(low), float(high))
