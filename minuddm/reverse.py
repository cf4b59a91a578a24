"""The reverse chain: from corrupted tokens, or from noise, back to clean ones [T26].

On a grid of `steps` equal intervals over [1e-5, 1] the chain is entered at the point nearest t.
At each step the denoiser's conditional is plugged into the bridge [T7] between two neighbouring
grid points s < t, and a value is drawn from it (or, greedy, its most likely value taken). The
last step, from t = 1e-5, has α_s = 1: it lands on a clean token.

Any `Denoiser` will do; the chain is written once. All sequences move together, step by step, so
that the uniforms do not depend on how the denoiser's calls are batched; a batch bounds the memory
of the (B, L, V) conditionals, and everything else is one integer and one uniform a token.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import seams
from minuddm.denoiser import Denoiser
from minuddm.schedule import Schedule
from minuddm.seams import Floats, Tokens
from minuddm.transition import mode_of_bridge, sample_bridge

T_END = 1e-5
_BATCH = 256


def time_grid(t: float, steps: int) -> NDArray[np.float64]:
    """Return the times of the chain entered nearest t ∈ (0, 1], falling, down to 1e-5."""
    if not 0 < t <= 1:
        raise ValueError(f"t must lie in (0, 1], got {t}")
    entered = round(t * seams.count(steps, "steps"))
    return T_END + (1 - T_END) * np.arange(entered, -1, -1) / steps


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
) -> Tokens:
    """Return clean tokens (B, L) restored from xt (B, L), corrupted at time t ∈ (0, 1].

    `steps` is the number of grid intervals over the whole of [0, 1], so about t · steps are taken;
    `greedy` takes each bridge's most likely value and draws nothing. `watch` is shown every step
    of every batch before it is taken: the time, which sequences, their tokens and the denoiser's
    log-probabilities of them.
    """
    z = seams.tokens(xt, 2**31 - 1, "xt", ndim=2).copy()
    times = time_grid(t, steps)
    alphas = np.append(schedule.alpha(times), 1.0)
    seams.count(batch, "batch")
    for time, (alpha_t, alpha_s) in zip(times, pairwise(alphas), strict=True):
        for start in range(0, len(z), batch):
            rows = slice(start, start + batch)
            part = z[rows]
            log_p = denoiser(part, np.full(len(part), alpha_t))
            if watch is not None:
                watch(float(time), rows, part, log_p)
            if greedy:
                part[:] = mode_of_bridge(part, log_p, alpha_s, alpha_t)
            else:
                part[:] = sample_bridge(part, log_p, alpha_s, alpha_t, rng)
    return z


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
) -> Tokens:
    """Return n sequences (n, L) of the model: uniform noise at t = 1, then the whole chain."""
    shape = (seams.count(n, "n"), seams.count(L, "L"))
    noise = rng.integers(seams.vocabulary(V), size=shape)
    return restore(denoiser, noise, 1.0, schedule, steps, rng, batch=batch, watch=watch)
