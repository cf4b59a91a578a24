"""What is read off a phase diagram: lines of recovery against steps of training, by P and seed.

    time to remember    steps until training recovery has risen through .9, and its power in P
    limit               the P whose training recovery ends below .95
    best                the step at which unseen recovery is largest, for early stopping
    τ_gen, τ_mem        when unseen recovery has nine tenths of its largest, and when training
                        recovery first is .1 above it, and learning by heart sets in

Each seed is read by itself.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import linregress
from scipy.stats import t as student

from experiments.kit.course import still
from experiments.kit.intervals import over_seeds
from experiments.kit.settings import STARTS
from minuddm.probes import Interval
from minuddm.probes.intervals import student_interval
from minuddm.probes.transition import PLATEAU, falls_below

REMEMBERED, NEARLY, GAP = 0.9, 0.9, 0.1
LOOKS = 3  # whose mean stands for the middle one, as one look alone is noise
ENTROPIES = tuple(f"entropy_{t:g}" for t in STARTS)
SEEN = ("steps", "train_recovery", "test_recovery", *ENTROPIES)

Seen = Mapping[str, NDArray[Any]]
Lines = dict[int, list[Seen]]  # by P, a line a seed


def power(P: NDArray[np.float64], tau: NDArray[np.float64]) -> Interval:
    """Return the slope of log τ on log P and its 95 % interval, a line through all networks.

    Networks that never came to remember are left out; fewer than two sizes have no slope.
    """
    known = np.isfinite(tau)
    if len(np.unique(P[known])) < 2 or known.sum() < 3:
        return Interval(math.nan, math.nan, math.nan)
    line = linregress(np.log(P[known]), np.log(tau[known]))
    half = float(student.ppf(0.975, known.sum() - 2) * line.stderr)
    slope = float(line.slope)
    return Interval(slope, slope - half, slope + half)


def times(steps: ArrayLike, train: ArrayLike, test: ArrayLike) -> tuple[float, float]:
    """Return τ_gen and τ_mem (above) in steps, linear in log steps between looks; NaN for never."""
    own, unseen = np.asarray(train), np.asarray(test)
    generalises = falls_below(steps, NEARLY * unseen.max() - unseen, 1e-12)
    return generalises, falls_below(steps, GAP - (own - unseen), 0.0)


def calm(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return means of LOOKS looks, for all but the first and the last of them."""
    return np.convolve(values, np.ones(LOOKS) / LOOKS, "valid")


def dates(seen: Seen) -> tuple[float, float]:
    """Return τ_gen and τ_mem, read off means of LOOKS looks; NaN for never, or for fewer looks."""
    if len(seen["steps"]) < LOOKS:
        return math.nan, math.nan
    return times(seen["steps"][1:-1], *(calm(seen[name]) for name in SEEN[1:3]))


def generalises_first(tau: NDArray[np.float64]) -> float:
    """Return the share of networks, rows (τ_gen, τ_mem), in which memory came later or never.

    NaN where no network came to remember: what is first was not seen.
    """
    later = ~(tau[:, 1] <= tau[:, 0])
    return float(later.mean()) if np.isfinite(tau[:, 1]).any() else math.nan


def who_is_first(shares: Mapping[Any, float]) -> tuple[str, tuple[bool | None, ...]]:
    """Return what is said of such shares by P, and whether generalisation is first at each."""
    said = ", ".join(f"{share:.2f} at P = {P}" for P, share in shares.items() if share >= 0)
    return (f"in a share of the networks of {said}" if said else "no network came to remember",
            tuple(share > 0.9 if share >= 0 else None for share in shares.values()))  # fmt: skip


def misfit(W: Sequence[float], P: Sequence[float]) -> float:
    """Return the largest factor between P and a power of W; NaN where a P is not known."""
    x, y = np.log(W), np.log(P)
    if not np.isfinite(y).all():
        return math.nan
    return float(np.exp(np.abs(y - np.polyval(np.polyfit(x, y, 1), x)).max()))


class Readings(NamedTuple):
    """What is read off the line of one P; NaN for never."""

    remembers: float
    """Steps after which training recovery has risen through .9."""
    best: int
    """Steps after which unseen recovery is largest."""
    largest: float
    lost: float
    """What unseen recovery has lost at the last step."""
    kept: float
    """Training recovery at the last step."""


def readings(seen: Seen) -> Readings:
    """Read one line of the diagram, linear in log steps between looks."""
    steps, test = seen["steps"], seen["test_recovery"]
    k = int(np.argmax(test))
    return Readings(
        falls_below(steps, REMEMBERED - seen["train_recovery"], 0.0),
        int(steps[k]),
        float(test[k]),
        float(test[k] - test[-1]),
        float(seen["train_recovery"][-1]),
    )


class Summary(NamedTuple):
    """What is read off all lines."""

    remembers: dict[int, float]
    """By P the median over the seeds of the time to remember; NaN if most never do."""
    power: Interval
    """Of that time in P: over the seeds, or of one seed's line through its P."""
    limit: Interval
    """P at which training recovery ends below .95; infinite where it never does."""

    @property
    def limited(self) -> bool | None:
        """Whether it does at some P; None if for some of the seeds only."""
        return None if self.limit.low < self.limit.high == math.inf else self.limit.value < math.inf


def summary(lines: Lines) -> Summary:
    """Read all lines, each seed by itself."""
    P = np.array(list(lines), float)
    each = [[readings(line) for line in of] for of in zip(*lines.values(), strict=True)]
    tau = np.array([[r.remembers for r in of] for of in each])  # (seeds, P)
    limits = np.array([falls_below(P, [r.kept for r in of], PLATEAU) for of in each])
    fits = [power(P, of) for of in tau]
    slope = fits[0]
    if len(each) > 1:
        slopes = [fit.value for fit in fits]
        slope = student_interval(slopes if np.isfinite(slopes).all() else [])
    ends = [{"limit": end} for end in np.nan_to_num(limits, nan=np.inf)]
    limit = over_seeds(ends, "limit", log=True)
    median = np.median(np.where(np.isnan(tau), np.inf, tau), axis=0)
    known = np.where(np.isfinite(median), median, np.nan)
    return Summary(dict(zip(lines, known.tolist(), strict=True)), slope, limit)


def until(lines: Lines, steps: int) -> Lines:
    """Return the lines as if training had ended after so many steps."""
    return {
        P: [{name: x[seen["steps"] <= steps] for name, x in seen.items()} for seen in of]
        for P, of in lines.items()
    }


class Row(NamedTuple):
    """What a line of one P is told by: medians and means over its seeds, infinite for never."""

    P: int
    remembers: float
    generalises: float
    """τ_gen."""
    memory: float
    """τ_mem."""
    best: float
    """Steps after which mean unseen recovery is largest."""
    largest: float
    train: float
    """Training recovery at the last step."""
    test: float
    still: int
    """The number of seeds whose training recovery stands still there (`kit/course.py`)."""


def timetable(lines: Lines) -> list[Row]:
    """Return what is read off every line, by P."""
    rows = []
    for P, of in lines.items():
        each = np.array([(readings(seen).remembers, *dates(seen)) for seen in of])
        train, test = (mean(of, name) for name in SEEN[1:3])
        middle = np.median(np.where(np.isnan(each), np.inf, each), axis=0)
        best = int(of[0]["steps"][test.argmax()])
        rest = sum(still(seen["steps"], seen["train_recovery"]) for seen in of)
        rows.append(Row(P, *middle.tolist(), best, test.max(), train[-1], test[-1], rest))
    return rows


def mean(of: Sequence[Seen], name: str) -> NDArray[np.float64]:
    """Return the mean of a quantity over seeds, at every look."""
    return np.asarray(np.mean([seen[name] for seen in of], axis=0))


def lines_of(table: Sequence[Mapping[str, Any]]) -> Lines:
    """Return the lines of a record's table."""
    each: dict[int, dict[int, list[Mapping[str, Any]]]] = {}
    for row in table:
        each.setdefault(int(row["P"]), {}).setdefault(int(row["seed"]), []).append(row)
    return {
        P: [{name: np.array([float(row[name]) for row in rows]) for name in SEEN}
            for rows in of.values()]
        for P, of in each.items()
    }  # fmt: skip
