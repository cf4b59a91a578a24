"""The network: a bidirectional transformer with adaptive layer norm, forward and backward by hand.

    x = E[tokens]                        c = SiLU(MLP(features(-log α)))
    mod = W_m c + b_m: for each block shift, scale, gate (twice), in the end shift, scale
    each block:
        x ← x + gate₁ ⊙ Attention(LN(x) γ₁ (1 + scale₁) + shift₁)
        x ← x + gate₂ ⊙ MLP(LN(x) γ₂ (1 + scale₂) + shift₂)
    logits = W (LN(x) γ (1 + scale) + shift) + b

The backward is the forward read from the bottom: its k-th line undoes the k-th last line. The
gradient of the residual stream, `dx`, is one array that every block reads and adds to.

A batch is computed in a fixed number of shards whose gradients are added in shard order, each
shard on a thread of its own if there are any to spare; the number of threads therefore never
changes a bit.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import seams
from minuddm.layers.attention import attention_backward, attention_forward, rotary_table
from minuddm.layers.dropout import dropout
from minuddm.layers.embedding import embedding_backward, embedding_forward
from minuddm.layers.layernorm import modulated_norm_backward, modulated_norm_forward
from minuddm.layers.linear import linear_backward, linear_forward
from minuddm.layers.mlp import gelu_backward, gelu_forward
from minuddm.layers.modulation import (
    FEATURES,
    gated_residual_backward,
    gated_residual_forward,
    noise_features,
    silu_backward,
    silu_forward,
)
from minuddm.layers.softmax import log_softmax
from minuddm.nelbo import bound_and_gradient, bound_rates
from minuddm.seams import Floats, Tokens
from minuddm.weights import ModelConfig, Weights, initialise, shapes

_CHUNK = 64  # sequences at a time when nothing has to be kept for a backward pass
_ROWS = 6  # of a block's modulation: shift, scale, gate of attention, then of the MLP
_NORM1, _GATE1, _NORM2, _GATE2 = 0, 2, 3, 5


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
        self._free: dict[tuple[int, bool], list[_Workspace]] = {}
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
        a = seams.alphas(alpha, len(x))
        log_p = np.empty((*x.shape, self.config.vocab), self.weights.flat.dtype)
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            with self._space(len(x[part]), keep=False) as space:
                _forward(self.config, self.weights, space, x[part].ravel(), a[part])
                log_softmax(log_p[part].reshape(-1, self.config.vocab), space.logits)
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
    ) -> tuple[float, Weights]:
        """Return the mean bound [T8] (nats per token and unit of t) and its gradient table.

        x0, xt (B, L), alpha and dalpha (B,) or numbers. The batch is split into `shards` parts,
        run on `pool` if there is one. `rng` draws the dropout masks and is needed when the rate
        is above 0. The table is the instance's own: the next call overwrites it.
        """
        clean, z = self._checked(x0, "x0"), self._checked(xt, "xt")
        if clean.shape != z.shape:
            raise ValueError(f"x0 and xt must have one shape, got {clean.shape} and {z.shape}")
        if len(z) == 0:
            raise ValueError("the batch must hold at least one sequence")
        a = seams.alphas(alpha, len(z))
        rates = bound_rates(a, dalpha, self.config.vocab)
        rates[:, 2] /= z.size  # the loss is a mean over tokens
        edges = np.linspace(0, len(z), min(seams.count(shards, "shards"), len(z)) + 1).astype(int)
        parts = [slice(i, j) for i, j in pairwise(edges)]
        while len(self._gradients) < len(parts):
            self._gradients.append(Weights(self.weights.shapes, self.weights.flat.dtype))
        masks = self._dropout_uniforms(z.shape, rng)

        def shard(k: int) -> float:
            part = parts[k]
            tokens, L = z[part].ravel(), self.config.length
            with self._space(len(z[part]), keep=True) as space:
                space.uniforms = None if masks is None else masks[:, part]
                _forward(self.config, self.weights, space, tokens, a[part])
                bound_and_gradient(
                    space.loss, space.logits, clean[part].ravel(), tokens, rates[part], L
                )
                _backward(self.config, self.weights, self._gradients[k], space, tokens)
                return float(space.loss.sum(dtype=np.float64))

        run = cast(Callable[..., Any], map if pool is None else pool.map)
        loss = sum(run(shard, range(len(parts))))
        total = self._gradients[0]
        for gradient in self._gradients[1 : len(parts)]:
            total.flat += gradient.flat
        return loss, total

    def _checked(self, tokens: ArrayLike, name: str) -> Tokens:
        x = seams.tokens(tokens, self.config.vocab, name, ndim=2)
        if x.shape[1] != self.config.length:
            raise ValueError(f"{name} must have length {self.config.length}, got {x.shape[1]}")
        return x

    @contextmanager
    def _space(self, batch: int, keep: bool) -> Iterator["_Workspace"]:
        """Lend a workspace that nobody uses: there are as many as shards at work at a time."""
        free = self._free.setdefault((batch, keep), [])
        try:
            space = free.pop()
        except IndexError:
            space = _Workspace(self.config, self.weights.flat.dtype, batch, keep)
        yield space
        free.append(space)

    def _dropout_uniforms(self, shape: tuple[int, ...], rng: Generator | None) -> Floats | None:
        if self.config.dropout == 0:
            return None
        if rng is None:
            raise ValueError("dropout needs rng")
        return rng.random((2 * self.config.blocks, *shape, self.config.width), dtype=np.float32)


class _Workspace:
    """The arrays of one forward and backward pass over B sequences, allocated once.

    With `keep` every block has its own saved arrays, else all share one set. N = B·L. What a
    backward pass reads, in numbers of about N:

        each block   h1, q, k, v, heads, attention, h2, mlp 8D,  u, act 8D,  x twice 2D,  P H L
        once         x, h 2D,  logits V

    and what it needs besides: dx, dh, dbranch 3D, du 4D, dP H L.
    """

    def __init__(self, config: ModelConfig, dtype: np.dtype, B: int, keep: bool) -> None:
        L, D, H, C, V = config.length, config.width, config.heads, config.cond, config.vocab
        N = B * L

        def new(*shape: int) -> Floats:
            return np.empty(shape, dtype)

        self.keep, self.shape = keep, (B, L, H, D // H)
        self.rotary = rotary_table(L, D // H, dtype)
        self.uniforms: NDArray[np.float32] | None = None
        self.features = new(B, FEATURES)
        self.u1, self.a1, self.u2, self.c = (new(B, C) for _ in range(4))
        streams = 2 * config.blocks + 1 if keep else 2
        arrays = [new(N, D) for _ in range(streams)]
        self.x = [arrays[i % streams] for i in range(2 * config.blocks + 1)]
        saved = [_Saved(new, B, L, H, D) for _ in range(config.blocks if keep else 1)]
        self.blocks = [saved[k % len(saved)] for k in range(config.blocks)]
        self.mod = new(B, _ROWS * config.blocks + 2, D)
        self.mean, self.rstd = new(N), new(N)
        self.h, self.logits = new(N, D), new(N, V)
        if keep:
            self.loss = new(N)
            self.dx, self.dh, self.dbranch = new(N, D), new(N, D), new(N, D)
            self.dP, self.du = new(B, H, L, L), new(N, 4 * D)
            self.dqkv = self.du.ravel()[: 3 * N * D].reshape(N, 3 * D)  # never at the same time
            self.dmod = new(*self.mod.shape)
            self.dc, self.du2, self.da1, self.du1 = (new(B, C) for _ in range(4))


class _Saved:
    """What one block keeps for its backward pass."""

    def __init__(self, new: Callable[..., Floats], B: int, L: int, H: int, D: int) -> None:
        N = B * L
        self.mean1, self.rstd1, self.mean2, self.rstd2 = (new(N) for _ in range(4))
        self.h1, self.qkv, self.P = new(N, D), new(N, 3 * D), new(B, H, L, L)
        self.heads, self.attention = new(N, D), new(N, D)
        self.h2, self.u, self.act, self.mlp = new(N, D), new(N, 4 * D), new(N, 4 * D), new(N, D)


def _forward(
    config: ModelConfig, w: Weights, s: _Workspace, tokens: Tokens, alpha: NDArray[np.float64]
) -> None:
    """Tokens (N,), alpha (B,) → s.logits (N, V)."""
    L = config.length
    _noise_forward(w, s, alpha)
    embedding_forward(s.x[0], tokens, w["embedding"])
    for k in range(config.blocks):
        _block_forward(config, w.under(f"blocks.{k}"), s, k)
    gain, last = w["final.norm.gain"], _ROWS * config.blocks
    modulated_norm_forward(s.h, s.mean, s.rstd, s.x[-1], gain, s.mod, last, L)
    linear_forward(s.logits, s.h, w["final.linear.weight"], w["final.linear.bias"])


def _noise_forward(w: Weights, s: _Workspace, alpha: NDArray[np.float64]) -> None:
    """Alpha (B,) → s.mod: once for all sequences, if they share it and nothing is to be kept."""
    B = len(alpha) if s.keep or (alpha != alpha[0]).any() else 1
    features, u1, a1, u2, c = (array[:B] for array in (s.features, s.u1, s.a1, s.u2, s.c))
    features[:] = noise_features(alpha[:B], features.dtype)
    linear_forward(u1, features, w["conditioning.in.weight"], w["conditioning.in.bias"])
    silu_forward(a1, u1)
    linear_forward(u2, a1, w["conditioning.out.weight"], w["conditioning.out.bias"])
    silu_forward(c, u2)
    W, b = w.stacked("modulation.weight"), w.stacked("modulation.bias")
    linear_forward(_flat(s.mod[:B]), c, W, b)
    s.mod[B:] = s.mod[0]


def _block_forward(config: ModelConfig, w: dict[str, Floats], s: _Workspace, k: int) -> None:
    """s.x[2k] → s.x[2k + 1] by attention → s.x[2k + 2] by the MLP."""
    a, L, row = s.blocks[k], config.length, _ROWS * k
    x, x_mid, x_out = s.x[2 * k : 2 * k + 3]

    gain = w["norm1.gain"]
    modulated_norm_forward(a.h1, a.mean1, a.rstd1, x, gain, s.mod, row + _NORM1, L)
    linear_forward(a.qkv, a.h1, w["attention.qkv.weight"])
    attention_forward(a.heads, a.P, a.qkv, s.rotary, s.shape)
    linear_forward(a.attention, a.heads, w["attention.out.weight"])
    _drop(config, s, a.attention, 2 * k)
    gated_residual_forward(x_mid, x, s.mod, row + _GATE1, a.attention, L)

    gain = w["norm2.gain"]
    modulated_norm_forward(a.h2, a.mean2, a.rstd2, x_mid, gain, s.mod, row + _NORM2, L)
    linear_forward(a.u, a.h2, w["mlp.in.weight"])
    gelu_forward(a.act, a.u, w["mlp.in.bias"])
    linear_forward(a.mlp, a.act, w["mlp.out.weight"], w["mlp.out.bias"])
    _drop(config, s, a.mlp, 2 * k + 1)
    gated_residual_forward(x_out, x_mid, s.mod, row + _GATE2, a.mlp, L)


def _backward(config: ModelConfig, w: Weights, g: Weights, s: _Workspace, tokens: Tokens) -> None:
    """s.logits, by now their gradient (N, V) → every tensor of the gradient table g."""
    L = config.length
    s.dx[:] = 0
    W, gain = w["final.linear.weight"], w["final.norm.gain"]
    linear_backward(s.dh, g["final.linear.weight"], g["final.linear.bias"], s.logits, s.h, W)
    dgain, last = g["final.norm.gain"], _ROWS * config.blocks
    modulated_norm_backward(
        s.dx, dgain, s.dmod, s.dh, s.mean, s.rstd, s.x[-1], gain, s.mod, last, L
    )
    for k in reversed(range(config.blocks)):
        _block_backward(config, w.under(f"blocks.{k}"), g.under(f"blocks.{k}"), s, k)
    embedding_backward(g["embedding"], s.dx, tokens)
    _noise_backward(w, g, s)


def _noise_backward(w: Weights, g: Weights, s: _Workspace) -> None:
    """s.dmod → the gradients of the modulation and of the conditioning."""
    dW, db = g.stacked("modulation.weight"), g.stacked("modulation.bias")
    linear_backward(s.dc, dW, db, _flat(s.dmod), s.c, w.stacked("modulation.weight"))
    silu_backward(s.du2, s.dc, s.u2)
    dW, db = g["conditioning.out.weight"], g["conditioning.out.bias"]
    linear_backward(s.da1, dW, db, s.du2, s.a1, w["conditioning.out.weight"])
    silu_backward(s.du1, s.da1, s.u1)
    dW, db = g["conditioning.in.weight"], g["conditioning.in.bias"]
    linear_backward(None, dW, db, s.du1, s.features, w["conditioning.in.weight"])


def _block_backward(
    config: ModelConfig, w: dict[str, Floats], g: dict[str, Floats], s: _Workspace, k: int
) -> None:
    """Turn the gradient s.dx of the output into that of the input; write rows of s.dmod."""
    a, L, row = s.blocks[k], config.length, _ROWS * k
    x, x_mid, _ = s.x[2 * k : 2 * k + 3]

    gated_residual_backward(s.dbranch, s.dmod, s.dx, s.mod, row + _GATE2, a.mlp, L)
    _drop(config, s, s.dbranch, 2 * k + 1)
    dW, db, W = g["mlp.out.weight"], g["mlp.out.bias"], w["mlp.out.weight"]
    linear_backward(a.act, dW, db, s.dbranch, a.act, W)  # nobody reads the activations again
    gelu_backward(s.du, a.act, a.u, w["mlp.in.bias"])
    dW, db, W = g["mlp.in.weight"], g["mlp.in.bias"], w["mlp.in.weight"]
    linear_backward(s.dh, dW, db, s.du, a.h2, W)
    dgain, gain = g["norm2.gain"], w["norm2.gain"]
    modulated_norm_backward(
        s.dx, dgain, s.dmod, s.dh, a.mean2, a.rstd2, x_mid, gain, s.mod, row + _NORM2, L
    )

    gated_residual_backward(s.dbranch, s.dmod, s.dx, s.mod, row + _GATE1, a.attention, L)
    _drop(config, s, s.dbranch, 2 * k)
    dW, W = g["attention.out.weight"], w["attention.out.weight"]
    linear_backward(s.dh, dW, None, s.dbranch, a.heads, W)
    attention_backward(s.dqkv, a.P, s.dP, s.dh, a.qkv, s.rotary, s.shape)
    dW, W = g["attention.qkv.weight"], w["attention.qkv.weight"]
    linear_backward(s.dh, dW, None, s.dqkv, a.h1, W)
    dgain, gain = g["norm1.gain"], w["norm1.gain"]
    modulated_norm_backward(
        s.dx, dgain, s.dmod, s.dh, a.mean1, a.rstd1, x, gain, s.mod, row + _NORM1, L
    )


def _flat(mod: Floats) -> Floats:
    """Return a modulation (B, K, D) as one row per sequence, the output of a linear."""
    return mod.reshape(len(mod), -1)


def _drop(config: ModelConfig, s: _Workspace, x: Floats, line: int) -> None:
    """Drop out branch `line` (two a block) of a training pass; its backward is the same."""
    if s.uniforms is not None:
        dropout(x, s.uniforms[line].reshape(x.shape), config.dropout)
