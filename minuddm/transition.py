"""The Markov kernel of uniform-state diffusion: forwards, backwards, and what it tells of x_0.

At random times a token is resampled uniformly from the V values. The chance that it is not, between
times s < t, is α_ts = α_t / α_s. With q(z | v) the chance of x_t = z given x_0 = v,

    [T1]  Q_{t|s} = α_ts I + (1 - α_ts)/V · 11ᵀ             `transition` (dense), `propagate` (O(V))
          q(· | x_0), row x_0 of Q_{t|0}                    `marginal`
    [T4]  R_t = -α'/α · (11ᵀ/V - I), the generator          `rate` returns 11ᵀ/V - I
    [T5]  keep x_0 with chance α_t, else draw a value       `corrupt`
    [T14] β_t = log(q(z | z) / q(z | v)), v ≠ z             `inverse_temperature`: what z tells

The way back is the bridge [T7]: the law of the earlier token x_s given x_t = z, if the clean value
has the law p before z is seen. By Bayes' rule it is, up to a factor, where the token was, times the
chance to go on from there to z:

    [α_s p(v) + (1 - α_s)/V] · [α_ts 1(v = z) + (1 - α_ts)/V]

Multiplied out, with α_s α_ts = α_t, that is a mixture of three laws, with weights to be divided by
their sum, V α_t p(z) + 1 - α_t:

    stay at z               V α_t p(z) + α_ts - α_t
    the clean value, ~ p    α_s - α_t
    a uniform value         (1 - α_ts)(1 - α_s)

`minuddm.draws` samples from this mixture; its functions are re-exported here. Functions take alphas
and never a schedule; an alpha is one number, or one per sequence (the leading axis of the tokens).
The class `minuddm.process.Uniform` collects them.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.draws import bridge_quantile, corrupt, mode_of_bridge, sample_bridge

__all__ = [
    "bridge", "bridge_quantile", "corrupt", "inverse_temperature", "marginal", "mode_of_bridge",
    "propagate", "rate", "sample_bridge", "transition",
]  # fmt: skip


def transition(alpha_ts: float, V: int) -> NDArray[np.float64]:
    """Return the dense kernel Q_{t|s} (V, V) of [T1]; row x_s, column x_t, rows sum to one."""
    V = checks.vocabulary(V)
    alpha = float(checks.alphas(alpha_ts, name="alpha_ts"))
    return np.asarray(alpha * np.eye(V) + (1 - alpha) / V)


def rate(V: int) -> NDArray[np.float64]:
    """Return the generator (V, V) in units of -α'/α [T4]; rows sum to zero."""
    V = checks.vocabulary(V)
    return np.full((V, V), 1 / V) - np.eye(V)


def propagate(p: ArrayLike, alpha_ts: ArrayLike) -> NDArray[np.float64]:
    """Return p Q_{t|s} for distributions p (..., V) in O(V): the structured view of [T1].

    `alpha_ts` is a number or one per leading index of p.
    """
    p = np.asarray(p, dtype=np.float64)
    checks.vocabulary(p.shape[-1] if p.ndim else 0)
    alpha = checks.against(checks.alphas(alpha_ts, name="alpha_ts"), p[..., 0])[..., None]
    return np.asarray(alpha * p + (1 - alpha) * p.mean(axis=-1, keepdims=True))


def marginal(x0: ArrayLike, alpha: ArrayLike, V: int) -> NDArray[np.float64]:
    """Return the distribution (..., V) of x_t given the tokens x0 (...) [T1]."""
    V = checks.vocabulary(V)
    x = checks.tokens(x0, V, "x0")
    a = checks.against(checks.alphas(alpha), x)[..., None]
    return np.where(np.arange(V) == x[..., None], a, 0.0) + (1 - a) / V


def inverse_temperature(alpha: ArrayLike, V: int) -> NDArray[np.float64]:
    """Return β = log(1 + V α / (1 - α)) [T14]: log-likelihood of the value seen over any other.

    Zero at α = 0 (pure noise), infinite at α = 1.
    """
    V = checks.vocabulary(V)
    a = checks.alphas(alpha)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(V * a / (1 - a)))


def bridge(
    xt: ArrayLike, p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
) -> NDArray[np.float64]:
    """Return q(x_s | x_t, p) of shape (..., V) [T7], for tokens xt (...) and p (..., V), s ≤ t.

    For p one-hot at x_0 it is the true bridge. Where x_t is impossible under p (α_t = 1, p(z) = 0)
    the token stays. Raises `ValueError` for s > t (alpha_s < alpha_t) and for p that is no
    distribution.
    """
    p = np.asarray(p, dtype=np.float64)
    z = checks.tokens(xt, checks.vocabulary(p.shape[-1] if p.ndim else 0), "xt")
    p = checks.distributions(p, z)
    V, p_z = p.shape[-1], np.take_along_axis(p, z[..., None], -1)
    a_s, a_t, a_ts = (checks.against(a, z)[..., None] for a in checks.two_alphas(alpha_s, alpha_t))
    stay = V * a_t * p_z + a_ts - a_t
    clean, noise = a_s - a_t, (1 - a_ts) * (1 - a_s)
    stay = np.where(stay + clean + noise == 0, 1.0, stay)
    q = np.where(np.arange(V) == z[..., None], stay, 0.0) + clean * p + noise / V
    return np.asarray(q / (stay + clean + noise))
