"""Stability: which tokens corruption and restoring change, and how deep a sequence's basin is.

Each token is one of four, by what corruption and restoring did to it [T26]:

                       restored right     restored wrong
    not changed        stable             unstable
    changed            recovered          failed

`fixed_points` asks with no corruption at all: with the clock started at t, do the most likely
bridges return the sequence whole [T27]? `basin_radius` is a sequence's largest number k of changed
tokens of which, on average, at least 90 % come back: exactly k tokens are changed, and the chain is
entered where corruption changes k tokens on average: 1 - α_t = k / (L c) with c the chance that a
touched token shows another value, 1 - 1/V for the uniform process [T5].

Of a sequence that was never seen no model can restore what the rest does not determine, and an
absolute radius says little. There `recovered_after` gives what comes back of exactly k changed
tokens, the same for any denoiser asked, and the radius is relative to the one that knows best.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.denoiser import Denoiser
from minuddm.probes.recovery import recovery
from minuddm.process import Process, given_or_uniform
from minuddm.reverse import restore
from minuddm.schedule import Schedule

STABLE, RECOVERED, UNSTABLE, FAILED = range(4)
CLASSES = ("stable", "recovered", "unstable", "failed")
REPAIRED = 0.9
"""Share of changed tokens that a basin brings back."""


def token_classes(x0: ArrayLike, xt: ArrayLike, restored: ArrayLike) -> NDArray[np.int8]:
    """Return the class of every token, (B, L): an index of `CLASSES`."""
    clean, corrupted, back = np.asarray(x0), np.asarray(xt), np.asarray(restored)
    recovery(clean, corrupted, back)  # refuses shapes that differ
    changed, right = corrupted != clean, back == clean
    return np.where(right, np.where(changed, RECOVERED, STABLE),
                    np.where(changed, FAILED, UNSTABLE)).astype(np.int8)  # fmt: skip


def class_means(classes: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of `values` (B, L) over the tokens of each class, (B, 4); NaN for none."""
    kind, value = np.asarray(classes), np.asarray(values, dtype=np.float64)
    if kind.ndim != 2 or kind.shape != value.shape:
        raise ValueError(f"values must have the shape (B, L) {kind.shape}, got {value.shape}")
    total = np.stack([np.where(kind == k, value, 0).sum(axis=1) for k in range(4)], axis=1)
    number = np.stack([(kind == k).sum(axis=1) for k in range(4)], axis=1)
    return np.asarray(np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0))


def fixed_points(
    denoiser: Denoiser,
    x: ArrayLike,
    t: float,
    schedule: Schedule,
    steps: int,
    process: Process | None = None,
) -> NDArray[np.bool_]:
    """Return whether each sequence of x (B, L) comes back whole from itself, greedily, (B,)."""
    clean = np.asarray(x)
    nothing = np.random.default_rng(0)  # greedy bridges draw nothing
    back = restore(denoiser, clean, t, schedule, steps, nothing, greedy=True, process=process)
    return np.asarray((back == clean).all(axis=1))


class Radii(NamedTuple):
    """Basin radii (N,), as numbers of tokens; `share` (N,) is what came back at the radius."""

    radius: NDArray[np.int64]
    share: NDArray[np.float64]


def basin_radius(
    denoiser: Denoiser,
    x: ArrayLike,
    V: int,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    trials: int = 4,
    repaired: float = REPAIRED,
    process: Process | None = None,
) -> Radii:
    """Return for each sequence of x (N, L) the largest number of changes that is repaired.

    By bisection between 0 and L, all sequences at once; `trials` damages each, which grow with k
    and are not drawn anew. Bisection trusts that more damage is not repaired better.
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    clean = checks.tokens(x, V, "x", ndim=2)
    checks.fraction(repaired, "repaired", whole=True)
    N, L = clean.shape
    many = np.repeat(clean, checks.count(trials, "trials"), axis=0)
    rank = checks.generator(rng).random(many.shape).argsort(axis=1).argsort(axis=1)
    other = process.change(many, rng)
    low, high = np.zeros(N, np.int64), np.full(N, L + 1)
    share = np.ones(N)
    while (high - low > 1).any():
        middle = np.where(high - low > 1, (low + high) // 2, 0)
        for k in np.unique(middle[middle > 0]):
            rows = np.flatnonzero(np.repeat(middle == k, trials))
            damaged = np.where(rank[rows] < k, other[rows], many[rows])
            t = entering_time(int(k), L, V, schedule, process)
            back = restore(denoiser, damaged, t, schedule, steps, rng, process=process)
            came = recovery(many[rows], damaged, back).recovery.reshape(-1, trials).mean(axis=1)
            which = np.flatnonzero(middle == k)
            good = came >= repaired
            low[which[good]], share[which[good]] = k, came[good]
            high[which[~good]] = k
    return Radii(low, share)


def recovered_after(
    denoiser: Denoiser,
    x: ArrayLike,
    V: int,
    changed: Sequence[int],
    schedule: Schedule,
    steps: int,
    rng: Generator,
    process: Process | None = None,
) -> NDArray[np.float64]:
    """Return the share of exactly k changed tokens that come back, for each k: (N, K).

    Damage grows with k and is not drawn anew, so that it depends on x (N, L) and `rng` alone: two
    denoisers are compared on the same damage with generators of the same seed. Raises `ValueError`
    for a k outside [1, L].
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    clean = checks.tokens(x, V, "x", ndim=2)
    rank = checks.generator(rng).random(clean.shape).argsort(axis=1).argsort(axis=1)
    other = process.change(clean, rng)
    L, came = clean.shape[1], np.empty((len(clean), len(changed)))
    for column, k in zip(came.T, changed, strict=True):
        if checks.count(k, "changed") > L:
            raise ValueError(f"changed must lie in [1, {L}], got {k}")
        damaged = np.where(rank < k, other, clean)
        t = entering_time(k, L, V, schedule, process)
        back = restore(denoiser, damaged, t, schedule, steps, rng, process=process)
        column[:] = recovery(clean, damaged, back).recovery
    return came


def entering_time(
    changed: int, L: int, V: int, schedule: Schedule, process: Process | None = None
) -> float:
    """Return the time t at which corruption changes `changed` tokens of L on average [T5]."""
    other = 1 - given_or_uniform(process, V).marginal(0, 0.0)[0]
    touched = changed / (L * float(other))
    return float(schedule.time(max(1 - touched, float(schedule.alpha(1.0)))))


def random_sequences(n: int, L: int, V: int, rng: Generator) -> Tokens:
    """Return n sequences of uniform tokens, (n, L): they follow no law and lie in no basin."""
    size = checks.count(n, "n"), checks.count(L, "L")
    return checks.generator(rng).integers(checks.vocabulary(V), size=size).astype(np.int32)
