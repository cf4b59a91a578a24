"""The laws of a Markov kernel that corrupts tokens, there and back [T1]-[T9].

A token has V clean values and shows one of `states` ≥ V, of which the first V are the clean ones;
α is the chance that it was never replaced, and α_ts = α_t / α_s. With Q(α) = `kernel(α)`, π its row
at α = 0, which everything is forgotten into, and p a law of the clean token before z = x_t is seen,

    Q(1) = I,   Q(α) Q(β) = Q(αβ),   π Q(α) = π,   Q(α) = e^{-R log α}
    q(x_s = y | x_t = z, p) = (p Q(α_s))_y Q(α_ts)_yz / (p Q(α_t))_z                      bridge
    ℓ = -α'/α Σ_{y≠z} [w⁰_y log(w⁰_y / w_y) - w⁰_y + w_y],  w_y = R_yz (p Q)_y / (p Q)_z   bound

the last with w⁰ that of p one-hot at the truth: KL(bridge of the truth ‖ bridge of p) per unit of
time. A subject has the attribute V, `states` if it is not V, and of these methods any number; a law
is asked where it has those that the law needs. Tokens are whole numbers, x0 and xt of (B, L), laws
p (..., V), alphas one number or one per sequence (B,); answers are anything `np.asarray` takes.

    kernel(alpha_ts)                    (states, states), row x_s, column x_t; one number
    rate()                              (states, states), the generator R
    propagate(p, alpha_ts)              (..., states), for laws p (..., V) or (..., states)
    marginal(x0, alpha)                 (B, L, states)
    corrupt(x0, alpha, rng)             x_t (B, L)
    change(x0, rng)                     x_t (B, L), given that x_t ≠ x_0
    noise(shape, rng)                   tokens of a shape, as at α = 0
    prior(alpha)                        KL(q(x_t | x_0) ‖ π)
    inverse_temperature(xt, alpha)      β (B, L): log q(x_t = z | v) for v = z less any other v's
    bridge(xt, p, alpha_s, alpha_t)     (B, L, states), p (B, L, V); for p(xt) = 0 nothing is asked
    bridge_quantile(xt, log_p, alpha_s, alpha_t, u)     x_s (B, L) that uniforms (B, L) select
    mode_of_bridge(xt, log_p, alpha_s, alpha_t)         the most likely x_s (B, L)
    nelbo(log_p, x0, xt, alpha, dalpha)                 ℓ (B, L), for log p (B, L, V)
    nelbo_grad(logits, x0, xt, alpha, dalpha)           ℓ (B, L), and its gradient (B, L, V)

`reversible = True` claims detailed balance. Tolerances follow the dtype of the answers: a sum of
products of numbers in [0, 1] is right to a few ulps, and divided by a chance, to that over it.
"""

from typing import Any

import numpy as np

from minuddm.laws.law import Array, Strategy, alphas, distributions, holds, law, rounding, same


def states(process: Any) -> int:
    """Return the number of values that a token may show."""
    return int(getattr(process, "states", process.V))


def clean_laws(process: Any) -> Strategy:
    """Return the laws (V,) of a clean token."""
    return distributions(process.V)


def even_laws(process: Any) -> Strategy:
    """Return the laws (V,) of a clean token whose chances differ by no more than a factor 20."""
    return distributions(process.V, least=1, most=1)


def shown_laws(process: Any) -> Strategy:
    """Return the laws (states,) of a token at any time."""
    return distributions(states(process))


def kernel_of(process: Any, alpha: float) -> Array:
    """Return Q(α) as the process answers it."""
    return np.asarray(process.kernel(alpha))


# ---- the kernel ----------------------------------------------------------------------------------


@law("[T1]", "kernel", alpha=alphas)
def rows(process: Any, alpha: float) -> None:
    """Q ≥ 0 and Q 1 = 1: rows are distributions over the states."""
    Q, n = kernel_of(process, alpha), states(process)
    holds(Q.shape == (n, n), f"the shape {(n, n)} of the kernel (it is {Q.shape})")
    holds(Q.dtype.kind == "f", f"a floating dtype of the kernel (it is {Q.dtype})")
    holds(-rounding(1, Q) <= Q, "Q ≥ 0")
    same(Q.sum(axis=1), np.ones(n), rounding(n, Q), "the sum of row")


@law("[T1]", "kernel")
def no_time(process: Any) -> None:
    """Q(1) = I: where no time passes nothing changes."""
    Q = kernel_of(process, 1.0)
    same(Q, np.eye(states(process)), rounding(1, Q), "Q(1)")


@law("[T2]", "kernel", a=alphas, b=alphas)
def chapman_kolmogorov(process: Any, a: float, b: float) -> None:
    """Q(α) Q(β) = Q(αβ): waiting twice is waiting once."""
    one, two, both = (kernel_of(process, alpha) for alpha in (a, b, a * b))
    same(one @ two, both, rounding(states(process), one, two), "Q(α) Q(β)")


@law("[T3]", "kernel")
def forgetting(process: Any) -> None:
    """Q(0) = 1 πᵀ: in the end everything is forgotten into one law."""
    Q = kernel_of(process, 0.0)
    same(Q, np.tile(Q[0], (len(Q), 1)), rounding(1, Q), "Q(0)")


@law("[T3]", "kernel", alpha=alphas)
def stationarity(process: Any, alpha: float) -> None:
    """π Q(α) = π: what has forgotten stays so."""
    Q, rest = kernel_of(process, alpha), kernel_of(process, 0.0)[0]
    same(rest @ Q, rest, rounding(len(Q), Q), "π Q")


@law("[T3]", "kernel", "reversible", alpha=alphas)
def reversibility(process: Any, alpha: float) -> None:
    """π_x Q_xy = π_y Q_yx: detailed balance."""
    Q = kernel_of(process, alpha)
    flow = kernel_of(process, 0.0)[0][:, None] * Q
    same(flow, flow.T, rounding(1, Q), "the flow π_x Q_xy")


@law("[T4]", "kernel rate", alpha=alphas.filter(lambda alpha: alpha > 0))
def generator(process: Any, alpha: float) -> None:
    """R 1 = 0, R_xy ≥ 0 for x ≠ y, and Q(α) = exp(-R log α)."""
    from scipy.linalg import expm

    R, Q, time = np.asarray(process.rate()), kernel_of(process, alpha), -np.log(alpha)
    n = len(Q)
    same(R.sum(axis=1), np.zeros(n), rounding(n, R), "the sum of row of R")
    holds((R >= 0) | np.eye(n, dtype=bool), "R_xy ≥ 0")
    same(Q, expm(time * R.astype(np.float64)), rounding(n, R, Q) * (1 + time), "Q(α)")


@law("[T1]", "kernel propagate", p=clean_laws, later=shown_laws, alpha=alphas)
def propagation(process: Any, p: Array, later: Array, alpha: float) -> None:
    """`propagate(p, α)` is p Q(α), for laws of clean and of shown tokens."""
    Q = kernel_of(process, alpha)
    for start in (p, later):
        got = np.asarray(process.propagate(start.copy(), alpha))
        same(got, start @ Q[: len(start)], rounding(len(Q), Q, got), "p Q")


@law("[T1]", "kernel marginal", a=alphas, b=alphas)
def marginals(process: Any, a: float, b: float) -> None:
    """`marginal(x0, α)` is the row x0 of Q(α), for one alpha a sequence and for one number."""
    V, x0 = process.V, np.tile(np.arange(process.V), (2, 1))
    Q = np.stack([kernel_of(process, alpha)[:V] for alpha in (a, b)])
    got = np.asarray(process.marginal(x0, np.array([a, b])))
    same(got, Q, rounding(1, Q, got), "of sequences (0, 1), the marginal")
    same(process.marginal(x0[:1], a), Q[:1], rounding(1, Q, got), "the marginal")


# ---- evidence and the ends -----------------------------------------------------------------------


@law("[T14]", "kernel inverse_temperature", alpha=alphas)
def evidence(process: Any, alpha: float) -> None:
    """`inverse_temperature` is β with q(x_t = z | x_0 = v) ∝ e^{β 1[v = z]}, ∞ beyond all doubt."""
    Q, V = kernel_of(process, alpha)[: process.V], process.V
    z = np.flatnonzero(Q.sum(axis=0) > 1e-8)
    beta = np.asarray(process.inverse_temperature(z[None].copy(), alpha))
    holds(beta.shape == (1, len(z)), f"the shape {(1, len(z))} of β (it is {beta.shape})")
    weight = np.where(np.arange(V)[:, None] == z, 1.0, np.exp(-beta.astype(np.float64)))
    total = Q[:, z].sum(axis=0)
    with np.errstate(invalid="ignore"):
        got = weight / weight.sum(axis=0)
    same(got, Q[:, z] / total, rounding(V, Q, beta) / total, f"of z in {z.tolist()}, q(z | v)")


@law("[T9]", "kernel prior", alpha=alphas)
def prior_cost(process: Any, alpha: float) -> None:
    """`prior(α)` is KL(q(x_t | x_0) ‖ π) of every clean value for which that is finite."""
    from scipy.special import rel_entr

    Q, rest = kernel_of(process, alpha)[: process.V], kernel_of(process, 0.0)[0]
    for row in Q:
        wanted = rel_entr(row.astype(np.float64), rest.astype(np.float64)).sum()
        if np.isfinite(wanted):
            # d(q log q/π) = (1 + log q/π) dq, of terms no larger than log of the smallest π
            slope = 1 - np.log(rest[rest > 0].min())
            same(process.prior(alpha), wanted, rounding(len(rest), Q) * slope, "the prior's cost")
