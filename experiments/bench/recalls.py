"""Seconds of recalls: of tokens, and of spins beside the matrix products they cannot do without."""

import numpy as np

from experiments.bench.rows import OURS, Rows, row, timed
from hopfield import TokenMemory, hebbian
from hopfield.landscape import change

_SPINS = np.array([-1, 1], np.int8)


def recall_rows(n: int, rounds: int) -> Rows:
    """Measure recalls of n queries, a quarter of tokens or a tenth of spins changed, on one thread.

    1,000 sequences of 32 tokens, V = 28; and 100 patterns of 1,000 spins in Hopfield's network,
    beside the products W x of as many sweeps alone.
    """
    rng = np.random.default_rng(0)
    tokens = TokenMemory(rng.integers(28, size=(1000, 32)), 28, beta=3.0)
    noisy = tokens.patterns[rng.integers(1000, size=n)]
    noisy[:, :8] = rng.integers(28, size=(n, 8))
    patterns = rng.choice(_SPINS, size=(100, 1000))
    spins = hebbian(patterns)
    queries = change(patterns[rng.integers(100, size=n)], 100, _SPINS, rng)
    columns = np.ascontiguousarray(queries.T, dtype=np.float64)
    tokens.recall(noisy[:2])
    sweeps = spins.recall(queries).energies.shape[1] - 1
    work = {
        ("P = 1000", OURS): lambda: tokens.recall(noisy),
        ("L = 1000", OURS): lambda: spins.recall(queries),
        ("L = 1000", "the products of its sweeps"): lambda: [
            spins.W @ columns for _ in range(sweeps)
        ],
    }
    return [
        row("recall", side, np.array([timed(act) for _ in range(rounds)]), size=size, threads=1)
        for (size, side), act in work.items()
    ]
