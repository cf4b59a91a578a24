"""The ideal memoriser: perfect memory of a data set [T14].

Its world is P sequences ξ^μ, equally likely, and nothing else. Position i is left out, so a
pattern's evidence is its matches elsewhere, m_μ^{-i} = m_μ - 1(ξ_i^μ = z_i), and

    p_i(v) ∝ Σ_μ 1[ξ_i^μ = v] e^{β m_μ^{-i}},    uniform process: β = log(1 + V α/(1 - α))

In NumPy, for one state z (L,) and patterns (P, L):

    m = (patterns == z).sum(axis=1)
    w = exp(beta * (m - (patterns[:, i] == z[i])))
    p_i = bincount(patterns[:, i], w, minlength=V) / w.sum()

`minuddm.ideal.matches` computes the same, compiled, without overflow for any α.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.ideal.matches import log_conditionals
from minuddm.process import Process, given_or_uniform

_FROZEN = 1e4  # stands for β = ∞ at α = 1: e^{-β} is 0 in float64


class DatasetIdeal(checks.Sealed):
    """A `Denoiser` [T14] of patterns (P, L) over V values; the process is uniform if not given."""

    def __init__(self, patterns: ArrayLike, V: int, process: Process | None = None) -> None:
        self.V = checks.vocabulary(V)
        self.process = given_or_uniform(process, self.V)
        self._patterns = checks.stored(checks.tokens(patterns, self.V, "patterns", 2), "patterns")
        self.patterns = checks.read_only(self._patterns)

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Tokens (B, L), alpha (B,) or a number → LOO log-probabilities (B, L, V).

        A value that no pattern has gets minus infinity. At α = 1 only the best matches count.
        """
        z = checks.tokens(tokens, self.process.states, "tokens", 2, self._patterns.shape[1])
        beta = self.process.inverse_temperature(checks.alphas(alpha, len(z)))
        log_p = np.empty((*z.shape, self.V))
        log_conditionals(log_p, z, np.minimum(beta, _FROZEN), self._patterns)
        return log_p
