"""The ideal memoriser: perfect memory of a data set [T14].

The clean sequence is one of P patterns ξ^μ, equally likely. Let m_μ count the positions at which
ξ^μ agrees with the state z. Position i is left out, so only matches elsewhere are evidence,
m_μ^{-i} = m_μ - 1[ξ_i^μ = z_i]. A token shows z_j with chance q(z_j | ξ_j) ∝ e^{β 1[ξ_j = z_j]}, so
under ξ^μ the other tokens of z have a chance ∝ e^{β m_μ^{-i}}, and by Bayes' rule

    p_i(v) ∝ Σ_μ 1[ξ_i^μ = v] e^{β m_μ^{-i}},    uniform process: β = log(1 + V α/(1 - α))

In the masked process β is infinite, and m_μ counts visible tokens only [T39].

In NumPy, for one state z (L,) and patterns (P, L):

    m = (patterns == z).sum(axis=1)
    w = exp(beta * (m - (patterns[:, i] == z[i])))
    p_i = bincount(patterns[:, i], w, minlength=V) / w.sum()

*It is attention with one-hot values.* Of the patterns that have v at i, all match z there if
v = z_i, and none otherwise. So leaving i out is one factor, on the value z_i alone:

    p_i(v) ∝ e^{-β 1[v = z_i]} W_iv,    W_iv = Σ_μ e^{β m_μ} 1[ξ_i^μ = v]

and the same W serves every i: z is the query, ξ^μ are the keys, m_μ the scores, and the values are
the one-hot vectors of ξ_i^μ. W_iv / Σ_v W_iv, in which z_i counts as well, is the posterior [T12]:
softmax attention, as is the step of a continuous memory [T18]. `minuddm.ideal.matches` computes p_i
at all i in O(P L), for any α, up to rounding.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.ideal.matches import log_conditionals
from minuddm.ideal.messages import evidence
from minuddm.process import Process, given_or_uniform


class DatasetIdeal(checks.Sealed):
    """A `Denoiser` [T14] of patterns (P, L) over V values; the process is uniform if not given."""

    def __init__(self, patterns: ArrayLike, V: int, process: Process | None = None) -> None:
        self.V = checks.vocabulary(V)
        self.process = given_or_uniform(process, self.V)
        self._columns = checks.columns(patterns, self.V)

    @property
    def patterns(self) -> Tokens:
        """A read-only copy of the patterns (P, L)."""
        return checks.read_only(np.ascontiguousarray(self._columns.T, dtype=np.int32))

    def __call__(
        self, tokens: ArrayLike, alpha: ArrayLike, threads: int = 1
    ) -> NDArray[np.float64]:
        """Tokens (B, L) → LOO log-probabilities (B, L, V); alpha is a number, (B,) or (B, L).

        A value that no pattern has there gets minus infinity. Where α = 1 only the best matches
        count. `threads` share out the sequences and change nothing but the time.
        """
        z = checks.tokens(tokens, self.process.states, "tokens", 2, len(self._columns))
        beta = evidence(self.process, z, alpha)
        log_p = np.empty((*z.shape, self.V))
        log_conditionals(log_p, z, beta, self._columns, checks.count(threads, "threads"))
        return log_p
