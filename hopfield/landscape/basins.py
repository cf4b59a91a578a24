"""Basins of attraction: how far a pattern reaches, and how many states it holds.

radius        the largest number of changed sites repaired in at least 90 % of trials
log-volume    log of the number of states that recall to a pattern, shell by shell:
|basin| = Σ_d C(L, d) (V - 1)^d s_d,  s_d the share repaired at distance d
"""

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks
from hopfield.landscape.states import Damage, Memory, States, change, overlap
from hopfield.recall import Floats

REPAIRED = 0.9
"""Share of trials that a basin must bring back."""


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
    checks.finite(within, "within")
    many = np.repeat(x, checks.count(trials, "trials"), axis=0)
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
    checks.finite(within, "within")
    checks.positive(share, "share")
    n, L = x.shape
    many = np.repeat(x, checks.count(trials, "trials"), axis=0)
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
    d, log_gamma = np.arange(L + 1), scipy.special.gammaln
    choices = log_gamma(L + 1) - log_gamma(d + 1) - log_gamma(L - d + 1)
    shells = choices + d * np.log(len(memory.values) - 1)
    if not shares.any():
        return float("-inf"), shares
    return float(scipy.special.logsumexp(shells, b=shares)), shares
