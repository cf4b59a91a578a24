"""How large a margin couplings can have at all, whoever trains them (Gardner 1988) [T23].

A row of couplings with ‖W_i‖ = 1 can hold P = γL random patterns with margins ξ_i Σ_j W_ij ξ_j ≥ κ
as long as γ < γ_c(κ),

    1/γ_c(κ) = ∫_{-κ}^∞ (u + κ)² φ(u) du = (1 + κ²) Φ(κ) + κ φ(κ)

with the normal density φ and its integral Φ. γ_c(0) = 2: no couplings store more than 2L random
patterns. A margin buys a basin: flipping a share ρ of the other spins lowers the mean field of a
pattern by (1 - 2ρ) and gives it a spread 2√(ρ(1 - ρ)), so that fields keep their sign while

    (1 - 2ρ) κ > 2 √(ρ (1 - ρ))     that is     ρ < ½ (1 - 1/√(1 + κ²))            [T24]
"""

import math

import scipy

_LARGEST = 1e6  # a margin no network of this world has


def gardner_load(kappa: float) -> float:
    """Return γ_c(κ), the largest load P/L that couplings with margin κ ≥ 0 can hold."""
    if not (math.isfinite(kappa) and kappa >= 0):
        raise ValueError(f"kappa must be finite and at least 0, got {kappa}")
    phi = math.exp(-0.5 * kappa * kappa) / math.sqrt(2 * math.pi)
    return float(1 / ((1 + kappa * kappa) * scipy.special.ndtr(kappa) + kappa * phi))


def gardner_margin(gamma: float) -> float:
    """Return κ_max(γ), the largest margin at load γ in (0, 2]."""
    if not 0 < gamma <= 2:
        raise ValueError(f"gamma must lie in (0, 2], got {gamma}")
    if gamma <= gardner_load(_LARGEST):
        raise ValueError(f"gamma must be above {gardner_load(_LARGEST):.0e}, got {gamma}")
    return float(
        scipy.optimize.brentq(lambda k: gardner_load(k) - gamma, 0.0, _LARGEST, xtol=1e-12)
    )


def repaired_share(kappa: float) -> float:
    """Return the root ρ of (1 - 2ρ) κ = 2 √(ρ (1 - ρ)): what a margin κ ≥ 0 lets one repair."""
    if not (math.isfinite(kappa) and kappa >= 0):
        raise ValueError(f"kappa must be finite and at least 0, got {kappa}")
    s = math.hypot(1, kappa)
    return 0.5 * (kappa / s) * (kappa / (1 + s))  # ½ (1 - 1/s), without cancellation
