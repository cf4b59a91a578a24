"""Tokens whose couplings maximise the likelihood of each token given the others [T21], [T22].

    f_i(v) = b_i(v) + Σ_{j≠i} W_ji(x_j, v)              one block (V, V) for each pair of positions
    p_i(v) = softmax f_i(v)
    loss = -(1/P) Σ_μ Σ_i log p_i(ξ_i^μ | ξ^μ) + ½ λ‖W‖²
    ∂loss/∂f_i(v) = (p_i(v) - 1[ξ_i = v]) / P,   ∂loss/∂W_ji(a, v) = Σ_μ 1[ξ_j = a] ∂loss/∂f_i(v)

This is spins with V values: *linear* in what the other tokens show, conditional by construction
(no token sees itself), and without an energy, since W_ji and W_ij are trained apart. It stands
between the memories that an energy defines and the transformer that a likelihood trains.

A token about which the patterns say nothing, each of its values as frequent whatever another token
shows, has its minimum at W = 0, b = 0 exactly. There it stays: its gradient would be rounding.

It is a denoiser, too. Trained on clean sequences, it is asked about noisy ones: a token z_j
survived with chance α and else says nothing, so the mean of f over what x_j may have been is

    α f(z) + (1 - α) f̄,    f̄ the mean of f over uniform tokens

which is the trained conditional at α = 1, and forgets the tokens as α → 0.
"""

from collections.abc import Callable
from typing import Self

import numpy as np
import scipy  # its optimiser is loaded when first used
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

import argument_checks as checks
from hopfield import recall
from hopfield.frozen import Frozen
from hopfield.jit import jit_strict
from hopfield.recall import ROUNDING, Bools, Floats, Recall, Sites, Tokens


class TokenPseudoLikelihood(Frozen):
    """Couplings W (L, V, L, V), from token j = a to token i = v, and biases b (L, V)."""

    def __init__(self, W: ArrayLike, b: ArrayLike) -> None:
        self.W, self.b = np.asarray(W, np.float64), np.asarray(b, np.float64)
        if self.b.ndim != 2 or self.W.shape != (*self.b.shape, *self.b.shape):
            raise ValueError(f"W must have shape (L, V, L, V), got {self.W.shape}, {self.b.shape}")
        if not (np.isfinite(self.W).all() and np.isfinite(self.b).all()):
            raise ValueError("W and b must be finite")
        L, self.V = self.b.shape
        if any(self.W[i, :, i].any() for i in range(L)):
            raise ValueError("W must be zero from each token to itself")
        size = np.abs(self.W).max(axis=1).sum(axis=0) + np.abs(self.b)
        self._tie = ROUNDING * L * size.max(axis=1)  # of a sum of L terms
        self._mean = self.b + self.W.mean(axis=1).sum(axis=0)

    @classmethod
    def fit(
        cls,
        patterns: ArrayLike,
        V: int,
        *,
        steps: int = 500,
        lr: float = 1.0,
        decay: float = 0.0,
    ) -> Self:
        """Descend the loss from zero with the full gradient of patterns (P, L), `steps` times.

        Meanwhile BLAS has one thread in the whole process, so W does not depend on their number.
        """
        hot, xi = _one_hot(patterns, V)
        lr, decay = checks.positive(lr, "lr"), checks.not_negative(decay, "decay")
        flat = np.zeros(_size(xi, V))
        with threadpool_limits(1, user_api="blas"):
            objective = _objective(hot, xi, decay)
            for _ in range(checks.count(steps, "steps")):
                flat -= lr * objective(flat)[1]
        return cls(*_blocks(flat, xi.shape[1], V))

    @classmethod
    def fit_lbfgs(
        cls, patterns: ArrayLike, V: int, *, decay: float = 1e-3, steps: int = 500
    ) -> Self:
        """Minimise the loss of patterns (P, L) by L-BFGS from zero, at most `steps` iterations.

        Where the minimum makes two values equally likely, what is found may differ from it by 1e-7,
        and recall takes the larger. Meanwhile BLAS has one thread, as in `fit`.
        """
        hot, xi = _one_hot(patterns, V)
        decay = checks.not_negative(decay, "decay")
        options = {"maxiter": checks.count(steps, "steps"), "ftol": 1e-15, "gtol": 1e-9}
        start = np.zeros(_size(xi, V))
        with threadpool_limits(1, user_api="blas"):
            objective = _objective(hot, xi, decay)
            found = scipy.optimize.minimize(
                objective, start, jac=True, method="L-BFGS-B", options=options
            )
        return cls(*_blocks(found.x, xi.shape[1], V))

    @property
    def values(self) -> NDArray[np.int64]:
        """The values of a site: 0 … V - 1."""
        return np.arange(self.V)

    @property
    def asymmetry(self) -> float:
        """‖W - Wᵀ‖ / ‖W‖, of blocks whose rows and columns have mean 0.

        Such means change b or no conditional at all, so that only this part can be compared.
        """
        W = self.W - self.W.mean(axis=1, keepdims=True)
        W = W - W.mean(axis=3, keepdims=True)
        size = np.linalg.norm(W)
        return float(np.linalg.norm(W - W.transpose(2, 3, 0, 1)) / size) if size else 0.0

    def logits(self, x: ArrayLike) -> Floats:
        """Return f (B, L, V) of the states x (B, L)."""
        return self._logits(self._states(x))

    def conditionals(self, x: ArrayLike) -> Floats:
        """Return p (B, L, V), each token's law given the others."""
        return np.asarray(scipy.special.softmax(self.logits(x), axis=-1))

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> Floats:
        """Tokens (B, L), alpha (B,) in [0, 1] → log-probabilities (B, L, V): a denoiser."""
        a = checks.real(alpha, "alpha").astype(np.float64)
        outside = a[~((a >= 0) & (a <= 1))]
        if outside.size:
            raise ValueError(f"alpha must lie in [0, 1], got {outside.flat[0]}")
        logits = self.logits(tokens)
        if a.shape not in ((), (len(logits),)):
            raise ValueError(f"alpha must be one, or one of {len(logits)}, got shape {a.shape}")
        a = a[..., None, None]
        return np.asarray(scipy.special.log_softmax(a * logits + (1 - a) * self._mean, axis=-1))

    def energy(self, x: ArrayLike) -> Floats:
        """Return -Σ_i b_i(x_i) - ½ Σ_ij W_ij(x_i, x_j), (B,): not an energy unless W = Wᵀ."""
        state = self._states(x)
        return self._energy(state, self._logits(state))

    def recall(
        self, x: ArrayLike, *, rng: Generator | None = None, max_sweeps: int = 100
    ) -> Recall:
        """Set tokens one by one to their most likely value, from the states x (B, L).

        In order, or with `rng` in a random order drawn anew for every query and sweep, until a
        whole sweep changes nothing; ties keep the present value.
        """
        state = self._states(x)
        f = self._logits(state)

        def descend(active: Sites, order: Sites) -> tuple[Bools, Floats]:
            changed = np.zeros(len(active), np.bool_)
            _asynchronous(state, f, changed, active, order, self.W, self._tie)
            return changed, self._energy(state[active], f[active])

        return recall.asynchronous(state, self._energy(state, f), descend, rng, max_sweeps)

    def _logits(self, state: Tokens) -> Floats:
        out = np.empty((*state.shape, self.V))
        _gather(out, state, self.W, self.b)
        return out

    def _energy(self, state: Tokens, f: Floats) -> Floats:
        own = np.take_along_axis(f, state[..., None], axis=2)[..., 0]
        bias = np.take_along_axis(np.broadcast_to(self.b, f.shape), state[..., None], axis=2)
        return np.asarray(-0.5 * (own + bias[..., 0]).sum(axis=1))

    def _states(self, x: ArrayLike) -> Tokens:
        return checks.tokens(x, self.V, "states", 2, len(self.b))


def loss_and_grad(flat: Floats, hot: Floats, xi: Tokens, decay: float) -> tuple[float, Floats]:
    """Return the loss in nats per pattern, and its gradient, as one vector W, b [T22].

    hot (P, L V) are the patterns xi (P, L) as indicators.
    """
    P, L = xi.shape
    V = hot.shape[1] // L
    W, b = _matrix(flat, L * V)
    log_p = scipy.special.log_softmax((hot @ W + b).reshape(P, L, V), axis=-1)
    loss = -np.take_along_axis(log_p, xi[..., None], axis=2).sum() / P
    loss += 0.5 * decay * float((W**2).sum())
    df = (np.exp(log_p).reshape(P, L * V) - hot) / P
    grad = np.empty_like(flat)
    dW, db = _matrix(grad, L * V)
    np.matmul(hot.T, df, out=dW)
    dW += decay * W
    df.sum(axis=0, out=db)
    for i in range(0, L * V, V):
        dW[i : i + V, i : i + V] = 0
    return float(loss), grad


def _objective(hot: Floats, xi: Tokens, decay: float) -> Callable[[Floats], tuple[float, Floats]]:
    """Return `loss_and_grad` of these patterns, 0 where the patterns say nothing about a token."""
    L, n = xi.shape[1], hot.shape[1]
    silent = np.repeat(_silent(hot, L), n // L)

    def objective(flat: Floats) -> tuple[float, Floats]:
        loss, grad = loss_and_grad(flat, hot, xi, decay)
        dW, db = _matrix(grad, n)
        dW[:, silent] = 0
        db[silent] = 0
        return loss, grad

    return objective


def _silent(hot: Floats, L: int) -> Bools:
    """Return for each token, (L,), whether all of its values go equally often with every other."""
    V = hot.shape[1] // L
    pairs = (hot.T @ hot).reshape(L, V, L, V)  # patterns with both values: whole numbers
    even = (V * pairs == pairs.sum(axis=3, keepdims=True)).all(axis=(1, 3))
    np.fill_diagonal(even, True)
    alone = (V * hot.sum(axis=0).reshape(L, V) == len(hot)).all(axis=1)
    return np.asarray(even.all(axis=0) & alone)


def _one_hot(patterns: ArrayLike, V: int) -> tuple[Floats, Tokens]:
    xi = checks.stored(checks.tokens(patterns, checks.vocabulary(V), "patterns", 2), "patterns")
    return np.eye(V)[xi].reshape(len(xi), -1), xi


def _size(xi: Tokens, V: int) -> int:
    n = int(xi.shape[1]) * V
    return n * n + n


def _matrix(flat: Floats, n: int) -> tuple[Floats, Floats]:
    return flat[: n * n].reshape(n, n), flat[n * n :]


def _blocks(flat: Floats, L: int, V: int) -> tuple[Floats, Floats]:
    W, b = _matrix(flat, L * V)
    return W.reshape(L, V, L, V), b.reshape(L, V)


@jit_strict
def _gather(out: Floats, state: Tokens, W: Floats, b: Floats) -> None:
    """f = b + Σ_j W[j, x_j], a sum of L tables (L, V)."""
    for k in range(state.shape[0]):
        out[k] = b
        for j in range(state.shape[1]):
            out[k] += W[j, state[k, j]]


@jit_strict
def _asynchronous(
    state: Tokens,
    f: Floats,
    changed: Bools,
    active: Sites,
    order: Sites,
    W: Floats,
    tie: Floats,
) -> None:
    """One sweep over the tokens of every active query; a change of token i moves all logits."""
    for k in range(active.shape[0]):
        x, logits = state[active[k]], f[active[k]]
        for i in order[k]:
            best = x[i]
            for v in range(logits.shape[1]):
                if logits[i, v] > logits[i, best]:
                    best = v
            if logits[i, best] - logits[i, x[i]] > tie[i]:
                changed[k] = True
                logits += W[i, best] - W[i, x[i]]
                x[i] = best
