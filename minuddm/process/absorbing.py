"""The masked (absorbing-state) process: a replaced token shows MASK, and does so for good [T37].

MASK is one more value, V: a token shows one of `states` = V + 1, a denoiser answers V.

    forwards     a token is kept with α_ts, else MASK; MASK stays MASK
    backwards    a visible token stays; a masked one is revealed with chance (α_s - α_t)/(1 - α_t),
                 and its value comes from p_i(· | what is visible)
    evidence     a visible token leaves no doubt and a masked one tells nothing: β = ∞ and 0 [T39]
    the bound    ℓ = -α'/(1 - α) · (-log p_i(x0_i)) where masked, 0 where visible

At a masked position there is no evidence to leave out: posterior and leave-one-out conditional are
one, and the bound teaches a denoiser these alone. `leave_one_out` asks it for the others by masking
one visible token at a time.

*The way back starts from MASK everywhere*, which tells nothing of x_0: it is exact even if α_1, the
alpha of t = 1, is above 0. KL(q(x_1|x_0) ‖ MASK) would then be infinite, but the bound may
condition on x_1 = MASK. So a token is visible with chance (α - α_1)/(1 - α_1): another schedule,
one that ends at 0. It changes neither the chance of a reveal nor α'/(1 - α), hence the chain is the
same, and its prior term is 0.

Austin et al. 2021 (D3PM), Sahoo et al. 2024 (MDLM), Shi et al. 2024 (MD4).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.machine.exponential import exp, largest
from minuddm.machine.integrand import integrand_of, losses_and_gradient
from minuddm.machine.jit import jit_reassoc

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Absorbing:
    """The process that masks tokens of V values; MASK is V."""

    V: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "V", checks.vocabulary(self.V))

    @property
    def states(self) -> int:
        """The number of values that a token may show: V + 1."""
        return self.V + 1

    # ---- forwards -------------------------------------------------------------------------------

    def kernel(self, alpha_ts: float) -> Array:
        """Return the kernel α_ts I + (1 - α_ts) 1 e_MASKᵀ, (V + 1, V + 1)."""
        return self.propagate(np.eye(self.states), alpha_ts)

    def rate(self) -> Array:
        """Return the generator 1 e_MASKᵀ - I, (V + 1, V + 1), in units of -α'/α."""
        return self.kernel(0.0) - np.eye(self.states)

    def propagate(self, p: ArrayLike, alpha_ts: ArrayLike) -> Array:
        """Return the laws (..., V + 1) of x_t for laws p (..., V) or (..., V + 1) of x_s."""
        law = np.asarray(p, dtype=np.float64)
        if law.shape[-1:] not in ((self.V,), (self.states,)):
            raise ValueError(f"{self} takes V = {self.V} values, or with MASK {self.states}, got "
                             f"shape {law.shape}")  # fmt: skip
        alpha = checks.against(checks.alphas(alpha_ts, name="alpha_ts"), law[..., 0])[..., None]
        visible, masked = law[..., : self.V], law[..., self.V :].sum(axis=-1, keepdims=True)
        masked = masked + (1 - alpha) * visible.sum(axis=-1, keepdims=True)
        return np.concatenate([alpha * visible, masked], axis=-1)

    def marginal(self, x0: ArrayLike, alpha: ArrayLike) -> Array:
        """Return the laws (..., V + 1) of x_t given clean tokens x0 (...)."""
        x = checks.tokens(x0, self.V, "x0")
        return self.propagate(np.arange(self.V) == x[..., None], alpha)

    def corrupt(self, x0: ArrayLike, alpha: ArrayLike, rng: Generator) -> Tokens:
        """Return x_t ~ q(x_t | x_0) for clean tokens x0 (B, L).

        With the same uniforms it masks what the uniform process draws anew.
        """
        x = checks.tokens(x0, self.V, "x0", ndim=2)
        kept = checks.generator(rng).random(x.shape) < checks.alphas(alpha, len(x))[:, None]
        return np.where(kept, x, np.int32(self.V))

    def change(self, x0: ArrayLike, rng: Generator) -> Tokens:
        """Return MASK in the shape of x0 (B, L)."""
        return self.noise(checks.tokens(x0, self.V, "x0", ndim=2).shape, rng)

    # ---- the ends -------------------------------------------------------------------------------

    def noise(self, shape: tuple[int, ...], rng: Generator) -> Tokens:
        """Return MASK everywhere, (B, L); nothing is drawn."""
        checks.generator(rng)
        return np.full(shape, self.V, np.int32)

    def prior(self, alpha: float) -> float:
        """Return 0: the chain is conditioned on x_1 = MASK, which tells nothing of x_0."""
        checks.alphas(alpha)
        return 0.0

    def conditioned(self, alpha: ArrayLike, last: float) -> Array:
        """Return (alpha - last)/(1 - last): the chance to be visible, given x_1 = MASK."""
        a = checks.alphas(alpha)
        if not 0 <= last < 1 or (a < last).any():
            raise ValueError(f"last must lie in [0, 1) and be the least alpha, got {last:g}")
        return np.asarray((a - last) / (1 - last))

    # ---- evidence -------------------------------------------------------------------------------

    def inverse_temperature(self, xt: ArrayLike, alpha: ArrayLike) -> Array:
        """Return β, infinite where a token is visible and 0 where it is masked, at any alpha."""
        z = checks.tokens(xt, self.states, "xt")
        checks.per_token(alpha, z)
        return np.where(z < self.V, np.inf, 0.0)

    def leave_one_out(self, denoiser: Callable[..., Floats], xt: Tokens, alpha: Array) -> Floats:
        """Return log p (B, L, V) of each token given the others, for xt (B, L) and alpha (B,).

        A visible token is masked for it, one a sequence at a time: L + 1 calls.
        """
        z = checks.tokens(xt, self.states, "xt", ndim=2)
        log_p = np.array(denoiser(z, alpha))
        for i, visible in enumerate((z < self.V).T):
            if visible.any():
                hidden = z[visible]
                hidden[:, i] = self.V
                log_p[visible, i] = denoiser(hidden, alpha[visible])[:, i]
        return log_p

    # ---- backwards ------------------------------------------------------------------------------

    def bridge(self, xt: ArrayLike, p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike) -> Array:
        """Return q(x_s | x_t, p) (..., V + 1) for tokens xt (...) and clean laws p (..., V)."""
        z = checks.tokens(xt, self.states, "xt")
        law = checks.distributions(self._over_v(p), z)
        reveal = checks.against(_reveal(alpha_s, alpha_t), z)[..., None]
        masked = np.broadcast_to(1 - reveal, (*z.shape, 1))
        revealed = np.concatenate([reveal * law, masked], axis=-1)
        shown = z[..., None]
        return np.where(shown == self.V, revealed, np.arange(self.states) == shown)

    def bridge_quantile(
        self,
        xt: ArrayLike,
        log_p: ArrayLike,
        alpha_s: ArrayLike,
        alpha_t: ArrayLike,
        u: ArrayLike,
    ) -> Tokens:
        """Return the draws (B, L) from q(x_s | x_t, p) that uniforms u (B, L) select.

        The smallest u keep MASK; of p only what is revealed is read.
        """
        z, reveal, log_law = self._masked(xt, log_p, alpha_s, alpha_t)
        rest = checks.uniforms(u, z.shape) - (1 - reveal)
        shown = (z == self.V) & (rest >= 0)
        sums = np.exp(log_law[shown].astype(np.float64)).cumsum(axis=1)
        level = np.minimum(rest[shown] / reveal[shown] * sums[:, -1], np.nextafter(sums[:, -1], 0))
        z[shown] = (sums <= level[:, None]).sum(axis=1)
        return z

    def mode_of_bridge(
        self, xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
    ) -> Tokens:
        """Return the most likely x_s (B, L); a tie keeps MASK."""
        z, reveal, log_law = self._masked(xt, log_p, alpha_s, alpha_t)
        shown = (z == self.V) & (reveal * np.exp(log_law.max(axis=-1)) > 1 - reveal)
        return np.where(shown, log_law.argmax(axis=-1), z).astype(np.int32)

    def _masked(
        self, xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
    ) -> tuple[Tokens, Array, Floats]:
        """Return xt (B, L), the chance of a reveal (B, L), and log p (B, L, V), checked."""
        z = checks.tokens(xt, self.states, "xt", ndim=2)
        log_law = checks.log_probabilities(self._over_v(log_p), z)
        return z, checks.per_token(_reveal(alpha_s, alpha_t), z), log_law

    # ---- the bound ------------------------------------------------------------------------------

    def nelbo(
        self, log_p: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
    ) -> Floats:
        """Return the integrand ℓ (B, L) for log p (B, L, V), in nats per unit of t."""
        return self.nelbo_grad(log_p, x0, xt, alpha, dalpha)[0]

    def nelbo_grad(
        self, logits: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
    ) -> tuple[Floats, Floats]:
        """Return ℓ (B, L) and its gradient in the logits (B, L, V): α'/(α - 1) (p - e_x0), or 0."""

        def given(alpha: Array) -> Weight:
            return self.coefficients(alpha, dalpha)

        return losses_and_gradient(self._over_v(logits), x0, xt, self.states, alpha, given)

    def coefficients(self, alpha: Array, dalpha: ArrayLike) -> "Weight":
        """Return what the integrand needs of alphas (B,) in [0, 1) and their derivatives."""
        if (alpha == 1).any():
            raise ValueError("the bound needs alpha in [0, 1), got 1")
        return Weight(-checks.slopes(dalpha, alpha) / (1 - alpha))

    def _over_v(self, p: ArrayLike) -> Floats:
        """Return p as an array; raise `ValueError` unless its last axis has length V."""
        array = np.asarray(p)
        if array.shape[-1:] != (self.V,):
            raise ValueError(
                f"{self} predicts V = {self.V} values and never MASK, got shape {array.shape}"
            )
        return array


def _reveal(alpha_s: ArrayLike, alpha_t: ArrayLike) -> Array:
    """Return the chance that a masked token is revealed, 0 where no time passes."""
    a_s, a_t, _ = checks.two_alphas(alpha_s, alpha_t)
    return np.divide(a_s - a_t, 1 - a_t, out=np.zeros_like(a_t), where=a_t < 1)


class Weight(NamedTuple):
    """What the integrand needs of the time of each of B sequences, in float64."""

    weight: Array  # -α'/(1 - α)


@integrand_of(Weight)
@jit_reassoc
def _integrand(
    loss: Floats, logits: Floats, x0: Tokens, xt: Tokens, given: Weight, first: int, L: int
) -> None:
    """Tokens (N,) of the sequences from `first` on → loss (N,); logits (N, V) ← their gradient."""
    N, V = logits.shape
    for n in range(N):
        if xt[n] < V:
            loss[n] = 0
            logits[n] = 0
        else:
            weight = logits.dtype.type(given.weight[first + n // L])
            loss[n] = weight * _cross_entropy(logits[n], x0[n], weight)


@jit_reassoc
def _cross_entropy(logits: Floats, clean: int, weight: float) -> float:
    """Return -log p(clean) of p = softmax(logits) (V,); logits ← weight (p - e_clean).

    Near p(clean) = 1 both are sums over the other values: nothing is subtracted from one.
    """
    V, shown = logits.shape[0], logits[clean]
    peak = largest(logits)
    for v in range(V):
        logits[v] = exp(logits[v] - peak)
    e_clean = logits[clean]
    logits[clean] = 0
    others = peak - peak
    for v in range(V):
        others += logits[v]
    scale = weight / (others + e_clean)
    for v in range(V):
        logits[v] *= scale
    logits[clean] = -others * scale
    return math.log1p(others) if shown == peak else peak - shown + math.log(others + e_clean)
