"""Where memory turns into generalisation: two estimates from curves of recovery against P.

    leaves   the P at which training recovery falls through 0.95
    meets    the P at which the 95 % intervals of training and test recovery first overlap

Both are read off the curve with straight lines in log P; a curve that is below from the start has
its smallest P, one that never falls has NaN. Each gets an interval by bootstrap: the sequences of
every point are drawn anew (test sequences, which are the same at every P, jointly), and both P
are read again.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm.probes.intervals import DRAWS, Interval

PLATEAU = 0.95
_Z = 1.96  # half-width of a 95 % interval, in standard errors


class Curve(NamedTuple):
    """A measurement per sequence at each P: sequences (K), training[k] (n_k,) and test[k] (n,)."""

    sequences: list[int]
    training: list[NDArray[np.float64]]
    test: list[NDArray[np.float64]]


class Transition(NamedTuple):
    """The two estimates of P, each with a 95 % interval over bootstrap replicates."""

    leaves: Interval
    meets: Interval


def falls_below(P: ArrayLike, values: ArrayLike, level: float) -> float:
    """Return the first P at which `values` is below `level`, linear in log P; NaN if never."""
    log_p, y = np.log(np.asarray(P, dtype=np.float64)), np.asarray(values, dtype=np.float64)
    below = np.flatnonzero(y < level)
    if len(below) == 0:
        return float("nan")
    k = below[0]
    if k == 0:
        return float(np.exp(log_p[0]))
    share = (y[k - 1] - level) / (y[k - 1] - y[k])
    return float(np.exp(log_p[k - 1] + share * (log_p[k] - log_p[k - 1])))


def transition(curve: Curve, rng: Generator, draws: int = DRAWS) -> Transition:
    """Return both estimates for recovery curves, NaN entries left out of every mean."""
    P = np.asarray(curve.sequences, dtype=np.float64)
    if not (len(P) == len(curve.training) == len(curve.test)) or (np.diff(P) <= 0).any():
        raise ValueError("a curve needs one training and one test array for each rising P")
    if len({len(test) for test in curve.test}) != 1:
        raise ValueError("the test sequences must be the same at every P")
    value = _read(P, curve.training, curve.test)
    replicates = np.empty((draws, 2))
    for d in range(draws):
        training = [x[rng.integers(len(x), size=len(x))] for x in curve.training]
        same = rng.integers(len(curve.test[0]), size=len(curve.test[0]))
        replicates[d] = _read(P, training, [x[same] for x in curve.test])
    return Transition(*(_interval(v, r) for v, r in zip(value, replicates.T, strict=True)))


def _read(
    P: NDArray[np.float64], training: list[NDArray[np.float64]], test: list[NDArray[np.float64]]
) -> tuple[float, float]:
    on_training, on_test = (np.array([_mean_and_half(x) for x in xs]) for xs in (training, test))
    gap = (on_training[:, 0] - on_training[:, 1]) - (on_test[:, 0] + on_test[:, 1])
    return falls_below(P, on_training[:, 0], PLATEAU), falls_below(P, gap, 0.0)


def _mean_and_half(values: NDArray[np.float64]) -> tuple[float, float]:
    x = values[~np.isnan(values)]
    return float(x.mean()), float(_Z * x.std() / np.sqrt(len(x)))


def _interval(value: float, replicates: NDArray[np.float64]) -> Interval:
    """Percentiles; a replicate that never crosses counts as beyond the largest P."""
    filled = np.sort(np.where(np.isnan(replicates), np.inf, replicates))
    low, high = (filled[int(q * (len(filled) - 1))] for q in (0.025, 0.975))
    return Interval(value, float(low), float(high))
