"""Linear: y = x Wᵀ + b, with W (out, in) as in the published networks.

    dx = dy W        dW = dyᵀ x        db = Σ_n dy_n

Transposes are flags to BLAS, not copies.
"""

import numpy as np

from minuddm.seams import Floats


def linear_forward(y: Floats, x: Floats, W: Floats, b: Floats | None = None) -> None:
    """x (N, in) → y (N, out)."""
    np.matmul(x, W.T, out=y)
    if b is not None:
        np.add(y, b, out=y)


def linear_backward(
    dx: Floats | None, dW: Floats, db: Floats | None, dy: Floats, x: Floats, W: Floats
) -> None:
    """dy (N, out) → dx (N, in), dW (out, in), db (out,); None where nobody reads it."""
    if dx is not None:
        np.matmul(dy, W, out=dx)
    np.matmul(dy.T, x, out=dW)
    if db is not None:
        np.sum(dy, axis=0, out=db)
