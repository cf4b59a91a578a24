"""Attention with one-hot values, eight queries at a time: the sums of the ideal memoriser [T14].

A stored pattern ξ^μ is a key, which a query z (L,) is compared with, and at each site i a value,
the one-hot vector of ξ_i^μ. The score is m_μ, the number of sites at which key and query agree:

    W[i, v] = Σ_μ w(m_μ) 1[ξ_i^μ = v],    m_μ = Σ_i 1[ξ_i^μ = z_i]

With w(m) = e^{βm} this is softmax attention before the division by its sum. The loops below run
over what is contiguous and independent: matches are counted for neighbouring patterns, weights are
added for neighbouring queries, so that one register, or two of half the size, holds those of a
pattern for all eight, and one addition puts them where they belong. Each sum adds the patterns in
their order, whatever else is in the batch, as `sums_over_patterns` of `minuddm.ideal.matches` does
in NumPy.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minuddm.machine.intrinsics import lanes, load, store
from minuddm.machine.jit import jit_strict

Floats = NDArray[np.float64]
Unsigned = NDArray[np.unsignedinteger[Any]]


_QUERIES = 8
_BLOCK = 1024  # patterns whose tokens, matches and weights stay in L2


def one_hot_attention(
    W: Floats, columns: Unsigned, first: int, z: Unsigned, weights: Floats
) -> None:
    """W (K, V, B) ← the sums at sites first … first + K - 1, for columns (L, P), queries z (B, L).

    weights (B, L + 1) holds w(m) of each query, and B is 8 or 1. A block of patterns that weighs
    nothing is passed over.
    """
    m = np.empty((len(z), _BLOCK), np.min_scalar_type(len(columns)))  # 0 … L
    _attend(W, m, columns, first, z, weights)


@jit_strict
def _attend(
    W: Floats, m: Unsigned, columns: Unsigned, first: int, z: Unsigned, weights: Floats
) -> None:
    (K, _, B), P = W.shape, columns.shape[1]
    block, w = m.shape[1], np.empty((m.shape[1], B))
    W[:] = 0
    for start in range(0, P, block):
        n = min(block, P - start)
        for b in range(B):
            _count_matches(m[b, :n], columns, start, z[b])
        if _look_up(w[:n], m, weights) == 0:
            continue
        if B == 1:
            _add_alone(W, w[:n], columns[first : first + K], start)
        else:
            _add(W, w[:n], columns[first : first + K], start)


@jit_strict
def _count_matches(m: Unsigned, columns: Unsigned, start: int, z: Unsigned) -> None:
    """m_μ = Σ_i 1[ξ_i^μ = z_i]."""
    m[:] = 0
    for i in range(z.shape[0]):
        column, shown = columns[i, start : start + m.shape[0]], z[i]
        for mu in range(m.shape[0]):
            m[mu] += column[mu] == shown


@jit_strict
def _look_up(w: Floats, m: Unsigned, weights: Floats) -> float:
    """w[μ, b] = weights[b, m[b, μ]]; return the largest."""
    largest = 0.0
    for b in range(w.shape[1]):
        matches, table = m[b], weights[b]
        for mu in range(w.shape[0]):
            w[mu, b] = table[matches[mu]]
            largest = max(largest, w[mu, b])
    return largest


@jit_strict
def _add(W: Floats, w: Floats, columns: Unsigned, start: int) -> None:
    """W[i, ξ_i^μ] += w[μ], in the order of μ; four sites each time that w[μ] is loaded."""
    K = columns.shape[0]
    for i in range(0, K - 3, 4):
        for mu in range(w.shape[0]):
            weight = load(w, mu, 0), load(w, mu, _QUERIES - lanes(w))
            _add_one(W[i], columns[i, start + mu], weight)
            _add_one(W[i + 1], columns[i + 1, start + mu], weight)
            _add_one(W[i + 2], columns[i + 2, start + mu], weight)
            _add_one(W[i + 3], columns[i + 3, start + mu], weight)
    for i in range(K - K % 4, K):
        for mu in range(w.shape[0]):
            weight = load(w, mu, 0), load(w, mu, _QUERIES - lanes(w))
            _add_one(W[i], columns[i, start + mu], weight)


@jit_strict
def _add_one(W: Floats, v: int, weight: Any) -> None:
    """Add the first and the last register of a pattern's weights, which may be one."""
    first, last = weight
    store(W, v, 0, load(W, v, 0) + first)
    if lanes(W) < _QUERIES:
        store(W, v, lanes(W), load(W, v, lanes(W)) + last)


@jit_strict
def _add_alone(W: Floats, w: Floats, columns: Unsigned, start: int) -> None:
    """Do the same for one query, whose sums are single numbers."""
    K = columns.shape[0]
    for i in range(0, K - 3, 4):
        for mu in range(w.shape[0]):
            weight = w[mu, 0]
            W[i, columns[i, start + mu], 0] += weight
            W[i + 1, columns[i + 1, start + mu], 0] += weight
            W[i + 2, columns[i + 2, start + mu], 0] += weight
            W[i + 3, columns[i + 3, start + mu], 0] += weight
    for i in range(K - K % 4, K):
        for mu in range(w.shape[0]):
            W[i, columns[i, start + mu], 0] += w[mu, 0]
