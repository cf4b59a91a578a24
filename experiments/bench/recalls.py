"""Seconds of a recall, beside those of the matrix products that it cannot do without."""

import time
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from hopfield import TokenMemory, hebbian
from hopfield.landscape import change

_SPINS = np.array([-1, 1], np.int8)


def recalls() -> dict[str, float]:
    """Time, on one thread, a classical recall beside the matrix products of its sweeps alone.

    1,000 queries with 10 % of 1,000 spins flipped, P = 100; and a token memory of P = 10,000
    patterns, L = 32, V = 28, from 1,000 queries with 30 % of tokens changed. Best of three.
    """
    rng = np.random.default_rng(0)
    patterns = rng.choice(_SPINS, size=(100, 1000))
    memory = hebbian(patterns)
    queries = change(np.repeat(patterns, 10, axis=0), 100, _SPINS, rng)
    sequences = rng.integers(28, size=(10_000, 32))
    tokens = TokenMemory(sequences, 28, 3.0)
    noisy = change(sequences[:1000], 10, np.arange(28), rng)
    columns = np.ascontiguousarray(queries.T, dtype=np.float64)
    memory.recall(queries[:1])
    tokens.recall(noisy[:1])
    with threadpool_limits(1):
        sweeps = memory.recall(queries).energies.shape[1] - 1
        recall = _best(lambda: memory.recall(queries))
        product = _best(lambda: [memory.W @ columns for _ in range(sweeps)])
        return {
            "classical_recall_seconds": recall,
            "products_of_the_same_sweeps_seconds": product,
            "recall_over_products": recall / product,
            "token_recall_seconds": _best(lambda: tokens.recall(noisy)),
            "sweeps": sweeps,
        }


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
