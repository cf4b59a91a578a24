"""Layer norm and adaptive modulation (adaLN) in one pass.

    x̂ = (x - mean) · rstd,   rstd = 1/√(var + 1e-5)          over the width D of one token
    y = x̂ γ (1 + scale) + shift                              scale, shift: one row per sequence

Backward. Let g = γ (1 + scale), and a bar be the mean over D. From dy:

    dx += rstd · (dy g - mean(dy g) - x̂ · mean(dy g x̂))
    dshift_b = Σ_l dy,   dscale_b = γ Σ_l dy x̂,   dγ = Σ_b (1 + scale_b) Σ_l dy x̂
"""

import math

from minuddm.compiled import layer
from minuddm.seams import Floats

_EPS = 1e-5


@layer
def modulated_norm_forward(
    y: Floats,
    mean: Floats,
    rstd: Floats,
    x: Floats,
    gain: Floats,
    shift: Floats,
    scale: Floats,
    L: int,
) -> None:
    """x (N, D), gain (D,), shift and scale (B, D) → y (N, D); saves mean and rstd (N,)."""
    D = x.shape[1]
    one = gain.dtype.type(1)
    for n in range(x.shape[0]):
        b = n // L
        total = one - one
        for d in range(D):
            total += x[n, d]
        mu = total / gain.dtype.type(D)
        square = one - one
        for d in range(D):
            square += (x[n, d] - mu) * (x[n, d] - mu)
        r = gain.dtype.type(1 / math.sqrt(square / D + _EPS))
        mean[n], rstd[n] = mu, r
        for d in range(D):
            y[n, d] = (x[n, d] - mu) * r * gain[d] * (one + scale[b, d]) + shift[b, d]


@layer
def modulated_norm_backward(
    dx: Floats,
    dgain: Floats,
    dshift: Floats,
    dscale: Floats,
    dy: Floats,
    mean: Floats,
    rstd: Floats,
    x: Floats,
    gain: Floats,
    scale: Floats,
    L: int,
) -> None:
    """dy (N, D) → adds to dx (N, D); writes dgain (D,), dshift and dscale (B, D)."""
    D = x.shape[1]
    one = gain.dtype.type(1)
    width = gain.dtype.type(D)
    dgain[:] = 0
    dshift[:] = 0
    dscale[:] = 0
    for n in range(x.shape[0]):
        b = n // L
        mu, r = mean[n], rstd[n]
        plain = one - one
        along = one - one
        for d in range(D):
            g = dy[n, d] * gain[d] * (one + scale[b, d])
            plain += g
            along += g * (x[n, d] - mu) * r
        plain /= width
        along /= width
        for d in range(D):
            g = dy[n, d] * gain[d] * (one + scale[b, d])
            dx[n, d] += r * (g - plain - (x[n, d] - mu) * r * along)
        for d in range(D):
            dshift[b, d] += dy[n, d]
        for d in range(D):
            dscale[b, d] += dy[n, d] * (x[n, d] - mu) * r  # Σ_l dy x̂; γ follows below
    for b in range(scale.shape[0]):
        for d in range(D):
            dgain[d] += (one + scale[b, d]) * dscale[b, d]
        for d in range(D):
            dscale[b, d] *= gain[d]
