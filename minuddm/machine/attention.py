"""Bidirectional attention with rotary positions.

    q, k ← rotated: at position l each pair (x_k, x_{k + d/2}) by the angle l · 10000^(-2k/d)
    A = softmax(q kᵀ / √d)          o = A v                  for every head, d = D / H

Backward, with dA = do vᵀ:

    dv = Aᵀ do      dS = A ⊙ (dA - Σ_j dA A) / √d      dq = dS k      dk = dSᵀ q
    dq, dk ← rotated back

q, k, v are packed in one array (B, L, 3, H, d), the output of one product. One head of one sequence
at a time is copied out of it, rotated on the way, into matrices that fit the first cache, and
multiplied there (`small_product`). Their sides are L and d padded to whole registers, so that no
product has a ragged edge. Sums run over L or d numbers only: what the padding holds stays there,
and is never copied back.
"""

import math

import numpy as np

from minuddm.checks import Floats
from minuddm.machine.exponential import exp
from minuddm.machine.intrinsics import (
    BYTES,
    lanes,
    load,
    masked_load,
    masked_store,
    maximum,
    multiply_add,
    reduce_add,
    reduce_max,
    splat,
    store,
    transpose,
)
from minuddm.machine.jit import jit_reassoc, jit_strict
from minuddm.machine.product import small_product

_BASE = 10_000.0
_SIDE = BYTES // 4  # a multiple of a register's lanes, in float32 and in float64


def rotary_table(L: int, d: int) -> Floats:
    """Return cos and sin (2, L, d/2) of position times frequency, in float64."""
    angle = np.arange(L)[:, None] * _BASE ** (-2 * np.arange(d // 2) / d)
    return np.stack([np.cos(angle), np.sin(angle)])


@jit_strict
def padded(length: int) -> int:
    """Return the side of a matrix for `length` rows or columns: whole registers."""
    return -(-length // _SIDE) * _SIDE


@jit_strict
def attention_forward(out: Floats, probs: Floats, qkv: Floats, rotary: Floats) -> None:
    """qkv (N, 3D), rotary (2, L, d/2) → out (N, D); saves A in probs (B, H, L_pad, L_pad)."""
    B, H, L_pad, _ = probs.shape
    _, L, half = rotary.shape
    d = 2 * half
    D, d_pad = H * d, padded(d)
    q, k, v, o = np.zeros((4, L_pad, d_pad), probs.dtype)
    kT = np.zeros((d_pad, L_pad), probs.dtype)
    for b in range(B):
        rows, outs = qkv[b * L : (b + 1) * L], out[b * L : (b + 1) * L]
        for h in range(H):
            _load_rotated(q, rows, h * d, rotary)
            _load_rotated(k, rows, D + h * d, rotary)
            _load_head(v, rows, 2 * D + h * d, L, d)
            _transpose(kT, k)
            A = probs[b, h]
            small_product(A, q[:, :d], kT, False)
            _softmax_forward(A, L, 1 / math.sqrt(d))
            small_product(o, A[:, :L], v, False)
            _store_head(outs, o, h * d, L, d)


@jit_strict
def attention_backward(qkv: Floats, probs: Floats, dout: Floats, rotary: Floats) -> None:
    """dout (N, D) → qkv (N, 3D), overwritten by its gradient, and probs, overwritten by dS."""
    B, H, L_pad, _ = probs.shape
    _, L, half = rotary.shape
    d = 2 * half
    D, d_pad = H * d, padded(d)
    q, k, v, do, dx = np.zeros((5, L_pad, d_pad), probs.dtype)
    vT, dA = np.zeros((d_pad, L_pad), probs.dtype), np.zeros((L_pad, L_pad), probs.dtype)
    for b in range(B):
        sequence = slice(b * L, (b + 1) * L)
        rows, douts = qkv[sequence], dout[sequence]
        for h in range(H):
            _load_rotated(q, rows, h * d, rotary)
            _load_rotated(k, rows, D + h * d, rotary)
            _load_head(v, rows, 2 * D + h * d, L, d)
            _load_head(do, douts, h * d, L, d)
            _transpose(vT, v)
            A = dS = probs[b, h]  # same memory
            small_product(dx, A.T[:, :L], do, False)
            _store_head(rows, dx, 2 * D + h * d, L, d)
            small_product(dA, do[:, :d], vT, False)
            _softmax_backward(dS, dA, L, 1 / math.sqrt(d))
            small_product(dx, dS[:, :L], k, False)
            _store_rotated_back(rows, dx, h * d, rotary)
            small_product(dx, dS.T[:, :L], q, False)
            _store_rotated_back(rows, dx, D + h * d, rotary)


@jit_strict
def _load_head(x: Floats, rows: Floats, column: int, L: int, d: int) -> None:
    """Copy the head that starts at `column` of rows (L, …) into x (L_pad, d_pad)."""
    for i in range(L):
        for k in range(0, d, lanes(x)):
            store(x, i, k, masked_load(rows, i, column + k, d - k))


@jit_strict
def _store_head(rows: Floats, x: Floats, column: int, L: int, d: int) -> None:
    """Copy x (L_pad, d_pad) into the head that starts at `column` of rows (L, …)."""
    for i in range(L):
        for k in range(0, d, lanes(x)):
            masked_store(rows, i, column + k, d - k, load(x, i, k))


@jit_strict
def _load_rotated(x: Floats, rows: Floats, column: int, rotary: Floats) -> None:
    """Copy a head of rows (L, …) into x (L_pad, d_pad), rotated by the angles of its positions."""
    _, L, half = rotary.shape
    cosines, sines = rotary[0], rotary[1]
    for i in range(L):
        for k in range(0, half, lanes(x)):
            n = half - k
            x1, x2 = masked_load(rows, i, column + k, n), masked_load(rows, i, column + half + k, n)
            cos, sin = masked_load(cosines, i, k, n), masked_load(sines, i, k, n)
            masked_store(x, i, k, n, x1 * cos - x2 * sin)
            masked_store(x, i, half + k, n, x2 * cos + x1 * sin)


@jit_strict
def _store_rotated_back(rows: Floats, x: Floats, column: int, rotary: Floats) -> None:
    """Copy x (L_pad, d_pad) into a head of rows (L, …), rotated back."""
    _, L, half = rotary.shape
    cosines, sines = rotary[0], rotary[1]
    for i in range(L):
        for k in range(0, half, lanes(x)):
            n = half - k
            x1, x2 = masked_load(x, i, k, n), masked_load(x, i, half + k, n)
            cos, sin = masked_load(cosines, i, k, n), masked_load(sines, i, k, n)
            masked_store(rows, i, column + k, n, x1 * cos + x2 * sin)
            masked_store(rows, i, column + half + k, n, x2 * cos - x1 * sin)


@jit_strict
def _transpose(xT: Floats, x: Floats) -> None:
    """x (L_pad, d_pad) → xT (d_pad, L_pad), square by square."""
    side = lanes(x)
    for i in range(0, x.shape[0], side):
        for j in range(0, x.shape[1], side):
            transpose(xT, x, i, j)


@jit_reassoc
def _softmax_forward(A: Floats, L: int, factor: float) -> None:
    """Overwrite A (L_pad, L_pad) with softmax(factor · A) in L rows, over L columns."""
    L_pad, wide = A.shape[1], lanes(A)
    f = splat(A.dtype.type(factor))
    for n in range(L):
        for j in range(L, L_pad):
            A[n, j] = -np.inf
        peak = load(A, n, 0)
        for j in range(wide, L_pad, wide):
            peak = maximum(peak, load(A, n, j))
        peak = splat(reduce_max(peak))
        for j in range(0, L_pad, wide):
            store(A, n, j, (load(A, n, j) - peak) * f)
    flat = A.reshape(-1)[: L * L_pad]  # one long loop, which LLVM vectorises
    for i in range(flat.shape[0]):
        flat[i] = exp(flat[i])
    for n in range(L):
        sums = load(A, n, 0)
        for j in range(wide, L_pad, wide):
            sums = sums + load(A, n, j)
        scale = splat(A.dtype.type(1) / reduce_add(sums))
        for j in range(0, L_pad, wide):
            store(A, n, j, load(A, n, j) * scale)


@jit_reassoc
def _softmax_backward(A: Floats, dA: Floats, L: int, factor: float) -> None:
    """Overwrite A with dS = factor · A ⊙ (dA - Σ_j dA_j A_j), row by row."""
    L_pad, wide = A.shape[1], lanes(A)
    f = splat(A.dtype.type(factor))
    for n in range(L):
        sums = load(A, n, 0) * load(dA, n, 0)
        for j in range(wide, L_pad, wide):
            sums = multiply_add(load(A, n, j), load(dA, n, j), sums)
        along = splat(reduce_add(sums))
        for j in range(0, L_pad, wide):
            store(A, n, j, f * load(A, n, j) * (load(dA, n, j) - along))
