"""Separation functions: how fast a memory forgets patterns that are not the nearest one.

A state overlaps the P stored patterns by u_1 … u_P. Every energy here is a function of them,

    E = -Q(u),     force of pattern μ:  w_μ = ∂Q/∂u_μ

and the memories differ in Q alone:

    Power(n)          Q = Σ_μ u_μⁿ / n                        w = uⁿ⁻¹
    Power(n, True)    Q = Σ_μ max(u_μ, 0)ⁿ / n                w = max(u, 0)ⁿ⁻¹
    LogSumExp(β)      Q = (1/β) log Σ_μ e^{β u_μ}             w = softmax(β u)
    Exponential()     Q = log Σ_μ e^{u_μ}                     w = softmax(u)
    LogSumReLU(β)     Q = (1/β) log Σ_μ max(0, 1 + β u_μ)     w = 1[1 + β u > 0] / Σ_μ max(…)

Laws, all tested: Q does not depend on the order of the patterns; Q never falls as a u_μ rises (a
power of even n only where u ≥ 0); LogSumExp obeys Q(u + c) = Q(u) + c, so its forces only see
differences, and max u ≤ Q ≤ max u + (log P)/β, so that β → ∞ is the nearest pattern and β → 0 the
mean of all; nothing overflows for overlaps up to 10⁶.

n = 2 is Hopfield's model of 1982 [T17]. The exponential memory of Demircigil et al. (2017), E = -Σ
e^u, is kept as its logarithm: the order of energies is the same, hence every descent is, while e^u
itself leaves float64 at u = 710. LogSumReLU is the Epanechnikov energy of Hoover et al. (2025)
[T18], with u = -½‖x - ξ‖²; on spins and tokens, where a state overlaps itself by L, shift it by
`origin` = L, which is the same up to that distance's scale.

On spins and tokens an overlap takes L + 1 values only, so a sweep needs no exponentials: it reads
an `OverlapTable`.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks

Floats = NDArray[np.float64]
_LARGEST_EXPONENT = 500.0  # e^500 times any number of patterns is still a float64
LARGEST_POWER = 50  # 10⁶ raised to it, times 10⁶ patterns, is still a float64


class OverlapTable(NamedTuple):
    """The inner function f of Q at L + 1 equally spaced overlaps, for 0 … L matches.

    Q = Σ f if `beta` is 0, else (1/beta) log Σ f. f (L + 1,), delta_f (L + 1,) the difference from
    each overlap to the next. With log_ratio > 0, f is an exponential, known up to a factor: it is
    1 at the largest overlap, each value is e^log_ratio times the one before, and delta_f is
    divided by e^log_ratio. Such a table is read shifted, so that the largest overlap of a state
    reads the last entry: nothing overflows, and the largest term does not underflow.
    """

    f: Floats
    delta_f: Floats
    beta: float
    log_ratio: float


@runtime_checkable
class Separation(Protocol):
    """A function Q of the overlaps and its derivative."""

    def potential(self, u: ArrayLike) -> Floats:
        """Return Q, shape (…), of overlaps (…, P)."""

    def weights(self, u: ArrayLike) -> Floats:
        """Return ∂Q/∂u, shape (…, P), of overlaps (…, P)."""

    def table(self, overlaps: Floats) -> OverlapTable:
        """Return f and its differences at increasing, equally spaced overlaps (L + 1,)."""


def table_of(F: Separation, overlaps: Floats, P: int) -> OverlapTable:
    """Return F's table for P patterns in arrays of its own, checked: walks index it unchecked."""
    if not isinstance(F, Separation):
        raise TypeError(f"F must have potential, weights and table, got {F!r}")
    f, delta_f, beta, log_ratio = F.table(overlaps)
    for name, values in (("f", f), ("delta_f", delta_f)):
        if np.shape(values) != overlaps.shape or not np.isfinite(values).all():
            raise ValueError(f"F.table must have {len(overlaps)} finite values of {name}")
    checks.not_negative(beta, "beta of F.table")
    checks.not_negative(log_ratio, "log_ratio of F.table")
    if log_ratio and not beta:
        raise ValueError("F.table has a log_ratio, so Q is a logarithm and needs its beta")
    if not beta and not math.isfinite(P * float(np.abs(f).max())):
        raise ValueError(f"the energy of {P} patterns with {F} leaves float64")
    f, delta_f = (checks.read_only(np.asarray(values, dtype=np.float64)) for values in (f, delta_f))
    return OverlapTable(f, delta_f, float(beta), float(log_ratio))


@dataclass(frozen=True)
class Power:
    """Q = Σ uⁿ/n, of whole n in 2 … 50; rectified: negative overlaps count for nothing [T17]."""

    n: int
    rectified: bool = False

    def __post_init__(self) -> None:
        if (n := checks.count(self.n, "n", 2)) > LARGEST_POWER:
            raise ValueError(f"n must lie in 2 … {LARGEST_POWER}, got {self.n}")
        object.__setattr__(self, "n", n)

    def potential(self, u: ArrayLike) -> Floats:
        """Return Q, shape (…), of overlaps (…, P); raises where it leaves float64."""
        return np.asarray((self._raised(u) / self.n).sum(axis=-1))

    def weights(self, u: ArrayLike) -> Floats:
        """Return uⁿ⁻¹, shape (…, P)."""
        return np.asarray(self._counted(u) ** (self.n - 1))

    def table(self, overlaps: Floats) -> OverlapTable:
        """Return f and its differences, taken of whole numbers; the last one is 0."""
        raised = self._raised(overlaps)
        delta_f = np.diff(raised, append=raised[-1]) / self.n
        return OverlapTable(raised / self.n, delta_f, beta=0.0, log_ratio=0.0)

    def _raised(self, u: ArrayLike) -> Floats:
        with np.errstate(over="ignore"):
            raised = self._counted(u) ** self.n
        if not np.isfinite(raised).all():
            raise ValueError(f"{self} leaves float64 at an overlap of {np.abs(u).max():g}")
        return np.asarray(raised)

    def _counted(self, u: ArrayLike) -> Floats:
        u = np.asarray(u, dtype=np.float64)
        return np.maximum(u, 0.0) if self.rectified else u


@dataclass(frozen=True)
class LogSumExp:
    """Q = (1/β) log Σ e^{β u}, β > 0 [T18], [T19]."""

    beta: float = 1.0
    differences: ClassVar[bool] = True
    """Its forces see differences of overlaps alone."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", checks.positive(self.beta, "beta"))

    def potential(self, u: ArrayLike) -> Floats:
        """Return Q, shape (…), of overlaps (…, P)."""
        u = np.asarray(u, dtype=np.float64)
        largest = u.max(axis=-1)  # SciPy's logsumexp takes three times as long
        total = np.exp(self.beta * (u - largest[..., None])).sum(axis=-1)
        return np.asarray(largest + np.log(total) / self.beta)

    def weights(self, u: ArrayLike) -> Floats:
        """Return scipy.special.softmax(β u), shape (…, P)."""
        u = np.asarray(u, dtype=np.float64)
        return np.asarray(scipy.special.softmax(self.beta * u, axis=-1))

    def offset(self, y: Floats) -> Floats:
        """Return what to add to exponents y = βu (B, …) before `weigh`, (B, 1)."""
        return np.asarray(-y.max(axis=1, keepdims=True))

    def weigh(self, y: Floats) -> Floats:
        """Replace y (B, P) by e^{y - shift}, ∝ ∂Q/∂u, and return the shift (B, 1).

        It is 0, so that weights of other patterns compare, unless e^y is too large.
        """
        shift: Floats = y.max(axis=1, keepdims=True)
        shift[shift <= _LARGEST_EXPONENT] = 0
        if shift.any():
            y -= shift
        np.exp(y, out=y)
        return shift

    def table(self, overlaps: Floats) -> OverlapTable:
        """Return e^{β (u - largest)}, and its differences divided by e^log_ratio."""
        f = np.exp(self.beta * (overlaps - overlaps[-1]))
        log_ratio = self.beta * float(overlaps[1] - overlaps[0])
        return OverlapTable(f, -f * np.expm1(-log_ratio), float(self.beta), log_ratio)


@dataclass(frozen=True)
class Exponential(LogSumExp):
    """The memory of Demircigil et al. 2017, F = e^u, by the logarithm of its energy: β = 1."""

    beta: float = field(default=1.0, init=False)


@dataclass(frozen=True)
class LogSumReLU:
    """Q = (1/β) log Σ max(0, 1 + β (u - origin)), β > 0: the Epanechnikov kernel [T18].

    Q = -∞ and no force where no pattern is near; ties of such states keep them where they are.
    """

    beta: float = 1.0
    origin: float = 0.0
    differences: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", checks.positive(self.beta, "beta"))
        object.__setattr__(self, "origin", checks.finite(self.origin, "origin"))

    def potential(self, u: ArrayLike) -> Floats:
        """Return Q, shape (…), of overlaps (…, P); -∞ where no pattern is near."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self._f(u).sum(axis=-1)) / self.beta)

    def weights(self, u: ArrayLike) -> Floats:
        """Return ∂Q/∂u, shape (…, P): the same for every pattern near, 0 for the others."""
        f = self._f(u)
        total = f.sum(axis=-1, keepdims=True)
        return np.asarray(np.divide(f > 0, total, out=np.zeros_like(f), where=total > 0))

    def offset(self, y: Floats) -> Floats:
        """Return what to add to βu (B, …) before `weigh`, (B, 1)."""
        return np.full((len(y), 1), 1 - self.beta * self.origin)

    def weigh(self, y: Floats) -> Floats:
        """Replace y = 1 + β (u - origin), (B, P), by 1[y > 0] ∝ ∂Q/∂u; return 0, (B, 1)."""
        np.greater(y, 0, out=y)
        return np.zeros((len(y), 1))

    def table(self, overlaps: Floats) -> OverlapTable:
        """Return max(0, 1 + β (u - origin)) and its differences, at most β Δu; the last is 0."""
        f = self._f(overlaps)
        delta_f = np.minimum(np.append(f[1:], 0.0), self.beta * (overlaps[1] - overlaps[0]))
        return OverlapTable(f, delta_f, float(self.beta), log_ratio=0.0)

    def _f(self, u: ArrayLike) -> Floats:
        u = np.asarray(u, dtype=np.float64)
        return np.asarray(np.maximum(0.0, 1 + self.beta * (u - self.origin)))
