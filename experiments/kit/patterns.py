"""Patterns of ±1 that spin memories store: random ones, or structured ones ξ = sgn(c F) [T25].

F (hidden, L) is Gaussian and belongs to the source; c (hidden) is drawn anew for each pattern.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

SPINS = np.array([-1, 1], np.int8)


def source(kind: str, hidden: int, L: int, rng: Generator) -> Callable[[int], NDArray[np.int8]]:
    """Return what draws n patterns (n, L), "random" or "structured"; F is drawn here."""
    features = rng.normal(size=(hidden, L))

    def sample(n: int) -> NDArray[np.int8]:
        if kind == "random":
            return rng.choice(SPINS, size=(n, L))
        return np.where(rng.normal(size=(n, hidden)) @ features > 0, 1, -1).astype(np.int8)

    return sample
