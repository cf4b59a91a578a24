"""GELU in its tanh form, with the bias of the linear before it.

    z = u + b        gelu(z) = z S,     S = 1/(1 + e⁻ʸ),     y = √(8/π) (z + 0.044715 z³)

One exponential and one division. With S' = S (1 - S) y':

    gelu'(z) = S + z S (1 - S) · √(8/π) (1 + 3 · 0.044715 z²)

The forward has S at hand and overwrites u with this slope: the backward is one product. Where no
backward pass follows, the activations overwrite u.
"""

import math

from minuddm.checks import Floats
from minuddm.machine.exponential import exp
from minuddm.machine.jit import jit_reassoc

_GELU = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715


@jit_reassoc
def gelu_forward(y: Floats, u: Floats, b: Floats) -> None:
    """u (N, F), bias b (F,) → y (N, F) = gelu(u + b); u ← the slope gelu'(u + b)."""
    one, outer, cubic = b.dtype.type(1), b.dtype.type(_GELU), b.dtype.type(_CUBIC)
    three = b.dtype.type(3)
    for n in range(u.shape[0]):
        for j in range(u.shape[1]):
            z = u[n, j] + b[j]
            z2 = cubic * z * z
            S = one / (one + exp(-outer * z * (one + z2)))
            y[n, j] = z * S
            u[n, j] = S * (one + z * (one - S) * outer * (one + three * z2))


@jit_reassoc
def gelu(u: Floats, b: Floats) -> None:
    """u (N, F), bias b (F,) → u ← gelu(u + b)."""
    one, outer, cubic = b.dtype.type(1), b.dtype.type(_GELU), b.dtype.type(_CUBIC)
    for n in range(u.shape[0]):
        for j in range(u.shape[1]):
            z = u[n, j] + b[j]
            u[n, j] = z / (one + exp(-outer * z * (one + cubic * z * z)))


@jit_reassoc
def gelu_backward(du: Floats, dy: Floats) -> None:
    """dy (N, F) → du (N, F), which held the slope, ← dy du; db is its sum over rows."""
    for n in range(du.shape[0]):
        for j in range(du.shape[1]):
            du[n, j] *= dy[n, j]
