"""The noise schedule: how fast tokens are resampled.

    α(t)         chance that a token was never resampled by time t; α(0) = 1, falling in t ∈ [0, 1]
    α'(t)        its exact derivative; the objective [T8] weighs time by -α'(t) / (V α(t))
    time(α)      the inverse of α(t)

A schedule is α *and* its own α' as one value [T6]. Code that corrupts with `LogLinear` (ε = 0.001)
but has α = 1 - t in its loss makes its integrand, where V α ≪ 1, 9 % too small at t = 0.99, and
half of what it should be at t = 0.999.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

import argument_checks as checks


class Schedule(Protocol):
    """α, α' and the inverse of α, for times in [0, 1]."""

    def alpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return the chance that a token was never resampled by time t."""

    def dalpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return dα/dt, which is never positive."""

    def time(self, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return the time t at which α(t) = alpha."""


def _within(value: ArrayLike, low: float, name: str) -> NDArray[np.float64]:
    array = checks.real(value, name).astype(np.float64, copy=False)
    wrong = ~((array >= low) & (array <= 1))
    if wrong.any():
        raise ValueError(f"{name} must lie in [{low:g}, 1], got {array[wrong].flat[0]:g}")
    return array


@dataclass(frozen=True)
class LogLinear:
    """α = 1 - (1 - ε) t; its total noise -log α is the logarithm of a line: the paper's [T6]."""

    eps: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < (eps := checks.number(self.eps, "eps")) < 1:
            raise ValueError(f"eps must lie in (0, 1), got {self.eps}")
        object.__setattr__(self, "eps", eps)

    def alpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return 1 - (1 - ε) t."""
        return np.asarray(1 - (1 - self.eps) * _within(t, 0, "t"))

    def dalpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return -(1 - ε)."""
        return np.full_like(_within(t, 0, "t"), -(1 - self.eps))

    def time(self, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return (1 - α) / (1 - ε); alpha must lie in [ε, 1]."""
        lowest = float(self.alpha(1.0))  # ε, as rounded by `alpha` itself
        return np.asarray((1 - _within(alpha, lowest, "alpha")) / (1 - self.eps))


@dataclass(frozen=True)
class Linear:
    """α = 1 - t: at t = 1 every token has been resampled."""

    def alpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return 1 - t."""
        return np.asarray(1 - _within(t, 0, "t"))

    def dalpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return -1."""
        return np.full_like(_within(t, 0, "t"), -1.0)

    def time(self, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return 1 - α."""
        return np.asarray(1 - _within(alpha, 0, "alpha"))


@dataclass(frozen=True)
class Cosine:
    """α = 1 - cos(π(1 - t)/2) = 1 - sin(πt/2), slow at the noisy end (Shi et al. 2024, MD4)."""

    def alpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return 1 - sin(πt/2) or, near t = 1, the same as 2 sin²(π(1 - t)/4): both ends exact."""
        t = _within(t, 0, "t")
        late = 2 * np.sin(np.pi / 4 * (1 - t)) ** 2
        return np.asarray(np.where(t < 0.5, 1 - np.sin(np.pi / 2 * t), late))

    def dalpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return -(π/2) cos(πt/2), written as a sine that vanishes exactly at t = 1."""
        return np.asarray(-np.pi / 2 * np.sin(np.pi / 2 * (1 - _within(t, 0, "t"))))

    def time(self, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return (2/π) arcsin(1 - α) or, for small α, the same as 1 - (4/π) arcsin √(α/2)."""
        a = _within(alpha, 0, "alpha")
        late = 1 - 4 / np.pi * np.arcsin(np.sqrt(a / 2))
        return np.asarray(np.where(a > 0.25, 2 / np.pi * np.arcsin(1 - a), late))
