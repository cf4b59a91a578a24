"""What computes the network: an engine, a value with two methods, handed to a `Transformer`.

An engine is built from a configuration and weights, and reads the weights as they are at each call:

    log_probs        tokens (B, L), alpha (B,) → log-probabilities (B, L, V)
    loss_and_grad    a batch, cut into shards  → the sum of its losses, and the gradient of that

`NumPy` is the definition, `minuddm.network`, as an engine; `minuddm.machine.engine` has the
compiled one. An engine checks nothing.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from minuddm import network
from minuddm.checks import Floats, Tokens
from minuddm.machine.integrand import integrand_and_gradient, of_sequences
from minuddm.machine.shards import run_on
from minuddm.weights import ModelConfig, Weights


class Batch(NamedTuple):
    """What one step learns from, sequence by sequence.

    `coefficients` say by their class which integrand is meant, and hold what it needs of each
    sequence's time (`minuddm.machine.integrand`). `uniforms` draw the masks of dropout.
    """

    x0: Tokens  # (B, L)
    xt: Tokens  # (B, L)
    alpha: NDArray[np.float64]  # (B,)
    coefficients: Any
    uniforms: Floats  # (B, 2 blocks, L, D), or (0, …) without dropout

    def shard(self, part: slice) -> "Batch":
        """Return some of the sequences."""
        return Batch(
            self.x0[part],
            self.xt[part],
            self.alpha[part],
            of_sequences(self.coefficients, part),
            self.uniforms[part],
        )


class Engine(Protocol):
    """What computes the network of a configuration and its weights."""

    def log_probs(self, tokens: Tokens, alpha: NDArray[np.float64]) -> Floats:
        """Tokens (B, L), alpha (B,) → log-probabilities (B, L, V), in the dtype of the weights."""

    def loss_and_grad(
        self, batch: Batch, shards: list[slice], pool: ThreadPoolExecutor | None
    ) -> tuple[float, Weights]:
        """Return the sum of the losses, and its gradient, summed over shards in their order."""


NewEngine = Callable[[ModelConfig, Weights], Engine]


class NumPy:
    """The definition as an `Engine`, shard by shard."""

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self._config = config
        self._weights = weights

    def log_probs(self, tokens: Tokens, alpha: NDArray[np.float64]) -> Floats:
        """Tokens (B, L), alpha (B,) → log-probabilities (B, L, V)."""
        return network.log_probs(self._weights, tokens, alpha, self._config.heads)

    def loss_and_grad(
        self, batch: Batch, shards: list[slice], pool: ThreadPoolExecutor | None
    ) -> tuple[float, Weights]:
        """Return the sum of the losses, and its gradient, summed over shards in their order."""

        def work(part: slice) -> tuple[Floats, network.Gradient]:
            return self._loss_and_grad(batch.shard(part))

        loss, total = 0.0, Weights(self._weights.shapes, self._weights.flat.dtype)
        for losses, gradient in run_on(pool, work, shards):
            loss += float(losses.sum(dtype=np.float64))
            for name, tensor in total.items():
                tensor += gradient[name]
        return loss, total

    def _loss_and_grad(self, shard: Batch) -> tuple[Floats, network.Gradient]:
        x0, xt, alpha, coefficients, uniforms = shard

        def integrand(logits: Floats) -> tuple[Floats, Floats]:
            losses, gradient = np.empty(xt.size, logits.dtype), logits.reshape(xt.size, -1)
            integrand_and_gradient(
                losses, gradient, x0.ravel(), xt.ravel(), coefficients, 0, xt.shape[1]
            )
            return losses, gradient.reshape(logits.shape)

        masks = self._masks(uniforms) if len(uniforms) else None
        return network.loss_and_grad(self._weights, xt, alpha, self._config.heads, integrand, masks)

    def _masks(self, uniforms: Floats) -> Floats:
        """Uniforms (B, 2 blocks, L, D) → masks (blocks, 2, B, L, D): 0, or 1/(1 - dropout)."""
        B, _, L, D = uniforms.shape
        dropout, real = self._config.dropout, self._weights.flat.dtype.type
        masks: Floats = np.where(uniforms < dropout, real(0), real(1 / (1 - dropout)))
        return masks.reshape(B, -1, 2, L, D).transpose(1, 2, 0, 3, 4)
