"""The uniform process: a replaced token is drawn anew from all V values [T1]-[T9].

`Uniform(V)` collects the functions of `minuddm.transition` and `minuddm.nelbo` as one `Process`. A
corrupted token still shows one of the clean values, so `states` = V; at α = 0 it is uniform.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks, transition
from minuddm.checks import Floats, Tokens
from minuddm.nelbo import integrand
from minuddm.nelbo.integrand import Coefficients


def information(delta: ArrayLike) -> NDArray[np.float64]:
    """Return (1 + δ) log(1 + δ) - δ ≥ 0 of numbers δ ≥ -1, also where it is about δ²/2.

    A chance that is 1 + δ times another one adds so much, times the other, to the KL of their laws.
    """
    d = np.asarray(delta, dtype=np.float64)
    series = d * d * (1 / 2 - d * (1 / 6 - d * (1 / 12 - d / 20)))
    return np.where(np.abs(d) < 1e-3, series, scipy.special.xlog1py(1 + d, d) - d)


@dataclass(frozen=True)
class Uniform:
    """The process that resamples tokens uniformly from V values."""

    V: int
    reversible: ClassVar[bool] = True
    """Detailed balance under the uniform law [T3]: a claim, for `minuddm.laws`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "V", checks.vocabulary(self.V))

    @property
    def states(self) -> int:
        """The number of values that a token may show: V."""
        return self.V

    # ---- forwards -------------------------------------------------------------------------------

    def kernel(self, alpha_ts: float) -> NDArray[np.float64]:
        """Return the kernel α_ts I + (1 - α_ts)/V 11ᵀ, (V, V) [T1]."""
        return transition.transition(alpha_ts, self.V)

    def rate(self) -> NDArray[np.float64]:
        """Return the generator 11ᵀ/V - I, (V, V), in units of -α'/α [T4]."""
        return transition.rate(self.V)

    def propagate(self, p: ArrayLike, alpha_ts: ArrayLike) -> NDArray[np.float64]:
        """Return the laws (..., V) of x_t for laws p (..., V) of x_s [T1]."""
        return transition.propagate(self._over_v(p), alpha_ts)

    def marginal(self, x0: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return the laws (..., V) of x_t given tokens x0 (...) [T1]."""
        return transition.marginal(x0, alpha, self.V)

    def corrupt(self, x0: ArrayLike, alpha: ArrayLike, rng: Generator) -> Tokens:
        """Return x_t ~ q(x_t | x_0) for tokens x0 (B, L) [T5]."""
        return transition.corrupt(x0, alpha, self.V, rng)

    def change(self, x0: ArrayLike, rng: Generator) -> Tokens:
        """Return tokens (B, L) that differ from x0 everywhere, each one of V - 1 values."""
        x = checks.tokens(x0, self.V, "x0", ndim=2)
        shift = checks.generator(rng).integers(1, self.V, size=x.shape)
        return ((x + shift) % self.V).astype(np.int32)

    # ---- the ends -------------------------------------------------------------------------------

    def noise(self, shape: tuple[int, int], rng: Generator) -> Tokens:
        """Return uniform tokens (B, L)."""
        return checks.generator(rng).integers(self.V, size=shape).astype(np.int32)

    def prior(self, alpha: float) -> float:
        """Return KL(q(x_t | x_0) ‖ uniform), in nats: the same for every clean value [T9]."""
        alpha = float(checks.alphas(alpha))
        more, less = information(np.array([(self.V - 1) * alpha, -alpha]))
        return float(more + (self.V - 1) * less) / self.V

    def conditioned(self, alpha: ArrayLike, last: float) -> NDArray[np.float64]:
        """Return alpha: x_1 may be any value, and what it still tells of x_0 is the `prior`."""
        return checks.alphas(alpha)

    # ---- evidence -------------------------------------------------------------------------------

    def inverse_temperature(self, xt: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return β = log(1 + V α/(1 - α)) [T14] of every token, in the shape of xt."""
        z = checks.tokens(xt, self.V, "xt")
        a = checks.per_token(alpha, z)
        return transition.inverse_temperature(a.ravel(), self.V).reshape(z.shape)

    def leave_one_out(
        self, denoiser: Callable[..., Floats], xt: Tokens, alpha: NDArray[np.float64]
    ) -> Floats:
        """Return what the denoiser answers: that is what the bound has taught it [T11]."""
        return denoiser(xt, alpha)

    # ---- backwards ------------------------------------------------------------------------------

    def bridge(
        self, xt: ArrayLike, p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
    ) -> NDArray[np.float64]:
        """Return q(x_s | x_t, p) (..., V) [T7] for tokens xt (...) and p (..., V)."""
        return transition.bridge(xt, self._over_v(p), alpha_s, alpha_t)

    def bridge_quantile(
        self,
        xt: ArrayLike,
        log_p: ArrayLike,
        alpha_s: ArrayLike,
        alpha_t: ArrayLike,
        u: ArrayLike,
    ) -> Tokens:
        """Return the draws (B, L) from q(x_s | x_t, p) [T7] that uniforms u (B, L) select."""
        return transition.bridge_quantile(xt, self._over_v(log_p), alpha_s, alpha_t, u)

    def mode_of_bridge(
        self, xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
    ) -> Tokens:
        """Return argmax of q(x_s | x_t, p) [T7], (B, L); a tie keeps the present token."""
        return transition.mode_of_bridge(xt, self._over_v(log_p), alpha_s, alpha_t)

    # ---- the bound ------------------------------------------------------------------------------

    def nelbo(
        self, log_p: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
    ) -> Floats:
        """Return the integrand ℓ (B, L) [T8]."""
        return integrand.nelbo(self._over_v(log_p), x0, xt, alpha, dalpha)

    def nelbo_grad(
        self, logits: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
    ) -> tuple[Floats, Floats]:
        """Return the integrand ℓ (B, L) and its gradient in the logits (B, L, V) [T8]."""
        return integrand.nelbo_grad(self._over_v(logits), x0, xt, alpha, dalpha)

    def coefficients(self, alpha: NDArray[np.float64], dalpha: ArrayLike) -> Coefficients:
        """Return what the integrand needs of alphas (B,) in (0, 1) and their derivatives."""
        return integrand.coefficients(alpha, dalpha, self.V)

    def _over_v(self, p: ArrayLike) -> Floats:
        """Return p as an array; raise `ValueError` unless its last axis has length V."""
        array = np.asarray(p)
        if array.shape[-1:] != (self.V,):
            raise ValueError(f"{self} takes V = {self.V} values, got shape {array.shape}")
        return array
