"""A census of the fixed points: stored patterns, mixtures of k of them, or neither."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks
from hopfield.landscape.states import Memory, States, are_spins, overlap

STORED, SPURIOUS, UNCONVERGED = 1, 0, -1


class Census(NamedTuple):
    """Kinds of the B ends: 1 stored, k a mixture of k patterns, 0 spurious, -1 unconverged.

    state (B, L) are the ends.
    """

    kind: NDArray[np.int64]
    state: States

    def share(self, kind: int) -> float:
        """Return the share of starts that ended in this kind."""
        return float((self.kind == kind).mean())

    def distinct(self, kind: int) -> int:
        """Return how many different ends of this kind there are."""
        return len(np.unique(self.state[self.kind == kind], axis=0))


def census(
    memory: Memory,
    starts: ArrayLike,
    patterns: ArrayLike,
    rng: Generator,
    *,
    mixed: Sequence[int] = (3, 5, 7),
    within: float = 0.98,
) -> Census:
    """Recall from the states starts (B, L) and say what each ended in.

    A mixture of k is a state that has overlap ≥ `within` with the majority vote of the k stored
    patterns nearest to it. On spins a pattern and its negative are one memory, as they are for
    every even energy; of votes that tie, the state's own value counts.
    """
    stored = np.asarray(patterns)
    checks.generator(rng)
    checks.finite(within, "within")
    found = memory.recall(starts, rng=rng)
    kind = np.full(len(found.state), SPURIOUS, np.int64)
    for b, x in enumerate(found.state):
        if not found.converged[b]:
            kind[b] = UNCONVERGED
            continue
        m = overlap(x[None], stored, memory.values)
        sign = np.where(m < 0, -1, 1)
        nearest = np.argsort(-np.abs(m), kind="stable")
        for k in (STORED, *mixed):
            if k <= len(stored):
                voters = nearest[:k]
                agree = _vote(x, sign[voters, None] * stored[voters], memory.values)
                if agree >= within:
                    kind[b] = k
                    break
    return Census(kind, found.state)


def _vote(x: States, patterns: States, values: NDArray[np.int64]) -> float:
    """Return the overlap of x (L,) with the majority vote of patterns (k, L)."""
    votes = (patterns[:, :, None] == values).sum(axis=0)
    own = (patterns == x).sum(axis=0)
    equal = float((own == votes.max(axis=1)).mean())
    return 2 * equal - 1 if are_spins(values) else equal
