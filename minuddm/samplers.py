"""Samplers: how the reverse chain takes a step, and what corrects it between steps [T43]-[T45].

A *step* takes tokens from α_t to α_s ≥ α_t. With p the leave-one-out conditional,

    ancestral   x_s ~ q(x_s | x_t, p), the bridge. It is Σ_v P(v | x_t) q(x_s | x_t, v), the mixture
                of D3PM, and Tweedie τ-leaping: one sampler, three names [T44]
    tau_leap    reverse rates h_v = (α_s - α_t)/α_t · R(v, z) p_t(z_i → v)/p_t(z), frozen at t, R in
                units of -α'/α: a token changes with chance 1 - e^{-Σh}, to v in proportion to h_v

A *corrector* moves tokens at one α, and leaves p_t as it is: it is reversible for p_t [T43].

    HeatBath    one site, chosen without looking at the state, is drawn anew from p_t(x_i | rest),
                which is p_i carried forwards to α
    Jumps       z → z with z_i = v at rate g(r), r = p_t(z_i → v)/p_t(z) [T12], if g(r) = r g(1/r)

All are values for `restore`. A step gets uniforms (b, L); a corrector gets a generator for each
sequence, for how much it draws may depend on the state, and no sequence may move another's draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.denoiser import Denoiser, score_ratios
from minuddm.process import Process

Array = NDArray[np.float64]

_LEAST = 1e-12  # alpha where there is none: rates of the way back may be infinite there
_MOST = 1e30  # a ratio to a state without chance


class Step(Protocol):
    """A step of the reverse chain."""

    def __call__(
        self,
        process: Process,
        z: Tokens,
        log_p: Floats,
        alpha_s: float,
        alpha_t: float,
        u: Array,
        /,
    ) -> Tokens:
        """Return x_s (b, L) for x_t = z (b, L), log p (b, L, V) and uniforms u (b, L)."""


class Corrector(Protocol):
    """Moves at one alpha < 1 that leave p_t as it is."""

    def __call__(
        self, denoiser: Denoiser, process: Process, z: Tokens, alpha: float,
        free: NDArray[np.bool_], rngs: Sequence[Generator], /,
    ) -> None:  # fmt: skip
        """Move z (b, L) in place where `free` (b, L), each sequence by its own generator."""


# ---- steps --------------------------------------------------------------------------------------


def ancestral(
    process: Process, z: Tokens, log_p: Floats, alpha_s: float, alpha_t: float, u: Array
) -> Tokens:
    """Draw from the bridge with the denoiser's conditional plugged in [T7]."""
    return process.bridge_quantile(z, log_p, alpha_s, alpha_t, u)


def tau_leap(
    process: Process, z: Tokens, log_p: Floats, alpha_s: float, alpha_t: float, u: Array
) -> Tokens:
    """Draw from `tau_leap_law`."""
    return quantile(tau_leap_law(process, z, log_p, alpha_s, alpha_t), u).astype(np.int32)


def tau_leap_law(
    process: Process, z: Tokens, log_p: ArrayLike, alpha_s: float, alpha_t: float
) -> Array:
    """Return the law (b, L, states) of a τ-leap [T44]; to α_s = 1 it is the bridge's.

    Frozen rates would leave noise behind at the end of the chain. (Lou et al. 2024)
    """
    if alpha_s == 1:
        return np.asarray(process.bridge(z, np.exp(log_p), alpha_s, alpha_t))
    alpha = max(alpha_t, _LEAST)
    shown = np.arange(process.states) == z[..., None]
    span = max(alpha_s - alpha, 0) / alpha
    jumps = span * process.rate().T[z] * _ratios(log_p, z, alpha, process)
    rates: Array = np.where(shown, 0.0, jumps)
    total = rates.sum(axis=-1, keepdims=True)
    share = np.divide(rates, total, out=np.zeros_like(rates), where=total > 0)
    return np.asarray(np.where(shown, np.exp(-total), -np.expm1(-total) * share))


# ---- correctors ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeatBath:
    """Draws `sites` sites anew, one after the other, with a call of the denoiser for each [T43].

    A conditional given the others does not look at its own token, so noise is put there first: the
    masked process teaches it for masked tokens only, and no network can peek.
    """

    sites: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sites", checks.count(self.sites, "sites"))

    def __call__(
        self, denoiser: Denoiser, process: Process, z: Tokens, alpha: float,
        free: NDArray[np.bool_], rngs: Sequence[Generator],
    ) -> None:  # fmt: skip
        """Move z (b, L) in place where it is free."""
        rows = np.flatnonzero(free.any(axis=1))
        order, number = np.argsort(~free[rows], axis=1, kind="stable"), free[rows].sum(axis=1)
        noise = process.propagate(np.full(process.V, 1 / process.V), 0.0)
        for _ in range(self.sites if rows.size else 0):
            u = np.array([rngs[row].random(3) for row in rows.tolist()])
            site = order[np.arange(len(rows)), (u[:, 0] * number).astype(np.intp)]
            z[rows, site] = quantile(np.broadcast_to(noise, (len(rows), len(noise))), u[:, 1])
            log_p = denoiser(z[rows], np.full(len(rows), alpha))[np.arange(len(rows)), site]
            law = process.propagate(np.exp(log_p.astype(np.float64)), alpha)
            z[rows, site] = quantile(law, u[:, 2])


def barker(r: Array) -> Array:
    """Return r/(1 + r)."""
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (1 + 1 / r))


def metropolis(r: Array) -> Array:
    """Return min(1, r)."""
    return np.minimum(1, r)


@dataclass(frozen=True)
class Jumps:
    """Jumps to any value of any site at rate g(ratio), for a span of time [T43].

    Every jump costs a call, and one more finds that time is over: a chain stopped after a fixed
    number of jumps has another law. g is `barker`, `metropolis`, `np.sqrt`, or any other function
    with g(r) = r g(1/r). The masked process needs L + 1 calls for the conditionals of visible
    tokens. (Zanella 2020)
    """

    span: float = 1.0
    g: Callable[[Array], Array] = barker

    def __post_init__(self) -> None:
        object.__setattr__(self, "span", checks.positive(self.span, "span"))

    def __call__(
        self, denoiser: Denoiser, process: Process, z: Tokens, alpha: float,
        free: NDArray[np.bool_], rngs: Sequence[Generator],
    ) -> None:  # fmt: skip
        """Move z (b, L) in place where it is free."""
        left, rows = np.full(len(z), self.span), np.flatnonzero(free.any(axis=1))
        while rows.size:
            rates = jump_rates(denoiser, process, z[rows], alpha, self.g) * free[rows][..., None]
            rates = rates.reshape(len(rows), -1)
            u = np.array([rngs[row].random(2) for row in rows.tolist()])
            with np.errstate(divide="ignore", invalid="ignore"):
                left[rows] += np.log1p(-u[:, 0]) / rates.sum(axis=1)
            going = left[rows] > 0
            rows, chosen = rows[going], quantile(rates[going], u[going, 1])
            z[rows, chosen // process.states] = chosen % process.states


def jump_rates(
    denoiser: Denoiser, process: Process, z: Tokens, alpha: float, g: Callable[[Array], Array]
) -> Array:
    """Return the rates g(ratio) (b, L, states) of `Jumps` at z (b, L), 0 for the value shown."""
    log_p = process.leave_one_out(denoiser, z, np.full(len(z), alpha))
    shown = np.arange(process.states) == z[..., None]
    return np.where(shown, 0.0, g(_ratios(log_p, z, alpha, process)))


def quantile(weights: ArrayLike, u: ArrayLike) -> NDArray[np.intp]:
    """Return the indices (...) that uniforms u (...) select from weights (..., n), not all 0."""
    sums = np.cumsum(weights, axis=-1)
    whole = sums[..., -1]
    level = np.minimum(np.asarray(u) * whole, np.nextafter(whole, 0))
    return np.asarray((sums <= level[..., None]).sum(axis=-1))


def _ratios(log_p: ArrayLike, z: Tokens, alpha: float, process: Process) -> Array:
    """Return p_t(z_i → v)/p_t(z) (b, L, states), finite: 0 if neither state has a chance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(score_ratios(log_p, z, alpha, process), nan=0.0, posinf=_MOST)
