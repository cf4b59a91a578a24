"""States of any memory: overlaps, and damage that is the same for every memory that is shown it.

The overlap of two states is the mean of their products for spins, (matches - mismatches)/L, and the
share of matches for tokens.
"""

from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks
from hopfield.frozen import Frozen
from hopfield.recall import Floats, Recall

States = NDArray[Any]


class Memory(Protocol):
    """Anything that recalls; `values` are those a site can have: -1 and 1, or 0 … V - 1."""

    @property
    def values(self) -> NDArray[np.int64]:
        """The values of a site (V,), rising."""

    def recall(
        self, x: ArrayLike, *, rng: Generator | None = None, max_sweeps: int = 100
    ) -> Recall:
        """Recall from the states x (B, L)."""


def overlap(x: ArrayLike, y: ArrayLike, values: ArrayLike) -> Floats:
    """Return the overlap of states (…, L): mean product for spins, share of matches for tokens."""
    equal = (np.asarray(x) == np.asarray(y)).mean(axis=-1)
    return np.asarray(2 * equal - 1 if are_spins(values) else equal)


def change(x: ArrayLike, count: ArrayLike, values: ArrayLike, rng: Generator) -> States:
    """Return the states x (B, L) with exactly `count` sites each, (B,) or one number, changed.

    A changed site takes one of the other values of `values` (V,), each as likely.
    """
    return Damage(np.asarray(x), values, rng).at(count)


class Damage(Frozen):
    """Damage to the states x (B, L) that grows: what is changed at k sites is changed at k + 1.

    Measures that share a damage see the same changes.
    """

    def __init__(self, x: States, values: ArrayLike, rng: Generator) -> None:
        checks.generator(rng)
        alphabet = np.asarray(values)
        outside = x[~np.isin(x, alphabet)]
        if outside.size:
            raise ValueError(f"states must have the values {alphabet}, got {outside.flat[0]}")
        self.state = x
        self._rank = rng.random(x.shape).argsort(axis=1).argsort(axis=1)
        further = rng.integers(1, len(alphabet), size=x.shape)
        other = alphabet[(np.searchsorted(alphabet, x) + further) % len(alphabet)]
        fits = (alphabet.astype(x.dtype) == alphabet).all()
        self._other = other.astype(x.dtype if fits else np.result_type(x, alphabet))

    def at(self, count: ArrayLike) -> States:
        """Return the states with exactly `count` sites each, (B,) or one number, changed."""
        B, L = self.state.shape
        number = np.broadcast_to(np.asarray(count), (B,))
        if not np.issubdtype(number.dtype, np.integer):
            raise TypeError(f"count must be integers, got dtype {number.dtype}")
        if number.size and (number.min() < 0 or number.max() > L):
            raise ValueError(f"count must lie in 0 … {L}, got {number.min()} … {number.max()}")
        return np.where(self._rank < number[:, None], self._other, self.state)


def are_spins(values: ArrayLike) -> bool:
    """Return whether the values of a site are -1 and 1, not 0 … V - 1."""
    return bool(np.min(values) < 0)
