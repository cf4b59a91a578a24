"""The times at which the bound is sampled, ∫ ℓ dt [T8] by Monte Carlo.

t = u² with u uniform in each of n equal cells of [√t_min, 1], and the weight w = dt/du (1 -
√t_min): then the mean of w·f(t) estimates ∫ f dt. Stratified, so that every batch spans all noise
levels; denser near 0, because there a token is changed with chance ~ t and then costs ~ 1/t: for a
variance of 1/t the best density is 1/√t, with ∫ t^(-½) squared = 4 in place of ∫ dt/t =
log(1/t_min).
"""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from minuddm import checks


def stratified_times(
    n: int, t_min: float, rng: Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return n times in [t_min, 1], rising, and their weights, both (n,)."""
    low = math.sqrt(checks.fraction(t_min, "t_min"))
    u = low + (1 - low) * (np.arange(n) + checks.generator(rng).random(n)) / checks.count(n, "n")
    return np.asarray(u**2), np.asarray(2 * u * (1 - low))
