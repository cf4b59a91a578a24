"""What the noise level does to a block: its features, SiLU, and the gated residual.

    features(σ) = [cos(σ f), sin(σ f)],  f_k = 10000^(-k/128),  σ = -log α           (B, 256)
    silu(x) = x / (1 + e⁻ˣ),   silu' = S (1 + x (1 - S)),  S = 1/(1 + e⁻ˣ)
    y = x + gate ⊙ h, gate one row per sequence;  dh = gate ⊙ dy,  dgate_b = Σ_l dy ⊙ h

The residual stream passes through the last line unchanged, so its gradient needs no line of code.
The gate is row k of mod (B, K, D), a linear of the noise level's c.
"""

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Floats
from minuddm.machine.exponential import exp
from minuddm.machine.jit import jit_reassoc

FEATURES = 256
_SMALLEST_ALPHA = 1e-12  # σ = -log α is held finite at pure noise


def noise_features(alpha: NDArray[np.float64], dtype: np.dtype) -> Floats:
    """Alpha (B,) → cosines, then sines (B, 256) of σ = -log α."""
    sigma = -np.log(np.maximum(alpha, _SMALLEST_ALPHA))
    half = FEATURES // 2
    angle = (sigma[:, None] * 10_000.0 ** (-np.arange(half) / half)).astype(dtype)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


@jit_reassoc
def silu_forward(y: Floats, x: Floats) -> None:
    """x (B, C) → y (B, C) = x / (1 + e⁻ˣ)."""
    one = x.dtype.type(1)
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            y[b, c] = x[b, c] / (one + exp(-x[b, c]))


@jit_reassoc
def silu_backward(dx: Floats, dy: Floats, x: Floats) -> None:
    """dx = dy S (1 + x (1 - S))."""
    one = x.dtype.type(1)
    for b in range(x.shape[0]):
        for c in range(x.shape[1]):
            S = one / (one + exp(-x[b, c]))
            dx[b, c] = dy[b, c] * S * (one + x[b, c] * (one - S))


@jit_reassoc
def gated_residual_forward(y: Floats, x: Floats, mod: Floats, k: int, h: Floats, L: int) -> None:
    """Y (N, D) = x + gate ⊙ h."""
    for n in range(x.shape[0]):
        b = n // L
        for d in range(x.shape[1]):
            y[n, d] = x[n, d] + mod[b, k, d] * h[n, d]


@jit_reassoc
def gated_residual_backward(
    h: Floats, dmod: Floats, dy: Floats, mod: Floats, k: int, L: int
) -> None:
    """dy (N, D) → row k of dmod (B, K, D); turns h into dh. dx = dy is the caller's own array."""
    dmod[:, k] = 0
    for n in range(dy.shape[0]):
        b = n // L
        for d in range(dy.shape[1]):
            dmod[b, k, d] += dy[n, d] * h[n, d]
        for d in range(dy.shape[1]):
            h[n, d] = mod[b, k, d] * dy[n, d]
