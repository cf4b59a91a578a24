"""Sums over patterns by their matches with a state, compiled [T14].

    p_i(v) ∝ Σ_μ 1[ξ_i^μ = v] e^{β m_μ^{-i}}

Matches are integers, so e^{β k} is needed for k = 0 … L only: a table. The sum for each (i, v) is
kept relative to the best match seen for that very (i, v), and scaled anew when a better one comes:
nothing under- or overflows for any β. Values seen in no pattern get log 0 = -∞. Cost: O(P L) a
state for both passes over the patterns, O(L V) for the normalisation.
"""

import math

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Tokens
from minuddm.machine.jit import jit_strict


@jit_strict
def log_conditionals(
    log_p: NDArray[np.float64], z: Tokens, beta: NDArray[np.float64], patterns: Tokens
) -> None:
    """States z (B, L) at β (B,) and patterns (P, L) → log p (B, L, V)."""
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
