"""The times at which the bound is sampled, ∫ ℓ dt [T8] by Monte Carlo.

t = u² with u uniform in each of n equal cells of [√t_min, √t_max], and the weight w = dt/du (√t_max
- √t_min): then the mean of w·f(t) estimates ∫ f dt. Stratified, so that every batch spans all noise
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
    n: int, t_min: float, rng: Generator, t_max: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return n times in [t_min, t_max], rising, and their weights, both (n,).

    Raises `ValueError` for ends outside [0, 1] or out of order.
    """
    low = math.sqrt(checks.fraction(t_min, "t_min"))
    wide = math.sqrt(checks.fraction(t_max, "t_max", whole=True)) - low
    if wide <= 0:
        raise ValueError(f"t_max must lie above t_min = {t_min}, got {t_max}")
    u = low + wide * (np.arange(n) + checks.generator(rng).random(n)) / checks.count(n, "n")
    return np.asarray(u**2), np.asarray(2 * u * wide)
