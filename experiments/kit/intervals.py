"""Intervals in tables, in sentences and in records.

A column with an interval is three: `name`, `name_lo`, `name_hi`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from minuddm.probes import Interval


def headers(names: Iterable[str]) -> list[str]:
    """Return the three column names of each quantity."""
    return [column for name in names for column in (name, f"{name}_lo", f"{name}_hi")]


def columns(name: str, interval: Interval) -> dict[str, float]:
    """Return the three entries of one quantity in a row of a table."""
    return {name: interval.value, f"{name}_lo": interval.low, f"{name}_hi": interval.high}


def show(interval: Interval, least: float = 0.0) -> str:
    """Say where a crossing is, with its interval; `least` is the smallest place measured."""
    if math.isnan(interval.value):
        return "none of those measured"
    if interval.value <= least:
        return f"{least:.0f} or below"
    high = f"{interval.high:.0f}" if math.isfinite(interval.high) else "beyond"
    return f"{interval.value:.0f} ({interval.low:.0f} to {high})"


def crossed(interval: Interval, least: float) -> bool | None:
    """Say whether a crossing was seen; None where it lies at or below the least place measured.

    There the curves had crossed from the start, as those of barely trained networks have.
    """
    if math.isnan(interval.value):
        return False
    return True if interval.value > least else None


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Say a value with its interval, given as (value, low, high)."""
    value, low, high = values
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def recorded(entry: Mapping[str, Any] | None) -> Interval:
    """Return an interval as a record holds it: null is NaN, infinity a word."""
    if entry is None:
        return Interval(math.nan, math.nan, math.nan)
    return Interval(*(
        math.nan if entry[end] is None else float(entry[end]) for end in ("value", "low", "high")
    ))  # fmt: skip


def overlap(one: Interval, other: Interval) -> bool:
    """Say whether two intervals have a point in common."""
    return max(one.low, other.low) <= min(one.high, other.high)
