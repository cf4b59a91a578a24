"""The process as a value: all that the package uses of the way tokens are corrupted.

A token has V clean values; at time t it shows one of `states` values, of which the first V are the
clean ones. With α_t the chance that it was never replaced by time t, a process provides

    forwards     kernel, rate, propagate, marginal         the kernel q(x_t | x_s)
                 corrupt, change                           draws from it
    the ends     noise, prior, conditioned                 where the way back starts, and its cost
    evidence     inverse_temperature, leave_one_out        what a token tells of x_0, and what not
    backwards    bridge, bridge_quantile, mode_of_bridge   q(x_s | x_t, p): law, draw, mode
    the bound    nelbo, nelbo_grad, coefficients           its integrand, and the gradient in logits

and the ideals, the posterior, the exact bounds, the reverse chain, training and the probes use
nothing else. A process takes alphas, never a schedule, and owns no random generator. It is a frozen
value: equal to another of the same class and size, and its repr names it in the header of a
checkpoint. Another process is another file beside `uniform`. A *law* is a distribution.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm.checks import Floats, Tokens
from minuddm.process.absorbing import Absorbing
from minuddm.process.uniform import Uniform

__all__ = ["Absorbing", "Process", "Uniform", "given_or_uniform"]


class Process(Protocol):
    """A continuous-time Markov chain of one token; the tokens of a sequence move independently.

    An alpha is one number, or one per leading index of the tokens or laws that it goes with.
    """

    @property
    def V(self) -> int:  # noqa: N802  the theory's letter
        """The number of clean values: what a denoiser answers."""

    @property
    def states(self) -> int:
        """The number of values that a token may show, at least V: what a denoiser reads."""

    def kernel(self, alpha_ts: float) -> Floats:
        """Return the kernel Q_{t|s} (states, states): row x_s, column x_t."""

    def rate(self) -> Floats:
        """Return the generator (states, states) in units of -α'/α."""

    def propagate(self, p: ArrayLike, alpha_ts: ArrayLike) -> Floats:
        """Return the laws (..., states) of x_t for laws p (..., V) or (..., states) of x_s."""

    def marginal(self, x0: ArrayLike, alpha: ArrayLike) -> Floats:
        """Return the laws (..., states) of x_t given clean tokens x0 (...)."""

    def corrupt(self, x0: ArrayLike, alpha: ArrayLike, rng: Generator) -> Tokens:
        """Return x_t ~ q(x_t | x_0) for clean tokens x0 (B, L)."""

    def change(self, x0: ArrayLike, rng: Generator) -> Tokens:
        """Return x_t ~ q(x_t | x_0, x_t ≠ x_0) for clean tokens x0 (B, L)."""

    def noise(self, shape: tuple[int, int], rng: Generator) -> Tokens:
        """Return tokens (B, L) as they are at α = 0, whatever they were."""

    def prior(self, alpha: float) -> float:
        """Return KL(q(x_1 | x_0) ‖ noise) of one token, in nats; alpha is that of t = 1.

        0 where `conditioned` has made noise of x_1.
        """

    def conditioned(self, alpha: ArrayLike, last: float) -> NDArray[np.float64]:
        """Return the alphas at which the bound corrupts tokens; `last` is alpha at t = 1.

        Where noise is a single state: those given that x_1 is that state. Else alpha itself.
        """

    def inverse_temperature(self, xt: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return β = log q(z | z) - log q(z | v), v any other clean value, for each z = xt.

        In the shape of xt; 0 where z is no clean value, infinite where it leaves no doubt. alpha is
        one, one a sequence, or one a token.
        """

    def leave_one_out(
        self, denoiser: Callable[..., Floats], xt: Tokens, alpha: NDArray[np.float64]
    ) -> Floats:
        """Return log p (B, L, V) of each token given the others, for xt (B, L) and alpha (B,).

        From a denoiser that knows what the process's bound teaches, which may be less.
        """

    def bridge(self, xt: ArrayLike, p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike) -> Floats:
        """Return q(x_s | x_t, p) (..., states) for xt (...), clean laws p (..., V), and s ≤ t."""

    def bridge_quantile(
        self,
        xt: ArrayLike,
        log_p: ArrayLike,
        alpha_s: ArrayLike,
        alpha_t: ArrayLike,
        u: ArrayLike,
    ) -> Tokens:
        """Return the draws (B, L) from q(x_s | x_t, p) that uniforms u (B, L) in [0, 1) select."""

    def mode_of_bridge(
        self, xt: ArrayLike, log_p: ArrayLike, alpha_s: ArrayLike, alpha_t: ArrayLike
    ) -> Tokens:
        """Return the most likely x_s (B, L); a tie keeps the present token."""

    def nelbo(
        self, log_p: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
    ) -> Floats:
        """Return the integrand of the bound (B, L), nats per unit of t, for log p (B, L, V)."""

    def nelbo_grad(
        self, logits: ArrayLike, x0: ArrayLike, xt: ArrayLike, alpha: ArrayLike, dalpha: ArrayLike
    ) -> tuple[Floats, Floats]:
        """Return the integrand (B, L) and its gradient in the logits (B, L, V)."""

    def coefficients(self, alpha: Floats, dalpha: ArrayLike) -> Any:
        """Return what a compiled pass needs of alpha (B,) and its derivative: a named tuple.

        By the tuple's class the compiled pass finds the integrand that the process has registered
        (`minuddm.machine.integrand`).
        """


def given_or_uniform(process: Process | None, V: int) -> Process:
    """Return the process, or the uniform one if none is given.

    Raises `ValueError` if the process has another number of clean values than V.
    """
    if process is None:
        return Uniform(V)
    if process.V != V:
        raise ValueError(f"the process has V = {process.V}, what it is asked about V = {V}")
    return process
