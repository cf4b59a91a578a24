"""The entropy of what is remembered equally well, and what of its line is bias [T48].

Sequences have a score e, the number of tokens that a model got wrong. The true tokens of all
sequences of one score are pooled, and the entropy of the pool is drawn against the score: the
straight line of Huang et al. 2025. Pools differ in size, and the entropy of a sample is too small,
the more so the smaller it is:

    plug-in          H = -Σ f log f, f the shares of the values; too small by about (K - 1)/2n nats
                     for n independent tokens of K values
    Miller-Madow     H + (K̂ - 1)/2n, K̂ the number of values seen; still too small where K̂ ≪ K
    rarefied         plug-in of equally many sequences of every level, the mean of several draws
                     without replacement: what bias is left is the same at every level
    null             the slope when scores are permuted among the sequences: levels keep their sizes
                     and lose whatever they had to do with tokens
    excess           the slope less the mean of its null

A line needs three levels. A perfect memory has one, e = 0, and no slope: NaN.
"""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit, xlogy

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.probes.intervals import Interval, percentile_interval

Array = NDArray[np.float64]

LEAST = 20
"""Sequences of a level that is counted, and of each rarefied one."""
_Z = 1.96
_UNKNOWN = Interval(np.nan, np.nan, np.nan)


class Pools(NamedTuple):
    """The levels: scores (K,), numbers of sequences (K,), and three entropies (K,) in nats."""

    score: NDArray[np.int64]
    sequences: NDArray[np.int64]
    plug_in: Array
    miller_madow: Array
    rarefied: Array


ESTIMATES = Pools._fields[2:]


class Line(NamedTuple):
    """Least squares through K levels: slope in nats per wrong token, and Pearson's r."""

    slope: Interval
    r: Interval


class Trend(NamedTuple):
    """A line, its slope under permutation (mean, and where 95 % lie), and what is beyond that."""

    slope: Interval
    r: Interval
    null: Interval
    excess: Interval


def plug_in(counts: ArrayLike) -> Array:
    """Return -Σ f log f (...,) of counts (..., V), in nats; 0 of no counts."""
    n, total = _counts(counts)
    return np.asarray(np.log(total) - xlogy(n, n).sum(axis=-1) / total)


def miller_madow(counts: ArrayLike) -> Array:
    """Return the plug-in entropy and (K̂ - 1)/2n (...,) of counts (..., V), in nats."""
    n, total = _counts(counts)
    return np.asarray(plug_in(n) + np.maximum((n > 0).sum(axis=-1) - 1, 0) / (2 * total))


def _counts(counts: ArrayLike) -> tuple[Array, Array]:
    n = checks.real(counts, "counts").astype(np.float64)
    with np.errstate(over="ignore"):
        total = n.sum(axis=-1) if n.ndim else np.inf
    if not ((n >= 0).all() and np.isfinite(total).all()):
        raise ValueError("counts must be finite and at least 0, as their sums over values")
    return n, np.maximum(total, 1)


def pools(
    tokens: ArrayLike,
    scores: ArrayLike,
    V: int,
    rng: Generator,
    least: int = LEAST,
    repeats: int = 20,
) -> Pools:
    """Pool tokens (N, m) over V values by the scores (N,) of their sequences, integers.

    Levels of fewer than `least` sequences are left out; of the others the rarefied entropy takes
    `least` each, `repeats` times.
    """
    x, e = _asked(tokens, scores, V)
    values, level, number = np.unique(e, return_inverse=True, return_counts=True)
    kept = number >= checks.count(least, "least", 2)
    counts = _tally(level, x, len(values), V)[kept]
    first, drawn = np.cumsum(number) - number, np.zeros(len(counts))
    for _ in range(checks.count(repeats, "repeats")):
        order = np.lexsort((checks.generator(rng).random(len(x)), level))
        rows = order[first[kept, None] + np.arange(least)]
        own = np.repeat(np.arange(len(rows)), least)
        drawn += plug_in(_tally(own, x[rows.ravel()], len(rows), V)) / repeats
    return Pools(values[kept], number[kept], plug_in(counts), miller_madow(counts), drawn)


def line(score: ArrayLike, entropy: ArrayLike) -> Line:
    """Fit entropies (K,) against scores (K,), with 95 % intervals: Student's, and Fisher's of r.

    NaN for fewer than three levels or one score alone, r also where all entropies are equal. Levels
    are taken for independent and equally uncertain, as rarefied ones nearly are.
    """
    e, H = np.asarray(score, dtype=np.float64), np.asarray(entropy, dtype=np.float64)
    if e.ndim != 1 or e.shape != H.shape:
        raise ValueError(f"entropy must have the shape of score, {e.shape}, got {H.shape}")
    K = len(e)
    if K < 3:
        return Line(_UNKNOWN, _UNKNOWN)
    e, H = e - e.mean(), H - H.mean()
    ee, eH, HH = float(e @ e), float(e @ H), float(H @ H)
    if ee == 0:
        return Line(_UNKNOWN, _UNKNOWN)
    slope = eH / ee
    half = float(stdtrit(K - 2, 0.975)) * np.sqrt(max(HH / ee - slope**2, 0) / (K - 2))
    return Line(Interval(slope, slope - half, slope + half), _fisher(eH, ee * HH, K))


def _fisher(eH: float, product: float, K: int) -> Interval:
    """Return r = eH/√product and its interval: atanh r is normal with variance 1/(K - 3)."""
    if product <= 0:
        return _UNKNOWN
    r = float(np.clip(eH / np.sqrt(product), -1, 1))
    if K == 3 or abs(r) == 1:
        return Interval(r, *((-1.0, 1.0) if K == 3 else (r, r)))
    middle, half = np.arctanh(r), _Z / np.sqrt(K - 3)
    return Interval(r, float(np.tanh(middle - half)), float(np.tanh(middle + half)))


def trends(
    tokens: ArrayLike,
    scores: ArrayLike,
    V: int,
    rng: Generator,
    least: int = LEAST,
    repeats: int = 20,
    permutations: int = 200,
) -> tuple[Pools, dict[str, Trend]]:
    """Return the pools, and the trend of each of the three ESTIMATES against its own null.

    The interval of the excess holds 0 if the slope lies where 95 % of the permuted ones do.
    """
    x, e = _asked(tokens, scores, V)
    found = pools(x, e, V, rng, least, repeats)
    lines = {name: line(found.score, getattr(found, name)) for name in ESTIMATES}
    if len(found.score) < 3:
        return found, {name: Trend(*fit, _UNKNOWN, _UNKNOWN) for name, fit in lines.items()}
    null = np.empty((checks.count(permutations, "permutations"), len(ESTIMATES)))
    for row in null:
        by_chance = pools(x, rng.permutation(e), V, rng, least, repeats)
        row[:] = [line(by_chance.score, getattr(by_chance, name)).slope.value for name in ESTIMATES]
    return found, {
        name: _against(fit, slopes)
        for (name, fit), slopes in zip(lines.items(), null.T, strict=True)
    }


def _against(fit: Line, slopes: Array) -> Trend:
    null = percentile_interval(float(slopes.mean()), slopes)
    slope = fit.slope.value
    return Trend(*fit, null, Interval(slope - null.value, slope - null.high, slope - null.low))


def _asked(tokens: ArrayLike, scores: ArrayLike, V: int) -> tuple[Tokens, NDArray[np.int64]]:
    x = checks.tokens(tokens, checks.vocabulary(V), "tokens", ndim=2)
    e = np.asarray(scores)
    if not np.issubdtype(e.dtype, np.integer):
        raise TypeError(f"scores must be integers, got dtype {e.dtype}")
    if e.shape != (len(x),):
        raise ValueError(f"scores must have one value per sequence ({len(x)},), got {e.shape}")
    return x, e.astype(np.int64)


def _tally(level: NDArray[np.intp], x: Tokens, K: int, V: int) -> Array:
    """Return how often each value stands in the sequences x (N, m) of each level, (K, V)."""
    cell = level[:, None] * V + x
    return np.bincount(cell.ravel(), minlength=K * V).reshape(K, V).astype(np.float64)
