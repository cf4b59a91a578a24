"""What memories store and start from: patterns of ±1, damaged ones, and points of a plane."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hopfield.landscape import Memory
from minuddm.probes import recovery

SPINS = np.array([-1, 1], np.int8)


def source(kind: str, hidden: int, L: int, rng: Generator) -> Callable[[int], NDArray[np.int8]]:
    """Return what draws n patterns (n, L), "random" or "structured".

    Structured ones are ξ = sgn(c F) [T25]: F (hidden, L), Gaussian, is drawn here and belongs to
    the source; c (hidden) is drawn for each pattern.
    """
    features = rng.normal(size=(hidden, L))

    def sample(n: int) -> NDArray[np.int8]:
        if kind == "random":
            return rng.choice(SPINS, size=(n, L))
        return np.where(rng.normal(size=(n, hidden)) @ features > 0, 1, -1).astype(np.int8)

    return sample


def repaired(
    memory: Memory, x: NDArray[np.int8], damaged: NDArray[np.int8], **how: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall damaged patterns: the share of damaged spins that come back [T26], and the overlap.

    Patterns x (B, L) and how they are damaged (B, L) → (B,) each. Where no spin is damaged, a
    pattern that stays counts as 1, one that does not as 0.
    """
    back = memory.recall(damaged, **how).state
    share, _, whole = recovery(x, damaged, back)
    return np.where((damaged == x).all(axis=1), whole, share), (back * x).mean(axis=1)


def plane(half: float, n: int) -> NDArray[np.float64]:
    """Return the points of an n × n grid over the square |x|, |y| ≤ half, (n², 2)."""
    ticks = np.linspace(-half, half, n)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
