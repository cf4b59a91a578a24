"""Draws from the laws of `transition`, compiled: one token after the other, one uniform a token.

A bridge is a mixture of three components with weights, in this order, "stay", "clean" and "noise"
[T7]. The uniform u chooses a point on their sum; the component it falls into is the one that is
drawn from, and how far it reaches into it selects the value. So a draw reads the conditional p
only where the value comes from p, and then only up to that value.

Uniforms come in from outside: nothing here owns a generator. Nothing here checks anything either;
`transition` has the public functions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Floats, Tokens
from minuddm.machine.jit import jit_strict


@jit_strict
def corrupt(
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
def sample_bridge(
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
def mode_of_bridge(
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
