"""The one interface: the conditional of a token given the rest.

    Denoiser:  tokens (B, L), alpha (B,)  →  log-probabilities (B, L, V)
               of each clean token given the OTHER tokens

The network learns this *leave-one-out* (LOO) conditional p_i(v) = P(x0_i = v | x_t without i)
[T11], or those of masked tokens alone [T37]; for a data set [T14] and a known source [T15] it is
computed exactly. Not the posterior, P(x0_i = v | x_t): the bridge [T7] brings in z_i, the token
seen at i, itself, and with the posterior z_i would count twice. Bayes' rule puts the evidence of
z_i back, so everything else follows from the LOO conditional [T12]:

    posterior      P(x0_i = v | x_t) ∝ p_i(v) · q(z_i | v),   q(z | v) ∝ e^{β 1(v = z)},
                                                uniform process: β = log(1 + V α/(1 - α))
    score ratio    p_t(z with z_i → v) / p_t(z) = p̄(v) / p̄(z_i),   p̄ = Σ_u p_i(u) q(· | u),
                   as p_t(z) is the chance of the others times p̄(z_i); uniform: p̄ = x̄/V of [T8]
"""

from typing import Protocol

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.process import Process, given_or_uniform


class Denoiser(Protocol):
    """Anything that knows the conditional of one token given the others."""

    def __call__(self, tokens: Tokens, alpha: NDArray[np.float64], /) -> Floats:
        """Return LOO log-probabilities (B, L, V) for tokens (B, L) at alpha (B,)."""


def posterior(
    log_p: ArrayLike, xt: ArrayLike, alpha: ArrayLike, process: Process | None = None
) -> Floats:
    """Return log P(x0_i = v | x_t), shape (..., V), from LOO log-probabilities [T12].

    alpha, a number or one per sequence, must be below 1: at α = 1 there is nothing left to infer.
    A token without doubt (β = ∞) is what it shows. The process is uniform if not given.
    """
    log_p, z, a, process = _arguments(log_p, xt, alpha, process)
    beta = process.inverse_temperature(z, a)[..., None]
    shown, certain = np.arange(process.V) == z[..., None], np.isinf(beta)
    joint = log_p + np.where(shown & ~certain, beta, 0)
    joint = np.where(certain, np.where(shown, 0, -np.inf), joint)
    return np.asarray(scipy.special.log_softmax(joint, axis=-1), dtype=log_p.dtype)


def score_ratios(
    log_p: ArrayLike, xt: ArrayLike, alpha: ArrayLike, process: Process | None = None
) -> NDArray[np.float64]:
    """Return p_t(z with z_i → v) / p_t(z), shape (..., states), from LOO log-probabilities [T12].

    alpha, a number or one per sequence, must be below 1. The process is uniform if not given.
    """
    log_p, z, a, process = _arguments(log_p, xt, alpha, process)
    carried = process.propagate(np.exp(log_p.astype(np.float64)), a)
    return np.asarray(carried / np.take_along_axis(carried, z[..., None], -1))


def _arguments(
    log_p: ArrayLike, xt: ArrayLike, alpha: ArrayLike, process: Process | None
) -> tuple[Floats, Tokens, NDArray[np.float64], Process]:
    log_p = np.asarray(log_p)
    process = given_or_uniform(process, log_p.shape[-1] if log_p.ndim else 0)
    z = checks.tokens(xt, process.states, "xt")
    a = checks.alphas(alpha)
    if (a == 1).any():
        raise ValueError("without noise there is nothing to infer: alpha must lie in [0, 1), got 1")
    return checks.log_probabilities(log_p, z), z, a, process
