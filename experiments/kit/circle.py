"""Points on a circle: a memory whose energy is known exactly where the points are many [T20].

    E(x) = -(1/β) log mean_μ exp(-β ‖x - ξ^μ‖²)  →  E(R) = R² + 1 - (1/β) log I₀(2βR)

at distance R from the centre of the unit circle, as P → ∞; I₀ is a Bessel function.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import i0e

from hopfield import DensityMemory, LogSumExp

BETA = 10.0
RADII = np.linspace(0, 2, 81)

Floats = NDArray[np.float64]


def points(angle: Floats) -> Floats:
    """Return the points of the unit circle at these angles, (n, 2)."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def memory(angle: Floats) -> DensityMemory:
    """Return the memory of points of the circle: its kernel e^{-β' d²/2} has β' = 2β."""
    return DensityMemory(points(angle), LogSumExp(2 * BETA))


def energy(memory: DensityMemory, x: Floats) -> Floats:
    """Return E of [T20] at x (B, 2): of the mean where the memory has the sum, (B,)."""
    return np.asarray(2 * memory.energy(x) + np.log(len(memory.patterns)) / BETA)


def bessel(R: Floats) -> Floats:
    """Return the energy of infinitely many points; i0e(x) = e^{-x} I₀(x) does not overflow."""
    return np.asarray(R**2 + 1 - (np.log(i0e(2 * BETA * R)) + 2 * BETA * R) / BETA)


def exactness(P: int = 1000) -> float:
    """Return how far the energy of P equally spaced points is from Bessel's curve, at most."""
    x = RADII[:, None] * points(np.array([0.3]))
    return float(np.abs(energy(memory(2 * np.pi * np.arange(P) / P), x) - bessel(RADII)).max())
