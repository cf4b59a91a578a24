"""Random draws: a generator of its own for each purpose, so that no draw depends on another."""

import hashlib

import numpy as np
from numpy.random import Generator, Philox


def generator(seed: int, purpose: str) -> Generator:
    """Return the generator of a seed and a purpose."""
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return Generator(Philox(key=np.array([seed, word], dtype=np.uint64)))
