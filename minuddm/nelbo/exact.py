"""The bound, exactly, where all V^L sequences can be enumerated [T9], [T10].

A law is a table of probabilities with L axes of size V. Everything the bound averages over is a
sum over it: at noise α, for each position i and clean value v, the joint chance of v and the
whole corrupted state z,

    W_i(v, z) = Σ_{x: x_i = v} law(x) Π_k q(z_k | x_k)

is the law carried through the kernel along every axis but the i-th, times q(z_i | v). Then, with
p_i(·|z) the denoiser's conditionals, the bound in nats per *sequence* is

    exact_nelbo     Σ_i KL(q(x_1|x_0) ‖ noise) + ∫ dt Σ_i Σ_{v,z} W_i(v, z) ℓ(p_i(·|z), v, z_i)
    masked_nelbo    the same for the masked process, with no integral and no schedule [T38]
    discrete_elbo   Σ_i KL(q(x_1|x_0) ‖ noise)
                    + Σ_t Σ_i Σ_{v,z} W_i(v, z) KL(q(x_s|z_i, v) ‖ q(x_s|z_i, p_i))

over n steps t = 1, …, 1/n, s = t - 1/n; the last one, to α = 1, is the reconstruction -log
p(x_0|x_{1/n}). Kernel, bridge, noise and ℓ are those of any process, W taken at the alpha that it
is `conditioned` to have. The integral runs over u with t = u³, which spreads the logarithm that ℓ
has at t = 0: 60 Gauss-Legendre points give 1e-10.

None is ever below the entropy of the law. The first two equal it for the leave-one-out conditional
alone; where the uniform process starts from noise before the data have got there, α(1) > 0, the
first is KL(p_1 ‖ noise) above (1e-7 for the log-linear schedule).
"""

import math
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.denoiser import Denoiser
from minuddm.process import Absorbing, Process, Uniform, given_or_uniform
from minuddm.schedule import Schedule

MOST_STATES = 2**20
_MOST_POINTS = 200  # beyond, t = u³ rounds α to 1 at the first of them
_CHUNK = 4096  # states at a time: bounds the (chunk, L, V) conditionals

Array = NDArray[np.float64]


class Source(Protocol):
    """Anything that knows the log-probability of a sequence."""

    def log_prob(self, x: ArrayLike, /) -> Array:
        """Return log P (n,) of sequences (n, L)."""


def enumerate_law(source: Source, V: int, L: int) -> Array:
    """Return the probabilities of all sequences as a table with L axes of size V.

    Raises `ValueError` above 2^20 states, and where they do not sum to one.
    """
    V, L = checks.vocabulary(V), checks.count(L, "L")
    _enumerable(V, L)
    table = np.exp(np.concatenate([source.log_prob(x) for x in _states(V, L)]))
    return _law(table.reshape((V,) * L))


def exact_nelbo(
    denoiser: Denoiser,
    law: ArrayLike,
    schedule: Schedule,
    points: int = 60,
    process: Process | None = None,
) -> float:
    """Return the whole continuous-time bound of a law, in nats per sequence.

    law is a table of probabilities with L axes of size V, `points` the Gauss-Legendre points in
    time; the process is uniform if not given.
    """
    table = _law(law)
    V, L = table.shape[0], table.ndim
    process = given_or_uniform(process, V)
    if checks.count(points, "points") > _MOST_POINTS:
        raise ValueError(f"points must be at most {_MOST_POINTS}, got {points}")
    nodes, weights = np.polynomial.legendre.leggauss(points)
    last = float(schedule.alpha(1.0))
    total = L * process.prior(last)
    for u, w in zip((nodes + 1) / 2, weights / 2, strict=True):
        alpha, dalpha = float(schedule.alpha(u**3)), float(schedule.dalpha(u**3))
        for z, log_p, W in _joint(denoiser, table, alpha, last, process):
            total += w * 3 * u**2 * float(_losses(log_p, z, W, alpha, dalpha, process).sum())
    return total


def masked_nelbo(denoiser: Denoiser, law: ArrayLike) -> float:
    """Return the bound of the masked process in closed form [T38], in nats per sequence.

    A state with m masked tokens counts 1 / (m C(L, m)), whatever the schedule, if the denoiser
    reads the tokens alone. It is asked at α = ½, where each set of masked tokens has the chance
    2^-L, which W holds.
    """
    table = _law(law)
    V, L = table.shape[0], table.ndim
    process, total = Absorbing(V), 0.0
    for z, log_p, W in _joint(denoiser, table, 0.5, 0.0, process):
        m = (z == V).sum(axis=1)
        sets = np.array([math.inf, *(k * math.comb(L, k) for k in range(1, L + 1))])[m]
        cost = _losses(log_p, z, W, 0.5, -0.5, process).sum(axis=1)  # α'/(1 - α) is -1
        total += float((2.0**L / sets * cost).sum())
    return total


def discrete_elbo(
    denoiser: Denoiser,
    law: ArrayLike,
    schedule: Schedule,
    steps: int,
    process: Process | None = None,
) -> float:
    """Return the bound of a law in `steps` steps, in nats per sequence.

    Infinite where p excludes a truth; the process is uniform if not given.
    """
    table = _law(law)
    V, L = table.shape[0], table.ndim
    process = given_or_uniform(process, V)
    last = float(schedule.alpha(1.0))
    total = L * process.prior(last)
    for k in range(checks.count(steps, "steps"), 0, -1):
        alpha_t, alpha_s = float(schedule.alpha(k / steps)), float(schedule.alpha((k - 1) / steps))
        for z, log_p, W in _joint(denoiser, table, alpha_t, last, process):
            plug = process.bridge(z, np.exp(log_p), alpha_s, alpha_t)
            for v in range(V):
                clean = np.broadcast_to(np.eye(V)[v], log_p.shape)
                true = process.bridge(z, clean, alpha_s, alpha_t)
                divergence, reached = (
                    scipy.special.rel_entr(true, plug).sum(axis=-1),
                    W[:, :, v] > 0,
                )
                total += float((W[:, :, v][reached] * divergence[reached]).sum())
    return total


def _losses(
    log_p: Array, z: Tokens, W: Array, alpha: float, dalpha: float, process: Process
) -> Array:
    """Σ_v W_i(v, z) ℓ(p_i(·|z), v, z_i), (n, L): what is impossible costs nothing."""
    total = np.zeros(z.shape)
    for v in range(W.shape[-1]):
        loss = process.nelbo(log_p, np.full_like(z, v), z, alpha, dalpha)
        total += W[:, :, v] * np.where(W[:, :, v] > 0, loss, 0)
    return total


def _joint(
    denoiser: Denoiser, law: Array, alpha: float, last: float, process: Process
) -> Iterator[tuple[Tokens, Array, Array]]:
    """Yield states z (n, L), conditionals log p (n, L, V) and W (n, L, V), chunk by chunk."""
    V, L = law.shape[0], law.ndim
    _enumerable(process.states, L)
    conditioned = float(process.conditioned(alpha, last))
    kernel = process.kernel(conditioned)[:V]  # q(z_i | v)
    tables = [_all_but(law, conditioned, i, process) for i in range(L)]
    for z in _states(process.states, L):
        log_p = np.asarray(denoiser(z, np.full(len(z), alpha)), dtype=np.float64)
        if log_p.shape != (*z.shape, V):
            raise ValueError(f"the law has V = {V}, the denoiser returned shape {log_p.shape}")
        W = np.empty(log_p.shape)
        for i, table in enumerate(tables):
            W[:, i] = table[tuple(np.delete(z, i, axis=1).T)]
        yield z, log_p, W * kernel.T[z]


def _all_but(law: Array, alpha: float, i: int, process: Process) -> Array:
    """P(z without i, x_i = v): L - 1 axes of corrupted values, and a last one of the clean v."""
    for axis in range(law.ndim):
        if axis != i:  # the kernel along one axis
            law = np.moveaxis(process.propagate(np.moveaxis(law, axis, -1), alpha), -1, axis)
    return np.moveaxis(law, i, -1)


def prior(schedule: Schedule, V: int) -> float:
    """Return KL(q(x_1 | x_0) ‖ uniform) of one token, in nats: the same for every clean value."""
    return Uniform(V).prior(float(schedule.alpha(1.0)))


def _states(V: int, L: int) -> Iterator[Tokens]:
    """All sequences in lexicographic order, chunk by chunk (n, L)."""
    for start in range(0, V**L, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, V**L))
        yield np.stack(np.unravel_index(number, (V,) * L), axis=1).astype(np.int32)


def _enumerable(V: int, L: int) -> None:
    if L * np.log2(V) > np.log2(MOST_STATES):
        raise ValueError(f"at most 2^20 = {MOST_STATES:,} states can be enumerated, got {V}^{L}")


def _law(law: ArrayLike) -> Array:
    table = np.asarray(law, dtype=np.float64)
    if table.ndim == 0 or len(set(table.shape)) != 1:
        raise ValueError(f"law must have L axes of one size V, got shape {table.shape}")
    _enumerable(checks.vocabulary(table.shape[0]), table.ndim)
    if not (table >= 0).all() or abs(table.sum() - 1) > 1e-9:
        raise ValueError(f"law must be a distribution, got the sum {table.sum():.6g}")
    return table
