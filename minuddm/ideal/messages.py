"""Messages are logarithms: the two operations that belief propagation needs of them."""

import math

import numpy as np
from numpy.typing import NDArray

from minuddm.compiled import sweep


@sweep
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


@sweep
def normalise(x: NDArray[np.float64]) -> None:
    """x - log Σ exp x, in place; at least one entry is finite."""
    peak = x.max()
    total = 0.0
    for k in range(x.shape[0]):
        total += math.exp(x[k] - peak)
    x -= peak + math.log(total)
