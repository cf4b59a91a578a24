"""What a memory's landscape looks like: capacity, basins, and the kinds of places to come to rest.

    capacity        retrieved overlap against load; the load at which it falls through a level
    basin radius    the largest number of changed sites repaired in at least 90 % of trials
    log-volume      log of the number of states that recall to a pattern, shell by shell:
                    |basin| = Σ_d C(L, d) (V - 1)^d s_d,  s_d the share repaired at distance d
    census          where random starts end: at stored patterns, at mixtures of k of them, elsewhere

All of it asks a memory for one thing, `recall`, so memories with and without an energy, of spins
and of tokens, are measured by the same code. The overlap of two states is the mean of their
products for spins, (matches - mismatches)/L, and the share of matches for tokens.

Volumes compare basins in the way of 2505.21777, which does so for images by the noise from which
a sample comes back; on a finite set of states the volume is a count and needs no scale.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logsumexp, stdtrit

from hopfield import seams
from hopfield.recall import Recall

Floats = NDArray[np.float64]
States = NDArray[Any]

REPAIRED = 0.9
"""Share of trials that a basin must bring back."""


class Memory(Protocol):
    """Anything that recalls; `values` are those a site can have: -1 and 1, or 0 … V - 1."""

    @property
    def values(self) -> NDArray[np.int64]:
        """The values of a site (V,), rising."""

    def recall(
        self, x: ArrayLike, *, rng: Generator | None = None, max_sweeps: int = 100
    ) -> Recall:
        """Come to rest from the states x (B, L)."""


def overlap(x: ArrayLike, y: ArrayLike, values: ArrayLike) -> Floats:
    """Return the overlap of states (…, L): mean product for spins, share of matches for tokens."""
    equal = (np.asarray(x) == np.asarray(y)).mean(axis=-1)
    return np.asarray(2 * equal - 1 if _spins(values) else equal)


def change(x: ArrayLike, count: ArrayLike, values: ArrayLike, rng: Generator) -> States:
    """Return the states x (B, L) with exactly `count` sites each, (B,) or one number, changed.

    A changed site takes one of the other values of `values` (V,), each as likely.
    """
    return Damage(np.asarray(x), values, rng).at(count)


class Damage:
    """Damage to the states x (B, L) that grows: what is changed at k sites is changed at k + 1.

    Measures that share a damage see the same changes.
    """

    def __init__(self, x: States, values: ArrayLike, rng: Generator) -> None:
        alphabet = np.asarray(values)
        self.state = x
        self._rank = rng.random(x.shape).argsort(axis=1).argsort(axis=1)
        further = rng.integers(1, len(alphabet), size=x.shape)
        other = alphabet[(np.searchsorted(alphabet, x) + further) % len(alphabet)]
        self._other = other.astype(x.dtype)

    def at(self, count: ArrayLike) -> States:
        """Return the states with exactly `count` sites each, (B,) or one number, changed."""
        B, L = self.state.shape
        number = np.broadcast_to(np.asarray(count), (B,))
        if number.size and (number.min() < 0 or number.max() > L):
            raise ValueError(f"count must lie in 0 … {L}, got {number.min()} … {number.max()}")
        return np.where(self._rank < number[:, None], self._other, self.state)


# ---- capacity -----------------------------------------------------------------------------------


class CapacityCurve(NamedTuple):
    """Mean retrieved overlap at each load (K,), with 95 % intervals over independent pattern sets.

    sets (K, n) are the means of the single sets.
    """

    loads: Floats
    mean: Floats
    low: Floats
    high: Floats
    sets: Floats

    @classmethod
    def of(cls, loads: ArrayLike, sets: ArrayLike) -> "CapacityCurve":
        """Return the curve through sets (K, n), with Student's intervals."""
        found = np.asarray(sets, dtype=np.float64)
        n = found.shape[1]
        mean = found.mean(axis=1)
        half = stdtrit(n - 1, 0.975) * found.std(axis=1, ddof=1) / np.sqrt(n)
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
        n = self.sets.shape[1]
        picked = rng.integers(n, size=(draws, len(self.loads), n))
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
    found = np.empty((len(sizes), seams.count(sets, "sets", 2)))
    for k, P in enumerate(sizes):
        for s in range(sets):
            patterns = patterns_of(P, rng)
            memory, probes = memory_of(patterns), patterns[: seams.count(probed, "probed")]
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


# ---- basins -------------------------------------------------------------------------------------


def repaired(
    memory: Memory,
    patterns: ArrayLike,
    count: ArrayLike,
    rng: Generator,
    *,
    trials: int = 20,
    within: float = 1.0,
) -> Floats:
    """Return the share of trials, (n,), that bring each pattern (n, L) back to overlap ≥ within.

    `count` sites, (n,) or one number, are changed anew in every trial; recall visits sites in
    order, for the changes are random already.
    """
    x = np.asarray(patterns)
    many = np.repeat(x, seams.count(trials, "trials"), axis=0)
    number = np.repeat(np.broadcast_to(np.asarray(count), (len(x),)), trials)
    good = _back(memory, many, change(many, number, memory.values, rng), within)
    return np.asarray(good.reshape(len(x), trials).mean(axis=1))


def _back(memory: Memory, x: States, damaged: States, within: float) -> NDArray[np.bool_]:
    found = memory.recall(damaged).state
    return np.asarray(overlap(found, x, memory.values) >= within - 1e-12)


def basin_radius(
    memory: Memory,
    patterns: ArrayLike,
    rng: Generator,
    *,
    trials: int = 20,
    share: float = REPAIRED,
    within: float = 1.0,
) -> NDArray[np.int64]:
    """Return for each pattern (n, L) the largest number of changes repaired in ≥ `share` of trials.

    By bisection between 0, which is -1 where the pattern itself does not stay, and L; all
    patterns at once. The damage of a trial grows, it is not drawn anew, so memories asked with
    equal generators see equal flips. Bisection trusts that more damage is not repaired more
    often.
    """
    x = np.asarray(patterns)
    n, L = x.shape
    many = np.repeat(x, seams.count(trials, "trials"), axis=0)
    damage = Damage(many, memory.values, rng)
    stays = _back(memory, x, x, within)
    low = np.where(stays, 0, -1)
    high = np.where(stays, L + 1, 0)  # not repaired
    while (open_ := (high - low > 1)).any():
        middle = np.maximum((low + high) // 2, 0)
        rows = np.repeat(open_, trials)
        damaged = damage.at(np.repeat(middle, trials))[rows]
        good = np.zeros(n, np.bool_)
        back = _back(memory, many[rows], damaged, within)
        good[open_] = back.reshape(-1, trials).mean(axis=1) >= share
        low = np.where(open_ & good, middle, low)
        high = np.where(open_ & ~good, middle, high)
    return np.asarray(low, dtype=np.int64)


def log_volume(
    memory: Memory, pattern: ArrayLike, rng: Generator, *, trials: int = 100
) -> tuple[float, Floats]:
    """Return log |basin| of a pattern (L,) in nats, and the shares s_d (L + 1,) it is made of.

    Shells are walked outwards with `trials` states each, until two in a row bring none back; what
    lies beyond is not counted, so the volume is a lower bound up to the noise of the shares. L log
    V is the volume of all states.
    """
    x = np.asarray(pattern)[None]
    L = x.shape[1]
    shares = np.zeros(L + 1)
    for k in range(L + 1):
        shares[k] = repaired(memory, x, k, rng, trials=trials if k else 1)[0]
        if k and shares[k] == shares[k - 1] == 0:
            break
    d = np.arange(L + 1)
    choices = gammaln(L + 1) - gammaln(d + 1) - gammaln(L - d + 1)
    shells = choices + d * np.log(len(memory.values) - 1)
    if not shares.any():
        return float("-inf"), shares
    return float(logsumexp(shells, b=shares)), shares


# ---- where random starts end --------------------------------------------------------------------

STORED, SPURIOUS, RESTLESS = 1, 0, -1


class Census(NamedTuple):
    """Kinds of the B ends: 1 stored, k a mixture of k patterns, 0 spurious, -1 not at rest.

    state (B, L) are the ends.
    """

    kind: NDArray[np.int64]
    state: States

    def share(self, kind: int) -> float:
        """Return the share of starts that ended in this kind."""
        return float((self.kind == kind).mean())

    def distinct(self, kind: int) -> int:
        """Return how many different ends of this kind there are."""
        return len(np.unique(self.state[self.kind == kind], axis=0))


def census(
    memory: Memory,
    starts: ArrayLike,
    patterns: ArrayLike,
    rng: Generator,
    *,
    mixed: Sequence[int] = (3, 5, 7),
    within: float = 0.98,
) -> Census:
    """Recall from the states starts (B, L) and say what each ended in.

    A mixture of k is a state that has overlap ≥ `within` with the majority vote of the k stored
    patterns nearest to it. On spins a pattern and its negative are one memory, as they are for
    every even energy; of votes that tie, the state's own value counts.
    """
    stored = np.asarray(patterns)
    found = memory.recall(starts, rng=rng)
    kind = np.full(len(found.state), SPURIOUS, np.int64)
    for b, x in enumerate(found.state):
        if not found.converged[b]:
            kind[b] = RESTLESS
            continue
        m = overlap(x[None], stored, memory.values)
        sign = np.where(m < 0, -1, 1)
        nearest = np.argsort(-np.abs(m), kind="stable")
        for k in (STORED, *mixed):
            if k <= len(stored):
                voters = nearest[:k]
                agree = _vote(x, sign[voters, None] * stored[voters], memory.values)
                if agree >= within:
                    kind[b] = k
                    break
    return Census(kind, found.state)


def _vote(x: States, patterns: States, values: NDArray[np.int64]) -> float:
    """Return the overlap of x (L,) with the majority vote of patterns (k, L)."""
    votes = (patterns[:, :, None] == values).sum(axis=0)
    own = (patterns == x).sum(axis=0)
    equal = float((own == votes.max(axis=1)).mean())
    return 2 * equal - 1 if _spins(values) else equal


def _spins(values: ArrayLike) -> bool:
    return bool(np.min(values) < 0)
