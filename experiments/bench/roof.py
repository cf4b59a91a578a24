"""The matrix products of a training step, counted, and the rate at which BLAS alone does them.

A step of B sequences of length L multiplies (m, k) by (k, n) at 2 m k n operations:

    conditioning    (B, 256) (256, C),  (B, C) (C, C),  (B, C) (C, K D)     K = 6 blocks + 2
    for each tile of T sequences, N = T L tokens (the last may be smaller), and in it
    each block      (N, D) (D, 3D),  (N, D) (D, D),  (N, D) (D, 4D),  (N, 4D) (4D, D)
                    and for each of T H heads  (L, d) (d, L),  (L, L) (L, d)
    output          (N, D) (D, V)           (backwards in slices of at most 128 of V)

and twice as much again backwards: for y = x Wᵀ, dW = dyᵀ x and dx = dy W. The roof is the rate of
these products alone: each repeated by NumPy's BLAS on arrays of its own shapes and transposes,
with one thread. (The network multiplies its heads in loops of its own; their roof is BLAS too.)
"""

import math
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from minuddm import ModelConfig
from minuddm.machine.arrays import sequences_of_tile
from minuddm.machine.linear import WIDE
from minuddm.machine.shards import shards_of
from minuddm.network import FEATURES


@dataclass(frozen=True)
class Product:
    """A batch of products (m, k) (k, n); `first` and `second` say which factor is transposed."""

    batch: tuple[int, ...]
    m: int
    k: int
    n: int
    first: bool = False
    second: bool = False

    @property
    def flops(self) -> int:
        """Return the multiplications and additions."""
        return 2 * math.prod(self.batch) * self.m * self.k * self.n


def products(config: ModelConfig, B: int) -> Counter[Product]:
    """Return the products of a forward and backward pass over B sequences, with their numbers."""
    D, C, L, T = config.width, config.cond, config.length, sequences_of_tile(config)
    found: Counter[Product] = Counter()

    def linear(
        rows: int, inputs: int, outputs: int, times: int, view: bool = False, reads: bool = True
    ) -> None:
        found[Product((), rows, inputs, outputs, second=view)] += times
        backward(rows, inputs, outputs, times, reads)

    def backward(rows: int, inputs: int, outputs: int, times: int, reads: bool = True) -> None:
        found[Product((), outputs, rows, inputs, first=True)] += times
        if reads:
            found[Product((), rows, outputs, inputs)] += times

    # the conditioning's features need no gradient
    linear(B, FEATURES, C, 1, view=True, reads=False)
    linear(B, C, C, 1, view=True)
    linear(B, C, (6 * config.blocks + 2) * D, 1, view=True)
    for size, tiles in ((T, B // T), (B % T, 1)):
        if size and tiles:
            for inputs, outputs in ((D, 3 * D), (D, D), (D, 4 * D), (4 * D, D)):
                linear(size * L, inputs, outputs, tiles * config.blocks)
            found[Product((), size * L, D, config.vocab)] += tiles
            for part in shards_of(config.vocab, -(-config.vocab // WIDE)):
                backward(size * L, D, part.stop - part.start, tiles)
            heads, d, each = (size, config.heads), D // config.heads, tiles * config.blocks
            found[Product(heads, L, d, L)] += 2 * each  # q kᵀ, do vᵀ
            found[Product(heads, L, L, d)] += 2 * each  # P v, dS k
            found[Product(heads, L, L, d, first=True)] += 2 * each  # Pᵀ do, dSᵀ q
    return found


def flops(config: ModelConfig, B: int) -> int:
    """Return the operations of all products of a step over B sequences."""
    return sum(product.flops * times for product, times in products(config, B).items())


def roof(config: ModelConfig, B: int, shards: int, repeats: int) -> float:
    """Return the seconds that the products of a step take alone, one thread, shard by shard."""
    sizes = Counter(part.stop - part.start for part in shards_of(B, shards))
    with threadpool_limits(1, user_api="blas"):
        return sum(
            shards_alike * times * _alone(product, repeats)
            for size, shards_alike in sizes.items()
            for product, times in products(config, size).items()
        )


def _alone(product: Product, repeats: int) -> float:
    """Return the median seconds of one product, repeated for at least a millisecond each time."""
    rng, p = np.random.default_rng(0), product
    a = rng.random((*p.batch, *((p.k, p.m) if p.first else (p.m, p.k))), dtype=np.float32)
    b = rng.random((*p.batch, *((p.n, p.k) if p.second else (p.k, p.n))), dtype=np.float32)
    a, b = a.swapaxes(-1, -2) if p.first else a, b.swapaxes(-1, -2) if p.second else b
    out = np.empty((*p.batch, p.m, p.n), np.float32)
    often = max(1, round(1e-3 / (p.flops / 5e10)))
    taken = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        for _ in range(often):
            np.matmul(a, b, out=out)
        taken.append((time.perf_counter() - started) / often)
    return float(np.median(taken[1:]))
