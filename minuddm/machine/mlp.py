"""GELU in its tanh form, with the bias of the linear before it.

    z = u + b        gelu(z) = ½ z (1 + tanh w) = z σ(2w),     w = √(2/π) (z + 0.044715 z³)

The second form needs one exponential and one division. With S = σ(2w), σ' = S(1 - S):

    gelu'(z) = S + z S (1 - S) · 2 √(2/π) (1 + 3 · 0.044715 z²)

The forward, which has S at hand, leaves this slope where u was: the backward is one product.
Where nothing is learnt, nobody asks for the slope, and the activations take the place of u.
"""

import math

from minuddm.checks import Floats
from minuddm.machine.exponential import exp
from minuddm.machine.jit import jit_reassoc

_RATE = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715


@jit_reassoc
def gelu_forward(y: Floats, u: Floats, b: Floats) -> None:
    """u (N, F), bias b (F,) → y (N, F) = gelu(u + b); turns u into the slope gelu'(u + b)."""
    one, rate, cubic = b.dtype.type(1), b.dtype.type(_RATE), b.dtype.type(_CUBIC)
    three = b.dtype.type(3)
    for n in range(u.shape[0]):
        for j in range(u.shape[1]):
            z = u[n, j] + b[j]
            z2 = cubic * z * z
            S = one / (one + exp(-rate * z * (one + z2)))
            y[n, j] = z * S
            u[n, j] = S * (one + z * (one - S) * rate * (one + three * z2))


@jit_reassoc
def gelu(u: Floats, b: Floats) -> None:
    """u (N, F), bias b (F,) → u ← gelu(u + b)."""
    one, rate, cubic = b.dtype.type(1), b.dtype.type(_RATE), b.dtype.type(_CUBIC)
    for n in range(u.shape[0]):
        for j in range(u.shape[1]):
            z = u[n, j] + b[j]
            u[n, j] = z / (one + exp(-rate * z * (one + cubic * z * z)))


@jit_reassoc
def gelu_backward(du: Floats, dy: Floats) -> None:
    """dy (N, F), slope du (N, F) → du ← dy du; the bias's gradient is its sum over rows."""
    for n in range(du.shape[0]):
        for j in range(du.shape[1]):
            du[n, j] *= dy[n, j]
