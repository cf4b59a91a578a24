"""The one interface: the conditional of a token given the rest.

    Denoiser:  tokens (B, L), alpha (B,)  →  log-probabilities (B, L, V)
               of each clean token given the OTHER tokens

The network learns this *leave-one-out* (LOO) conditional p_i(v) = P(x0_i = v | x_t without i)
[T11]; the data set [T14] and a known source [T15] have it exactly. What position i itself shows
is put back by Bayes' rule, so everything else follows from the LOO conditional [T12]:

    posterior      P(x0_i = v | x_t) ∝ p_i(v) · [α 1(v = z_i) + (1 - α)/V]
    score ratio    p_t(z with z_i → j) / p_t(z) = x̄_j / x̄_{z_i},   x̄_j = V α p_i(j) + 1 - α
"""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens


class Denoiser(Protocol):
    """Anything that knows the conditional of one token given the others."""

    def __call__(self, tokens: Tokens, alpha: NDArray[np.float64], /) -> Floats:
        """Return LOO log-probabilities (B, L, V) for tokens (B, L) at alpha (B,)."""


def posterior(log_p: ArrayLike, xt: ArrayLike, alpha: ArrayLike) -> Floats:
    """Return log P(x0_i = v | x_t), shape (..., V), from LOO log-probabilities [T12].

    alpha, a number or one per sequence, must be below 1: at α = 1 there is nothing left to infer.
    """
    z, log_p, a = _arguments(log_p, xt, alpha)
    V = log_p.shape[-1]
    seen = np.arange(V) == z[..., None]
    joint = log_p + np.where(seen, np.log(a + (1 - a) / V), np.log((1 - a) / V))
    joint -= joint.max(axis=-1, keepdims=True)
    joint -= np.log(np.exp(joint).sum(axis=-1, keepdims=True))
    return np.asarray(joint, dtype=log_p.dtype)


def score_ratios(log_p: ArrayLike, xt: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
    """Return p_t(z with z_i → j) / p_t(z), shape (..., V), from LOO log-probabilities [T12].

    alpha, a number or one per sequence, must be below 1.
    """
    z, log_p, a = _arguments(log_p, xt, alpha)
    x_bar = log_p.shape[-1] * a * np.exp(log_p.astype(np.float64)) + 1 - a
    return np.asarray(x_bar / np.take_along_axis(x_bar, z[..., None], -1))


def _arguments(
    log_p: ArrayLike, xt: ArrayLike, alpha: ArrayLike
) -> tuple[Tokens, Floats, NDArray[np.float64]]:
    log_p = np.asarray(log_p)
    z = checks.tokens(xt, checks.vocabulary(log_p.shape[-1] if log_p.ndim else 0), "xt")
    a = checks.against(checks.alphas(alpha), z)[..., None]
    if (a == 1).any():
        raise ValueError("without noise there is nothing to infer: alpha must lie in [0, 1), got 1")
    return z, checks.log_probabilities(log_p, z), a
