"""Linear: y = x Wᵀ + b, with W (out, in) as in the published networks.

    dx = dy W        dW += dyᵀ x        db += Σ_n dy_n

The forward takes Wᵀ: a view of W, or, where many rows pass through it, a transposed copy, whose
rows the product reads. The other transposes are flags to BLAS.
"""

from minuddm.checks import Floats
from minuddm.machine.intrinsics import lanes, transpose
from minuddm.machine.jit import jit_strict
from minuddm.machine.product import product


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
def _sum_rows(db: Floats, dy: Floats) -> None:
    """Add the rows of dy (N, out) to db (out,)."""
    for n in range(dy.shape[0]):
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
