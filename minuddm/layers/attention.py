"""Bidirectional attention with rotary positions.

    q, k ← turned: at position l each pair (x_k, x_{k + d/2}) by the angle l · 10000^(-2k/d)
    P = softmax(q kᵀ / √d)          o = P v                  for every head, d = D / H

Backward, with dP = do vᵀ:

    dv = Pᵀ do      dS = P ⊙ (dP - Σ_j dP P) / √d      dq = dS k      dk = dSᵀ q
    dq, dk ← turned back

q, k, v lie packed in one array (B, L, 3, H, d), the output of one product; the products below run
on strided views of it, so no head is ever copied.
"""

import math

import numpy as np

from minuddm.compiled import layer
from minuddm.layers.exponential import exp, largest
from minuddm.seams import Floats

_BASE = 10_000.0


def rotary_table(L: int, d: int, dtype: np.dtype) -> Floats:
    """Return cos and sin (2, L, d/2) of position times frequency."""
    angle = np.arange(L)[:, None] * _BASE ** (-2 * np.arange(d // 2) / d)
    return np.stack([np.cos(angle), np.sin(angle)]).astype(dtype)


def attention_forward(
    out: Floats, P: Floats, qkv: Floats, rotary: Floats, shape: tuple[int, ...]
) -> None:
    """qkv (N, 3D), shape (B, L, H, d) → out (N, D); turns qkv in place, saves P (B, H, L, L)."""
    B, L, H, d = shape
    _rotate(qkv.reshape(B, L, 3, H, d), rotary[0], rotary[1])
    q, k, v = _heads(qkv, shape)
    np.matmul(q, k.swapaxes(-1, -2), out=P)
    _softmax_forward(P.reshape(-1, L), 1 / math.sqrt(d))
    np.matmul(P, v, out=out.reshape(shape).transpose(0, 2, 1, 3))


def attention_backward(
    dqkv: Floats,
    P: Floats,
    dP: Floats,
    dout: Floats,
    qkv: Floats,
    rotary: Floats,
    shape: tuple[int, ...],
) -> None:
    """dout (N, D) → dqkv (N, 3D); turns P (B, H, L, L) into dS; dP is working space of its size."""
    B, L, H, d = shape
    q, k, v = _heads(qkv, shape)
    dq, dk, dv = _heads(dqkv, shape)
    do = dout.reshape(shape).transpose(0, 2, 1, 3)
    np.matmul(P.swapaxes(-1, -2), do, out=dv)
    np.matmul(do, v.swapaxes(-1, -2), out=dP)
    _softmax_backward(P.reshape(-1, L), dP.reshape(-1, L), 1 / math.sqrt(d))
    np.matmul(P, k, out=dq)
    np.matmul(P.swapaxes(-1, -2), q, out=dk)
    _rotate(dqkv.reshape(B, L, 3, H, d), rotary[0], -rotary[1])


def _heads(qkv: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """Return q, k, v as strided views (B, H, L, d) of the packed array."""
    B, L, H, d = shape
    q, k, v = qkv.reshape(B, L, 3, H, d).transpose(2, 0, 3, 1, 4)
    return q, k, v


@layer
def _rotate(qkv: Floats, cos: Floats, sin: Floats) -> None:
    """Turn q and k, in place, by the angles of their positions."""
    B, L, _, H, d = qkv.shape
    half = d // 2
    for b in range(B):
        for pos in range(L):
            for which in range(2):
                for h in range(H):
                    for k in range(half):
                        x1, x2 = qkv[b, pos, which, h, k], qkv[b, pos, which, h, k + half]
                        qkv[b, pos, which, h, k] = x1 * cos[pos, k] - x2 * sin[pos, k]
                        qkv[b, pos, which, h, k + half] = x2 * cos[pos, k] + x1 * sin[pos, k]


@layer
def _softmax_forward(P: Floats, factor: float) -> None:
    """P ← softmax(factor · P), row by row."""
    f = P.dtype.type(factor)
    columns = P.shape[1]
    for n in range(P.shape[0]):
        peak = largest(P[n])
        total = f - f
        for j in range(columns):
            P[n, j] = exp((P[n, j] - peak) * f)
        for j in range(columns):
            total += P[n, j]
        total = P.dtype.type(1) / total
        for j in range(columns):
            P[n, j] *= total


@layer
def _softmax_backward(P: Floats, dP: Floats, factor: float) -> None:
    """P ← dS = factor · P ⊙ (dP - Σ_j dP_j P_j), row by row."""
    f = P.dtype.type(factor)
    columns = P.shape[1]
    for n in range(P.shape[0]):
        along = f - f
        for j in range(columns):
            along += dP[n, j] * P[n, j]
        for j in range(columns):
            P[n, j] = f * P[n, j] * (dP[n, j] - along)
