"""The compiled engine: `minuddm.network` computed by `passes`, in arrays allocated once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Floats, Tokens
from minuddm.engine import Batch
from minuddm.machine import passes
from minuddm.machine.arrays import Conditioning, Tensors, Tile, Transposed
from minuddm.machine.attention import attention_forward, padded, rotary_table
from minuddm.machine.jit import COMPILES
from minuddm.machine.linear import linear_forward
from minuddm.machine.shards import long_shards, run_on
from minuddm.machine.subnormals import flushed
from minuddm.network import features
from minuddm.weights import ModelConfig, Weights, aligned

_CHUNK = 256  # sequences at a time in `log_probs`: bounds the memory of their modulations

Workspace = TypeVar("Workspace")


def probe() -> None:
    """Raise an exception if what is compiled here does not compute what it should.

    A product and a head of attention need all intrinsics. The passes call both with these types, so
    that nothing is compiled which would not have been.
    """
    if not COMPILES:
        raise RuntimeError("NUMBA_DISABLE_JIT is set")
    L, d = 3, 2
    qkv, x = aligned((L, 3 * d), np.float32), aligned((L, d), np.float32)
    x[:] = np.arange(L * d).reshape(L, d)
    linear_forward(qkv, x, np.concatenate(3 * [np.eye(d, dtype=np.float32)], axis=1), None)
    qkv[:, :d] = 0  # q = 0: every token looks at all with equal weight
    out, probs = np.empty_like(x), aligned((1, 1, padded(L), padded(L)), np.float32)
    attention_forward(out, probs, qkv, rotary_table(L, d).astype(np.float32))
    if not np.allclose(out, x.mean(axis=0), rtol=1e-6):
        raise ArithmeticError("compiled attention does not compute a mean of equal weights")


class Compiled:
    """The compiled `Engine`.

    It owns working arrays and gradients: several threads may ask for log-probabilities at a time,
    but only one for a gradient, which the next call overwrites.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self._config = config
        self._weights = weights
        self._tensors = Tensors.of(weights)
        self._workspaces: dict[tuple[Any, ...], list[Any]] = {}
        self._gradients: list[tuple[Weights, Tensors]] = []

    def log_probs(self, tokens: Tokens, alpha: NDArray[np.float64]) -> Floats:
        """Tokens (B, L), alpha (B,) → log-probabilities (B, L, V).

        If all sequences of a chunk have one alpha, they share one row of the conditioning.
        """
        dtype = self._weights.flat.dtype
        log_p = np.empty((*tokens.shape, self._config.vocab), dtype)
        with self._transposed() as wT:
            for start in range(0, len(tokens), _CHUNK):
                part = slice(start, start + _CHUNK)
                levels = alpha[part]
                if (levels == levels[0]).all():
                    levels = levels[:1]
                f = features(levels, dtype)
                with (
                    self._conditioning(len(levels), False) as cond,
                    self._tile(False) as tile,
                    flushed(),
                ):
                    passes.log_probs(log_p[part], tokens[part], f, self._tensors, wT, cond, tile)
        return log_p

    def loss_and_grad(
        self, batch: Batch, shards: list[slice], pool: ThreadPoolExecutor | None
    ) -> tuple[float, Weights]:
        """Return the sum of the losses, and its gradient, summed over shards in their order."""
        while len(self._gradients) < len(shards):
            gradient = Weights(self._weights.shapes, self._weights.flat.dtype)
            self._gradients.append((gradient, Tensors.of(gradient)))
        total = self._gradients[0][0]

        def work(k: int) -> float:
            return self._loss_and_grad(batch.shard(shards[k]), *self._gradients[k], wT)

        def add_up(part: slice) -> None:
            for gradient, _ in self._gradients[1 : len(shards)]:
                total.flat[part] += gradient.flat[part]

        with self._transposed() as wT:
            loss = sum(run_on(pool, work, range(len(shards))))
        run_on(pool, add_up, long_shards(total.flat.size, len(shards)))
        return loss, total

    def _loss_and_grad(self, shard: Batch, gradient: Weights, g: Tensors, wT: Transposed) -> float:
        """Write the gradient of a shard; return the sum of its losses."""
        x0, xt, alpha, coefficients, uniforms = shard
        loss = np.empty(xt.size, gradient.flat.dtype)
        gradient.flat[:] = 0
        f = features(alpha, loss.dtype)
        with self._conditioning(len(xt), True) as cond, self._tile(True) as tile, flushed():
            passes.loss_and_grad(
                g, loss, x0, xt, coefficients, f, self._tensors, wT,
                cond, tile, uniforms, self._config.dropout,
            )  # fmt: skip
        return float(loss.sum(dtype=np.float64))

    @contextmanager
    def _transposed(self) -> Iterator[Transposed]:
        """Yield the matrices of today's weights, transposed."""
        with self._workspace(("transposed",), lambda: Transposed.like(self._tensors)) as wT:
            wT.update(self._tensors)
            yield wT

    def _conditioning(self, levels: int, keep: bool) -> AbstractContextManager[Conditioning]:
        def new() -> Conditioning:
            return Conditioning.new(self._config, self._weights.flat.dtype, levels, keep)

        return self._workspace(("conditioning", levels, keep), new)

    def _tile(self, keep: bool) -> AbstractContextManager[Tile]:
        def new() -> Tile:
            return Tile.new(self._config, self._weights.flat.dtype, keep)

        return self._workspace(("tile", keep), new)

    @contextmanager
    def _workspace(self, key: tuple[Any, ...], new: Callable[[], Workspace]) -> Iterator[Workspace]:
        """Yield arrays that nobody else uses: as many are kept as were in use at a time."""
        free = self._workspaces.setdefault(key, [])
        try:
            arrays = free.pop()
        except IndexError:
            arrays = new()
        yield arrays
        free.append(arrays)
