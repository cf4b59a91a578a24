"""Rows of the table of speeds: medians and quartiles of what was timed."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

OURS = "minuddm"

Seconds = NDArray[np.float64]
Rows = list[dict[str, Any]]


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def row(what: str, side: str, taken: Seconds, **more: Any) -> dict[str, Any]:
    """Return a row of the table: the median and the quartiles of what was taken."""
    low, middle, high = np.percentile(taken, [25, 50, 75]).tolist()
    return {"what": what, "side": side, "n": len(taken), "seconds": middle, "low": low,
            "high": high, **more}  # fmt: skip
