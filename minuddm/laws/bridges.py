"""The laws of the way back: q(x_s | x_t = z, p), its draws and its mode [T7].

With p the law of the clean token before z is seen, Bayes' rule for the kernel Q of the subject is

    q(x_s = y | z, p) = (p Q(α_s))_y Q(α_t / α_s)_yz / (p Q(α_t))_z

and an example asks for the bridges from all z that are possible at once.
"""

from typing import Any

import numpy as np

from minuddm.laws.kernels import clean_laws, even_laws, kernel_of, states
from minuddm.laws.law import Array, alphas, distributions, holds, law, rounding, same, two_alphas

noisy = alphas.filter(lambda alpha: 0 < alpha < 1)


def _between(alpha_s: float, alpha_t: float) -> float:
    return alpha_t / alpha_s if alpha_s > alpha_t else 1.0


def joint(process: Any, p: Array, pair: tuple[float, float]) -> tuple[Array, Array, Array]:
    """Return the possible z (n,), their chances, and rows of P(x_s = y, x_t = z), (n, states)."""
    first, last = (kernel_of(process, alpha)[: process.V] for alpha in pair)
    chance = p @ last
    z = np.flatnonzero(chance > 1e-8)
    return z, chance[z], (p @ first) * kernel_of(process, _between(*pair)).T[z]


def ask_bridge(process: Any, z: Array, p: Array, pair: tuple[float, float]) -> Array:
    """Return the bridges (n, states) from states z (n,) for one law p (V,)."""
    given = np.tile(p, (1, len(z), 1))
    answer = np.asarray(process.bridge(z[None].copy(), given, *pair))
    wanted = (1, len(z), states(process))
    holds(answer.shape == wanted, f"the shape {wanted} of a bridge (it is {answer.shape})")
    holds(answer.dtype.kind == "f", f"a floating dtype of a bridge (it is {answer.dtype})")
    return np.asarray(answer[0])


@law(
    "[T7]",
    "kernel bridge",
    x0=lambda process: distributions(process.V, most=0).map(np.argmax),
    alphas=two_alphas,
)
def bayes_for_a_value(process: Any, x0: int, alphas: tuple[float, float]) -> None:
    """q(x_s | z, x_0) = q(x_s | x_0) q(z | x_s) / q(z | x_0): Bayes' rule for a known x_0."""
    bayes_for_a_law.check(process, np.eye(process.V)[x0], alphas)


@law("[T7]", "kernel bridge", p=clean_laws, alphas=two_alphas)
def bayes_for_a_law(process: Any, p: Array, alphas: tuple[float, float]) -> None:
    """q(x_s = y | z, p) = (p Q_s)_y Q_ts(y, z) / (p Q_t)_z: Bayes' rule for any law p."""
    z, chance, both = joint(process, p, alphas)
    got = ask_bridge(process, z, p, alphas)
    allowed = rounding(states(process), both, got) / chance[:, None]
    same(got, both / chance[:, None], allowed, f"of z in {z.tolist()}, q(x_s | z)")


@law("[T7]", "kernel bridge", p=clean_laws, alphas=two_alphas)
def normalised_bridge(process: Any, p: Array, alphas: tuple[float, float]) -> None:
    """Σ_y q(y | z, p) = 1 and q ≥ 0, however small the chance of z."""
    z, _, _ = joint(process, p, alphas)
    got = ask_bridge(process, z, p, alphas)
    holds(got >= -rounding(1, got), "q(x_s | z) ≥ 0")
    same(got.sum(axis=1), np.ones(len(z)), rounding(states(process), got), "Σ q(x_s | z) of row")


@law("[T7]", "kernel bridge", p=clean_laws, alphas=two_alphas)
def marginalisation(process: Any, p: Array, alphas: tuple[float, float]) -> None:
    """Σ_z (p Q_t)_z q(x_s | z, p) = p Q_s: bridges averaged are the earlier marginal."""
    z, chance, _ = joint(process, p, alphas)
    got, n = ask_bridge(process, z, p, alphas), states(process)
    first = p @ kernel_of(process, alphas[0])[: process.V]
    left = max(0.0, 1 - float(chance.sum()))
    same(chance @ got, first, n * rounding(n, got, first) + left, "Σ_z (p Q_t)_z q(x_s | z)")


@law("[T7]", "kernel bridge", p=clean_laws, alpha=alphas)
def bridge_over_no_time(process: Any, p: Array, alpha: float) -> None:
    """s → t: over no time the bridge stays where it is."""
    z, chance, _ = joint(process, p, (alpha, alpha))
    got = ask_bridge(process, z, p, (alpha, alpha))
    allowed = rounding(states(process), got) / chance[:, None]
    same(got, np.eye(states(process))[z], allowed, f"of z in {z.tolist()}, q(x_s | z)")


@law("[T7]", "kernel bridge", p=clean_laws, alpha=alphas)
def bridge_to_the_start(process: Any, p: Array, alpha: float) -> None:
    """s → 0: q(x_0 | z) ∝ p ⊙ Q_t[:, z] is the posterior, over clean values only."""
    V, Q = process.V, kernel_of(process, alpha)
    z, chance, _ = joint(process, p, (1.0, alpha))
    got, wanted = ask_bridge(process, z, p, (1.0, alpha)), np.zeros((len(z), len(Q)))
    wanted[:, :V] = p * Q[:V, z].T / chance[:, None]
    allowed = rounding(V, Q, got) / chance[:, None]
    same(got, wanted, allowed, f"of z in {z.tolist()}, q(x_0 | z)")


@law("[T7]", "kernel bridge", p=clean_laws, alpha=alphas)
def bridge_from_noise(process: Any, p: Array, alpha: float) -> None:
    """t → 1: from noise the bridge is the marginal p Q_s, whatever z."""
    if alpha == 0:
        return bridge_over_no_time.check(process, p, alpha)
    z, chance, _ = joint(process, p, (alpha, 0.0))
    got, Q = ask_bridge(process, z, p, (alpha, 0.0)), kernel_of(process, alpha)[: process.V]
    allowed = rounding(states(process), got, Q) / chance[:, None]
    same(got, np.tile(p @ Q, (len(z), 1)), allowed, "q(x_s | z)")
    return None


@law("[T7]", "kernel bridge", p=even_laws, one=noisy, two=noisy)
def bridges_by_sequence(process: Any, p: Array, one: float, two: float) -> None:
    """Each of two sequences has its own alphas, and the arguments stay as they were."""
    V, alpha = process.V, np.array([one, two])
    z, laws = np.tile(np.arange(V), (2, 1)), np.tile(p, (2, V, 1))
    given = z.copy(), laws.copy(), (1 + alpha) / 2, alpha.copy()
    both = np.asarray(process.bridge(*given))
    for k, alpha_t in enumerate(alpha):
        alone = ask_bridge(process, z[k], p, ((1 + alpha_t) / 2, alpha_t))
        chance = (p @ kernel_of(process, alpha_t)[:V])[:V, None]
        same(both[k], alone, rounding(states(process), alone) / chance, f"the bridge of {k}")
    for now, before in zip(given, (z, laws, (1 + alpha) / 2, alpha), strict=True):
        same(now, before, 0, "an argument after the call")


@law("[T7]", "kernel bridge bridge_quantile", p=clean_laws, alphas=two_alphas)
def quantiles(process: Any, p: Array, alphas: tuple[float, float]) -> None:
    """Evenly spaced uniforms select values as often as the bridge has them.

    A value may be selected by four intervals: 1,024 points miss each of their ends by at most one.
    """
    n, u = 1024, (np.arange(1024) + 0.5) / 1024
    z, _, _ = joint(process, p, alphas)
    q, got = ask_bridge(process, z, p, alphas), _select(process, z, p, alphas, u)
    shares = (got[..., None] == np.arange(states(process))).mean(axis=1)
    same(shares.sum(axis=1), np.ones(len(z)), 0, "the share of states among x_s of row")
    same(shares, q, 8 / n, f"of z in {z.tolist()}, the share of u that selects x_s")


@law("[T7]", "kernel bridge bridge_quantile", p=clean_laws, alphas=two_alphas)
def ends_of_quantiles(process: Any, p: Array, alphas: tuple[float, float]) -> None:
    """The uniforms 0 and 1 - 2⁻⁵³ select values that the bridge has.

    Rounded to float32 the second is 1, beyond all of them.
    """
    z, chance, both = joint(process, p, alphas)
    got = _select(process, z, p, alphas, np.array([0.0, 1 - 2.0**-53]))
    holds((got >= 0) & (got < states(process)), f"0 ≤ x_s < {states(process)}")
    impossible = np.take_along_axis(both, got, axis=1) == 0
    holds(~impossible, f"of z in {z.tolist()} with chances {chance}, q(x_s | z) > 0")


def _select(process: Any, z: Array, p: Array, pair: tuple[float, float], u: Array) -> Array:
    """Return what uniforms u (m,) select from the bridges from states z (n,): tokens (n, m)."""
    with np.errstate(divide="ignore"):
        log_p = np.tile(np.log(p), (len(z), len(u), 1))
    xt, uniforms = np.tile(z[:, None], (1, len(u))), np.tile(u, (len(z), 1))
    got = np.asarray(process.bridge_quantile(xt, log_p, *pair, uniforms))
    holds(got.shape == xt.shape, f"the shape {xt.shape} of draws (it is {got.shape})")
    holds(got.dtype.kind in "iu", f"whole numbers as draws (dtype {got.dtype})")
    return got


@law("[T7]", "kernel bridge mode_of_bridge", p=clean_laws, alphas=two_alphas)
def mode(process: Any, p: Array, alphas: tuple[float, float]) -> None:
    """`mode_of_bridge` is where the bridge is largest."""
    z, chance, both = joint(process, p, alphas)
    with np.errstate(divide="ignore"):
        log_p = np.tile(np.log(p), (1, len(z), 1))
    at = np.asarray(process.mode_of_bridge(z[None].copy(), log_p, *alphas))[0]
    short = both.max(axis=1) - np.take_along_axis(both, at[:, None], axis=1)[:, 0]
    allowed = rounding(states(process), kernel_of(process, alphas[1])) / chance
    same(short / chance, np.zeros(len(z)), allowed, "max q - q(mode)")
