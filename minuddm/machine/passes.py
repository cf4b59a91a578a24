"""The passes through the network, forward and backward, compiled: what `Transformer` runs.

A shard of a batch is computed in tiles of a few sequences, forward and backward, each adding to
the shard's gradient: what a tile leaves for its backward pass is still in the cache then, and
memory does not grow with the batch. A shard is one call of compiled code, so that the threads of
two shards never wait for Python.

    predict           tokens → log-probabilities          learn     tokens → bound and gradient
      noise_forward     features of α → modulation          noise_forward
      _forward          a tile through all blocks           _forward, the bound, _backward
                                                            noise_backward

Line by line these are the equations in `minuddm.transformer`; the backward is the forward read
from the bottom, its k-th line undoes the k-th last line. The gradient of the residual stream,
`dx`, is one array that every block reads and adds to.
"""

from typing import NamedTuple

import numpy as np

from minuddm.checks import Floats, Tokens
from minuddm.machine.attention import (
    attention_backward,
    attention_forward,
    filled_up,
    rotary_table,
)
from minuddm.machine.dropout import dropout
from minuddm.machine.embedding import embedding_backward, embedding_forward
from minuddm.machine.integrand import integrand_and_gradient
from minuddm.machine.intrinsics import aligned
from minuddm.machine.jit import jit_strict
from minuddm.machine.layernorm import modulated_norm_backward, modulated_norm_forward
from minuddm.machine.linear import (
    linear_backward,
    linear_forward,
    wide_linear_backward,
)
from minuddm.machine.mlp import gelu, gelu_backward, gelu_forward
from minuddm.machine.modulation import (
    gated_residual_backward,
    gated_residual_forward,
    silu_backward,
    silu_forward,
)
from minuddm.machine.softmax import log_softmax
from minuddm.weights import ModelConfig, Tensors

_ROWS = 6  # of a block's modulation: shift, scale, gate of attention, then of the MLP
_NORM1, _GATE1, _NORM2, _GATE2 = 0, 2, 3, 5


def sequences_at_a_time(config: ModelConfig) -> int:
    """Return T, the sequences of a tile: 2D tokens or a little fewer, one sequence at least.

    Fewer would read the weights too often, more would not find their own numbers in the cache.
    """
    return max(1, 2 * config.width // config.length)


class Noise(NamedTuple):
    """The arrays of what the noise level says to B sequences, c and mod, and of their gradients."""

    u1: Floats  # (B, C)
    a1: Floats
    u2: Floats
    c: Floats
    du1: Floats
    da1: Floats
    du2: Floats
    dc: Floats
    mod: Floats  # (B, 6 K + 2, D)
    dmod: Floats


def new_noise(config: ModelConfig, dtype: np.dtype, B: int) -> Noise:
    """Return the arrays for B sequences."""
    rows = _ROWS * config.blocks + 2
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(Noise._fields, (B, config.cond))
    shapes |= dict.fromkeys(("mod", "dmod"), (B, rows, config.width))
    return Noise(**{name: aligned(shape, dtype) for name, shape in shapes.items()})


class Turned(NamedTuple):
    """The matrices of the linears (out, in) as (in, out), the way a forward product reads them."""

    qkv: Floats
    out: Floats
    mlp_in: Floats
    mlp_out: Floats
    final: Floats


class Tile(NamedTuple):
    """The arrays of a pass over T sequences, N = T·L tokens, allocated once.

    K is the number of blocks where a backward pass is to follow, else 1: all blocks share one set.
    S is L filled up to whole registers. What a backward pass reads, in numbers of about N:

        each block   h1, q, k, v, heads, attention, h2, mlp 8D,  u, act 8D,  x twice 2D,  P H S
        once         x, h 2D,  logits V

    and besides dx, dh 2D. All other gradients take the memory of what they belong to.
    """

    rotary: Floats  # (2, L, d/2)
    x: Floats  # (2K + 1, N, D): before each block, in its middle, and at the end
    mean: Floats  # (2K + 1, N): what the norms subtract
    rstd: Floats  # (2K + 1, N): what they multiply with
    h1: Floats  # (K, N, D)
    qkv: Floats  # (K, N, 3D)
    P: Floats  # (K, T, H, S, S)
    heads: Floats  # (K, N, D)
    attention: Floats  # (K, N, D)
    h2: Floats  # (K, N, D)
    u: Floats  # (K, N, 4D)
    act: Floats  # (K, N, 4D)
    mlp: Floats  # (K, N, D)
    h: Floats  # (N, D)
    logits: Floats  # (N, V)
    dx: Floats  # (N, D)
    dh: Floats  # (N, D)


def new_tile(config: ModelConfig, dtype: np.dtype, keep: bool) -> Tile:
    """Return the arrays of a tile, with those of a backward pass if asked to `keep`."""
    L, D, H, V = config.length, config.width, config.heads, config.vocab
    T = sequences_at_a_time(config)
    N, S, K = T * L, filled_up(L), config.blocks if keep else 1

    def new(*shape: int) -> Floats:
        return aligned(shape, dtype)

    saved = {"rotary": rotary_table(L, D // H, dtype), "P": new(K, T, H, S, S)}
    saved |= {name: new(2 * K + 1, N) for name in ("mean", "rstd")}
    saved |= {name: new(K, N, D) for name in ("h1", "heads", "attention", "h2", "mlp")}
    saved["u"] = new(K, N, 4 * D)
    saved["act"] = new(K, N, 4 * D) if keep else saved["u"]
    saved |= {name: new(N if keep else 0, D) for name in ("dx", "dh")}
    return Tile(
        x=new(2 * K + 1, N, D), qkv=new(K, N, 3 * D), h=new(N, D), logits=new(N, V), **saved
    )


class _Saved(NamedTuple):
    """What one block keeps for its backward pass: rows of a tile."""

    x: Floats
    x_mid: Floats
    x_out: Floats
    mean1: Floats
    rstd1: Floats
    mean2: Floats
    rstd2: Floats
    h1: Floats
    qkv: Floats
    P: Floats
    heads: Floats
    attention: Floats
    h2: Floats
    u: Floats
    act: Floats
    mlp: Floats


@jit_strict
def _saved(t: Tile, k: int, N: int) -> _Saved:
    """Return the arrays of block k, as long as the N tokens at hand."""
    T, s, streams = N // t.rotary.shape[1], k % t.h1.shape[0], t.x.shape[0]
    return _Saved(
        t.x[2 * k % streams][:N],
        t.x[(2 * k + 1) % streams][:N],
        t.x[(2 * k + 2) % streams][:N],
        t.mean[2 * s],
        t.rstd[2 * s],
        t.mean[2 * s + 1],
        t.rstd[2 * s + 1],
        t.h1[s][:N],
        t.qkv[s][:N],
        t.P[s][:T],
        t.heads[s][:N],
        t.attention[s][:N],
        t.h2[s][:N],
        t.u[s][:N],
        t.act[s][:N],
        t.mlp[s][:N],
    )


@jit_strict
def learn(
    g: Tensors,
    loss: Floats,
    x0: Tokens,
    xt: Tokens,
    coefficients: NamedTuple,
    features: Floats,
    w: Tensors,
    turned: Turned,
    noise: Noise,
    t: Tile,
    uniforms: Floats,
    rate: float,
) -> None:
    """x0, xt (B, L), the integrand's coefficients, features (B, F) → loss (B·L,); adds to g.

    Tile by tile.
    """
    (B, L), T = xt.shape, t.P.shape[1]
    no_table = np.empty((0, t.qkv.shape[2]), t.qkv.dtype)
    noise_forward(noise, features, w)
    for first in range(0, B, T):
        last = min(first + T, B)
        N = (last - first) * L
        tokens, mod, dmod = xt[first:last].reshape(N), noise.mod[first:last], noise.dmod[first:last]
        masks = uniforms[first:last]
        _forward(t, tokens, mod, w, turned, no_table, masks, rate)
        clean, losses = x0[first:last].reshape(N), loss[first * L : last * L]
        integrand_and_gradient(losses, t.logits[:N], clean, tokens, coefficients, first, L)
        _backward(g, dmod, t, tokens, mod, w, masks, rate)
    noise_backward(g, noise, features, w)


@jit_strict
def predict(
    log_p: Floats, x: Tokens, features: Floats, w: Tensors, turned: Turned, noise: Noise, t: Tile
) -> None:
    """Tokens x (B, L), features (B, F) or (1, F) → log-probabilities (B, L, V), tile by tile.

    Before the first attention a token knows its own value only. If all sequences share one
    modulation, q, k and v of the first block are therefore a table with a row a value.
    """
    (B, L), T, V, levels = x.shape, t.P.shape[1], w.final.shape[0], len(features)
    no_masks = np.empty((0, 0, 0, 0), np.float32)
    noise_forward(noise, features, w)
    table = np.empty((V if levels == 1 and V < B * L else 0, w.qkv.shape[1]), log_p.dtype)
    if len(table) > 0:
        _first_table(table, noise.mod, w, turned)
    for first in range(0, B, T):
        last = min(first + T, B)
        N = (last - first) * L
        mod = noise.mod[first:last] if levels > 1 else noise.mod
        _forward(t, x[first:last].reshape(N), mod, w, turned, table, no_masks, 0.0)
        log_softmax(log_p[first:last].reshape(N, V), t.logits[:N])


@jit_strict
def _first_table(table: Floats, mod: Floats, w: Tensors, turned: Turned) -> None:
    """Write q, k and v (V, 3D) of every value before the first attention."""
    V = len(table)
    h, moments = np.empty_like(w.embedding), np.empty((2, V), table.dtype)
    modulated_norm_forward(h, moments[0], moments[1], w.embedding, w.norm1[0], mod, _NORM1, V)
    linear_forward(table, h, turned.qkv[0], None)


@jit_strict
def _forward(
    t: Tile,
    tokens: Tokens,
    mod: Floats,
    w: Tensors,
    turned: Turned,
    table: Floats,
    masks: Floats,
    rate: float,
) -> None:
    """Tokens (N,), mod (T or 1, K, D) → t.logits (N, V); the first q, k, v from a table, if any."""
    N, blocks = len(tokens), w.qkv.shape[0]
    embedding_forward(t.x[0][:N], tokens, w.embedding)
    for k in range(blocks):
        if k == 0 and len(table) > 0:
            embedding_forward(t.qkv[0][:N], tokens, table)
        else:
            _qkv_forward(t, k, N, mod, w, turned)
        _block_forward(t, k, N, mod, w, turned, masks, rate)
    x, h = t.x[2 * blocks % t.x.shape[0]][:N], t.h[:N]
    mean, rstd, last = t.mean[-1], t.rstd[-1], _ROWS * blocks
    modulated_norm_forward(h, mean, rstd, x, w.final_norm, mod, last, N // len(mod))
    linear_forward(t.logits[:N], h, turned.final, w.final_bias)


@jit_strict
def _qkv_forward(t: Tile, k: int, N: int, mod: Floats, w: Tensors, turned: Turned) -> None:
    """Block k: x → q, k, v."""
    a, span, row = _saved(t, k, N), N // len(mod), _ROWS * k
    modulated_norm_forward(a.h1, a.mean1, a.rstd1, a.x, w.norm1[k], mod, row + _NORM1, span)
    linear_forward(a.qkv, a.h1, turned.qkv[k], None)


@jit_strict
def _block_forward(
    t: Tile, k: int, N: int, mod: Floats, w: Tensors, turned: Turned, masks: Floats, rate: float
) -> None:
    """Block k: q, k, v and x → x_mid by attention → x_out by the MLP."""
    a, span, row = _saved(t, k, N), N // len(mod), _ROWS * k

    attention_forward(a.heads, a.P, a.qkv, t.rotary)
    linear_forward(a.attention, a.heads, turned.out[k], None)
    _drop(a.attention, masks, 2 * k, rate)
    gated_residual_forward(a.x_mid, a.x, mod, row + _GATE1, a.attention, span)

    modulated_norm_forward(a.h2, a.mean2, a.rstd2, a.x_mid, w.norm2[k], mod, row + _NORM2, span)
    linear_forward(a.u, a.h2, turned.mlp_in[k], None)
    if len(t.dx) > 0:
        gelu_forward(a.act, a.u, w.mlp_in_bias[k])
    else:
        gelu(a.u, w.mlp_in_bias[k])  # a.act has its memory
    linear_forward(a.mlp, a.act, turned.mlp_out[k], w.mlp_out_bias[k])
    _drop(a.mlp, masks, 2 * k + 1, rate)
    gated_residual_forward(a.x_out, a.x_mid, mod, row + _GATE2, a.mlp, span)


@jit_strict
def _backward(
    g: Tensors,
    dmod: Floats,
    t: Tile,
    tokens: Tokens,
    mod: Floats,
    w: Tensors,
    masks: Floats,
    rate: float,
) -> None:
    """t.logits, by now their gradient (N, V) → dmod (T, K, D); adds to every tensor of g."""
    N, L, blocks = len(tokens), t.rotary.shape[1], w.qkv.shape[0]
    x, h, dx, dh = t.x[2 * blocks][:N], t.h[:N], t.dx[:N], t.dh[:N]
    dx[:] = 0
    wide_linear_backward(dh, g.final, g.final_bias, t.logits[:N], h, w.final)
    mean, rstd, last = t.mean[-1], t.rstd[-1], _ROWS * blocks
    modulated_norm_backward(dx, g.final_norm, dmod, dh, mean, rstd, x, w.final_norm, mod, last, L)
    for k in range(blocks - 1, -1, -1):
        _block_backward(g, dmod, t, k, mod, w, masks, rate)
    embedding_backward(g.embedding, dx, tokens)


@jit_strict
def _block_backward(
    g: Tensors,
    dmod: Floats,
    t: Tile,
    k: int,
    mod: Floats,
    w: Tensors,
    masks: Floats,
    rate: float,
) -> None:
    """Turn the gradient t.dx of the output into that of the input; write rows of dmod.

    Nobody reads again what the block has kept: a gradient is written over what it belongs to, while
    the cache holds that.
    """
    L, row = t.rotary.shape[1], _ROWS * k
    N = len(mod) * L
    a, dx = _saved(t, k, N), t.dx[:N]

    gated_residual_backward(a.mlp, dmod, dx, mod, row + _GATE2, L)
    _drop(a.mlp, masks, 2 * k + 1, rate)
    linear_backward(a.act, g.mlp_out[k], g.mlp_out_bias[k], a.mlp, a.act, w.mlp_out[k])
    gelu_backward(a.u, a.act)
    linear_backward(a.h2, g.mlp_in[k], g.mlp_in_bias[k], a.u, a.h2, w.mlp_in[k])
    modulated_norm_backward(
        dx, g.norm2[k], dmod, a.h2, a.mean2, a.rstd2, a.x_mid, w.norm2[k], mod, row + _NORM2, L
    )

    gated_residual_backward(a.attention, dmod, dx, mod, row + _GATE1, L)
    _drop(a.attention, masks, 2 * k, rate)
    linear_backward(a.heads, g.out[k], None, a.attention, a.heads, w.out[k])
    attention_backward(a.qkv, a.P, a.heads, t.rotary)
    linear_backward(a.h1, g.qkv[k], None, a.qkv, a.h1, w.qkv[k])
    modulated_norm_backward(
        dx, g.norm1[k], dmod, a.h1, a.mean1, a.rstd1, a.x, w.norm1[k], mod, row + _NORM1, L
    )


@jit_strict
def _drop(x: Floats, masks: Floats, line: int, rate: float) -> None:
    """Drop out branch `line` (two a block) of a training pass; its backward is the same."""
    for b in range(len(masks)):
        L = masks.shape[2]
        dropout(x[b * L : (b + 1) * L], masks[b, line], rate)


@jit_strict
def noise_forward(s: Noise, features: Floats, w: Tensors) -> None:
    """Features (B, F) → s.mod (B, K, D)."""
    linear_forward(s.u1, features, w.cond_in.T, w.cond_in_bias)
    silu_forward(s.a1, s.u1)
    linear_forward(s.u2, s.a1, w.cond_out.T, w.cond_out_bias)
    silu_forward(s.c, s.u2)
    linear_forward(_flat(s.mod), s.c, w.modulation.T, w.modulation_bias)


@jit_strict
def noise_backward(g: Tensors, s: Noise, features: Floats, w: Tensors) -> None:
    """s.dmod (B, K, D) → adds to the gradients of the modulation and of the conditioning."""
    linear_backward(s.dc, g.modulation, g.modulation_bias, _flat(s.dmod), s.c, w.modulation)
    silu_backward(s.du2, s.dc, s.u2)
    linear_backward(s.da1, g.cond_out, g.cond_out_bias, s.du2, s.a1, w.cond_out)
    silu_backward(s.du1, s.da1, s.u1)
    # nobody asks for the gradient of the features
    linear_backward(None, g.cond_in, g.cond_in_bias, s.du1, features, w.cond_in)


@jit_strict
def _flat(mod: Floats) -> Floats:
    """Return a modulation (B, K, D) as one row per sequence, the output of a linear."""
    return mod.reshape(mod.shape[0], mod.shape[1] * mod.shape[2])
