"""The bound on held-out sequences, in nats per token: all three terms of [T9].

∫ ℓ dt over [t_min, 1]       [T8], by Monte Carlo over stratified times and corruptions
+ E[-log p(x0 | x_{t_min})]  reconstruction, with the posterior [T12]
+ KL(q(x_1 | x0) ‖ noise)    prior: what is left of the sequence at t = 1

Tokens are corrupted at the alpha that the process is `conditioned` to have. The integral's parts
say how far out a basin reaches: a sequence comes back whole from t with a chance of at least
exp(-∫₀ᵗ E[ℓ] dt) [T47].
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.denoiser import Denoiser, posterior
from minuddm.nelbo.times import stratified_times
from minuddm.process import Process, given_or_uniform
from minuddm.reverse import T_END
from minuddm.schedule import Schedule

_BATCH = 256


def held_out_nelbo(
    denoiser: Denoiser,
    x0: ArrayLike,
    V: int,
    schedule: Schedule,
    rng: Generator,
    draws: int = 8,
    batch: int = _BATCH,
    process: Process | None = None,
) -> NDArray[np.float64]:
    """Return an unbiased estimate of the bound for each sequence, (N,), in nats per token.

    Each of `draws` passes spreads N stratified times over the N sequences. The standard error of
    the mean is that of N independent values (stratification makes it an over-estimate). The process
    is uniform if not given.
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    x = checks.tokens(x0, V, "x0", ndim=2)
    last = float(schedule.alpha(1.0))
    integral = _integral(denoiser, x, process, schedule, rng, (T_END, 1.0), draws, batch)
    ends = _reconstruction(denoiser, x, process, schedule, rng, batch)
    return integral + ends + process.prior(last)


def nelbo_by_level(
    denoiser: Denoiser,
    x0: ArrayLike,
    V: int,
    schedule: Schedule,
    rng: Generator,
    edges: Sequence[float],
    draws: int = 8,
    batch: int = _BATCH,
    process: Process | None = None,
) -> NDArray[np.float64]:
    """Return the parts ∫ ℓ dt of the bound between rising times `edges` (K + 1): (N, K).

    In nats per token; each an unbiased estimate as that of `held_out_nelbo` is. Raises `ValueError`
    for times outside [1e-5, 1] or out of order.
    """
    process = given_or_uniform(process, checks.vocabulary(V))
    x = checks.tokens(x0, V, "x0", ndim=2)
    if len(edges) < 2 or not edges[0] >= T_END:
        raise ValueError(f"edges must be two times or more from {T_END} on, got {list(edges)}")
    parts = [
        _integral(denoiser, x, process, schedule, rng, ends, draws, batch)
        for ends in pairwise(edges)
    ]
    return np.stack(parts, axis=1)


def _integral(
    denoiser: Denoiser,
    x: NDArray[np.int32],
    process: Process,
    schedule: Schedule,
    rng: Generator,
    ends: tuple[float, float],
    draws: int,
    batch: int,
) -> NDArray[np.float64]:
    """∫ ℓ dt between two times, nats per token, (N,)."""
    checks.count(batch, "batch")
    total, last = np.zeros(len(x)), float(schedule.alpha(1.0))
    for _ in range(checks.count(draws, "draws")):
        in_order = np.stack(stratified_times(len(x), ends[0], checks.generator(rng), ends[1]))
        t, weight = rng.permutation(in_order, axis=1)
        alpha, dalpha = schedule.alpha(t), schedule.dalpha(t) * weight
        xt = process.corrupt(x, process.conditioned(alpha, last), rng)
        for start in range(0, len(x), batch):
            part = slice(start, start + batch)
            log_p = denoiser(xt[part], alpha[part])
            loss = process.nelbo(log_p, x[part], xt[part], alpha[part], dalpha[part])
            total[part] += loss.mean(axis=1)
    return total / draws


def _reconstruction(
    denoiser: Denoiser,
    x: NDArray[np.int32],
    process: Process,
    schedule: Schedule,
    rng: Generator,
    batch: int,
) -> NDArray[np.float64]:
    """-log p(x0 | x_{t_min}), nats per token, (N,)."""
    alpha, last = float(schedule.alpha(T_END)), float(schedule.alpha(1.0))
    xt = process.corrupt(x, process.conditioned(alpha, last), rng)
    out = np.empty(len(x))
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        log_p = np.asarray(denoiser(xt[part], np.full(len(xt[part]), alpha)), dtype=np.float64)
        log_p = posterior(log_p, xt[part], alpha, process)
        out[part] = -np.take_along_axis(log_p, x[part][..., None], -1)[..., 0].mean(axis=1)
    return out
