"""A perfect memory of random patterns, simulated without the patterns: overlaps alone are drawn.

The memory of P random patterns returns the right one with its weight in the softmax of [T14],
e^{β m} of every pattern that agrees with m of the visible tokens. Of P = e^{2.5 L} patterns none
has to be drawn: how many agree with m is all that counts.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import binom

from experiments.kit.draws import generator
from minuddm import Process


def recalled(
    process: Process, alpha: float, L: int, log_P: float, rng: Generator, n: int = 2000
) -> NDArray[np.float64]:
    """Return the chance (n,) that the memory restores the right one of P random patterns [T42].

    Drawn are how many tokens are no MASK, with how many of these the right pattern agrees, and how
    many of the others agree with m of them (Poisson's law; its mean where that is large).
    """
    law = process.marginal(0, alpha)
    shown = float(law[: process.V].sum())
    visible = rng.binomial(L, shown, n)
    right = rng.binomial(visible, law[0] / shown)
    beta = np.minimum(process.inverse_temperature([0], alpha)[0], 1e4)  # e^-10,000 is no number
    m = np.arange(L + 1)
    log_number = log_P + binom.logpmf(m, visible[:, None], 1 / process.V)
    few = log_number < np.log(1e6)
    with np.errstate(divide="ignore"):
        drawn = np.log(rng.poisson(np.exp(np.where(few, log_number, 0))))
    others = np.where(few, drawn, log_number) + beta * (m - right[:, None])
    return np.asarray(1 / (1 + np.exp(np.minimum(logsumexp(others, axis=1), 700))))


def half_recall(process: Process, alpha: float, L: int, seed: int) -> float:
    """Return log P / L at which half of what is restored is the right pattern, by bisection."""
    low, high = 0.0, 1.5 * L * np.log(process.V)
    for k in range(20):
        middle = (low + high) / 2
        chance = generator(seed, f"half recall {process} {L} {k}")
        more = recalled(process, alpha, L, middle, chance).mean() > 0.5
        low, high = (middle, high) if more else (low, middle)
    return (low + high) / 2 / L
