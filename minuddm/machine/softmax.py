"""Log-softmax over the vocabulary: y_v = x_v - max x - log Σ_j exp(x_j - max x).

Stable for logits of any finite size. Its backward is part of the bound, where it cancels against
the bound's own terms (`minuddm.nelbo`).
"""

import math

from minuddm.checks import Floats
from minuddm.machine.exponential import exp, largest
from minuddm.machine.jit import jit_reassoc


@jit_reassoc
def log_softmax(y: Floats, x: Floats) -> None:
    """x (N, V) → y (N, V)."""
    for n in range(x.shape[0]):
        peak = largest(x[n])
        for v in range(x.shape[1]):
            y[n, v] = x[n, v] - peak  # stored: a regrouped x - (peak + log total) would lose digits
        total = peak - peak
        for v in range(x.shape[1]):
            total += exp(y[n, v])
        log_total = x.dtype.type(math.log(total))
        for v in range(x.shape[1]):
            y[n, v] -= log_total
