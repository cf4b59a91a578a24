"""Layer norm and adaptive modulation (adaLN) in one pass.

    x̂ = (x - mean) · rstd,   rstd = 1/√(var + 1e-5)          over the width D of one token
    y = x̂ γ (1 + scale) + shift                              scale, shift: one row per sequence

mod (B, K, D) holds what the noise level says to a block; its rows k and k + 1 are this norm's shift
and scale.

Backward. Let g = γ (1 + scale), and a bar be the mean over D. From dy:

    dx += rstd · (dy g - mean(dy g) - x̂ · mean(dy g x̂))
    dshift_b = Σ_l dy,   dscale_b = γ Σ_l dy x̂,   dγ += Σ_b (1 + scale_b) Σ_l dy x̂
"""

import math

from minuddm.checks import Floats
from minuddm.machine.jit import jit_reassoc

_EPS = 1e-5


@jit_reassoc
def modulated_norm_forward(
    y: Floats,
    mean: Floats,
    rstd: Floats,
    x: Floats,
    gain: Floats,
    mod: Floats,
    k: int,
    L: int,
) -> None:
    """x (N, D), gain (D,), mod (B, K, D) → y (N, D); saves mean and rstd (N,)."""
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
            y[n, d] = (x[n, d] - mu) * r * gain[d] * (one + mod[b, k + 1, d]) + mod[b, k, d]


@jit_reassoc
def modulated_norm_backward(
    dx: Floats,
    dgain: Floats,
    dmod: Floats,
    dy: Floats,
    mean: Floats,
    rstd: Floats,
    x: Floats,
    gain: Floats,
    mod: Floats,
    k: int,
    L: int,
) -> None:
    """dy (N, D) → adds to dx (N, D) and dgain (D,); writes rows k, k + 1 of dmod (B, K, D)."""
    D = x.shape[1]
    one = gain.dtype.type(1)
    width = gain.dtype.type(D)
    dmod[:, k : k + 2] = 0
    for n in range(x.shape[0]):
        b = n // L
        mu, r = mean[n], rstd[n]
        plain = one - one
        along = one - one
        for d in range(D):
            g = dy[n, d] * gain[d] * (one + mod[b, k + 1, d])
            plain += g
            along += g * (x[n, d] - mu) * r
        plain /= width
        along /= width
        for d in range(D):
            g = dy[n, d] * gain[d] * (one + mod[b, k + 1, d])
            dx[n, d] += r * (g - plain - (x[n, d] - mu) * r * along)
        for d in range(D):
            dmod[b, k, d] += dy[n, d]
        for d in range(D):
            dmod[b, k + 1, d] += dy[n, d] * (x[n, d] - mu) * r  # Σ_l dy x̂; γ follows below
    for b in range(mod.shape[0]):
        for d in range(D):
            dgain[d] += (one + mod[b, k + 1, d]) * dmod[b, k + 1, d]
        for d in range(D):
            dmod[b, k + 1, d] *= gain[d]
