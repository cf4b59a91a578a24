"""Intervals in tables, in sentences and in records.

A column with an interval is three: `name`, `name_lo`, `name_hi`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minuddm.probes import Interval
from minuddm.probes.intervals import student_interval

SPAN = 4.0  # an interval of P that is wider than this factor cannot say where a crossing is
WIDE = 0.2  # a power that is not known to this cannot be said to be 1
LOSS = 0.02  # of a share: what may be more is not known to be none


def headers(names: Iterable[str]) -> list[str]:
    """Return the three column names of each quantity."""
    return [column for name in names for column in (name, f"{name}_lo", f"{name}_hi")]


def columns(name: str, interval: Interval) -> dict[str, float]:
    """Return the three entries of one quantity in a row of a table."""
    return {name: interval.value, f"{name}_lo": interval.low, f"{name}_hi": interval.high}


def over_seeds(rows: Sequence[Mapping[str, Any]], name: str, log: bool = False) -> Interval:
    """Return a quantity of rows, one a seed: Student's interval, or of one seed that of its row.

    With `log` it is that of the logarithm; where some are infinite, the median's: from the least
    of them to infinity.
    """
    ends = (name, f"{name}_lo", f"{name}_hi")
    each = np.array([[math.nan if row.get(end, "") == "" else float(row[end]) for end in ends]
                     for row in rows])  # fmt: skip
    if len(each) == 1:
        return Interval(*each[0].tolist())
    values = each[:, 0]
    if np.isinf(values).any():
        return Interval(float(np.quantile(values, 0.5, method="nearest")), float(values.min()),
                        math.inf)  # fmt: skip
    found = student_interval(np.log(values) if log else values)
    return Interval(*np.exp(found).tolist()) if log else found


def show(interval: Interval, least: float = 0.0) -> str:
    """Say where a crossing is, with its interval; `least` is the smallest place measured."""
    if not math.isfinite(interval.value):
        return "none of those measured"
    if interval.value <= least:
        return f"{least:.0f} or below"
    if math.isnan(interval.low):
        return f"{interval.value:.0f}"
    high = f"{interval.high:.0f}" if math.isfinite(interval.high) else "beyond"
    return f"{interval.value:.0f} ({interval.low:.0f} to {high})"


def crossed(interval: Interval, least: float) -> bool | None:
    """Say whether a crossing was seen; None where it lies at or below the least place measured.

    There the curves had crossed from the start, as those of barely trained networks have.
    """
    if math.isnan(interval.value):
        return False
    return True if interval.value > least else None


def earlier(one: Interval, other: Interval) -> bool | None:
    """Say whether one crossing comes before another; None where their intervals overlap."""
    if one.high < other.low or other.high < one.low:
        return one.high < other.low
    return None


def spread(values: Iterable[float], digits: int = 2) -> str:
    """Say a value with its interval, given as (value, low, high); what is not known is not told."""
    value, low, high = values
    if math.isnan(value):
        return "unknown"
    ends = "" if math.isnan(low + high) else f" ({low:.{digits}f} to {high:.{digits}f})"
    return f"{value:.{digits}f}{ends}"


def recorded(entry: Mapping[str, Any] | None) -> Interval:
    """Return an interval as a record holds it: null is NaN, infinity a word."""
    if entry is None:
        return Interval(math.nan, math.nan, math.nan)
    return Interval(*(
        math.nan if entry[end] is None else float(entry[end]) for end in ("value", "low", "high")
    ))  # fmt: skip


def same_place(one: Interval, other: Interval) -> bool | None:
    """Say whether two crossings are at one P: no if their intervals are apart.

    None where either is unknown, or they overlap and one spans more than a factor of SPAN.
    """
    if math.isnan(one.value + other.value):
        return None
    if max(one.low, other.low) > min(one.high, other.high):
        return False
    return True if all(x.high <= SPAN * x.low for x in (one, other)) else None


def difference(one: Iterable[float], other: Iterable[float]) -> Interval:
    """Return one quantity less another, each (value, low, high), as if independent.

    Of two that rise and fall together the interval is too long.
    """
    (x, x_low, x_high), (y, y_low, y_high) = one, other
    wide = math.hypot(x_high - x_low, y_high - y_low) / 2
    return Interval(x - y, x - y - wide, x - y + wide)


def above(quantity: Iterable[float], level: float) -> bool | None:
    """Say whether (value, low, high) lies above a level; None where its interval may hold it."""
    _, low, high = quantity
    return None if not (level < low or high < level) else low > level


def larger(one: Iterable[float], other: Iterable[float]) -> bool | None:
    """Say whether one quantity is larger than another; None where chance alone may say so."""
    return above(difference(one, other), 0)


def below(quantity: Iterable[float], level: float) -> bool | None:
    """Say whether (value, low, high) lies below a level; None where its interval may hold it."""
    over = above(quantity, level)
    return None if over is None else not over


def inside(quantity: Iterable[float], least: float, most: float) -> bool | None:
    """Say whether (value, low, high) lies in a range; None where its interval is in and out."""
    _, low, high = quantity
    if high < least or low > most:
        return False
    return True if least <= low and high <= most else None


def no_loss(low: Sequence[float], high: Sequence[float]) -> bool | None:
    """Say whether no gain of several is a loss, by the ends of their intervals.

    None where one may be a loss of more than LOSS.
    """
    return False if min(high) < 0 else True if min(low) >= -LOSS else None


def is_one(power: Iterable[float]) -> bool | None:
    """Say whether a power, given as (value, low, high), is 1: no if its interval leaves 1 out.

    None where it is unknown, or its interval is wider than ± WIDE.
    """
    value, low, high = power
    if math.isnan(value + low + high):
        return None
    if not low <= 1 <= high:
        return False
    return True if high - low <= 2 * WIDE else None
