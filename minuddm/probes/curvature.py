"""How sharply a conditional is peaked: five numbers of one law p over V values [T29].

    trace           Σ p (1 - p)                        of the softmax's Jacobian J = diag(p) - ppᵀ
    diagonal        ‖p (1 - p)‖₂                       norm of J's diagonal
    off_diagonal    √(½ ((Σ p²)² - Σ p⁴))              norm of one triangle of J
    margin          p_(1) - p_(2)                      likeliest less second
    top             p_(1)

J is the curvature of log Σ e^f in the logits f. In 2604.26841's code `trace` is called curvature
and `margin` spectral gap; J's spectrum has nothing to do with it, so here it is called a margin.
All vanish, and margin and top are 1, for a certain law; for a uniform one trace is 1 - 1/V.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Curvature(NamedTuple):
    """One value for each law, shape (…)."""

    trace: Floats
    diagonal: Floats
    off_diagonal: Floats
    margin: Floats
    top: Floats


def curvature(log_p: ArrayLike) -> Curvature:
    """Return the five numbers of laws given by log-probabilities (…, V), V ≥ 2."""
    p = np.exp(np.asarray(log_p, dtype=np.float64))
    if p.ndim == 0 or p.shape[-1] < 2:
        raise ValueError(f"a law needs at least 2 values, got shape {p.shape}")
    spread = p * (1 - p)
    square = (p**2).sum(axis=-1)
    second, top = np.moveaxis(np.partition(p, -2, axis=-1)[..., -2:], -1, 0)
    apart = np.maximum(square**2 - (p**4).sum(axis=-1), 0.0)
    return Curvature(
        trace=spread.sum(axis=-1),
        diagonal=np.sqrt((spread**2).sum(axis=-1)),
        off_diagonal=np.sqrt(0.5 * apart),
        margin=top - second,
        top=top,
    )
