"""Laws of diffusion that `minuddm/THEORY.md` derives and no other test holds, with drawn cases."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import xlogy

from minuddm.denoiser import posterior
from minuddm.nelbo import discrete_elbo, exact_nelbo
from minuddm.probes import entropy
from minuddm.schedule import Linear, LogLinear
from minuddm.sources import MarkovChain
from minuddm.transition import bridge, transition
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
    return -xlogy(law, law).sum()


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


@given(seed=strategies.seeds, steps=st.integers(1, 4))
def test_a_step_costs_what_independent_draws_lose(seed, steps):
    """[T10]: bound = H(x0) + Σ over steps of the mean total correlation of x_s given x_t."""
    V, L, schedule = 2, 3, Linear()
    law, x = np.random.default_rng(seed).dirichlet(np.full(V**L, 0.5)), oracle.states(V, L)
    lost = 0.0
    for k in range(steps, 0, -1):
        alpha_t, alpha_s = float(schedule.alpha(k / steps)), float(schedule.alpha((k - 1) / steps))
        kernel = oracle.kernel(alpha_t / alpha_s, V)
        forward = kernel[x[:, None], x[None]].prod(axis=2)
        joint = oracle.marginal(law, V, L, alpha_s)[:, None] * forward  # x_s, x_t
        for column in joint.T:
            given = column / column.sum()
            tokens = [np.bincount(x[:, i], given, V) for i in range(L)]
            lost += column.sum() * (sum(shannon(q) for q in tokens) - shannon(given))
    bound = discrete_elbo(leave_one_out(law, V), law.reshape((V,) * L), schedule, steps)
    assert bound == pytest.approx(shannon(law) + lost, abs=1e-9)


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
