"""What `minuddm/THEORY.md` derives and no other test holds: one law each, with drawn cases."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.stats import norm

from hopfield import ContinuousMemory, DensityMemory, LogSumExp
from hopfield.pseudolikelihood import gardner_margin, repaired_share, spins
from minuddm.denoiser import posterior
from minuddm.ideal import DatasetIdeal
from minuddm.nelbo import discrete_elbo, exact_nelbo
from minuddm.probes import entropy
from minuddm.schedule import Linear, LogLinear
from minuddm.sources import MarkovChain
from minuddm.transition import bridge, inverse_temperature, transition
from tests import oracle, strategies


def leave_one_out(law, V, change=lambda p, alpha: p):
    """The exact conditionals of a law, by enumeration; `change` may spoil them."""

    def denoiser(tokens, alpha):
        with np.errstate(divide="ignore"):
            return np.log([
                change(oracle.conditionals(law, V, z, a, leave_out=True), a)
                for z, a in zip(tokens, alpha, strict=True)
            ])  # fmt: skip

    return denoiser


def shannon(law):
    return -(law * np.log(law)).sum()


# ---- the process --------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "wrong"), [(0.99, 0.089), (0.999, 0.499)])
def test_a_loss_with_another_schedule_is_wrong_by_its_alpha(t, wrong):
    """[T6]: for V α ≪ 1 the integrand is -α' α times a constant, (1 - t) in place of α(1 - ε)."""
    V, p = 3, np.array([0.5, 0.3, 0.2])
    alpha, dalpha = float(LogLinear().alpha(t)), float(LogLinear().dalpha(t))
    chance = p[:, None] * oracle.kernel(alpha, V)
    right, hard_coded = (
        sum(chance[x, z] * oracle.nelbo(p, x, z, a, d) for x in range(V) for z in range(V))
        for a, d in ((alpha, dalpha), (1 - t, -1.0))
    )
    assert 1 - hard_coded / right == pytest.approx(wrong, abs=2e-3)


@given(data=st.data(), V=strategies.vocabularies, times=strategies.two_alphas())
def test_the_bridge_is_a_marginal_times_a_kernel(data, V, times):
    """[T7] before it is expanded: q_j = x̄_j(s) Q_{t|s}[j, z] / x̄_z(t)."""
    alpha_s, alpha_t = times
    p = data.draw(strategies.distributions(V))
    z = data.draw(st.integers(0, V - 1))
    x_bar_s, x_bar_t = (V * a * p + 1 - a for a in times)
    assume(x_bar_t[z] > 0)  # z is possible
    kernel = transition(alpha_t / alpha_s if alpha_s > alpha_t else 1.0, V)
    wanted = x_bar_s * kernel[:, z] / x_bar_t[z]
    np.testing.assert_allclose(bridge(z, p, alpha_s, alpha_t), wanted, rtol=1e-9, atol=1e-12)


# ---- the objective ------------------------------------------------------------------------------


@given(V=strategies.vocabularies, alpha=strategies.inner_alphas)
def test_the_true_ratios_take_three_values(V, alpha):
    """[T8]: 1, c and 1/c, c = (1 - α)/(V α + 1 - α)."""
    c = (1 - alpha) / (V * alpha + 1 - alpha)
    for x0, z in itertools.product(range(V), repeat=2):
        x_bar = V * alpha * np.eye(V)[x0] + 1 - alpha
        wanted = np.where(np.arange(V) == z, 1, c) if x0 == z else np.ones(V)
        wanted[x0] = 1 if x0 == z else 1 / c
        np.testing.assert_allclose(x_bar / x_bar[z], wanted, rtol=1e-12)


@given(seed=strategies.seeds, alpha=st.floats(1e-4, 1e-2))
def test_what_the_prior_leaves_is_of_second_order_in_alpha(seed, alpha):
    """[T9]: KL(p_1 ‖ uniform) = ½ α² Σ_i (V Σ_v P_i(v)² - 1) + O(α³), here for V = 3, L = 2.

    With p_1 = (1 + α a + α² b)/9, |a| ≤ 4, |b| ≤ 5 and E[a b] = 0: the third order is at most
    α³ E|a|³/6 ≤ α³ 4 E[a²]/6, and the fourth less than 64 α⁴.
    """
    table = np.random.default_rng(seed).dirichlet(np.ones(9)).reshape(3, 3)
    excess = 9 * oracle.marginal(table.ravel(), 3, 2, alpha) - 1
    divergence = ((1 + excess) * np.log1p(excess)).mean()
    leading = 0.5 * alpha**2 * sum(3 * (table.sum(axis=i) ** 2).sum() - 1 for i in range(2))
    assert abs(divergence - leading) <= 2 * alpha * leading + 64 * alpha**4 + 1e-14


@given(seed=strategies.seeds, steps=st.integers(1, 6), factor=st.integers(2, 3))
def test_a_finer_grid_never_raises_the_bound_of_the_exact_conditionals(seed, steps, factor):
    """[T10]: what independent draws lose in a step only shrinks when the step is divided."""
    law = np.random.default_rng(seed).dirichlet(np.full(8, 0.5))
    coarse, fine = (
        discrete_elbo(leave_one_out(law, 2), law.reshape(2, 2, 2), Linear(), n)
        for n in (steps, factor * steps)
    )
    assert fine <= coarse + 1e-12


def test_a_finer_grid_may_raise_the_bound_of_another_denoiser():
    """[T10]: one that is ignorant only at times which the coarse grid does not visit."""
    law = np.random.default_rng(0).dirichlet(np.ones(4))
    spoilt = leave_one_out(law, 2, lambda p, alpha: p if alpha in (0, 0.5) else p * 0 + 0.5)
    coarse, fine = (discrete_elbo(spoilt, law.reshape(2, 2), Linear(), n) for n in (2, 4))
    assert fine > coarse + 1e-3


# ---- what is learnt -----------------------------------------------------------------------------


@given(seed=strategies.seeds, V=strategies.vocabularies, alpha=st.floats(0.01, 0.99))
def test_the_mean_loss_exceeds_its_minimum_by_the_distance_to_leave_one_out(seed, V, alpha):
    """[T11]: E[ℓ(p)] - E[ℓ(p*)] = Σ_j [r_j - R_j - R_j log(r_j/R_j)] / (V α), R of p* = LOO."""
    rng = np.random.default_rng(seed)
    p, loo = rng.dirichlet(np.ones(V), size=2)
    z = int(rng.integers(V))
    after = loo * oracle.kernel(alpha, V)[:, z]  # what x0 is, once z is seen
    after /= after.sum()

    def mean_loss(q):
        each = [oracle.nelbo(q, x, z, alpha, -1.0) for x in range(V)]
        return float((after * each).sum())

    for q in (p, after):  # the posterior, too, is above the minimum
        r, R = (x / x[z] for x in (V * alpha * law + 1 - alpha for law in (q, loo)))
        distance = np.sum(r - R - R * np.log(r / R)) / (V * alpha)
        assert mean_loss(q) - mean_loss(loo) == pytest.approx(distance, rel=1e-7, abs=1e-9)


@given(seed=strategies.seeds, size=st.sampled_from([-0.3, -0.1, 0.1, 0.3]))
def test_any_change_of_the_leave_one_out_conditional_raises_the_bound(seed, size):
    """[T11] for the whole bound: logits moved along a drawn direction, forth and back."""
    rng = np.random.default_rng(seed)
    law, direction = rng.dirichlet(np.ones(9)), rng.normal(size=(2, 3))

    def moved(p, alpha):
        p = p * np.exp(size * direction)
        return p / p.sum(axis=1, keepdims=True)

    table = law.reshape(3, 3)
    least = exact_nelbo(leave_one_out(law, 3), table, Linear(), points=20)
    assert least == pytest.approx(shannon(law), abs=1e-5)
    assert exact_nelbo(leave_one_out(law, 3, moved), table, Linear(), points=20) > least


def fano(alpha, V):
    """H(x0_i | x_t,i) ≤ h(e) + e log(V - 1), e the chance that the token was changed."""
    e = (1 - alpha) * (1 - 1 / V)
    return -e * math.log(e) - (1 - e) * math.log1p(-e) + e * math.log(V - 1)


@given(seed=strategies.seeds, V=st.integers(2, 3), alpha=strategies.inner_alphas)
def test_the_posteriors_entropy_obeys_fanos_bound_whatever_the_data(seed, V, alpha):
    """[T13]: E H(x0_i | x_t) ≤ H(x0_i | x_t,i)."""
    law, z = np.random.default_rng(seed).dirichlet(np.full(V**3, 0.7)), oracle.states(V, 3)
    log_p = leave_one_out(law, V)(z, np.full(len(z), alpha))
    chance = oracle.marginal(law, V, 3, alpha)[:, None]
    mean = (chance * entropy(posterior(log_p, z, alpha))).sum(axis=0)
    assert (mean <= fano(alpha, V) + 1e-12).all()


def test_near_the_end_the_leave_one_out_entropy_is_that_of_the_source():
    """[T13] on a Markov chain: H(x_i | all others) = H(x) - H(x without i), and it is not 0.

    The others are a little noisy, which adds at most H(others | noisy others): Fano, twice.
    """
    chain, z = MarkovChain.random(3, np.random.default_rng(1), 1.0), oracle.states(3, 3)
    law, alpha = np.exp(chain.log_prob(z)), float(LogLinear().alpha(1e-5))
    log_p = leave_one_out(law, 3)(z, np.full(len(z), alpha))
    H = (oracle.marginal(law, 3, 3, alpha)[:, None] * entropy(log_p)).sum(axis=0)
    for i in range(3):
        clean = shannon(law) - shannon(law.reshape(3, 3, 3).sum(axis=i).ravel())
        assert clean > 0.1 > 1000 * fano(alpha, 3)
        assert clean - 1e-12 <= H[i] <= clean + 2 * fano(alpha, 3)


# ---- ideals and energies ------------------------------------------------------------------------


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
