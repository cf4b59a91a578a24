"""Intervals by bootstrap over sequences: sequences are the independent draws, tokens are not.

The percentile interval of an estimate: draw N of the N sequences with replacement, many times, and
estimate anew; take the 2.5 % and 97.5 % quantiles (Efron & Tibshirani 1993, ch. 13).
"""

from typing import Literal, NamedTuple

import numpy as np
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
    """Return the mean of one value per sequence (N,), NaN left out, and its 95 % interval."""
    checks.generator(rng)
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    if len(x) == 0:
        return Interval(np.nan, np.nan, np.nan)
    means = np.empty(checks.count(draws, "draws"))
    block = max(1, _BLOCK // len(x))
    for start in range(0, draws, block):
        stop = min(draws, start + block)
        means[start:stop] = x[rng.integers(len(x), size=(stop - start, len(x)))].mean(axis=1)
    return percentile_interval(float(x.mean()), means)


def percentile_interval(
    value: float, replicates: ArrayLike, method: Literal["linear", "nearest"] = "linear"
) -> Interval:
    """Return an estimate and the quantiles of its replicates (draws,) that enclose 95 % of them.

    Where replicates may be infinite only the "nearest" of them is a quantile.
    """
    low, high = np.quantile(np.asarray(replicates, np.float64), [0.025, 0.975], method=method)
    return Interval(value, float(low), float(high))
