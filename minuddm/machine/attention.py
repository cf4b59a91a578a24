"""Bidirectional attention with rotary positions.

    q, k ← turned: at position l each pair (x_k, x_{k + d/2}) by the angle l · 10000^(-2k/d)
    P = softmax(q kᵀ / √d)          o = P v                  for every head, d = D / H

Backward, with dP = do vᵀ:

    dv = Pᵀ do      dS = P ⊙ (dP - Σ_j dP P) / √d      dq = dS k      dk = dSᵀ q
    dq, dk ← turned back

q, k, v lie packed in one array (B, L, 3, H, d), the output of one product. One head of one
sequence at a time is copied out of it, turned on the way, into matrices that the first cache
holds, and multiplied there (`small_product`). Their sides are L and d filled up to whole
registers, so that no product has a ragged edge. Sums run over L or d numbers only: what stands
beyond them stays beyond them, and is never copied back.
"""

import math

import numpy as np

from minuddm.checks import Floats
from minuddm.machine.exponential import exp
from minuddm.machine.intrinsics import (
    BYTES,
    aligned,
    lanes,
    larger,
    load,
    multiply_add,
    put,
    splat,
    store,
    take,
    top,
    total,
    transpose,
)
from minuddm.machine.jit import jit_reassoc, jit_strict
from minuddm.machine.product import small_product

_BASE = 10_000.0
_SIDE = BYTES // 4  # a multiple of a register's lanes, in float32 and in float64


def rotary_table(L: int, d: int, dtype: np.dtype) -> Floats:
    """Return cos and sin (2, L, d/2) of position times frequency."""
    angle = np.arange(L)[:, None] * _BASE ** (-2 * np.arange(d // 2) / d)
    table = aligned((2, L, d // 2), dtype)
    table[:] = np.cos(angle), np.sin(angle)
    return table


@jit_strict
def filled_up(length: int) -> int:
    """Return the side of a matrix for `length` rows or columns: whole registers."""
    return -(-length // _SIDE) * _SIDE


@jit_strict
def attention_forward(out: Floats, P: Floats, qkv: Floats, rotary: Floats) -> None:
    """qkv (N, 3D), rotary (2, L, d/2) → out (N, D); saves P (B, H, S, S), S = filled_up(L)."""
    B, H, S, _ = P.shape
    _, L, half = rotary.shape
    d = 2 * half
    D, T = H * d, filled_up(d)
    q, k, v, o = np.zeros((4, S, T), P.dtype)
    kT = np.zeros((T, S), P.dtype)
    for b in range(B):
        rows, outs = qkv[b * L : (b + 1) * L], out[b * L : (b + 1) * L]
        for h in range(H):
            _take_turned(q, rows, h * d, rotary)
            _take_turned(k, rows, D + h * d, rotary)
            _take(v, rows, 2 * D + h * d, L, d)
            _transpose(kT, k)
            small_product(P[b, h], q[:, :d], kT)
            _softmax_forward(P[b, h], L, 1 / math.sqrt(d))
            small_product(o, P[b, h][:, :L], v)
            _put(outs, o, h * d, L, d)


@jit_strict
def attention_backward(qkv: Floats, P: Floats, dout: Floats, rotary: Floats) -> None:
    """Given dout (N, D), turn qkv (N, 3D) into its gradient, and P (B, H, S, S) into dS."""
    B, H, S, _ = P.shape
    _, L, half = rotary.shape
    d = 2 * half
    D, T = H * d, filled_up(d)
    q, k, v, do, dx = np.zeros((5, S, T), P.dtype)
    vT, dP = np.zeros((T, S), P.dtype), np.zeros((S, S), P.dtype)
    for b in range(B):
        sequence = slice(b * L, (b + 1) * L)
        rows, douts = qkv[sequence], dout[sequence]
        for h in range(H):
            _take_turned(q, rows, h * d, rotary)
            _take_turned(k, rows, D + h * d, rotary)
            _take(v, rows, 2 * D + h * d, L, d)
            _take(do, douts, h * d, L, d)
            _transpose(vT, v)
            dS = P[b, h]
            small_product(dx, dS.T[:, :L], do)
            _put(rows, dx, 2 * D + h * d, L, d)
            small_product(dP, do[:, :d], vT)
            _softmax_backward(dS, dP, L, 1 / math.sqrt(d))
            small_product(dx, dS[:, :L], k)
            _put_turned(rows, dx, h * d, rotary)
            small_product(dx, dS.T[:, :L], q)
            _put_turned(rows, dx, D + h * d, rotary)


@jit_strict
def _take(x: Floats, rows: Floats, column: int, L: int, d: int) -> None:
    """Copy the head that starts at `column` of rows (L, …) into x (S, T)."""
    for i in range(L):
        for k in range(0, d, lanes(x)):
            store(x, i, k, take(rows, i, column + k, d - k))


@jit_strict
def _put(rows: Floats, x: Floats, column: int, L: int, d: int) -> None:
    """Copy x (S, T) into the head that starts at `column` of rows (L, …)."""
    for i in range(L):
        for k in range(0, d, lanes(x)):
            put(rows, i, column + k, d - k, load(x, i, k))


@jit_strict
def _take_turned(x: Floats, rows: Floats, column: int, rotary: Floats) -> None:
    """Copy a head of rows (L, …) into x (S, T), turned by the angles of its positions."""
    _, L, half = rotary.shape
    cosines, sines = rotary[0], rotary[1]
    for i in range(L):
        for k in range(0, half, lanes(x)):
            n = half - k
            x1, x2 = take(rows, i, column + k, n), take(rows, i, column + half + k, n)
            cos, sin = take(cosines, i, k, n), take(sines, i, k, n)
            put(x, i, k, n, x1 * cos - x2 * sin)
            put(x, i, half + k, n, x2 * cos + x1 * sin)


@jit_strict
def _put_turned(rows: Floats, x: Floats, column: int, rotary: Floats) -> None:
    """Copy x (S, T) into a head of rows (L, …), turned back."""
    _, L, half = rotary.shape
    cosines, sines = rotary[0], rotary[1]
    for i in range(L):
        for k in range(0, half, lanes(x)):
            n = half - k
            x1, x2 = take(x, i, k, n), take(x, i, half + k, n)
            cos, sin = take(cosines, i, k, n), take(sines, i, k, n)
            put(rows, i, column + k, n, x1 * cos + x2 * sin)
            put(rows, i, column + half + k, n, x2 * cos - x1 * sin)


@jit_strict
def _transpose(xT: Floats, x: Floats) -> None:
    """x (S, T) → xT (T, S), square by square."""
    side = lanes(x)
    for i in range(0, x.shape[0], side):
        for j in range(0, x.shape[1], side):
            transpose(xT, x, i, j)


@jit_reassoc
def _softmax_forward(P: Floats, L: int, factor: float) -> None:
    """P (S, S) ← softmax(factor · P) in L rows, over L columns."""
    S, wide = P.shape[1], lanes(P)
    f = splat(P.dtype.type(factor))
    for n in range(L):
        for j in range(L, S):
            P[n, j] = -np.inf
        peak = load(P, n, 0)
        for j in range(wide, S, wide):
            peak = larger(peak, load(P, n, j))
        peak = splat(top(peak))
        for j in range(0, S, wide):
            store(P, n, j, (load(P, n, j) - peak) * f)
    whole = P.reshape(-1)[: L * S]  # one long loop, which the compiler turns into SIMD
    for i in range(whole.shape[0]):
        whole[i] = exp(whole[i])
    for n in range(L):
        sums = load(P, n, 0)
        for j in range(wide, S, wide):
            sums = sums + load(P, n, j)
        scale = splat(P.dtype.type(1) / total(sums))
        for j in range(0, S, wide):
            store(P, n, j, load(P, n, j) * scale)


@jit_reassoc
def _softmax_backward(P: Floats, dP: Floats, L: int, factor: float) -> None:
    """P ← dS = factor · P ⊙ (dP - Σ_j dP_j P_j), row by row."""
    S, wide = P.shape[1], lanes(P)
    f = splat(P.dtype.type(factor))
    for n in range(L):
        sums = load(P, n, 0) * load(dP, n, 0)
        for j in range(wide, S, wide):
            sums = multiply_add(load(P, n, j), load(dP, n, j), sums)
        along = splat(total(sums))
        for j in range(0, S, wide):
            store(P, n, j, f * load(P, n, j) * (load(dP, n, j) - along))
