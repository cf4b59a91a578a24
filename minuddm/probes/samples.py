"""What a model generates: copies of training sequences, spurious ones, or new ones.

With d(x, S) the share of tokens in which x differs from the nearest sequence of S, and a second,
independent set of samples of the same model (2505.21777, for tokens):

    memorised      d(x, training) ≤ θ
    spurious       d(x, training) > θ and d(x, second samples) ≤ θ: an attractor of the model
                   that is no training sequence, for it comes up again
    generalised    neither

θ comes from data the model never saw: so near to a training set of that size lies only one
held-out sequence in a hundred by chance.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from minuddm import checks

COPY = 0.1
"""A sample is a copy if it differs from a training sequence in at most a tenth of its tokens."""
CHANCE = 0.01
_BLOCK = 2**23  # distances held at a time


class Shares(NamedTuple):
    """Whether each sample (N,) is memorised, spurious, generalised: one of the three."""

    memorised: NDArray[np.bool_]
    spurious: NDArray[np.bool_]
    generalised: NDArray[np.bool_]


def nearest(x: ArrayLike, sequences: ArrayLike) -> NDArray[np.float64]:
    """Return the share of tokens (N,) in which each x (N, L) differs from the nearest (P, L)."""
    one = checks.tokens(x, 2**31 - 1, "x", ndim=2)
    other = checks.tokens(sequences, 2**31 - 1, "sequences", ndim=2)
    if other.size == 0 or one.shape[1] != other.shape[1]:
        raise ValueError(f"sequences must be (P, {one.shape[1]}), got {other.shape}")
    out, rows = np.empty(len(one)), max(1, _BLOCK // len(other))
    for start in range(0, len(one), rows):
        part = slice(start, start + rows)
        out[part] = scipy.spatial.distance.cdist(one[part], other, "hamming").min(axis=1)
    return out


def twins(x: ArrayLike) -> tuple[NDArray[np.float64], int]:
    """Return the share of tokens (N,) in which each x (N, L) differs from the nearest other one.

    Beside it the number of pairs that are copies of one another. NaN where there is no other.
    """
    one = checks.tokens(x, 2**31 - 1, "x", ndim=2)
    if len(one) < 2:
        return np.full(len(one), np.nan), 0
    apart = scipy.spatial.distance.pdist(one, "hamming")
    table = scipy.spatial.distance.squareform(apart)
    np.fill_diagonal(table, np.inf)
    return table.min(axis=1), int((apart <= COPY).sum())


def copies(samples: ArrayLike, training: ArrayLike, within: float = COPY) -> NDArray[np.bool_]:
    """Return whether each sample (N,) is a copy: d(x, training) ≤ within."""
    theta = checks.fraction(within, "within", whole=True)
    return np.asarray(nearest(samples, training) <= theta)


def threshold(held_out: ArrayLike, training: ArrayLike, chance: float = CHANCE) -> float:
    """Return θ: the distance to training that a share `chance` of held-out sequences stay below.

    Rounded down to a distance that occurs, so that at most that share is called memorised.
    """
    d = np.sort(nearest(held_out, training))
    if len(d) == 0:
        raise ValueError("held_out must hold at least one sequence")
    largest = d[int(checks.fraction(chance, "chance") * len(d))]
    below = d[d < largest]
    return float(below[-1]) if len(below) else 0.0


def kinds(samples: ArrayLike, second: ArrayLike, training: ArrayLike, theta: float) -> Shares:
    """Return what each sample is, given a second set of samples and a threshold in [0, 1]."""
    checks.fraction(theta, "theta", whole=True)
    known = nearest(samples, training) <= theta
    again = nearest(samples, second) <= theta
    return Shares(known, ~known & again, ~known & ~again)
