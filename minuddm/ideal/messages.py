"""Messages are logarithms: the evidence that an ideal starts from, and two operations on messages.

Evidence of one token, up to a constant of its own: e^β where v = z_i, 1 for any other v. An alpha a
token says how much: β = 0 at α = 0, where nothing is known (a masked token), and ∞ at α = 1, where
nothing is in doubt (a visible one) [T39]. For ∞ stands `COLDEST`: e^-10,000 is no number, so that
of all explanations of z those that contradict the fewest certain tokens count, and no others. On
the support these are the ones that contradict none; off it this is the limit β → ∞.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm.checks import Tokens
from minuddm.machine.jit import jit_strict
from minuddm.process import Process

COLDEST = 1e4


def evidence(process: Process, z: Tokens, alpha: ArrayLike) -> NDArray[np.float64]:
    """Return β (B, L), finite, of tokens z (B, L) and one alpha, one a sequence, or one a token.

    Raises `ValueError` for a process whose β are fewer, negative, or no numbers.
    """
    beta = np.asarray(process.inverse_temperature(z, alpha), dtype=np.float64)
    if beta.shape != z.shape or not (beta >= 0).all():
        raise ValueError(f"{process} must give one β ≥ 0 for each token, got shape {beta.shape}")
    return np.minimum(beta, COLDEST)


@jit_strict
def log_sum(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """log Σ_k exp(x_k + y_k), -∞ where all terms are 0."""
    peak = -math.inf
    for k in range(x.shape[0]):
        peak = max(peak, x[k] + y[k])
    if peak == -math.inf:
        return peak
    total = 0.0
    for k in range(x.shape[0]):
        total += math.exp(x[k] + y[k] - peak)
    return peak + math.log(total)


@jit_strict
def normalise(x: NDArray[np.float64]) -> None:
    """x - log Σ exp x, in place; at least one entry is finite."""
    peak = x.max()
    total = 0.0
    for k in range(x.shape[0]):
        total += math.exp(x[k] - peak)
    x -= peak + math.log(total)
