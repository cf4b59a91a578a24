"""Queries are shared out among threads; each is recalled by itself, so no bit depends on them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import argument_checks as checks

Share = Callable[..., Any]  # a tuple of arrays


@contextmanager
def shared(threads: int) -> Iterator[Share]:
    """Yield `share(work, *arrays)`: what `work(*arrays)` returns, arrays (B, …) cut among threads.

    `work` returns a tuple of arrays with one row a query, and does not hold the GIL for long.
    """
    number = checks.count(threads, "threads")
    if number == 1:
        yield lambda work, *arrays: work(*arrays)
        return

    def share(work: Share, *arrays: NDArray[Any]) -> Any:
        ends = [len(arrays[0]) * k // number for k in range(number + 1)]
        parts = [slice(i, j) for i, j in pairwise(ends) if i < j] or [slice(0)]
        found = pool.map(lambda part: work(*(x[part] for x in arrays)), parts)
        return tuple(np.concatenate(pieces) for pieces in zip(*found, strict=True))

    with ThreadPoolExecutor(number) as pool:
        yield share
