"""Messages are logarithms: what belief propagation starts from, and two operations on them.

log e_i(v) = log q(z_i | x_i = v)          evidence of one token: one number where v = z_i, one else
"""

import math

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Tokens
from minuddm.machine.jit import jit_strict
from minuddm.process import Process

_LEAST_NOISE = 1e-12  # stands for α = 1, where a z outside the support would have no explanation


def log_evidence(
    process: Process, z: Tokens, alpha: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return log e (B, L) of the value that is seen, and of any other, both finite."""
    return process.log_evidence(z, np.minimum(alpha, 1 - _LEAST_NOISE))


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
