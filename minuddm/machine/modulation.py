"""How the conditioning on the noise acts on a block: SiLU, and the gated residual.

    silu(x) = x / (1 + e⁻ˣ),   silu' = S (1 + x (1 - S)),  S = 1/(1 + e⁻ˣ)
    y = x + gate ⊙ h, gate one row per sequence;  dh = gate ⊙ dy,  dgate_b = Σ_l dy ⊙ h

The residual stream passes through the last line unchanged, so its gradient needs no line of code.
The gate is one row of mod (B, M, D), a linear of the conditioning c.
"""

from minuddm.checks import Floats
from minuddm.machine.exponential import exp
from minuddm.machine.jit import jit_reassoc


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
def gated_residual_forward(y: Floats, x: Floats, mod: Floats, row: int, h: Floats, L: int) -> None:
    """Y (N, D) = x + gate ⊙ h."""
    for n in range(x.shape[0]):
        b = n // L
        for j in range(x.shape[1]):
            y[n, j] = x[n, j] + mod[b, row, j] * h[n, j]


@jit_reassoc
def gated_residual_backward(
    h: Floats, dmod: Floats, dy: Floats, mod: Floats, row: int, L: int
) -> None:
    """dy (N, D) → a row of dmod (B, M, D); h ← dh. dx = dy is the caller's own array."""
    dmod[:, row] = 0
    for n in range(dy.shape[0]):
        b = n // L
        for j in range(dy.shape[1]):
            dmod[b, row, j] += dy[n, j] * h[n, j]
        for j in range(dy.shape[1]):
            h[n, j] = mod[b, row, j] * dy[n, j]
