"""Conditional entropy H_i = -Σ_v p_i log p_i of one token given the others [T28], in nats.

There are two conditionals, not to be confused [T13]: leave-one-out, given the other tokens alone,
and posterior, given the token at i as well. Near t = 0 the posterior's entropy vanishes for *any*
data, because the token shown is almost surely the clean one. The leave-one-out entropy vanishes
where the other tokens determine this one, as for a model that remembers the whole sequence, and
stays positive for one that knows only the language. It is the entropy of a denoiser's law at one
state, whose other tokens are as noisy as α says. Its mean over states is what information theory
calls H(x0_i | x_t without i), if the denoiser is exact.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.denoiser import Denoiser, posterior
from minuddm.process import Process, given_or_uniform

_BATCH = 256
_BLOCK = 2**17  # log-probabilities that are widened to float64 at a time


class ConditionalEntropy(NamedTuple):
    """Entropies (N, L), in nats per token: leave-one-out and posterior."""

    loo: NDArray[np.float64]
    posterior: NDArray[np.float64]


def entropy(log_p: ArrayLike) -> NDArray[np.float64]:
    """Return -Σ p log p over the last axis, in nats, with 0 log 0 = 0.

    In float64, some laws at a time: beside a large table of them nothing of its size is held.
    """
    laws = np.asarray(log_p)
    if laws.size and laws.max() > checks.ROUNDING:
        raise ValueError(f"log_p must hold log-probabilities, at most 0, got {laws.max():g}")
    rows = laws.reshape(-1, laws.shape[-1]) if laws.size else np.empty((0, 1))
    out, block = np.zeros(laws.shape[:-1]), max(1, _BLOCK // rows.shape[-1])
    for start in range(0, len(rows), block):
        part = np.asarray(rows[start : start + block], dtype=np.float64)
        p = np.exp(part)
        out.reshape(-1)[start : start + block] = -(p * np.where(p > 0, part, 0.0)).sum(axis=-1)
    return out


def divergence(log_p: ArrayLike, log_q: ArrayLike) -> NDArray[np.float64]:
    """Return KL(p ‖ q) = Σ p (log p - log q) over the last axis, in nats, with 0 log 0 = 0."""
    log_p, log_q = (np.asarray(x, dtype=np.float64) for x in (log_p, log_q))
    p = np.exp(log_p)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(p > 0, p * (log_p - log_q), 0.0).sum(axis=-1))


def conditional_entropy(
    denoiser: Denoiser,
    tokens: ArrayLike,
    alpha: float,
    batch: int = _BATCH,
    process: Process | None = None,
) -> ConditionalEntropy:
    """Return both entropies of every token of the sequences (N, L) at one alpha in [0, 1).

    The process, uniform if not given, is that which corrupts tokens. The posterior needs it, and so
    does leave-one-out where a denoiser knows of masked tokens alone (`leave_one_out`: L + 1 calls).
    """
    x = checks.tokens(tokens, 2**31 - 1, "tokens", ndim=2)
    loo, after = np.empty(x.shape), np.empty(x.shape)
    for start in range(0, len(x), checks.count(batch, "batch")):
        part = slice(start, start + batch)
        asked = x[part], np.full(len(x[part]), alpha)
        log_p = denoiser(*asked) if process is None else process.leave_one_out(denoiser, *asked)
        loo[part] = entropy(log_p)
        after[part] = entropy(posterior(log_p, x[part], alpha, process))
    return ConditionalEntropy(loo, after)


def leave_one_out_entropy(
    denoiser: Denoiser,
    tokens: ArrayLike,
    V: int,
    alpha: float,
    batch: int = _BATCH,
    process: Process | None = None,
) -> NDArray[np.float64]:
    """Return the leave-one-out entropies alone, (N, L), at one alpha in [0, 1].

    In a quarter of the memory: nothing but the denoiser's answers is of size (batch, L, V).
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    x = checks.tokens(tokens, process.states, "tokens", ndim=2)
    loo = np.empty(x.shape)
    for start in range(0, len(x), checks.count(batch, "batch")):
        part = x[start : start + batch]
        log_p = process.leave_one_out(denoiser, part, np.full(len(part), alpha))
        loo[start : start + batch] = entropy(log_p)
    return loo
