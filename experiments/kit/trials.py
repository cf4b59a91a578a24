"""What is read off a table of trials: seconds until recovery has risen through a level, compared.

A time that never came is infinite, and bounds a ratio: it exceeds what was spent.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minuddm.probes.transition import falls_below


def reached(
    table: Sequence[Mapping[str, Any]], names: Sequence[str], level: float
) -> dict[str, list[float]]:
    """Return by trial, for every seed, the seconds until training recovery rises through `level`.

    Infinite where it never does.
    """
    found: dict[str, list[float]] = {name: [] for name in names}
    for name, of in found.items():
        rows = [row for row in table if row["trial"] == name]
        for seed in sorted({str(row.get("seed", 0)) for row in rows}):
            line = [row for row in rows if str(row.get("seed", 0)) == seed]
            seconds, own = (np.array([float(row[column]) for row in line])
                            for column in ("seconds", "train_recovery"))  # fmt: skip
            at = falls_below(seconds, level - own, 0.0)
            of.append(math.inf if math.isnan(at) else at)
    return found


def share(own: float, other: float, spent: float, spent_other: float) -> tuple[float, float]:
    """Return the least and largest ratio of two times; an infinite one exceeds what was spent."""
    least = (own if math.isfinite(own) else spent) / other
    return least, own / (other if math.isfinite(other) else spent_other)


def within(ratio: tuple[float, float]) -> str:
    """Say a ratio that lies between two ends."""
    low, high = ratio
    if low == high:
        return f"{low:.2f}"
    return f"at most {high:.2f}" if math.isfinite(high) else f"at least {low:.2f}" if low else "–"
