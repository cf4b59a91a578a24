"""The network: a bidirectional transformer with adaptive layer norm, forward and backward by hand.

    x = E[tokens]                        c = SiLU(MLP(features(-log α)))
    mod = W_m c + b_m: for each block shift, scale, gate (twice), in the end shift, scale
    each block:
        x ← x + gate₁ ⊙ Attention(LN(x) γ₁ (1 + scale₁) + shift₁)
        x ← x + gate₂ ⊙ MLP(LN(x) γ₂ (1 + scale₂) + shift₂)
    logits = W (LN(x) γ (1 + scale) + shift) + b

`minuddm.machine.passes` has these lines in code, forward and backward. A batch is computed in a
fixed number of shards whose gradients are added in shard order, each shard on a thread of its own
if there are any to spare; the number of threads therefore never changes a bit.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.machine.integrand import of_sequences
from minuddm.machine.intrinsics import aligned
from minuddm.machine.linear import transpose_all
from minuddm.machine.modulation import noise_features
from minuddm.machine.passes import (
    Noise,
    Tile,
    Turned,
    learn,
    new_noise,
    new_tile,
    predict,
)
from minuddm.machine.shards import long_shares, run_on, shares
from minuddm.process import Process, given_or_uniform
from minuddm.weights import ModelConfig, Weights, initialise, shapes

_CHUNK = 256  # sequences at a time where nothing is learnt: bounds their modulation

Lent = TypeVar("Lent")


class Transformer:
    """A `Denoiser` (call it), and its training gradient (`loss_and_grad`).

    The dtype of the weights decides the arithmetic: float32 for work, float64 for checking. An
    instance owns working arrays: several threads may call it, but only one `loss_and_grad`.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        if weights.shapes != shapes(config):
            raise ValueError("the weights do not have the shapes of the configuration")
        self.config = config
        self.weights = weights
        self._free: dict[tuple[Any, ...], list[Any]] = {}
        self._gradients: list[Weights] = []

    @classmethod
    def init(cls, config: ModelConfig, rng: Generator, dtype: Any = np.float32) -> "Transformer":
        """Return a network with fresh weights."""
        return cls(config, initialise(config, rng, dtype))

    def __reduce__(self) -> tuple[Any, ...]:
        return Transformer, (self.config, self.weights)

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> Floats:
        """Tokens (B, L), alpha (B,) or a number → LOO log-probabilities (B, L, V) [T11].

        Raises `ValueError` for tokens outside the vocabulary, another length, or alpha outside
        [0, 1].
        """
        x = self._checked(tokens, "tokens")
        a = checks.alphas(alpha, len(x))
        log_p = np.empty((*x.shape, self.config.vocab), self.weights.flat.dtype)
        w = self.weights.tensors
        with self._turned() as turned:
            for start in range(0, len(x), _CHUNK):
                part = slice(start, start + _CHUNK)
                levels = a[part] if (a[part] != a[start]).any() else a[start : start + 1]
                features = noise_features(levels, log_p.dtype)
                with self._noise(len(levels)) as noise, self._tile(keep=False) as tile:
                    predict(log_p[part], x[part], features, w, turned, noise, tile)
        return log_p

    def loss_and_grad(
        self,
        x0: ArrayLike,
        xt: ArrayLike,
        alpha: ArrayLike,
        dalpha: ArrayLike,
        *,
        shards: int = 1,
        pool: ThreadPoolExecutor | None = None,
        rng: Generator | None = None,
        process: Process | None = None,
    ) -> tuple[float, Weights]:
        """Return the mean bound [T8] (nats per token and unit of t) and its gradient table.

        x0, xt (B, L), alpha and dalpha (B,) or numbers. The batch is split into `shards` parts,
        run on `pool` if there is one. `rng` draws the dropout masks and is needed when the rate
        is above 0. The bound is that of the process, uniform if not given. The table is the
        instance's own: the next call overwrites it.
        """
        clean, z = self._checked(x0, "x0"), self._checked(xt, "xt")
        if clean.shape != z.shape:
            raise ValueError(f"x0 and xt must have one shape, got {clean.shape} and {z.shape}")
        if len(z) == 0:
            raise ValueError("the batch must hold at least one sequence")
        a = checks.alphas(alpha, len(z))
        mean = np.asarray(dalpha, dtype=np.float64) / z.size  # the loss is a mean over tokens
        given = given_or_uniform(process, self.config.vocab).coefficients(a, mean)
        parts = shares(len(z), min(checks.count(shards, "shards"), len(z)))
        while len(self._gradients) < len(parts):
            self._gradients.append(Weights(self.weights.shapes, self.weights.flat.dtype))
        masks, rate = self._dropout_uniforms(z.shape, rng), self.config.dropout
        w = self.weights.tensors
        features = noise_features(a, self.weights.flat.dtype)

        def shard(k: int) -> float:
            part, g = parts[k], self._gradients[k]
            loss = np.empty(z[part].size, features.dtype)
            with self._noise(len(z[part])) as noise, self._tile(keep=True) as tile:
                g.flat[:] = 0
                learn(g.tensors, loss, clean[part], z[part], of_sequences(given, part),
                      features[part], w, turned, noise, tile, masks[part], rate)  # fmt: skip
            return float(loss.sum(dtype=np.float64))

        total = self._gradients[0]

        def add_up(part: slice) -> None:
            for gradient in self._gradients[1 : len(parts)]:
                total.flat[part] += gradient.flat[part]

        with self._turned() as turned:
            loss = sum(run_on(pool, shard, range(len(parts))))
        run_on(pool, add_up, long_shares(total.flat.size, len(parts)))
        return loss, total

    def _checked(self, tokens: ArrayLike, name: str) -> Tokens:
        x = checks.tokens(tokens, self.config.vocab, name, ndim=2)
        if x.shape[1] != self.config.length:
            raise ValueError(f"{name} must have length {self.config.length}, got {x.shape[1]}")
        return x

    def _noise(self, B: int) -> AbstractContextManager[Noise]:
        dtype = self.weights.flat.dtype
        return self._lent(("noise", B), lambda: new_noise(self.config, dtype, B))

    def _tile(self, keep: bool) -> AbstractContextManager[Tile]:
        config, dtype = self.config, self.weights.flat.dtype
        return self._lent(("tile", keep), lambda: new_tile(config, dtype, keep))

    @contextmanager
    def _turned(self) -> Iterator[Turned]:
        """Lend the matrices of today's weights, transposed."""
        w = self.weights.tensors
        matrices = (w.qkv, w.out, w.mlp_in, w.mlp_out, w.final[None])

        def make() -> Turned:
            qkv, out, mlp_in, mlp_out, final = (
                aligned(m.swapaxes(1, 2).shape, m.dtype) for m in matrices
            )
            return Turned(qkv, out, mlp_in, mlp_out, final[0])

        with self._lent(("turned",), make) as turned:
            for WT, W in zip(turned, matrices, strict=True):
                transpose_all(WT.reshape(-1, *WT.shape[-2:]), W)
            yield turned

    @contextmanager
    def _lent(self, key: tuple[Any, ...], make: Callable[[], Lent]) -> Iterator[Lent]:
        """Lend arrays that nobody uses: there are as many as users at a time."""
        free = self._free.setdefault(key, [])
        try:
            arrays = free.pop()
        except IndexError:
            arrays = make()
        yield arrays
        free.append(arrays)

    def _dropout_uniforms(self, shape: tuple[int, int], rng: Generator | None) -> Floats:
        """Draw (B, 2K, L, D) uniforms, or none at rate 0."""
        (B, L), lines = shape, 2 * self.config.blocks
        if self.config.dropout == 0:
            return np.empty((0, lines, L, self.config.width), np.float32)
        if rng is None:
            raise ValueError("dropout needs rng")
        return rng.random((B, lines, L, self.config.width), dtype=np.float32)
