"""Shards: work cut into fixed parts, run on as many threads as there are.

What a shard holds never depends on the number of threads, and results are in the order of the
shards: so no bit depends on the threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

_WORTH_A_THREAD = 2**19  # numbers

Part = TypeVar("Part")
Result = TypeVar("Result")


def shards_of(size: int, count: int) -> list[slice]:
    """Return `count` neighbouring slices of nearly one length that cover 0 … size - 1."""
    return [slice(i, j) for i, j in pairwise(size * k // count for k in range(count + 1))]


def long_shards(size: int, count: int) -> list[slice]:
    """Return at most `count` slices of 0 … size - 1, each long enough to be worth a thread."""
    return shards_of(size, max(1, min(count, size // _WORTH_A_THREAD)))


def run_on(
    pool: ThreadPoolExecutor | None, work: Callable[[Part], Result], parts: Sequence[Part]
) -> list[Result]:
    """Return the results of `work` on all parts, in their order, from `pool` if there is one."""
    return list(map(work, parts) if pool is None or len(parts) == 1 else pool.map(work, parts))
