"""Draws from the laws of `transition`: one uniform a token, in compiled loops.

A bridge is a mixture of three components with weights, in this order, "stay", "clean" and "noise"
[T7]. The uniform u chooses a point on their sum; the component it falls into is the one that is
drawn from, and how far it reaches into it selects the value. So a draw reads the conditional p
only where the value comes from p, and then only up to that value.

Randomness comes in as a `numpy.random.Generator` or as uniforms; the compiled loops see the
uniforms only, and check nothing.
"""

import math

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.machine.jit import jit_strict


def corrupt(x0: ArrayLike, alpha: ArrayLike, V: int, rng: Generator) -> Tokens:
    """Return x_t ~ q(x_t | x_0) [T5] for tokens x0 (B, L) and alpha () or (B,).

    With one set of uniforms the tokens that are kept at a small α are kept at every larger one.
    """
    V = checks.vocabulary(V)
    x = checks.tokens(x0, V, "x0", ndim=2)
    out = np.empty_like(x)
    _corrupt(out, x, checks.alphas(alpha, len(x)), V, checks.generator(rng).random(x.shape))
    return out


def sample_bridge(
    xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike, rng: Generator
) -> Tokens:
    """Return x_s ~ q(x_s | x_t, p) [T7] for tokens xt (B, L) and log p (B, L, V), s ≤ t.

    The same law as `bridge`, drawn without forming it.
    """
    given = _bridge_arguments(xt, log_p, alpha_s, alpha_t)
    out = np.empty_like(given[0])
    _sample_bridge(out, *given, checks.generator(rng).random(out.shape))
    return out


def bridge_quantile(
    xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike, u: ArrayLike
) -> Tokens:
    """Return the tokens (B, L) that uniforms u (B, L) in [0, 1) select from q(x_s | x_t, p) [T7].

    All the chance of a draw is in u, so that parts of a batch can be drawn in any order. Raises
    `ValueError` for another shape, and for numbers outside [0, 1).
    """
    given = _bridge_arguments(xt, log_p, alpha_s, alpha_t)
    out = np.empty_like(given[0])
    _sample_bridge(out, *given, checks.uniforms(u, out.shape))
    return out


def mode_of_bridge(
    xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
) -> Tokens:
    """Return argmax of q(x_s | x_t, p) [T7], shape (B, L); a tie keeps the present token."""
    given = _bridge_arguments(xt, log_p, alpha_s, alpha_t)
    out = np.empty_like(given[0])
    _mode_of_bridge(out, *given)
    return out


def _bridge_arguments(
    xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
) -> tuple[Tokens, Floats, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    log_p = np.asarray(log_p)
    z = checks.tokens(xt, checks.vocabulary(log_p.shape[-1] if log_p.ndim else 0), "xt", ndim=2)
    a_s, a_t, a_ts = checks.two_alphas(alpha_s, alpha_t)
    return (
        z,
        checks.log_probabilities(log_p, z),
        checks.alphas(a_s, len(z)),
        checks.alphas(a_t, len(z)),
        checks.alphas(a_ts, len(z)),
    )


@jit_strict
def _corrupt(
    xt: Tokens, x0: Tokens, alpha: NDArray[np.float64], V: int, u: NDArray[np.float64]
) -> None:
    """u < α keeps a token; else u's remainder, uniform again, is the new value [T5]."""
    for b in range(x0.shape[0]):
        for i in range(x0.shape[1]):
            if u[b, i] < alpha[b]:
                xt[b, i] = x0[b, i]
            else:
                xt[b, i] = min(V - 1, int((u[b, i] - alpha[b]) / (1 - alpha[b]) * V))


@jit_strict
def _sample_bridge(
    xs: Tokens,
    z: Tokens,
    log_p: Floats,
    alpha_s: NDArray[np.float64],
    alpha_t: NDArray[np.float64],
    alpha_ts: NDArray[np.float64],
    u: NDArray[np.float64],
) -> None:
    """x_s ~ q(x_s | z, p) [T7]; of p only the values up to the drawn one are read."""
    V = log_p.shape[2]
    for b in range(z.shape[0]):
        clean = alpha_s[b] - alpha_t[b]
        noise = (1 - alpha_ts[b]) * (1 - alpha_s[b])
        for i in range(z.shape[1]):
            p_z = math.exp(log_p[b, i, z[b, i]])
            stay = V * alpha_t[b] * p_z + alpha_ts[b] - alpha_t[b]
            rest = u[b, i] * (stay + clean + noise) - stay
            value = z[b, i]
            if rest >= clean and noise > 0:
                value = min(V - 1, int((rest - clean) / noise * V))
            elif rest >= 0 and clean > 0:
                rest /= clean
                for v in range(V):  # inverse of the cumulative sum of p
                    p_v = math.exp(log_p[b, i, v])
                    if p_v > 0:
                        value = v
                    rest -= p_v
                    if rest < 0:
                        break
            xs[b, i] = value


@jit_strict
def _mode_of_bridge(
    xs: Tokens,
    z: Tokens,
    log_p: Floats,
    alpha_s: NDArray[np.float64],
    alpha_t: NDArray[np.float64],
    alpha_ts: NDArray[np.float64],
) -> None:
    """x_s ← argmax q(x_s | z, p) [T7]; a tie keeps z, and of others takes the first."""
    V = log_p.shape[2]
    for b in range(z.shape[0]):
        clean = alpha_s[b] - alpha_t[b]  # the uniform component adds as much to every value
        for i in range(z.shape[1]):
            best = z[b, i]
            p_z = math.exp(log_p[b, i, best])
            peak = V * alpha_t[b] * p_z + alpha_ts[b] - alpha_t[b] + clean * p_z
            for v in range(V):
                weight = clean * math.exp(log_p[b, i, v])
                if v != z[b, i] and weight > peak:
                    best, peak = v, weight
            xs[b, i] = best
