"""The passes through the network, forward and backward, compiled.

A shard of a batch is computed in tiles of a few sequences, forward and backward, each adding to
the shard's gradient: what a tile saves for its backward pass is still in the cache then, and
memory does not grow with the batch. A shard is one call of compiled code, so that no thread waits
for the GIL in between.

    log_probs              tokens → log-probabilities    loss_and_grad     tokens → loss, gradient
      conditioning_forward   features → modulations        conditioning_forward
      _forward               a tile through all blocks     _forward, the integrand, _backward
                                                           conditioning_backward

Line by line these are `minuddm.network`, where every equation stands; the backward is the forward
read from the bottom, its k-th line undoes the k-th last line. `dx`, the gradient of the residual
stream, is one array that every block reads and adds to.
"""

from typing import NamedTuple

import numpy as np

from minuddm.checks import Floats, Tokens
from minuddm.machine.arrays import Block, Conditioning, Tensors, Tile, Transposed, block_of
from minuddm.machine.attention import attention_backward, attention_forward
from minuddm.machine.dropout import drop
from minuddm.machine.embedding import embedding_backward, embedding_forward
from minuddm.machine.integrand import integrand_and_gradient
from minuddm.machine.jit import jit_strict
from minuddm.machine.layernorm import modulated_norm_backward, modulated_norm_forward
from minuddm.machine.linear import linear_backward, linear_forward, wide_linear_backward
from minuddm.machine.mlp import gelu, gelu_backward, gelu_forward
from minuddm.machine.modulation import (
    gated_residual_backward,
    gated_residual_forward,
    silu_backward,
    silu_forward,
)
from minuddm.machine.softmax import log_softmax

_ROWS = 6  # of a block's modulation: shift, scale, gate of attention, then of the MLP
_NORM1, _GATE1, _NORM2, _GATE2 = 0, 2, 3, 5


@jit_strict
def loss_and_grad(
    g: Tensors,
    loss: Floats,
    x0: Tokens,
    xt: Tokens,
    coefficients: NamedTuple,
    features: Floats,
    w: Tensors,
    wT: Transposed,
    cond: Conditioning,
    tile: Tile,
    uniforms: Floats,
    dropout: float,
) -> None:
    """x0, xt (B, L), the integrand's coefficients, features (B, F) → loss (B·L,); adds to g."""
    (B, L), B_tile = xt.shape, tile.probs.shape[1]
    no_table = np.empty((0, tile.qkv.shape[2]), tile.qkv.dtype)
    conditioning_forward(cond, features, w)
    for first in range(0, B, B_tile):
        last = min(first + B_tile, B)
        N = (last - first) * L
        tokens, mod, dmod = xt[first:last].reshape(N), cond.mod[first:last], cond.dmod[first:last]
        u = uniforms[first:last]
        _forward(tile, tokens, mod, w, wT, no_table, u, dropout)
        clean, losses = x0[first:last].reshape(N), loss[first * L : last * L]
        integrand_and_gradient(losses, tile.logits[:N], clean, tokens, coefficients, first, L)
        _backward(g, dmod, tile, tokens, mod, w, u, dropout)
    conditioning_backward(g, cond, features, w)


@jit_strict
def log_probs(
    log_p: Floats,
    x: Tokens,
    features: Floats,
    w: Tensors,
    wT: Transposed,
    cond: Conditioning,
    tile: Tile,
) -> None:
    """Tokens x (B, L), features (B, F) or (1, F) → log-probabilities (B, L, V), tile by tile.

    Before the first attention a token knows its own value only. If all sequences share one
    modulation, q, k and v of the first block are therefore a table with a row a value.
    """
    (B, L), B_tile, V, levels = x.shape, tile.probs.shape[1], log_p.shape[2], len(features)
    states = len(w.embedding)
    no_uniforms = np.empty((0, 0, 0, 0), np.float32)
    conditioning_forward(cond, features, w)
    rows = states if levels == 1 and states < B * L else 0
    table = np.empty((rows, tile.qkv.shape[2]), log_p.dtype)
    if rows > 0:
        _first_table(table, cond.mod, w, wT)
    for first in range(0, B, B_tile):
        last = min(first + B_tile, B)
        N = (last - first) * L
        mod = cond.mod[first:last] if levels > 1 else cond.mod
        _forward(tile, x[first:last].reshape(N), mod, w, wT, table, no_uniforms, 0.0)
        log_softmax(log_p[first:last].reshape(N, V), tile.logits[:N])


@jit_strict
def _first_table(table: Floats, mod: Floats, w: Tensors, wT: Transposed) -> None:
    """Write q, k and v (states, 3D) of every value before the first attention."""
    N = len(table)
    h, moments = np.empty_like(w.embedding), np.empty((2, N), table.dtype)
    modulated_norm_forward(h, moments[0], moments[1], w.embedding, w.norm1[0], mod, _NORM1, N)
    linear_forward(table, h, wT.attention_qkv[0], None)


@jit_strict
def _forward(
    tile: Tile,
    tokens: Tokens,
    mod: Floats,
    w: Tensors,
    wT: Transposed,
    table: Floats,
    uniforms: Floats,
    dropout: float,
) -> None:
    """Tokens (N,), mod (B or 1, M, D) → tile.logits (N, V); the first q, k, v from a table, if any.

    The tokens of a sequence, or all N, share a row of mod: `span` of them.
    """
    N, blocks, span = len(tokens), len(w.norm1), len(tokens) // len(mod)
    embedding_forward(tile.x[0][:N], tokens, w.embedding)
    for k in range(blocks):
        a = block_of(tile, k, N)
        if k == 0 and len(table) > 0:
            embedding_forward(a.qkv, tokens, table)
        else:
            _qkv_forward(a, k, mod, w, wT, span)
        _block_forward(a, tile, k, mod, w, wT, span, uniforms, dropout)
    x, h, mean, rstd = tile.x[-1][:N], tile.h[:N], tile.mean, tile.rstd
    modulated_norm_forward(h, mean, rstd, x, w.final_norm, mod, _ROWS * blocks, span)
    linear_forward(tile.logits[:N], h, wT.final_linear, w.final_linear_bias)


@jit_strict
def _qkv_forward(a: Block, k: int, mod: Floats, w: Tensors, wT: Transposed, span: int) -> None:
    """Block k: x → q, k, v."""
    row = _ROWS * k + _NORM1
    modulated_norm_forward(a.h1, a.mean1, a.rstd1, a.x, w.norm1[k], mod, row, span)
    linear_forward(a.qkv, a.h1, wT.attention_qkv[k], None)


@jit_strict
def _block_forward(
    a: Block,
    tile: Tile,
    k: int,
    mod: Floats,
    w: Tensors,
    wT: Transposed,
    span: int,
    uniforms: Floats,
    dropout: float,
) -> None:
    """Block k: q, k, v and x → x_mid by attention → x_out by the MLP."""
    row = _ROWS * k

    attention_forward(a.heads, a.probs, a.qkv, tile.rotary)
    linear_forward(a.attention, a.heads, wT.attention_out[k], None)
    _drop_branch(a.attention, uniforms, 2 * k, dropout)
    gated_residual_forward(a.x_mid, a.x, mod, row + _GATE1, a.attention, span)

    modulated_norm_forward(a.h2, a.mean2, a.rstd2, a.x_mid, w.norm2[k], mod, row + _NORM2, span)
    linear_forward(a.u, a.h2, wT.mlp_in[k], None)
    if len(a.act) > 0:
        gelu_forward(a.act, a.u, w.mlp_in_bias[k])
        act = a.act
    else:
        act = a.u  # same memory
        gelu(act, w.mlp_in_bias[k])
    linear_forward(a.mlp, act, wT.mlp_out[k], w.mlp_out_bias[k])
    _drop_branch(a.mlp, uniforms, 2 * k + 1, dropout)
    gated_residual_forward(a.x_out, a.x_mid, mod, row + _GATE2, a.mlp, span)


@jit_strict
def _backward(
    g: Tensors,
    dmod: Floats,
    tile: Tile,
    tokens: Tokens,
    mod: Floats,
    w: Tensors,
    uniforms: Floats,
    dropout: float,
) -> None:
    """tile.logits, by now their gradient (N, V) → dmod (B, M, D); adds to every tensor of g."""
    N, blocks, span = len(tokens), len(w.norm1), len(tokens) // len(mod)
    dlogits = tile.logits[:N]  # same memory
    x, h, dx, dh = tile.x[-1][:N], tile.h[:N], tile.dx[:N], tile.dh[:N]
    mean, rstd, row = tile.mean, tile.rstd, _ROWS * blocks
    dx[:] = 0
    wide_linear_backward(dh, g.final_linear, g.final_linear_bias, dlogits, h, w.final_linear)
    modulated_norm_backward(dx, g.final_norm, dmod, dh, mean, rstd, x, w.final_norm, mod, row, span)
    for k in range(blocks - 1, -1, -1):
        a = block_of(tile, k, N)
        _block_backward(g, dmod, dx, a, tile, k, mod, w, span, uniforms, dropout)
    embedding_backward(g.embedding, dx, tokens)


@jit_strict
def _block_backward(
    g: Tensors,
    dmod: Floats,
    dx: Floats,
    a: Block,
    tile: Tile,
    k: int,
    mod: Floats,
    w: Tensors,
    span: int,
    uniforms: Floats,
    dropout: float,
) -> None:
    """dx, the gradient of the output (N, D) ← that of the input; writes the block's rows of dmod.

    No array of a block is read again, so that a gradient may overwrite what it belongs to, while
    that is in the cache.
    """
    row = _ROWS * k
    dmlp, dact, du, dh2 = a.mlp, a.act, a.u, a.h2  # same memory
    dattention, dheads, dqkv, dh1 = a.attention, a.heads, a.qkv, a.h1  # same memory

    gated_residual_backward(dmlp, dmod, dx, mod, row + _GATE2, span)
    _drop_branch(dmlp, uniforms, 2 * k + 1, dropout)
    linear_backward(dact, g.mlp_out[k], g.mlp_out_bias[k], dmlp, a.act, w.mlp_out[k])
    gelu_backward(du, dact)
    linear_backward(dh2, g.mlp_in[k], g.mlp_in_bias[k], du, a.h2, w.mlp_in[k])
    modulated_norm_backward(
        dx, g.norm2[k], dmod, dh2, a.mean2, a.rstd2, a.x_mid, w.norm2[k], mod, row + _NORM2, span
    )

    gated_residual_backward(dattention, dmod, dx, mod, row + _GATE1, span)
    _drop_branch(dattention, uniforms, 2 * k, dropout)
    linear_backward(dheads, g.attention_out[k], None, dattention, a.heads, w.attention_out[k])
    attention_backward(dqkv, a.probs, dheads, tile.rotary)
    linear_backward(dh1, g.attention_qkv[k], None, dqkv, a.h1, w.attention_qkv[k])
    modulated_norm_backward(
        dx, g.norm1[k], dmod, dh1, a.mean1, a.rstd1, a.x, w.norm1[k], mod, row + _NORM1, span
    )


@jit_strict
def _drop_branch(x: Floats, uniforms: Floats, branch: int, dropout: float) -> None:
    """Drop out numbers of a branch (two a block) in training; its backward is the same."""
    for b in range(len(uniforms)):
        L = uniforms.shape[2]
        drop(x[b * L : (b + 1) * L], uniforms[b, branch], dropout)


@jit_strict
def conditioning_forward(cond: Conditioning, features: Floats, w: Tensors) -> None:
    """Features (B, F) → cond.mod (B, M, D)."""
    linear_forward(cond.u1, features, w.conditioning_in.T, w.conditioning_in_bias)
    silu_forward(cond.a1, cond.u1)
    linear_forward(cond.u2, cond.a1, w.conditioning_out.T, w.conditioning_out_bias)
    silu_forward(cond.c, cond.u2)
    linear_forward(_flat(cond.mod), cond.c, w.modulation.T, w.modulation_bias)


@jit_strict
def conditioning_backward(g: Tensors, cond: Conditioning, features: Floats, w: Tensors) -> None:
    """cond.dmod (B, M, D) → adds to the gradients of the modulations and of the conditioning."""
    dmod = _flat(cond.dmod)
    linear_backward(cond.dc, g.modulation, g.modulation_bias, dmod, cond.c, w.modulation)
    silu_backward(cond.du2, cond.dc, cond.u2)
    linear_backward(
        cond.da1, g.conditioning_out, g.conditioning_out_bias, cond.du2, cond.a1, w.conditioning_out
    )
    silu_backward(cond.du1, cond.da1, cond.u1)
    # the features need no gradient
    linear_backward(
        None, g.conditioning_in, g.conditioning_in_bias, cond.du1, features, w.conditioning_in
    )


@jit_strict
def _flat(mod: Floats) -> Floats:
    """Return modulations (B, M, D) as one row a sequence, the output of a linear."""
    return mod.reshape(mod.shape[0], mod.shape[1] * mod.shape[2])
