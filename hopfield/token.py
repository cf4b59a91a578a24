"""The dense associative memory on tokens: a Hopfield network whose state is a sequence [T19].

P patterns ξ^μ over V values are stored; the overlap m_μ(x) of a state x is its number of matches.

    E(x) = -(1/β) log Σ_μ e^{β m_μ(x)}                         energy, log-sum-exp
    p(x_i = v | rest) ∝ Σ_μ e^{β (m_μ^{-i} + 1[ξ_i^μ = v])}   heat bath at its own temperature
    x_i ← argmax_v Σ_{μ: ξ_i^μ = v} e^{β m_μ^{-i}}             descent: its zero-temperature limit

with m^{-i} the matches outside position i; `hopfield.reference` derives the last line. Any other
separation function may take the place of log-sum-exp (`hopfield.dense`).
"""

import numpy as np
from numpy.typing import ArrayLike

import argument_checks as checks
from hopfield.dense import DenseMemory
from hopfield.recall import Floats, Tokens
from hopfield.separation import LogSumExp, Separation


class TokenMemory(DenseMemory):
    """Patterns (P, L) over V values, stored with separation function F of the matches.

    beta is short for F = LogSumExp(beta), the memory that [T16] identifies with the diffused data
    set, and is not used when F is given.
    """

    def __init__(
        self, patterns: ArrayLike, V: int, beta: float = 1.0, F: Separation | None = None
    ) -> None:
        V = checks.vocabulary(V)
        columns = checks.columns(patterns, V)
        matches = np.arange(len(columns) + 1.0)
        super().__init__(columns, V, LogSumExp(beta) if F is None else F, matches)

    def conditionals(self, x: ArrayLike, beta: float | None = None) -> Floats:
        """Return the heat-bath probabilities (B, L, V) of each token given the others.

        beta is the bath's inverse temperature (default: the memory's own, or 1).
        """
        return self._laws(self._to_tokens(x), beta)

    def _to_tokens(self, x: ArrayLike) -> Tokens:
        return checks.tokens(x, self.V, "states", 2, len(self._columns))

    def _from_tokens(self, x: Tokens) -> Tokens:
        return x
