"""What one sampler gains on another: how far both end from the data, at equal numbers of calls.

    gain    exp(log d(c) - log d'(c)), d and d' distances against calls c of the denoiser, as a
            table has them, log d linear in log c between its rows

A distance is a total variation, which is exact and has no seed, or an excess in nats a token, with
an interval over the samples of a seed; samplers of one seed draw from the same network.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.kit.intervals import columns, headers, over_seeds
from experiments.kit.table import matching
from minuddm.probes import Interval

Array = NDArray[np.float64]
EXCESS = headers(["excess"])


def curves(table: Sequence[Mapping[str, Any]], **where: str) -> Array:
    """Return of each seed calls, distances and their half-widths, (S, 3, n), of the rows asked for.

    No rows are one seed with nothing.
    """
    seeds: dict[str, list[list[float]]] = {}
    for row in matching(table, **where):
        names = EXCESS if row.get("tv") in ("", None) else 3 * ["tv"]
        value, low, high = (float(row[name]) for name in names)
        own = [float(row["calls"]), abs(value), (high - low) / 2]
        seeds.setdefault(str(row.get("seed")), []).append(own)
    return np.array([np.transpose(sorted(seeds[seed])) for seed in sorted(seeds)]
                    or np.empty((1, 3, 0)))  # fmt: skip


def middle(seeds: Array) -> Array:
    """Return calls and distances (2, n), geometric means over the seeds of (S, 3, n)."""
    return np.asarray(np.exp(np.log(seeds[:, :2]).mean(axis=0)))


def gain(own: Array, other: Array, calls: float) -> Interval:
    """Return the ratio of two distances at so many calls; NaN outside of what either measured.

    Of several seeds the geometric mean, with Student's interval over ratios; of one that of its
    samples, as wide as the widest of either.
    """
    logs, chance = [], 0.0
    for at, far, half in (own.swapaxes(0, 1), other.swapaxes(0, 1)):  # (S, n)
        if not at.size or not 0.93 * at[:, 0].max() <= calls <= 1.07 * at[:, -1].min():
            return Interval(math.nan, math.nan, math.nan)
        x = [np.interp(math.log(calls), *of) for of in zip(np.log(at), np.log(far), strict=True)]
        logs.append(np.array(x))
        chance = math.hypot(chance, half.max() / math.exp(x[0]))
    each = [columns("gain", Interval(*np.exp([x, x - chance, x + chance]).tolist()))
            for x in logs[0] - logs[1]]  # fmt: skip
    return over_seeds(each, "gain", log=True)
