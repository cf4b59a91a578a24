"""Spins whose couplings maximise the likelihood of each spin given the others [T21], [T22].

    f_i = β Σ_j W_ij s_j                      no diagonal, and W_ij need not be W_ji
    ψ(s_i | s) = e^{s_i f_i} / (2 cosh f_i)
    loss(W) = -(1/P) Σ_μ Σ_i log ψ(ξ_i^μ | ξ^μ) + ½ λ‖W‖²
    ∂loss/∂W_ij = -(β/P) Σ_μ ξ_i^μ ξ_j^μ (1 - tanh M_i^μ) + λ W_ij,    M_i = ξ_i f_i

The gradient is Hebb's rule with a weight: patterns that are held already (M large) teach nothing
more. No energy is written down anywhere, and yet recall s_i ← sgn f_i has basins around the
patterns: a likelihood that is high at a pattern is a margin there, and a margin is a basin [T24].
The rows of W do not know of each other, so nothing makes W symmetric.

Without λ and below Gardner's load 2 the loss has no minimum (it falls to 0 as W grows), and the
number of steps says how far the margins have grown; with λ > 0 gradient descent and L-BFGS come to
the same couplings.
"""

from typing import Self

import numpy as np
import scipy  # its optimiser is loaded when first used
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

import argument_checks as checks
from hopfield.couplings import Couplings
from hopfield.recall import Floats


class PseudoLikelihood(Couplings):
    """Couplings W (L, L) with zero diagonal, read at inverse temperature beta [T21].

    `recall`, `margins`, `asymmetry` and the rest are those of `Couplings`. What `energy` returns
    is -½ σᵀWσ, which is not an energy here.
    """

    def __init__(self, W: ArrayLike, beta: float = 1.0) -> None:
        super().__init__(W)
        self.beta = checks.positive(beta, "beta")

    @classmethod
    def fit(
        cls,
        patterns: ArrayLike,
        *,
        beta: float = 1.0,
        steps: int = 1000,
        lr: float = 1.0,
        decay: float = 0.0,
    ) -> Self:
        """Descend the loss from W = 0 with the full gradient of patterns (P, L), `steps` times.

        Meanwhile BLAS has one thread in the whole process, so W does not depend on their number.
        """
        xi = checks.spins(patterns, "patterns").astype(np.float64)
        lr, decay = checks.positive(lr, "lr"), checks.not_negative(decay, "decay")
        beta = checks.positive(beta, "beta")
        W = np.zeros((xi.shape[1], xi.shape[1]))
        with threadpool_limits(1, user_api="blas"):
            for _ in range(checks.count(steps, "steps")):
                M = xi * (beta * (xi @ W.T))
                W -= lr * _gradient(M, W, xi, beta, decay)
        return cls(W, beta)

    @classmethod
    def fit_lbfgs(
        cls, patterns: ArrayLike, *, beta: float = 1.0, decay: float = 1e-3, steps: int = 1000
    ) -> Self:
        """Minimise the loss of patterns (P, L) by L-BFGS from W = 0, at most `steps` iterations.

        Meanwhile BLAS has one thread, as in `fit`.
        """
        xi = checks.spins(patterns, "patterns").astype(np.float64)
        shape, decay = (xi.shape[1], xi.shape[1]), checks.not_negative(decay, "decay")
        beta = checks.positive(beta, "beta")

        def objective(flat: Floats) -> tuple[float, Floats]:
            loss, grad = loss_and_grad(flat.reshape(shape), xi, beta, decay)
            return loss, grad.ravel()

        options = {"maxiter": checks.count(steps, "steps"), "ftol": 1e-15, "gtol": 1e-9}
        start = np.zeros(shape).ravel()
        with threadpool_limits(1, user_api="blas"):
            found = scipy.optimize.minimize(
                objective, start, jac=True, method="L-BFGS-B", options=options
            )
        return cls(found.x.reshape(shape), beta)

    def log_likelihood(self, x: ArrayLike) -> Floats:
        """Return Σ_i log ψ(s_i | s), (B,), in nats per state."""
        state = self._states(x)
        M = self.beta * state * self._fields(state)
        return np.asarray(-np.logaddexp(0.0, -2 * M).sum(axis=1))

    def entropies(self, x: ArrayLike) -> Floats:
        """Return the entropy of ψ(· | s) in nats, (B, L), of the states x (B, L) [T28]."""
        f = np.abs(self.beta * self.fields(x))
        return np.asarray(np.logaddexp(0.0, -2 * f) + 2 * f * scipy.special.expit(-2 * f))


def loss_and_grad(W: Floats, xi: Floats, beta: float, decay: float = 0.0) -> tuple[float, Floats]:
    """Return the loss in nats per pattern xi, (P, L), and its gradient (L, L) [T22]."""
    M = xi * (beta * (xi @ W.T))
    loss = np.logaddexp(0.0, -2 * M).sum() / len(xi) + 0.5 * decay * (W**2).sum()
    return float(loss), _gradient(M, W, xi, beta, decay)


def _gradient(M: Floats, W: Floats, xi: Floats, beta: float, decay: float) -> Floats:
    weight = 1 / (1 + np.exp(np.minimum(2 * M, 700)))  # ½ (1 - tanh M), without cancellation
    grad = (-2 * beta / len(xi)) * ((xi * weight).T @ xi)
    if decay:
        grad += decay * W
    np.fill_diagonal(grad, 0.0)
    return grad
