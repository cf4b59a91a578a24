"""Layer norm and adaptive modulation (adaLN) in one pass.

    x̂ = (x - mean) · rstd,   rstd = 1/√(var + 1e-5)          over the width D of one token
    y = x̂ γ (1 + scale) + shift                              scale, shift: one row per sequence

mod (B, M, D) holds the M modulations of each sequence; two neighbouring rows are this norm's shift
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
    row: int,
    L: int,
) -> None:
    """x (N, D), gain (D,), mod (B, M, D) → y (N, D); saves mean and rstd (N,)."""
    D = x.shape[1]
    one = gain.dtype.type(1)
    for n in range(x.shape[0]):
        b = n // L
        mu = one - one
        for j in range(D):
            mu += x[n, j]
        mu /= gain.dtype.type(D)
        square = one - one
        for j in range(D):
            square += (x[n, j] - mu) * (x[n, j] - mu)
        r = gain.dtype.type(1 / math.sqrt(square / D + _EPS))
        mean[n], rstd[n] = mu, r
        for j in range(D):
            y[n, j] = (x[n, j] - mu) * r * gain[j] * (one + mod[b, row + 1, j]) + mod[b, row, j]


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
    row: int,
    L: int,
) -> None:
    """dy (N, D) → adds to dx (N, D) and dgain (D,); writes the two rows of dmod (B, M, D)."""
    D = x.shape[1]
    one = gain.dtype.type(1)
    width = gain.dtype.type(D)
    dmod[:, row : row + 2] = 0
    for n in range(x.shape[0]):
        b = n // L
        mu, r = mean[n], rstd[n]
        plain = one - one
        along = one - one
        for j in range(D):
            g = dy[n, j] * gain[j] * (one + mod[b, row + 1, j])
            plain += g
            along += g * (x[n, j] - mu) * r
        plain /= width
        along /= width
        for j in range(D):
            g = dy[n, j] * gain[j] * (one + mod[b, row + 1, j])
            dx[n, j] += r * (g - plain - (x[n, j] - mu) * r * along)
        for j in range(D):
            dmod[b, row, j] += dy[n, j]
        for j in range(D):
            dmod[b, row + 1, j] += dy[n, j] * (x[n, j] - mu) * r  # Σ_l dy x̂; γ follows below
    for b in range(mod.shape[0]):
        for j in range(D):
            dgain[j] += (one + mod[b, row + 1, j]) * dmod[b, row + 1, j]
        for j in range(D):
            dmod[b, row + 1, j] *= gain[j]
