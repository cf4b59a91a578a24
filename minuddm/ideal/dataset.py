"""The ideal memoriser: perfect memory of a data set [T14].

Its world is P sequences ξ^μ, equally likely, and nothing else. Position i is left out, so a
pattern's evidence is its matches elsewhere, m_μ^{-i} = m_μ - 1(ξ_i^μ = z_i), and

    p_i(v) ∝ Σ_μ 1[ξ_i^μ = v] e^{β m_μ^{-i}},    uniform process: β = log(1 + V α/(1 - α))

In NumPy, for one state z (L,) and patterns (P, L):

    m = (patterns == z).sum(axis=1)
    w = exp(beta * (m - (patterns[:, i] == z[i])))
    p_i = bincount(patterns[:, i], w, minlength=V) / w.sum()

The compiled loop below is the same, without overflow for any α. Matches are integers, so e^{β k} is
needed for k = 0 … L only: a table. The sum for each (i, v) is kept relative to the best match seen
for that very (i, v), and scaled anew when a better one comes. Cost: O(P L + L V) a query.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.machine.jit import jit_strict
from minuddm.process import Process, given_or_uniform

_FROZEN = 1e4  # stands for β = ∞ at α = 1: e^{-β} is 0 in float64


class DatasetIdeal:
    """A `Denoiser` [T14] of patterns (P, L) over V values; the process is uniform if not given."""

    def __init__(self, patterns: ArrayLike, V: int, process: Process | None = None) -> None:
        self.V = checks.vocabulary(V)
        self.process = given_or_uniform(process, self.V)
        self.patterns = checks.stored(checks.tokens(patterns, self.V, "patterns", 2), "patterns")

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Tokens (B, L), alpha (B,) or a number → LOO log-probabilities (B, L, V).

        A value that no pattern has gets -∞. At α = 1 the patterns that match best count.
        """
        z = checks.tokens(tokens, self.process.states, "tokens", 2, self.patterns.shape[1])
        beta = self.process.inverse_temperature(checks.alphas(alpha, len(z)))
        log_p = np.empty((*z.shape, self.V))
        _dataset_ideal(log_p, z, np.minimum(beta, _FROZEN), self.patterns)
        return log_p


@jit_strict
def _dataset_ideal(
    log_p: NDArray[np.float64], z: Tokens, beta: NDArray[np.float64], patterns: Tokens
) -> None:
    (B, L, V), P = log_p.shape, patterns.shape[0]
    decay, matches, best = np.empty(L + 1), np.empty(P, np.int32), np.empty((L, V), np.int32)
    for b in range(B):
        for k in range(L + 1):
            decay[k] = math.exp(-beta[b] * k)
        for mu in range(P):
            m = 0
            for i in range(L):
                m += patterns[mu, i] == z[b, i]
            matches[mu] = m
        weight = log_p[b]  # Σ_μ e^{β (m - best)}, until the logarithm is taken
        weight[:] = 0
        best[:] = -1
        for mu in range(P):
            for i in range(L):
                v = patterns[mu, i]
                m = matches[mu] - (v == z[b, i])
                ahead = m - best[i, v]
                if ahead > 0:
                    weight[i, v] = weight[i, v] * decay[min(ahead, L)] + 1
                    best[i, v] = m
                else:
                    weight[i, v] += decay[-ahead]
        for i in range(L):
            _normalise(weight[i], best[i], beta[b])


@jit_strict
def _normalise(weight: NDArray[np.float64], best: NDArray[np.int32], beta: float) -> None:
    """weight_v e^{β best_v} → log-probabilities, in place."""
    top = 0
    for v in range(weight.shape[0]):
        top = max(top, best[v])
    total = 0.0
    for v in range(weight.shape[0]):
        total += weight[v] * math.exp(beta * (best[v] - top))
    log_total = math.log(total)
    for v in range(weight.shape[0]):
        if best[v] < 0:
            weight[v] = -math.inf
        else:
            weight[v] = math.log(weight[v]) + beta * (best[v] - top) - log_total
