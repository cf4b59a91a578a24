"""Extraction: the chance p_z(N) that a chain of N steps generates one given sequence z [T31]-[T34].

The chain starts from noise x_N and goes through rising alphas to x_0 at α = 1. With p_θ the bridge
that has the denoiser's conditional plugged in [T7], and q(·|z) the bridge of z itself,

    p_z(N) = Σ p(x_N) Π_k p_θ(x_{k-1} | x_k)                  over all paths that end in z
           = E_{path ~ q(·|z)} Π_k p_θ(x_{k-1} | x_k) / q(x_{k-1} | x_k, z)           [T31]
           ≥ exp(E log of the same)  →  exp(-L nelbo(z)),  N → ∞                      [T32]

    path_weights     the second line: every path ends in z. Good for N ≤ 8; the variance grows with
                     N until it is of no use
    sampled          samples of the chain: the share that is z, and the mean chance that the last
                     step lands on z. The latter is the former's mean given x_1, so its variance is
                     never the larger one

`generated_law` is the first line by enumeration. Samples may also count as z if they differ in no
more than a share of their tokens; paths go to z alone. Where tokens are *known*, p_z is the chance
of the others given them: of the rest after a prefix, or of a gap. A sequence is (n, p)-discoverable
if n samples hold it with chance 1 - (1 - p_z)^n ≥ p. (Luo et al. 2026, for masked models)
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.denoiser import Denoiser
from minuddm.probes.generated_law import even_grid
from minuddm.process import Process, given_or_uniform
from minuddm.reverse import Grid, generate
from minuddm.schedule import Schedule

Array = NDArray[np.float64]

_BATCH = 256
_BLOCK = 2**22  # chances held at a time


class Extraction(NamedTuple):
    """Chances p_z (B,) and their standard errors (B,)."""

    chance: Array
    error: Array


class Sampled(NamedTuple):
    """p_z by the share of samples that are z, and with the last step taken exactly."""

    hits: Extraction
    last_step: Extraction


# ---- by paths that end in z ---------------------------------------------------------------------


def log_weights(
    denoiser: Denoiser,
    z: ArrayLike,
    V: int,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    draws: int = 64,
    process: Process | None = None,
    grid: Grid = even_grid,
    known: ArrayLike = False,
) -> Array:
    """Return log Π_k p_θ/q of `draws` paths to each sequence z (B, L), (B, draws).

    The mean of their exponentials is p_z [T31], the exponential of their mean the bound [T32].
    `known`, (L,) or (B, L), are tokens that are held; no corrector draws the others given them.
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    one = checks.tokens(z, V, "z", ndim=2)
    shape, n = one.shape, checks.count(draws, "draws")
    held = np.repeat(checks.booleans(known, shape, "known"), n, axis=0)
    clean = np.repeat(one, n, axis=0)
    x, total = process.noise(clean.shape, checks.generator(rng)), np.zeros(len(clean))
    x[held] = clean[held]
    for alpha_t, alpha_s in pairwise(_alphas(schedule, steps, grid)):
        u = rng.random(clean.shape)
        for start in range(0, len(x), _BATCH):
            part = slice(start, start + _BATCH)
            p, target = _conditionals(denoiser, x[part], alpha_t), np.eye(V)[clean[part]]
            plugged, true = (process.bridge(x[part], q, alpha_s, alpha_t) for q in (p, target))
            with np.errstate(divide="ignore"):
                new = process.bridge_quantile(x[part], np.log(target), alpha_s, alpha_t, u[part])
                x[part] = np.where(held[part], x[part], new)
                ratio = np.log(_at(plugged, x[part])) - np.log(_at(true, x[part]))
            total[part] += np.where(held[part], 0, ratio).sum(axis=1)
    return total.reshape(len(one), n)


def path_weights(*asked: Any, **options: Any) -> Extraction:
    """Return p_z of sequences z (B, L) by the weights of paths; arguments as of `log_weights`."""
    return from_log_weights(log_weights(*asked, **options))


def from_log_weights(log_w: ArrayLike) -> Extraction:
    """Return the mean of weights given by their logarithms (B, draws), and its error.

    One draw has no error: NaN.
    """
    w = np.asarray(log_w, dtype=np.float64)
    log_mean = logsumexp(w, axis=1) - np.log(w.shape[1])
    with np.errstate(invalid="ignore"):
        relative = np.exp(w - log_mean[:, None])
    if w.shape[1] < 2:
        return Extraction(np.exp(log_mean), np.full(len(w), np.nan))
    error = np.nan_to_num(relative.std(axis=1, ddof=1)) / np.sqrt(w.shape[1])
    return Extraction(np.exp(log_mean), np.exp(log_mean) * error)


# ---- by samples ---------------------------------------------------------------------------------


def sampled(
    denoiser: Denoiser,
    z: ArrayLike,
    V: int,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    n: int = 1000,
    within: float = 0.0,
    process: Process | None = None,
    known: ArrayLike = False,
    **options: Any,
) -> Sampled:
    """Return p_z of sequences z (B, L) from n samples, twice: share of hits, and last step exact.

    A sample is z if it differs in no more than the share `within` of its L tokens. Where nothing is
    known all z share the samples; else each has n of its own, with its known tokens, given by
    booleans (L,) or (B, L). Options are those of `generate`; the grid is even if not given, and the
    last of its steps the bridge, as that of every step of `minuddm.samplers` is.
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    one = checks.stored(checks.tokens(z, V, "z", ndim=2), "z")
    held = checks.booleans(known, one.shape, "known")
    misses = int(np.floor(checks.fraction(within, "within", whole=True) * one.shape[1] + 1e-9))
    chain = {"schedule": schedule, "steps": steps, "rng": rng, "grid": even_grid, **options}
    several = zip(one[:, None], held, strict=True) if held.any() else [(one, None)]
    found = [
        _drawn(denoiser, rows, fixed, misses, checks.count(n, "n"), process, chain)
        for rows, fixed in several
    ]
    return Sampled(*(_mean(np.concatenate(each, axis=1)) for each in zip(*found, strict=True)))


def _drawn(
    denoiser: Denoiser,
    z: Tokens,
    fixed: NDArray[np.bool_] | None,
    misses: int,
    n: int,
    process: Process,
    chain: dict[str, Any],
) -> tuple[NDArray[np.bool_], Array]:
    """Return which of n samples are z (B, L), and the chance that their last step lands on it.

    Both (n, B); where known tokens are fixed, (L,), they are those of the one sequence z.
    """
    landing, last = np.empty((n, len(z))), chain["grid"](1.0, chain["steps"])[-1]
    alpha = float(chain["schedule"].alpha(last))

    def watch(t: float, part: slice, x: Tokens, log_p: Floats) -> None:
        if t == last:
            p = np.exp(np.asarray(log_p, dtype=np.float64))
            landing[part] = _landing(process.bridge(x, p, 1.0, alpha), z, fixed, misses)

    prompt = {} if fixed is None else {"known": fixed, "prompt": z[0]}
    x = generate(
        denoiser, n, z.shape[1], process.V, process=process, watch=watch, **prompt, **chain
    )
    return _differences(x, z) <= misses, landing


def _differences(x: Tokens, z: Tokens) -> NDArray[np.int64]:
    """Return in how many tokens samples x (n, L) differ from sequences z (B, L), (n, B)."""
    step = max(1, _BLOCK // x.size)
    parts = [z[k : k + step] for k in range(0, len(z), step)]
    return np.concatenate([(x[:, None] != part).sum(axis=2) for part in parts], axis=1)


def _landing(q: Array, z: Tokens, fixed: NDArray[np.bool_] | None, misses: int) -> Array:
    """Return the chance (n, B) that tokens drawn from q (n, L, states) differ little from z."""
    step = max(1, _BLOCK // (len(q) * q.shape[1]))
    found = np.empty((len(q), len(z)))
    for start in range(0, len(z), step):
        part = slice(start, start + step)
        right = q[:, np.arange(q.shape[1]), z[part]]
        if fixed is not None:
            right = np.where(fixed, 1.0, right)
        chance = [np.ones(right.shape[:2])] + [np.zeros(right.shape[:2])] * misses
        for r in np.moveaxis(right, 2, 0):  # chances of 0 … `misses` differences so far
            chance = [chance[0] * r] + [
                chance[k] * r + chance[k - 1] * (1 - r) for k in range(1, misses + 1)
            ]
        found[:, part] = sum(chance)
    return found


def _mean(values: NDArray[Any]) -> Extraction:
    """Return the mean over samples of (n, B), and its standard error; NaN for one sample."""
    n = len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(values.shape[1], np.nan)
    return Extraction(values.mean(axis=0), error)


# ---- what it takes ------------------------------------------------------------------------------


def samples_needed(chance: ArrayLike, p: float = 0.5) -> Array:
    """Return the least n with 1 - (1 - p_z)^n ≥ p for chances p_z, in their shape.

    ∞ where p_z is 0, or so small that no float64 holds n. p lies in (0, 1).
    """
    if not 0 < p < 1:
        raise ValueError(f"p must lie in (0, 1), got {p}")
    c = np.asarray(chance, dtype=np.float64)
    wrong = ~((c >= 0) & (c <= 1))
    if wrong.any():
        raise ValueError(f"chance must hold numbers in [0, 1], got {c[wrong].flat[0]:g}")
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        miss, missed = np.log1p(-c), np.log1p(-p)
        n = np.maximum(1, np.ceil(missed / miss))
        fewer = (n - 1) * miss <= missed  # the quotient was rounded up past a whole number
    return np.asarray(np.where(fewer & np.isfinite(n) & (n > 1), n - 1, n))


def chance_at_least(nelbo: ArrayLike, L: int) -> Array:
    """Return exp(-L nelbo) ≤ p_z for N → ∞ [T32], from bounds in nats per token."""
    return np.exp(-checks.count(L, "L") * np.asarray(nelbo, dtype=np.float64))


def _alphas(schedule: Schedule, steps: int, grid: Grid) -> list[float]:
    """Return the alphas of the chain, rising to 1."""
    return [*schedule.alpha(grid(1.0, steps)).tolist(), 1.0]


def _at(q: Array, x: Tokens) -> Array:
    return np.asarray(np.take_along_axis(q, x[..., None], -1)[..., 0])


def _conditionals(denoiser: Denoiser, z: Tokens, alpha: float) -> Array:
    return np.exp(np.asarray(denoiser(z, np.full(len(z), alpha)), dtype=np.float64))
