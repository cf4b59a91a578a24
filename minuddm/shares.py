"""Work shared out: in fixed parts, on as many threads as there are.

What a part holds never depends on the number of threads, and results come back in the order of
the parts: so no bit does either.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def shares(size: int, count: int) -> list[slice]:
    """Return `count` neighbouring slices of nearly one length that cover 0 … size - 1."""
    return [slice(i, j) for i, j in pairwise(size * k // count for k in range(count + 1))]


def run_on(
    pool: ThreadPoolExecutor | None, work: Callable[[Part], Result], parts: Iterable[Part]
) -> list[Result]:
    """Return the results of `work` on all parts, in their order, from `pool` if there is one."""
    return list(map(work, parts) if pool is None else pool.map(work, parts))
