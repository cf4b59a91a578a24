"""The laws of the bound: its integrand ℓ and its gradient [T8], for the subjects of `kernels`.

The integrand is the rate at which the bridge of a law p departs from the bridge of the truth x0,

    ℓ = lim_{s → t} KL(q(x_s | z, x0) ‖ q(x_s | z, p)) / (t - s)

On the way back z jumps to y with the chance w_y = R_yz (p Q)_y / (p Q)_z per unit of -log α; with
w⁰ that of p one-hot at x0, the limit is ℓ = -α'/α Σ_{y≠z} [w⁰_y log(w⁰_y / w_y) - w⁰_y + w_y].
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.special import rel_entr

from minuddm.laws.kernels import even_laws, kernel_of, states
from minuddm.laws.law import Array, Strategy, distributions, holds, law, rounding, same, seeds, ulp

inner_alphas = st.sampled_from([0.5, 1e-3, 1 - 1e-3]) | st.floats(1e-4, 1 - 1e-4)
middle_alphas = st.sampled_from([0.5, 0.1, 0.9]) | st.floats(0.1, 0.9)
_DERIVATIVES = 1000.0
"""What third derivatives in α ∈ [.1, .9] of laws above 1/60 may be, in units of the function: a
few α⁻¹ (1 - α)⁻²."""


def positive_laws(process: Any) -> Strategy:
    """Return the laws (V,) of a clean token that exclude no value."""
    return distributions(process.V, least=1)


def _pairs(process: Any, alpha: float) -> tuple[Array, Array]:
    """Return all x0 (n,) and z (n,) with q(z | x0) > 0."""
    x0, z = np.nonzero(kernel_of(process, alpha)[: process.V] > 1e-8)
    return x0, z


@law(
    "[T8]",
    "kernel rate nelbo",
    p=positive_laws,
    alpha=inner_alphas,
    dalpha=st.sampled_from([-1.0, -0.5, -3.0]),
)
def bound(process: Any, p: Array, alpha: float, dalpha: float) -> None:
    """ℓ = -α'/α Σ_{y≠z} [w⁰ log(w⁰/w) - w⁰ + w], with w_y = R_yz (p Q)_y / (p Q)_z."""
    Q, R = kernel_of(process, alpha)[: process.V], np.asarray(process.rate())
    x0, z = _pairs(process, alpha)
    log_p = np.tile(np.log(p), (1, len(z), 1))
    got = np.asarray(process.nelbo(log_p, x0[None], z[None], alpha, dalpha))
    holds(got.shape == (1, len(z)), f"the shape {(1, len(z))} of the bound (it is {got.shape})")
    rows = np.arange(len(z))
    jumps = R[:, z].T.astype(np.float64)
    jumps[rows, z] = 0
    first, mixed = Q[x0].astype(np.float64), np.tile(p @ Q, (len(z), 1))
    true, plug = (jumps * q / q[rows, z][:, None] for q in (first, mixed))
    terms = rel_entr(true, plug) - true + plug
    # the chances that are divided by are known to the rounding of 1
    used = (jumps > 0) | (np.arange(len(R)) == z[:, None])
    smallest = np.min([np.where(used & (q > 0), q, 1).min(axis=1) for q in (first, mixed)], axis=0)
    size = (np.abs(rel_entr(true, plug)) + true + plug).sum(axis=1)
    allowed = -dalpha / alpha * size * rounding(len(R), Q, R, got) / smallest
    what = f"for (x0, z) in {list(zip(x0.tolist(), z.tolist(), strict=True))}, ℓ"
    same(got[0], -dalpha / alpha * terms.sum(axis=1), allowed, what)


@law("[T8]", "kernel bridge nelbo", p=even_laws, alpha=middle_alphas)
def bound_as_limit(process: Any, p: Array, alpha: float) -> None:
    """ℓ is the limit of KL(bridge of the truth ‖ bridge of p) / (t - s) as s → t.

    Two short steps h and h/2, extrapolated: h² and rounding/h balance where h³ is an ulp.
    """
    x0, z = _pairs(process, alpha)
    truth, plug = np.eye(process.V)[x0][None], np.tile(p, (1, len(z), 1))
    eps = ulp(np.asarray(process.bridge(z[None], plug, alpha, alpha)))
    h = eps ** (1 / 3)

    def divergence(step: float) -> Array:
        one, two = (
            np.asarray(process.bridge(z[None], law.copy(), alpha + step, alpha), dtype=np.float64)
            for law in (truth, plug)
        )
        return np.asarray((rel_entr(one, two) - one + two).sum(axis=-1) / step)

    limit = 2 * divergence(h / 2) - divergence(h)
    got = np.asarray(process.nelbo(np.log(plug), x0[None], z[None], alpha, -1.0))
    what = f"for (x0, z) in {list(zip(x0.tolist(), z.tolist(), strict=True))}, ℓ"
    same(got[0], limit[0], _DERIVATIVES * eps ** (2 / 3) * (1 + np.abs(limit[0])), what)


@law("[T8]", "kernel nelbo nelbo_grad", p=even_laws, a=middle_alphas, b=middle_alphas, seed=seeds)
def gradient(process: Any, p: Array, a: float, b: float, seed: int) -> None:
    """`nelbo_grad` returns ℓ, and its derivative in the logits of p.

    Along one direction, of two sequences with their own alphas, by central differences.
    """
    rng, alpha, dalpha = np.random.default_rng(seed), np.array([a, b]), np.array([-1.0, -0.5])
    both = [_pairs(process, alpha_) for alpha_ in alpha]
    n = min(len(x0) for x0, _ in both)
    x0, z = (np.stack([pair[k][:n] for pair in both]) for k in range(2))
    logits = np.tile(np.log(p), (2, n, 1)) + rng.normal(size=(2, n, 1))
    direction = rng.uniform(-1, 1, size=logits.shape)
    loss, slope = (np.asarray(e) for e in process.nelbo_grad(logits.copy(), x0, z, alpha, dalpha))
    log_p = np.tile(np.log(p), (2, n, 1))
    for k in range(2):
        alone = process.nelbo(log_p[k : k + 1], x0[k : k + 1], z[k : k + 1], alpha[k], dalpha[k])
        allowed = rounding(states(process), loss) * 1e3 * (1 + np.abs(loss[k]))
        same(loss[k], np.asarray(alone)[0], allowed, f"ℓ of sequence {k}")
    eps = ulp(loss, slope)
    h = eps ** (1 / 3)
    ahead, behind = (
        np.asarray(process.nelbo_grad(logits + s * h * direction, x0, z, alpha, dalpha)[0])
        for s in (1, -1)
    )
    difference = (ahead.astype(float) - behind) / (2 * h)
    allowed = _DERIVATIVES * eps ** (2 / 3) * (1 + np.abs(loss))
    same((slope * direction).sum(axis=-1), difference, allowed, "the slope of ℓ")
