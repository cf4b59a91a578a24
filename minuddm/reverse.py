"""The reverse chain: from corrupted tokens, or from noise, back to clean ones [T26].

A grid divides [1e-5, 1] into `steps` equal intervals; the chain starts at t and visits the points
below. At each step the denoiser's conditional is plugged into the process's bridge [T7] between two
neighbouring times s < t, and a value is drawn from it (or, greedy, its most likely value taken).
The last step, from t = 1e-5, has α_s = 1: it lands on a clean token. In NumPy:

    for alpha_t, alpha_s in pairwise([*schedule.alpha(time_grid(t, steps)), 1.0]):
        q = process.bridge(z, exp(denoiser(z, alpha_t)), alpha_s, alpha_t)    # (B, L, V)
        z = (q.cumsum(-1) > rng.random((B, L, 1))).argmax(-1)

The bridge counts z_i itself, so it is given the leave-one-out conditional. Within a step tokens are
drawn independently, each rightly, together not: that is the whole error of an exact denoiser, and
it falls as 1/steps [T45].

Any `Denoiser` and any `Process` will do; the chain is written once. The grid is a value (below),
and so are the step and what corrects the chain between steps (`minuddm.samplers`). All sequences
take a step before any takes the next, so the uniforms depend neither on how the denoiser's calls
are batched nor on the threads that share out the batches. The batch bounds the memory of the
conditionals (B, L, V); besides, there are only one integer and one uniform a token.

Tokens that are *known* are not moved. That is exact for the masked process. The uniform process
takes a known token for a noisy one, and goes to a wrong limit unless a heat bath at every α draws
the others given the known ones [T35].
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.denoiser import Denoiser
from minuddm.machine.shards import run_on
from minuddm.process import Process, given_or_uniform
from minuddm.samplers import Corrector, HeatBath, Step, ancestral
from minuddm.schedule import Schedule

T_END = 1e-5
_BATCH = 256

Grid: TypeAlias = Callable[[float, int], NDArray[np.float64]]
"""From t and the number of intervals of [1e-5, 1] to the times of the chain, falling."""


def time_grid(t: float, steps: int) -> NDArray[np.float64]:
    """Return the times of a chain that starts at t ∈ (0, 1]: t, and the grid below, to 1e-5."""
    points = _points(t, steps)
    return np.append(t, points[points < t][::-1])


def quadratic_grid(t: float, steps: int) -> NDArray[np.float64]:
    """Return t ∈ (0, 1], and below it 1e-5 + (1 - 1e-5)(k/N)²: short steps at the end [T45]."""
    points = _points(t, steps, power=2)
    return np.append(t, points[points < t][::-1])


def time_grid_above(t: float, steps: int) -> NDArray[np.float64]:
    """Return the times of a chain that starts at the grid point at or above t ∈ (0, 1].

    So the paper's code does, which takes tokens corrupted at t for tokens of that later time.
    """
    points = _points(t, steps)
    return points[np.searchsorted(points, t) :: -1]


def _points(t: float, steps: int, power: int = 1) -> NDArray[np.float64]:
    if not 0 < t <= 1:
        raise ValueError(f"t must lie in (0, 1], got {t}")
    n = checks.count(steps, "steps")
    checks.within_memory(32 * n, f"a chain of {n:,} steps")
    return np.append(T_END + (1 - T_END) * (np.arange(n) / n) ** power, 1.0)


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
    step: Step = ancestral,
    corrector: Corrector | None = None,
    known: ArrayLike = False,
) -> Tokens:
    """Return clean tokens (B, L) restored from xt (B, L), corrupted at time t ∈ (0, 1].

    `steps` is the number of grid intervals over the whole of [1e-5, 1]: about t · steps are taken,
    and the last step; `grid` makes the times. `greedy` takes each bridge's most likely value and
    draws nothing. `watch` is called before every step of every batch with the time, the slice of
    the sequences, their tokens and the denoiser's log-probabilities. `threads` share out the
    batches, each with one BLAS thread, and change nothing but the time; denoiser and watch are then
    called from all of them.
    The process is uniform if not given.
    `step` draws the tokens at s; `corrector` moves them at s after every step but the last. Where
    `known`, booleans (L,) or (B, L), tokens are held fixed. If what they show leaves doubt of their
    clean values at t, as it always does in the uniform process, and no corrector is given, it is a
    heat bath of one site. Greedy restoring has no corrector, and so keeps the wrong limit [T35].
    """
    z = checks.tokens(xt, 2**31 - 1, "xt", ndim=2)
    held = checks.booleans(known, z.shape, "known")
    times = grid(t, steps)
    alphas = np.append(schedule.alpha(times), 1.0)
    if greedy and corrector is not None:
        raise ValueError("greedy restoring draws nothing: it has no corrector")
    if _doubtful(z[held], alphas[0], process) and corrector is None and not greedy:
        corrector = HeatBath()
    seeds = () if corrector is None else checks.generator(rng).integers(2**63, size=len(z))
    rngs = [Generator(Philox(key=seed)) for seed in seeds]
    parts = [slice(k, k + batch) for k in range(0, len(z), checks.count(batch, "batch"))]
    several = checks.count(threads, "threads") > 1
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads) if several else contextlib.nullcontext() as pool,
    ):
        for time, (alpha_t, alpha_s) in zip(times.tolist(), pairwise(alphas), strict=True):
            u = None if greedy else checks.generator(rng).random(z.shape)
            watch_now = None if watch is None else partial(watch, time)
            move = partial(
                _move, z, u, ~held, denoiser, process, alpha_s, alpha_t, watch_now, step,
                corrector if alpha_s < 1 else None, rngs,
            )  # fmt: skip
            run_on(pool, move, parts)
    return z


def _doubtful(known: Tokens, alpha: float, process: Process | None) -> bool:
    """Return whether known tokens (n,) leave doubt of their clean values [T39]; none is a MASK."""
    if process is None:
        return known.size > 0
    beta = process.inverse_temperature(checks.tokens(known, process.V, "known tokens"), alpha)
    return bool(np.isfinite(beta).any())


def _move(
    z: Tokens,
    u: NDArray[np.float64] | None,
    free: NDArray[np.bool_],
    denoiser: Denoiser,
    process: Process | None,
    alpha_s: float,
    alpha_t: float,
    watch: Callable[[slice, Tokens, Floats], object] | None,
    step: Step,
    corrector: Corrector | None,
    rngs: list[Generator],
    rows: slice,
) -> None:
    """Take the sequences `rows` of z from t to s, in place, with uniforms u or greedily."""
    part, moved = z[rows], free[rows]
    log_p = denoiser(part, np.full(len(part), alpha_t))
    if watch is not None:
        watch(rows, part, log_p)
    process = given_or_uniform(process, log_p.shape[-1])
    if u is None:
        new = process.mode_of_bridge(part, log_p, alpha_s, alpha_t)
    else:
        new = step(process, part, log_p, alpha_s, alpha_t, u[rows])
    part[moved] = new[moved]
    if corrector is not None:
        corrector(denoiser, process, part, alpha_s, moved, rngs[rows])


def generate(
    denoiser: Denoiser,
    n: int,
    L: int,
    V: int,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    process: Process | None = None,
    known: ArrayLike = False,
    prompt: ArrayLike | None = None,
    **options: Any,
) -> Tokens:
    """Return n sequences (n, L) of the model: the process's noise at t = 1, then the whole chain.

    Where `known`, booleans (L,) or (n, L), they have the tokens of `prompt`, of either shape. Other
    options are those of `restore`.
    """
    process = given_or_uniform(process, V)
    size = checks.count(n, "n") * checks.count(L, "L")
    checks.within_memory(20 * size, f"{n:,} sequences of {L:,} tokens")
    x = process.noise((n, L), rng)
    held = checks.booleans(known, x.shape, "known")
    if prompt is None and held.any():
        raise ValueError("known tokens need a prompt that says what they are")
    if prompt is not None:
        given = checks.tokens(prompt, V, "prompt")
        if given.shape not in (x.shape, x.shape[1:]):
            raise ValueError(f"prompt must have shape ({L},) or ({n}, {L}), got {given.shape}")
        x = np.where(held, given, x)
    return restore(denoiser, x, 1.0, schedule, steps, rng, process=process, known=held, **options)
