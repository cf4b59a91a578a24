"""The network: a bidirectional transformer with adaptive layer norm, forward and backward by hand.

    x = E[tokens]                        c = SiLU(MLP(features(-log α)))
    each block, with shift, scale, gate (twice) = W_m c + b_m:
        x ← x + gate₁ ⊙ Attention(LN(x) γ₁ (1 + scale₁) + shift₁)
        x ← x + gate₂ ⊙ MLP(LN(x) γ₂ (1 + scale₂) + shift₂)
    logits = W (LN(x) γ (1 + scale) + shift) + b

The backward is the forward read from the bottom: its k-th line undoes the k-th last line. The
gradient of the residual stream, `dx`, is one array that every block reads and adds to.

A batch is computed in a fixed number of shards whose gradients are added in shard order, each
shard on a thread of its own if there are any to spare; the number of threads therefore never
changes a bit.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    modulation_backward,
    modulation_forward,
    noise_features,
    silu_backward,
    silu_forward,
)
from minuddm.layers.softmax import log_softmax
from minuddm.nelbo import bound_and_gradient, bound_rates
from minuddm.seams import Floats, Tokens
from minuddm.weights import ModelConfig, Weights, initialise, shapes

_CHUNK = 64  # sequences at a time when nothing has to be kept for a backward pass


class Transformer:
    """A `Denoiser` (call it), and its training gradient (`loss_and_grad`).

    The dtype of the weights decides the arithmetic: float32 for work, float64 for checking. An
    instance owns working arrays and must not be called from two threads at once.
    """

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        if weights.shapes != shapes(config):
            raise ValueError("the weights do not have the shapes of the configuration")
        self.config = config
        self.weights = weights
        self._spaces: dict[tuple[int, bool, int], _Workspace] = {}
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
            space = self._space(len(x[part]), keep=False)
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
            space = self._space(len(z[part]), keep=True, shard=k)
            space.uniforms = None if masks is None else masks[:, part]
            tokens = z[part].ravel()
            _forward(self.config, self.weights, space, tokens, a[part])
            bound_and_gradient(
                space.loss,
                space.dlogits,
                space.logits,
                clean[part].ravel(),
                tokens,
                rates[part],
                self.config.length,
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

    def _space(self, batch: int, keep: bool, shard: int = 0) -> "_Workspace":
        key = (batch, keep, shard)
        if key not in self._spaces:
            self._spaces[key] = _Workspace(self.config, self.weights.flat.dtype, batch, keep)
        return self._spaces[key]

    def _dropout_uniforms(self, shape: tuple[int, ...], rng: Generator | None) -> Floats | None:
        if self.config.dropout == 0:
            return None
        if rng is None:
            raise ValueError("dropout needs rng")
        return rng.random((2 * self.config.blocks, *shape, self.config.width), dtype=np.float32)


class _Workspace:
    """The arrays of one forward and backward pass over B sequences, allocated once.

    With `keep` every block has its own saved arrays, else all share one set. N = B·L.
    """

    def __init__(self, config: ModelConfig, dtype: np.dtype, B: int, keep: bool) -> None:
        L, D, H, C, V = config.length, config.width, config.heads, config.cond, config.vocab
        N = B * L

        def new(*shape: int) -> Floats:
            return np.empty(shape, dtype)

        self.shape = (B, L, H, D // H)
        self.rotary = rotary_table(L, D // H, dtype)
        self.uniforms: NDArray[np.float32] | None = None
        self.features = new(B, FEATURES)
        self.u1, self.a1, self.u2, self.c = (new(B, C) for _ in range(4))
        self.scores = new(B, H, L, L)
        streams = 2 * config.blocks + 1 if keep else 2
        arrays = [new(N, D) for _ in range(streams)]
        self.x = [arrays[i % streams] for i in range(2 * config.blocks + 1)]
        saved = [_Saved(new, B, L, H, D) for _ in range(config.blocks if keep else 1)]
        self.blocks = [saved[k % len(saved)] for k in range(config.blocks)]
        self.mod, self.mean, self.rstd = new(2, B, D), new(N), new(N)
        self.h, self.logits = new(N, D), new(N, V)
        if keep:
            self.loss, self.dlogits = new(N), new(N, V)
            self.dx, self.dh, self.dbranch = new(N, D), new(N, D), new(N, D)
            self.dact, self.du, self.dqkv = new(N, 4 * D), new(N, 4 * D), new(N, 3 * D)
            self.dP = new(B, H, L, L)
            self.dmod, self.dfinal = new(6, B, D), new(2, B, D)
            self.dc, self.da1, self.du1, self.work = (new(B, C) for _ in range(4))


class _Saved:
    """What one block keeps for its backward pass."""

    def __init__(self, new: Callable[..., Floats], B: int, L: int, H: int, D: int) -> None:
        N = B * L
        self.mod = new(6, B, D)
        self.mean1, self.rstd1, self.mean2, self.rstd2 = (new(N) for _ in range(4))
        self.h1, self.qkv, self.P = new(N, D), new(N, 3 * D), new(B, H, L, L)
        self.heads, self.attention = new(N, D), new(N, D)
        self.h2, self.u, self.act, self.mlp = new(N, D), new(N, 4 * D), new(N, 4 * D), new(N, D)


def _forward(
    config: ModelConfig, w: Weights, s: _Workspace, tokens: Tokens, alpha: NDArray[np.float64]
) -> None:
    """Tokens (N,), alpha (B,) → s.logits (N, V)."""
    L = config.length
    s.features[:] = noise_features(alpha, s.features.dtype)
    linear_forward(s.u1, s.features, w["conditioning.in.weight"], w["conditioning.in.bias"])
    silu_forward(s.a1, s.u1)
    linear_forward(s.u2, s.a1, w["conditioning.out.weight"], w["conditioning.out.bias"])
    silu_forward(s.c, s.u2)
    embedding_forward(s.x[0], tokens, w["embedding"])
    for k in range(config.blocks):
        _block_forward(config, w.under(f"blocks.{k}"), s, k)
    modulation_forward(s.mod, s.c, w["final.modulation.weight"], w["final.modulation.bias"])
    shift, scale = s.mod
    modulated_norm_forward(s.h, s.mean, s.rstd, s.x[-1], w["final.norm.gain"], shift, scale, L)
    linear_forward(s.logits, s.h, w["final.linear.weight"], w["final.linear.bias"])


def _block_forward(config: ModelConfig, w: dict[str, Floats], s: _Workspace, k: int) -> None:
    """s.x[2k] → s.x[2k + 1] by attention → s.x[2k + 2] by the MLP."""
    a, L = s.blocks[k], config.length
    x, x_mid, x_out = s.x[2 * k : 2 * k + 3]
    modulation_forward(a.mod, s.c, w["modulation.weight"], w["modulation.bias"])
    shift1, scale1, gate1, shift2, scale2, gate2 = a.mod

    modulated_norm_forward(a.h1, a.mean1, a.rstd1, x, w["norm1.gain"], shift1, scale1, L)
    linear_forward(a.qkv, a.h1, w["attention.qkv.weight"])
    attention_forward(a.heads, a.P, s.scores, a.qkv, s.rotary, s.shape)
    linear_forward(a.attention, a.heads, w["attention.out.weight"])
    _drop(config, s, a.attention, 2 * k)
    gated_residual_forward(x_mid, x, gate1, a.attention, L)

    modulated_norm_forward(a.h2, a.mean2, a.rstd2, x_mid, w["norm2.gain"], shift2, scale2, L)
    linear_forward(a.u, a.h2, w["mlp.in.weight"])
    gelu_forward(a.act, a.u, w["mlp.in.bias"])
    linear_forward(a.mlp, a.act, w["mlp.out.weight"], w["mlp.out.bias"])
    _drop(config, s, a.mlp, 2 * k + 1)
    gated_residual_forward(x_out, x_mid, gate2, a.mlp, L)


def _backward(config: ModelConfig, w: Weights, g: Weights, s: _Workspace, tokens: Tokens) -> None:
    """s.dlogits (N, V) → every tensor of the gradient table g."""
    L = config.length
    s.dx[:] = 0
    s.dc[:] = 0
    W, gain = w["final.linear.weight"], w["final.norm.gain"]
    linear_backward(s.dh, g["final.linear.weight"], g["final.linear.bias"], s.dlogits, s.h, W)
    dshift, dscale = s.dfinal
    modulated_norm_backward(
        s.dx, g["final.norm.gain"], dshift, dscale, s.dh, s.mean, s.rstd, s.x[-1], gain, s.mod[1], L
    )
    dW, db = g["final.modulation.weight"], g["final.modulation.bias"]
    modulation_backward(s.dc, dW, db, s.work, s.dfinal, s.c, w["final.modulation.weight"])
    for k in reversed(range(config.blocks)):
        _block_backward(config, w.under(f"blocks.{k}"), g.under(f"blocks.{k}"), s, k)
    embedding_backward(g["embedding"], s.dx, tokens)
    silu_backward(s.work, s.dc, s.u2)
    dW, db = g["conditioning.out.weight"], g["conditioning.out.bias"]
    linear_backward(s.da1, dW, db, s.work, s.a1, w["conditioning.out.weight"])
    silu_backward(s.du1, s.da1, s.u1)
    dW, db = g["conditioning.in.weight"], g["conditioning.in.bias"]
    linear_backward(None, dW, db, s.du1, s.features, w["conditioning.in.weight"])


def _block_backward(
    config: ModelConfig, w: dict[str, Floats], g: dict[str, Floats], s: _Workspace, k: int
) -> None:
    """Turn the gradient s.dx of the output into that of the input; s.dc gathers its share."""
    a, L = s.blocks[k], config.length
    x, x_mid, _ = s.x[2 * k : 2 * k + 3]
    _, scale1, gate1, _, scale2, gate2 = a.mod
    dshift1, dscale1, dgate1, dshift2, dscale2, dgate2 = s.dmod

    gated_residual_backward(s.dbranch, dgate2, s.dx, gate2, a.mlp, L)
    _drop(config, s, s.dbranch, 2 * k + 1)
    dW, db, W = g["mlp.out.weight"], g["mlp.out.bias"], w["mlp.out.weight"]
    linear_backward(s.dact, dW, db, s.dbranch, a.act, W)
    gelu_backward(s.du, s.dact, a.u, w["mlp.in.bias"])
    dW, db, W = g["mlp.in.weight"], g["mlp.in.bias"], w["mlp.in.weight"]
    linear_backward(s.dh, dW, db, s.du, a.h2, W)
    dgain, gain = g["norm2.gain"], w["norm2.gain"]
    modulated_norm_backward(
        s.dx, dgain, dshift2, dscale2, s.dh, a.mean2, a.rstd2, x_mid, gain, scale2, L
    )

    gated_residual_backward(s.dbranch, dgate1, s.dx, gate1, a.attention, L)
    _drop(config, s, s.dbranch, 2 * k)
    dW, W = g["attention.out.weight"], w["attention.out.weight"]
    linear_backward(s.dh, dW, None, s.dbranch, a.heads, W)
    attention_backward(s.dqkv, s.dP, s.scores, s.dh, a.P, a.qkv, s.rotary, s.shape)
    dW, W = g["attention.qkv.weight"], w["attention.qkv.weight"]
    linear_backward(s.dh, dW, None, s.dqkv, a.h1, W)
    dgain, gain = g["norm1.gain"], w["norm1.gain"]
    modulated_norm_backward(
        s.dx, dgain, dshift1, dscale1, s.dh, a.mean1, a.rstd1, x, gain, scale1, L
    )

    dW, db, W = g["modulation.weight"], g["modulation.bias"], w["modulation.weight"]
    modulation_backward(s.dc, dW, db, s.work, s.dmod, s.c, W)


def _drop(config: ModelConfig, s: _Workspace, x: Floats, line: int) -> None:
    """Drop out branch `line` (two a block) of a training pass; its backward is the same."""
    if s.uniforms is not None:
        dropout(x, s.uniforms[line].reshape(x.shape), config.dropout)
