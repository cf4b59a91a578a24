"""The dense associative memory on spins (Krotov & Hopfield 2016) [T17].

    E(σ) = -Q(ξ¹·σ, …, ξ^P·σ),   Q = Σ_μ F(ξ^μ·σ) with F(z) = zⁿ/n, or log-sum-exp, …

A spin is a token with two values and its overlap is 2m - L, m the sites on which it agrees, so all
that `hopfield.dense` says holds: spin i takes the value of lower energy,

    σ_i ← sgn Σ_μ ξ_i^μ [f(z_μ⁻ + 1) - f(z_μ⁻ - 1)],   z⁻ the overlap without site i.

For n = 2 the bracket is 2 z⁻ and this is Hopfield's rule of 1982, σ_i ← sgn Σ_{j≠i} W_ij σ_j with
Hebbian W = ΞᵀΞ: leaving i out of the overlap is what makes the diagonal zero.

Capacities: n = 2 retrieves up to P/L ≈ 0.138; polynomial n stores without error up to
P ≈ L^{n-1} / (2 (2n-3)!! ln L), the exponential up to about 2^{L/2}.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks
from hopfield.dense import DenseMemory
from hopfield.recall import Floats, Tokens
from hopfield.separation import Power, Separation

HOPFIELD = Power(2)


class BinaryMemory(DenseMemory):
    """Patterns (P, L) of ±1, stored with separation function F of the overlaps ξ·σ."""

    def __init__(self, patterns: ArrayLike, F: Separation = HOPFIELD) -> None:
        columns = checks.columns(_up_or_down(checks.spins(patterns, "patterns")), 2)
        L = len(columns)
        super().__init__(columns, 2, F, np.arange(-L, L + 1, 2.0))

    def conditionals(self, x: ArrayLike, beta: float | None = None) -> Floats:
        """Return the heat-bath probability (B, L) of +1 at each site given the others.

        beta is the bath's inverse temperature (default: the memory's own, or 1).
        """
        return self._laws(self._to_tokens(x), beta)[..., 1]

    def _to_tokens(self, x: ArrayLike) -> Tokens:
        return _up_or_down(checks.spins(x, "states", len(self._columns)))

    def _from_tokens(self, x: Tokens) -> NDArray[np.int8]:
        return (2 * x - 1).astype(np.int8)


def _up_or_down(spins: NDArray[np.int8]) -> Tokens:
    """-1 is token 0, and 1 is token 1."""
    return (spins > 0).astype(np.int32)
