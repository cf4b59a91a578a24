"""Linear: y = x Wᵀ + b, with W (out, in) as in the published networks.

    dx = dy W        dW += dyᵀ x        db += Σ_n dy_n

The forward takes Wᵀ: a view of W, or, where many rows pass through it, a transposed copy, whose
rows the product reads. The other transposes are flags to BLAS.
"""

from minuddm.checks import Floats
from minuddm.machine.intrinsics import lanes, transpose
from minuddm.machine.jit import jit_strict
from minuddm.machine.product import product

WIDE = 128  # columns of a gradient that are read twice while they are in the cache


@jit_strict
def linear_forward(y: Floats, x: Floats, WT: Floats, b: Floats | None) -> None:
    """x (N, in), WT (in, out), b (out,) or None → y (N, out)."""
    product(y, x, WT, False)
    if b is not None:
        for n in range(y.shape[0]):
            for j in range(y.shape[1]):
                y[n, j] += b[j]


@jit_strict
def linear_backward(
    dx: Floats | None, dW: Floats, db: Floats | None, dy: Floats, x: Floats, W: Floats
) -> None:
    """dy (N, out) → dx (N, in), adds to dW (out, in) and db (out,); None where none is needed.

    dx is written last and may have the memory of x.
    """
    product(dW, dy.T, x, True)
    if db is not None:
        _sum_rows(db, dy)
    if dx is not None:
        product(dx, dy, W, False)


@jit_strict
def wide_linear_backward(
    dx: Floats, dW: Floats, db: Floats, dy: Floats, x: Floats, W: Floats
) -> None:
    """Do what `linear_backward` does where `out` is a vocabulary and dx has its own memory.

    A slice of dy passes through both products while it is in the cache.
    """
    count = -(-W.shape[0] // WIDE)
    for k in range(count):
        part = slice(W.shape[0] * k // count, W.shape[0] * (k + 1) // count)
        product(dW[part], dy[:, part].T, x, True)
        product(dx, dy[:, part], W[part], k > 0)
    _sum_rows(db, dy)


@jit_strict
def _sum_rows(db: Floats, dy: Floats) -> None:
    """Add the rows of dy (N, out) to db (out,), which is read and written once for four rows."""
    fours = len(dy) // 4 * 4
    for n in range(0, fours, 4):
        for j in range(dy.shape[1]):
            db[j] = db[j] + dy[n, j] + dy[n + 1, j] + dy[n + 2, j] + dy[n + 3, j]
    for n in range(fours, len(dy)):
        for j in range(dy.shape[1]):
            db[j] += dy[n, j]


@jit_strict
def transpose_all(WT: Floats, W: Floats) -> None:
    """W (K, out, in) → WT (K, in, out): whole squares in registers, the rest number by number."""
    K, rows, columns = W.shape
    side = lanes(W)
    for k in range(K):
        for j in range(0, columns, side):
            for i in range(0, rows, side):
                if i + side <= rows and j + side <= columns:
                    transpose(WT[k], W[k], i, j)
                else:
                    for row in range(i, min(i + side, rows)):
                        for col in range(j, min(j + side, columns)):
                            WT[k, col, row] = W[k, row, col]
