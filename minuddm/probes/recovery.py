"""Recovery: of the tokens that corruption changed, how many come back [T26].

recovery = #(xt ≠ x0, x̂ = x0) / #(xt ≠ x0)        undefined (NaN) where nothing was changed
unstable = #(xt = x0, x̂ ≠ x0) / #(xt = x0)        undefined (NaN) where everything was changed
exact    = 1(x̂ = x0 everywhere)
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Recovery(NamedTuple):
    """Per sequence: recovery (B,) and unstable (B,) in [0, 1] or NaN, exact (B,)."""

    recovery: NDArray[np.float64]
    unstable: NDArray[np.float64]
    exact: NDArray[np.bool_]


def recovery(x0: ArrayLike, xt: ArrayLike, restored: ArrayLike) -> Recovery:
    """Compare clean, corrupted and restored tokens, each (B, L)."""
    clean, corrupted, back = np.asarray(x0), np.asarray(xt), np.asarray(restored)
    if clean.ndim != 2 or not clean.shape == corrupted.shape == back.shape:
        raise ValueError(
            "x0, xt and restored must have one shape (B, L), "
            f"got {clean.shape}, {corrupted.shape}, {back.shape}"
        )
    changed, right = corrupted != clean, back == clean
    with np.errstate(invalid="ignore"):
        return Recovery(
            (changed & right).sum(axis=1) / changed.sum(axis=1),
            (~changed & ~right).sum(axis=1) / (~changed).sum(axis=1),
            right.all(axis=1),
        )
