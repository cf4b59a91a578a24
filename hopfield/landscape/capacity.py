"""Capacity: the overlap retrieved against the load P/L, and the load at which it falls."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import ArrayLike

import argument_checks as checks
from hopfield.landscape.states import Memory, States, change, overlap
from hopfield.recall import Floats


class CapacityCurve(NamedTuple):
    """Mean retrieved overlap at n loads, with 95 % intervals over independent pattern sets.

    loads, mean, low and high are (n,); sets (n, S) are the means of the single sets.
    """

    loads: Floats
    mean: Floats
    low: Floats
    high: Floats
    sets: Floats

    @classmethod
    def of(cls, loads: ArrayLike, sets: ArrayLike) -> "CapacityCurve":
        """Return the curve through sets (n, S), with Student's intervals."""
        found = np.asarray(sets, dtype=np.float64)
        S = found.shape[1]
        mean = found.mean(axis=1)
        half = scipy.special.stdtrit(S - 1, 0.975) * found.std(axis=1, ddof=1) / np.sqrt(S)
        return cls(np.asarray(loads, dtype=np.float64), mean, mean - half, mean + half, found)

    def falls_through(self, level: float, rng: Generator, draws: int = 1000) -> Floats:
        """Return (load, low, high) at which the mean falls through `level`, linear in the load.

        The interval is the 95 % percentile bootstrap over sets. NaN if the curve never falls.
        """
        found = np.sort(self.replicates(level, rng, draws))
        ends = found[[round(0.025 * (draws - 1)), round(0.975 * (draws - 1))]]
        return np.array([_falls(self.loads, self.mean, level), *ends])

    def replicates(self, level: float, rng: Generator, draws: int = 1000) -> Floats:
        """Return the crossings (draws,) of curves whose sets are drawn anew; ∞ where none is."""
        checks.finite(level, "level")
        checks.generator(rng)
        checks.count(draws, "draws")
        n, S = self.sets.shape
        picked = rng.integers(S, size=(draws, n, S))
        again = np.take_along_axis(self.sets[None], picked, axis=2).mean(axis=2)
        found = np.array([_falls(self.loads, curve, level) for curve in again])
        return np.where(np.isnan(found), np.inf, found)


def capacity(
    memory_of: Callable[[States], Memory],
    patterns_of: Callable[[int, Generator], States],
    sizes: Sequence[int],
    L: int,
    rng: Generator,
    *,
    changed: int = 0,
    sets: int = 4,
    probed: int = 200,
    progress: Callable[[], object] = lambda: None,
) -> CapacityCurve:
    """Return the retrieved overlap against the load P/L, for each P of `sizes`.

    For each of `sets` independent sets, `patterns_of(P, rng)` (P, L) are stored by `memory_of`,
    the first `probed` of them are changed at `changed` sites, and recalled one site at a time in
    random order. `progress` is called after each set.
    """
    found = np.empty((len(sizes), checks.count(sets, "sets", 2)))
    checks.generator(rng)
    checks.count(probed, "probed")
    for k, P in enumerate(checks.count(size, "a size") for size in sizes):
        for s in range(sets):
            patterns = patterns_of(P, rng)
            memory, probes = memory_of(patterns), patterns[:probed]
            back = memory.recall(change(probes, changed, memory.values, rng), rng=rng).state
            found[k, s] = overlap(back, probes, memory.values).mean()
            progress()
    return CapacityCurve.of(np.array(sizes) / L, found)


def _falls(loads: Floats, values: Floats, level: float) -> float:
    below = np.flatnonzero(values < level)
    if len(below) == 0:
        return float("nan")
    k = below[0]
    if k == 0:
        return float(loads[0])
    share = (values[k - 1] - level) / (values[k - 1] - values[k])
    return float(loads[k - 1] + share * (loads[k] - loads[k - 1]))
