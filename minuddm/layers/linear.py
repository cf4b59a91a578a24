"""Linear: y = x Wᵀ + b, with W (out, in) as in the published networks.

    dx = dy W        dW = dyᵀ x        db = Σ_n dy_n

Transposes are flags to BLAS, not copies.
"""

import numpy as np

from minuddm.compiled import layer
from minuddm.seams import Floats


def linear_forward(y: Floats, x: Floats, W: Floats, b: Floats | None = None) -> None:
    """x (N, in) → y (N, out)."""
    np.matmul(x, W.T, out=y)
    if b is not None:
        np.add(y, b, out=y)


def linear_backward(
    dx: Floats | None, dW: Floats, db: Floats | None, dy: Floats, x: Floats, W: Floats
) -> None:
    """dy (N, out) → dx (N, in), dW (out, in), db (out,); None where nobody reads it.

    dx is written last and may have the memory of x.
    """
    np.matmul(dy.T, x, out=dW)
    if db is not None:
        _sum_rows(db, dy)
    if dx is not None:
        np.matmul(dy, W, out=dx)


@layer
def _sum_rows(db: Floats, dy: Floats) -> None:
    db[:] = 0
    for n in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            db[j] += dy[n, j]
