"""Sums over patterns by their matches with a state, in logarithms [T14].

    log W_iv = log Σ_μ e^{-β d_μ} 1[ξ_i^μ = v],    d_μ = L - m_μ the misses of pattern ξ^μ
    log p_i(v) = log W_iv - β 1[v = z_i] - log Σ_v …

Misses are integers, so the weights are a table. A float64 spans 1,394 nats, from 2⁻¹⁰²² to 2⁹⁹⁰,
above which there is room for 2³³ patterns. The table begins at 2⁹⁹⁰; where βL nats do not fit, it
is cut into *bands* of levels that do, each is summed by itself, and a sum of logarithms puts them
together. Nothing under- or overflows, and what no pattern has gets log 0 = -∞.

At b = 37 + log P the patterns of fewest misses outweigh all others by 2⁵³. For β > b, up to β = ∞
which is α = 1, the sums at b say how many these are and what they miss; W at β follows.

Where the tokens of a state are not equally certain, a token of β_i = 0 (a masked one) is one that
no pattern matches, which is all that the table above needs. If there are two β > 0 in one state,
Σ_i β_i 1[ξ_i^μ = z_i] takes the place of β m_μ, which is no integer: NumPy sums it, slowly.
"""

import contextlib
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Tokens
from minuddm.machine.jit import COMPILES
from minuddm.machine.shards import run_on

Array = NDArray[np.float64]
Columns = NDArray[np.unsignedinteger[Any]]
Sums = Callable[[Array, Columns, int, Columns, Array], None]

QUERIES = 8
"""Queries at a time: a register of float64, or two."""
_IN_CACHE = 2**22 // (8 * QUERIES)  # sums (i, v) at a time
_TOP, _NATS = 990, 1390.0  # the largest weight is 2^_TOP, the smallest is e^-_NATS of it
_LOG2 = float(np.log(2))


def log_conditionals(log_p: Array, z: Tokens, beta: Array, columns: Columns, threads: int) -> None:
    """States z (B, L) at β (B, L) and patterns as columns (L, P) → log p (B, L, V).

    A token of z that no pattern can have matches nowhere.
    """
    shown, level = np.where(beta > 0, z, log_p.shape[2]), beta.max(axis=1)
    answer = partial(_answer, log_p, shown, level, columns)
    with ThreadPoolExecutor(threads) if threads > 1 else contextlib.nullcontext() as pool:
        run_on(pool, answer, range(0, len(z), QUERIES))
    for row in np.flatnonzero(((beta > 0) & (beta < level[:, None])).any(axis=1)):
        _answer_by_scores(log_p[row], z[row], beta[row], columns)


def _answer_by_scores(out: Array, z: Tokens, beta: Array, columns: Columns) -> None:
    """Write log p (L, V) of one state z (L,) at any β (L,), each sum relative to its largest."""
    V, score = out.shape[1], beta @ (columns == z[:, None])
    for i, values in enumerate(columns):
        top = np.full(V, -np.inf)
        np.maximum.at(top, values, score)
        total = np.bincount(values, np.exp(score - top[values]), V)
        with np.errstate(divide="ignore"):
            log_w = top + np.log(total)
        if beta[i] > 0:
            log_w[z[i]] -= beta[i]  # leave the site itself out
        out[i] = log_w - np.logaddexp.reduce(log_w)


def _answer(log_p: Array, z: Tokens, beta: Array, columns: Columns, start: int) -> None:
    """Write log p of eight states from `start`. Two to seven are filled up with the last."""
    out, (L, V) = log_p[start : start + QUERIES], log_p.shape[1:]
    count = QUERIES if len(out) > 1 else 1
    rows = np.minimum(np.arange(start, start + count), len(z) - 1)
    shown, b = z[rows].astype(columns.dtype), beta[rows]
    step = max(4, _IN_CACHE // V)
    for first in range(0, L, step):
        here = slice(first, min(first + step, L))
        log_w = log_sums(columns, V, here, shown, b)
        query, site = np.nonzero(shown[:, here] < V)
        log_w[query, site, shown[query, first + site]] -= b[query]  # leave the site itself out
        log_w -= log_w.max(axis=2, keepdims=True)
        log_w -= np.log(np.exp(log_w).sum(axis=2, keepdims=True))
        out[:, here] = log_w[: len(out)]


def log_sums(columns: Columns, V: int, sites: slice, z: Columns, beta: Array) -> Array:
    """Return log W (B, K, V) at K sites, less a constant of each query and site.

    columns (L, P) are the patterns, z (B, L) and beta (B,) the queries, `QUERIES` of them or one.
    The largest of a site is near 0, and right to the last bit.
    """
    (L, P), K = columns.shape, sites.stop - sites.start
    b = np.minimum(beta, 37 + np.log(P))
    bands, depth = _bands(b, L)
    W = np.empty((K, V, len(z)))
    for k, weights in enumerate(bands):
        _sums()(W, columns, sites.start, z, weights)
        log_band, height = _logarithms(np.ascontiguousarray(np.moveaxis(W, -1, 0)))
        height -= _TOP * _LOG2 + k * depth[:, None, None]
        if k == 0:
            log_w, top = log_band, height
        else:
            np.copyto(top, height, where=np.isneginf(top))  # of the first band with a pattern
            log_band += np.subtract(height, top, out=np.zeros_like(top), where=height > -np.inf)
            np.logaddexp(log_w, log_band, out=log_w)
    for q in np.flatnonzero(beta > b):
        _cool(log_w[q], top[q], b[q], beta[q])
    return log_w


def _bands(b: Array, L: int) -> tuple[Array, Array]:
    """Return weights (bands, B, L + 1) of 0 … L matches at inverse temperatures b (B,), and depths.

    A band's weights are 2^_TOP e^{-b k} for the levels k that it has, and 0 for others. Its depth
    (B,), b times the number of its levels, is how far it lies below the band before.
    """
    levels = 1 + np.floor(_NATS / np.maximum(b, _NATS / (L + 1)))
    band, k = np.divmod(np.arange(L, -1, -1), levels[:, None])
    root = np.exp(-0.5 * b[:, None] * k) * 2.0 ** (_TOP // 2)
    count = 1 + int(band.max())
    return np.stack([np.where(band == n, root**2, 0) for n in range(count)]), b * levels


def _logarithms(W: Array) -> tuple[Array, Array]:
    """Return log W (B, K, V) less that of the largest of its site, and that, (B, K, 1).

    Near the largest they are right to the last bit, however small W is.
    """
    largest = W.max(axis=2, keepdims=True)
    ratio = W / np.where(largest > 0, largest, 1)
    with np.errstate(divide="ignore"):
        log_w, top = np.log(ratio), np.log(largest)
    lost = (ratio < 2.0**-1000) & (W > 0)  # too small a ratio, though not too small a sum
    if lost.any():
        log_w[lost] = np.log(W[lost]) - np.broadcast_to(top, W.shape)[lost]
    return log_w, top


def _cool(log_w: Array, top: Array, b: float, beta: float) -> None:
    """Take log-sums (K, V) from b to beta > b, in place: only the fewest misses of each count.

    -(log_w + top) is b times their number, less the log of how many patterns there are, < b.
    """
    misses = np.ceil(-(log_w + top) / b - 1e-6)
    log_w -= (beta - b) * (misses - misses.min(axis=1, keepdims=True))


def sums_over_patterns(W: Array, columns: Columns, first: int, z: Columns, weights: Array) -> None:
    """W (K, V, B) ← Σ_μ w(m_μ) 1[ξ_i^μ = v] at the K sites from `first`: the definition.

    columns (L, P) are the patterns, z (B, L) the queries, weights (B, L + 1) w at 0 … L matches.
    """
    for b in range(len(z)):
        m = (columns == z[b][:, None]).sum(axis=0)
        for k in range(len(W)):
            W[k, :, b] = np.bincount(columns[first + k], weights[b, m], W.shape[1])


@cache
def _sums() -> Sums:
    """Return the compiled sums; where they cannot be compiled, warn once and return NumPy's."""
    try:
        from minuddm.machine.one_hot_attention import one_hot_attention

        if not COMPILES:
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        token = np.zeros((1, 1), np.uint8), 0, np.zeros((QUERIES, 1), np.uint8)
        one_hot_attention(np.empty((1, 2, QUERIES)), *token, np.ones((QUERIES, 2)))
    except Exception as error:
        warnings.warn(
            "the sums of the ideal memoriser cannot be compiled here, NumPy computes instead, many "
            f"times slower ({type(error).__name__}: {error})",
            RuntimeWarning,
            stacklevel=2,
        )
        return sums_over_patterns
    return one_hot_attention
