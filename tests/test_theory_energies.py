"""Laws of energies that `minuddm/THEORY.md` derives and no other test holds, with drawn cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import norm

from hopfield import ContinuousMemory, DensityMemory, LogSumExp
from hopfield.pseudolikelihood import gardner_margin, repaired_share, spins
from minuddm.denoiser import posterior
from minuddm.ideal import DatasetIdeal
from minuddm.transition import inverse_temperature
from tests import oracle, strategies


@given(case=strategies.patterns_and_query(), alpha=st.floats(1e-3, 1 - 1e-6))
def test_the_ideal_memoriser_is_attention_with_one_hot_values(case, alpha):
    """[T14] and [T18]: one step of attention on one-hot tokens is the posterior of the memoriser.

    Leave-one-out is the same head that does not look at its own position.
    """
    patterns, z, V = case
    L, beta = len(z), float(inverse_temperature(alpha, V))

    def step(keep):
        keys, query = np.eye(V)[patterns] * keep, np.eye(V)[z] * keep
        weights = LogSumExp(beta).weights(keys.reshape(len(keys), -1) @ query.ravel())
        return np.einsum("p,plv->lv", weights, np.eye(V)[patterns])

    log_p = DatasetIdeal(patterns, V)(z[None], alpha)
    attention = ContinuousMemory(np.eye(V)[patterns].reshape(len(patterns), -1), beta)
    seen = attention.step(np.eye(V)[z].reshape(1, -1)).reshape(L, V)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.exp(posterior(log_p, z[None], alpha)[0]), seen, atol=1e-9)
    for i in range(L):
        others = (np.arange(L) != i).astype(float)[:, None]
        np.testing.assert_allclose(np.exp(log_p[0, i]), step(others)[i], atol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_the_noise_of_other_patterns_has_the_variance_of_the_capacity(n):
    """[T17]: Var of F(u + 1) - F(u - 1), F = uⁿ/n, is 4 (2n - 3)!! L^{n-1} for large L."""
    L, u = 1000, np.arange(-1000.0, 1001, 2)
    chance = np.array([math.comb(L, k) / 2**L for k in range(L + 1)])
    step = ((u + 1) ** n - (u - 1) ** n) / n
    odd = math.prod(range(1, 2 * n - 2, 2))
    assert (chance * step**2).sum() == pytest.approx(4 * odd * L ** (n - 1), rel=4 * n / L)


@given(seed=strategies.seeds, P=st.integers(1, 6), beta=st.floats(0.05, 20))
def test_a_step_lowers_the_energy_by_half_its_length_squared_at_least(seed, P, beta):
    """[T18]: E(x) - E(T(x)) ≥ ½ ‖T(x) - x‖², the drop of the parabola above E."""
    rng = np.random.default_rng(seed)
    patterns, x = rng.normal(size=(P, 3)), 2 * rng.normal(size=(5, 3))
    memory = ContinuousMemory(patterns, beta)
    after = memory.step(x)
    drop, half = memory.energy(x) - memory.energy(after), 0.5 * ((after - x) ** 2).sum(axis=1)
    assert (drop >= half - 1e-12 * (1 + half)).all()


@pytest.mark.parametrize(("beta", "outwards"), [(0.9, False), (1.1, True)])
def test_the_centre_of_a_circle_is_a_minimum_up_to_beta_one(beta, outwards):
    """[T20]: E = 1 + (1 - β) R² + O(R⁴); the memory stands at 2β, where e^{-β d²} is the kernel."""
    angle = 2 * np.pi * np.arange(400) / 400
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    slope = DensityMemory(circle, LogSumExp(2 * beta)).gradient([[0.01, 0.0]])[0, 0]
    assert 2 * slope == pytest.approx(2 * (1 - beta) * 0.01, rel=1e-2)  # ∂E/∂R, twice the code's E
    assert (slope < 0) == outwards


# ---- likelihood without an energy ---------------------------------------------------------------


@given(seed=strategies.seeds, beta=st.floats(0.05, 3))
def test_the_gradient_is_hebbs_rule_times_a_penalty(seed, beta):
    """[T22], pattern by pattern."""
    rng = np.random.default_rng(seed)
    xi, W = rng.choice([-1.0, 1.0], size=(4, 5)), rng.normal(size=(5, 5))
    np.fill_diagonal(W, 0)
    M = xi * (beta * xi @ W.T)
    hebb = np.einsum("pi,pj,pi->ij", xi, xi, 1 - np.tanh(M))
    np.fill_diagonal(hebb, 0)
    _, grad = spins.loss_and_grad(W, xi, beta)
    np.testing.assert_allclose(grad, -beta / 4 * hebb, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 1.0])
def test_the_widest_margin_of_random_patterns_is_gardners(gamma):
    """[T23]: the exact widest margin of a row, 60 draws at L = 200, within 4 standard errors.

    The direction Xᵀλ of the widest margin minimises ‖Xᵀλ‖² + (1 - Σλ)² over λ ≥ 0.
    """
    L, found = 200, []
    for seed in range(60):
        X = np.random.default_rng(seed).choice([-1.0, 1.0], size=(int(gamma * L), L))
        weights, _ = nnls(np.vstack([X.T, np.ones(len(X))]), np.append(np.zeros(L), 1.0))
        w = X.T @ weights
        found.append((X @ w).min() / np.linalg.norm(w))
    error = np.std(found, ddof=1) / math.sqrt(len(found))
    assert abs(np.mean(found) - gardner_margin(gamma)) < 4 * error


@given(seed=strategies.seeds, rho=st.floats(0.0, 0.5))
def test_flips_shrink_a_field_and_spread_it(seed, rho):
    """[T24]: over all ways to flip, a field has mean (1 - 2ρ) h and variance 4ρ(1 - ρ) ‖W_i‖²."""
    rng = np.random.default_rng(seed)
    row, xi = rng.normal(size=8), rng.choice([-1, 1], size=8)
    flips = oracle.states(2, 8)
    chance = np.where(flips == 1, rho, 1 - rho).prod(axis=1)
    field = (xi * (1 - 2 * flips)) @ row
    mean = (chance * field).sum()
    assert mean == pytest.approx((1 - 2 * rho) * (row @ xi), abs=1e-12)
    spread = (chance * (field - mean) ** 2).sum()
    assert spread == pytest.approx(4 * rho * (1 - rho) * (row @ row), abs=1e-12)


@given(kappa=st.floats(0.01, 20))
def test_at_the_root_a_field_stands_one_deviation_from_its_wrong_sign(kappa):
    """[T24]: a site of margin κ errs in the first sweep with chance Φ(-1); the root is ≤ (κ/2)²."""
    rho = repaired_share(kappa)
    wrong = norm.cdf(-(1 - 2 * rho) * kappa / (2 * math.sqrt(rho * (1 - rho))))
    assert wrong == pytest.approx(norm.cdf(-1), abs=1e-6)
    assert rho <= (kappa / 2) ** 2
