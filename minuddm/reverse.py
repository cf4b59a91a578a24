"""The reverse chain: from corrupted tokens, or from noise, back to clean ones [T26].

A grid divides [1e-5, 1] into `steps` equal intervals; the chain starts at t and visits the points
below. At each step the denoiser's conditional is plugged into the process's bridge [T7] between two
neighbouring times s < t, and a value is drawn from it (or, greedy, its most likely value taken).
The last step, from t = 1e-5, has α_s = 1: it lands on a clean token.

Any `Denoiser` and any `Process` will do; the chain is written once. All sequences take a step
before any takes the next, so the uniforms depend neither on how the denoiser's calls are batched
nor on the threads that share out the batches. The batch bounds the memory of the conditionals
(B, L, V); besides, there are only one integer and one uniform a token.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.denoiser import Denoiser
from minuddm.machine.shards import run_on
from minuddm.process import Process, given_or_uniform
from minuddm.schedule import Schedule

T_END = 1e-5
_BATCH = 256

Grid: TypeAlias = Callable[[float, int], NDArray[np.float64]]
"""From t and the number of intervals of [1e-5, 1] to the times of the chain, falling."""


def time_grid(t: float, steps: int) -> NDArray[np.float64]:
    """Return the times of a chain that starts at t ∈ (0, 1]: t, and the grid below, to 1e-5."""
    points = _points(t, steps)
    return np.append(t, points[points < t][::-1])


def time_grid_above(t: float, steps: int) -> NDArray[np.float64]:
    """Return the times of a chain that starts at the grid point at or above t ∈ (0, 1].

    So the paper's code does, which takes tokens corrupted at t for tokens of that later time.
    """
    points = _points(t, steps)
    return points[np.searchsorted(points, t) :: -1]


def _points(t: float, steps: int) -> NDArray[np.float64]:
    if not 0 < t <= 1:
        raise ValueError(f"t must lie in (0, 1], got {t}")
    n = checks.count(steps, "steps")
    return np.append(T_END + (1 - T_END) * np.arange(n) / n, 1.0)


def restore(
    denoiser: Denoiser,
    xt: ArrayLike,
    t: float,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    greedy: bool = False,
    batch: int = _BATCH,
    watch: Callable[[float, slice, Tokens, Floats], object] | None = None,
    threads: int = 1,
    process: Process | None = None,
    grid: Grid = time_grid,
) -> Tokens:
    """Return clean tokens (B, L) restored from xt (B, L), corrupted at time t ∈ (0, 1].

    `steps` is the number of grid intervals over the whole of [1e-5, 1]: about t · steps are taken,
    and the last step; `grid` makes the times. `greedy` takes each bridge's most likely value and
    draws nothing. `watch` is called before every step of every batch with the time, the slice of
    the sequences, their tokens and the denoiser's log-probabilities. `threads` share out the
    batches, each with one BLAS thread, and change nothing but the time; denoiser and watch are then
    called from all of them.
    The process is uniform if not given.
    """
    z = checks.tokens(xt, 2**31 - 1, "xt", ndim=2)
    times = grid(t, steps)
    alphas = np.append(schedule.alpha(times), 1.0)
    parts = [slice(k, k + batch) for k in range(0, len(z), checks.count(batch, "batch"))]
    several = checks.count(threads, "threads") > 1
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads) if several else contextlib.nullcontext() as pool,
    ):
        for time, (alpha_t, alpha_s) in zip(times.tolist(), pairwise(alphas), strict=True):
            u = None if greedy else checks.generator(rng).random(z.shape)
            watch_now = None if watch is None else partial(watch, time)
            step = partial(_step, z, u, denoiser, process, alpha_s, alpha_t, watch_now)
            run_on(pool, step, parts)
    return z


def _step(
    z: Tokens,
    u: NDArray[np.float64] | None,
    denoiser: Denoiser,
    process: Process | None,
    alpha_s: float,
    alpha_t: float,
    watch: Callable[[slice, Tokens, Floats], object] | None,
    rows: slice,
) -> None:
    """Take the sequences `rows` of z from t to s, in place, with uniforms u or greedily."""
    part = z[rows]
    log_p = denoiser(part, np.full(len(part), alpha_t))
    if watch is not None:
        watch(rows, part, log_p)
    process = given_or_uniform(process, log_p.shape[-1])
    if u is None:
        part[:] = process.mode_of_bridge(part, log_p, alpha_s, alpha_t)
    else:
        part[:] = process.bridge_quantile(part, log_p, alpha_s, alpha_t, u[rows])


def generate(
    denoiser: Denoiser,
    n: int,
    L: int,
    V: int,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    batch: int = _BATCH,
    watch: Callable[[float, slice, Tokens, Floats], object] | None = None,
    threads: int = 1,
    process: Process | None = None,
) -> Tokens:
    """Return n sequences (n, L) of the model: the process's noise at t = 1, then the whole chain.

    Options are those of `restore`.
    """
    process = given_or_uniform(process, V)
    noise = process.noise((checks.count(n, "n"), checks.count(L, "L")), rng)
    return restore(
        denoiser, noise, 1.0, schedule, steps, rng,
        batch=batch, watch=watch, threads=threads, process=process,
    )  # fmt: skip
