"""Spins whose couplings maximise a likelihood, and the margins they can have [T21] to [T25]."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from hopfield import PseudoLikelihood, hebbian
from hopfield.landscape import change
from hopfield.pseudolikelihood import gardner_load, gardner_margin, repaired_share, spins
from tests import oracle, strategies
from tests.gradient import worst_error


def random_spins(seed, *shape):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), size=shape)


def zero_diagonal(rng, L, size=1.0):
    W = rng.normal(0, size, (L, L))
    np.fill_diagonal(W, 0)
    return W


@given(case=strategies.spins_and_states(), seed=strategies.seeds, beta=st.floats(0.01, 5))
def test_the_loss_of_spins_is_its_definition(case, seed, beta):
    patterns, _ = case
    W = zero_diagonal(np.random.default_rng(seed), patterns.shape[1])
    loss, _ = spins.loss_and_grad(W, patterns.astype(float), beta)
    assert loss == pytest.approx(oracle.pseudo_likelihood(W, patterns, beta), rel=1e-10, abs=1e-12)
    mean = PseudoLikelihood(W, beta).log_likelihood(patterns).mean()
    assert mean == pytest.approx(-loss, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_the_gradient_of_spins_is_the_derivative(decay):
    rng = np.random.default_rng(0)
    xi, W = random_spins(1, 7, 6).astype(float), zero_diagonal(rng, 6, 0.4)
    _, grad = spins.loss_and_grad(W, xi, 0.8, decay)
    assert (np.diagonal(grad) == 0).all()
    off = ~np.eye(6, dtype=bool)  # the diagonal is no parameter

    entries = W[off]

    def loss():
        full = np.zeros((6, 6))
        full[off] = entries
        return spins.loss_and_grad(full, xi, 0.8, decay)[0]

    assert worst_error(loss, {"W": entries}, {"W": grad[off]}, rng)["W"] < 1e-6


def test_the_gradient_is_hebbs_rule_at_the_start():
    """At W = 0 no margin has grown: -∂loss/∂W = β L/P times Hebb's couplings."""
    patterns = random_spins(2, 5, 8)
    _, grad = spins.loss_and_grad(np.zeros((8, 8)), patterns.astype(float), 0.5)
    np.testing.assert_allclose(-grad, 0.5 * 8 / 5 * hebbian(patterns).W, atol=1e-15)


def test_huge_margins_neither_overflow_nor_vanish_early():
    xi = np.ones((1, 3))
    W = np.full((3, 3), 500.0)
    np.fill_diagonal(W, 0)
    loss, grad = spins.loss_and_grad(W, xi, 1.0)
    assert loss == 0.0
    assert np.isfinite(grad).all()
    loss, grad = spins.loss_and_grad(W / 100, xi, 1.0)  # M = 10: 1 - tanh M = 2/(1 + e^20)
    assert grad[0, 1] == pytest.approx(-2 / (1 + np.exp(20)), rel=1e-12)
    assert loss == pytest.approx(3 * np.log1p(np.exp(-20)), rel=1e-12)
    loss, _ = spins.loss_and_grad(-W, xi, 1.0)
    assert loss == pytest.approx(3 * 2000.0)


def test_descent_and_lbfgs_come_to_the_same_couplings():
    """With λ the loss is strongly convex: a gradient of g leaves W within ‖g‖/λ of the optimum."""
    patterns, decay = random_spins(3, 30, 12), 0.05
    descended = PseudoLikelihood.fit(patterns, steps=3000, lr=0.5, decay=decay)
    second = PseudoLikelihood.fit_lbfgs(patterns, decay=decay)
    xi = patterns.astype(float)
    slack = sum(
        np.linalg.norm(spins.loss_and_grad(m.W, xi, 1.0, decay)[1]) for m in (descended, second)
    )
    assert slack / decay < 1e-4
    np.testing.assert_allclose(descended.W, second.W, rtol=0, atol=slack / decay)


def test_learned_couplings_hold_what_hebbs_cannot_and_are_not_symmetric():
    """At load 1 Hebb's rule is lost (capacity .138); the likelihood holds every pattern."""
    patterns = random_spins(4, 100, 100)
    learned = PseudoLikelihood.fit(patterns, steps=2000)
    assert (learned.margins(patterns) > 0).all()
    np.testing.assert_array_equal(learned.recall(patterns).state, patterns)
    assert (hebbian(patterns).recall(patterns).state == patterns).all(axis=1).mean() < 0.01
    assert learned.asymmetry > 0.3
    assert learned.margins(patterns).min() < gardner_margin(1.0)


def test_asymmetry_does_not_harm_recall():
    """The symmetric part alone repairs no more than the whole, 20 flips of 200 spins at load .3."""
    patterns = random_spins(5, 60, 200)
    learned = PseudoLikelihood.fit(patterns, steps=500)
    assert learned.asymmetry > 0.1
    noisy = change(patterns, 20, [-1, 1], np.random.default_rng(0))
    W = 0.5 * (learned.W + learned.W.T)
    whole, half = (
        (PseudoLikelihood(w).recall(noisy, rng=np.random.default_rng(1)).state == patterns).mean()
        for w in (learned.W, W)
    )
    assert whole >= half - 0.01
    assert whole > 0.99


@pytest.mark.parametrize("fit", [PseudoLikelihood.fit, PseudoLikelihood.fit_lbfgs])
def test_a_spin_about_which_the_patterns_say_nothing_keeps_its_value(fit):
    """Spins 2 and 3 take all values beside every value of the others; 0 and 1 are equal."""
    patterns = np.array([(s, s, *rest) for s, *rest in itertools.product([-1, 1], repeat=3)])
    memory = fit(patterns, steps=300)
    assert (memory.W[2:] == 0).all()
    assert (memory.margins(patterns)[:, 2:] == 0).all()
    states = np.array(list(itertools.product([-1, 1], repeat=4)))
    np.testing.assert_array_equal(memory.recall(states).state[:, 2:], states[:, 2:])
    nothing = fit(states, steps=300)
    assert (nothing.W == 0).all()


def test_bits_do_not_depend_on_the_threads_of_blas():
    patterns = random_spins(13, 300, 300)
    for fit in (PseudoLikelihood.fit, PseudoLikelihood.fit_lbfgs):
        found = []
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                found.append(fit(patterns, steps=10).W)
        np.testing.assert_array_equal(*found)


@given(seed=strategies.seeds, beta=st.floats(1e-3, 50))
def test_the_entropy_of_a_spin_is_that_of_its_law(seed, beta):
    rng = np.random.default_rng(seed)
    memory = PseudoLikelihood(zero_diagonal(rng, 5), beta)
    x = rng.choice([-1, 1], size=(3, 5))
    p = memory.conditionals(x, beta)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = -np.nan_to_num(p * np.log(p)) - np.nan_to_num((1 - p) * np.log1p(-p))
    # 1 - p keeps 2⁻⁵³ of p: entropies below 40 · 2⁻⁵³ are lost in the formula on the right
    np.testing.assert_allclose(memory.entropies(x), wanted, rtol=1e-9, atol=1e-14)
    assert (memory.entropies(x) <= np.log(2) + 1e-12).all()


# ---- Gardner's bound ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gamma", "kappa"), [(0.1, 3.000), (0.25, 1.736), (0.5, 1.034), (1.0, 0.4707), (1.5, 0.186)]
)
def test_gardners_margins_are_those_of_the_paper(gamma, kappa):
    assert gardner_margin(gamma) == pytest.approx(kappa, abs=1e-3 if kappa != 0.4707 else 1e-4)
    assert gardner_load(gardner_margin(gamma)) == pytest.approx(gamma, rel=1e-10)


@given(kappa=st.floats(0, 20))
def test_gardners_load_is_its_integral(kappa):
    integral, _ = quad(lambda u: (u + kappa) ** 2 * norm.pdf(u), -kappa, 40, epsabs=1e-12)
    assert gardner_load(kappa) == pytest.approx(1 / integral, rel=1e-8)


def test_no_couplings_hold_more_than_two_patterns_a_spin():
    assert gardner_load(0) == 2
    assert gardner_margin(2) == pytest.approx(0, abs=1e-9)


@given(kappa=st.floats(0, 100))
def test_the_repaired_share_is_the_root(kappa):
    rho = repaired_share(kappa)
    assert (1 - 2 * rho) * kappa == pytest.approx(2 * np.sqrt(rho * (1 - rho)), abs=1e-9)


def test_gardners_formulas_hold_at_their_edges():
    """No margin overflows, and small shares are right to the last digits: ρ → κ²/4."""
    for kappa in (1e8, 1e150, 1e200, 1.7e308):
        assert gardner_load(kappa) == pytest.approx(kappa**-1 / kappa, rel=1e-8)
        assert repaired_share(kappa) == pytest.approx(0.5, abs=1e-8)
    for kappa in (0.0, 1e-150, 1e-12, 1e-9):
        assert repaired_share(kappa) == pytest.approx(kappa * kappa / 4, rel=1e-12, abs=0)
    nearly = np.nextafter(2, 0)
    assert gardner_margin(nearly) == pytest.approx(0, abs=1e-11)
    assert gardner_load(gardner_margin(1.1e-12)) == pytest.approx(1.1e-12, rel=1e-6)


def test_trained_margins_stay_below_gardners():
    for P in (20, 60):
        patterns = random_spins(6, P, 100)
        margins = PseudoLikelihood.fit(patterns, steps=1000).margins(patterns)
        assert 0 < margins.min() < gardner_margin(P / 100)


# ---- the paper's minimal model ------------------------------------------------------------------


def test_margins_are_those_of_the_theory():
    """[T24] at load 1, L = 300: κ = .29 within .06, three standard deviations over seeds."""
    patterns = random_spins(7, 300, 300)
    learned = PseudoLikelihood.fit(patterns, steps=1500)
    assert learned.margins(patterns).min() == pytest.approx(0.29, abs=0.06)


def test_with_many_structured_patterns_unseen_ones_are_recovered_as_well():
    """[T25] at P = 10 and 1500; its numbers within .03 (4 seeds of a prototype differ by .01)."""
    rng = np.random.default_rng(8)
    features = rng.normal(size=(30, 300))

    def sample(n):
        return np.where(rng.normal(size=(n, 30)) @ features > 0, 1, -1).astype(np.int8)

    def recovered(memory, x):
        noisy = np.where(rng.random(x.shape) < 0.05, -x, x)
        back = memory.recall(noisy, synchronous=True).state
        return (back == x)[noisy != x].mean()

    unseen = sample(300)
    for P, train, test in ((10, 1.00, 0.56), (1500, 0.70, 0.71)):
        patterns = sample(P)
        memory = PseudoLikelihood.fit(patterns, steps=600, lr=0.3)
        assert recovered(memory, np.resize(patterns, (300, 300))) == pytest.approx(train, abs=0.03)
        assert recovered(memory, unseen) == pytest.approx(test, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PseudoLikelihood(np.zeros((2, 2)), 0), "beta must be positive and finite, got 0"),
        (lambda: PseudoLikelihood.fit([[1, 0]]), "patterns must be -1 or 1, got 0"),
        (lambda: PseudoLikelihood.fit([[1, 1]], steps=0), "steps must be"),
        (lambda: PseudoLikelihood.fit([[1, 1]], lr=-1), "lr must be positive"),
        (lambda: PseudoLikelihood.fit([[1, 1]], decay=-1), "decay must be at least 0"),
        (lambda: PseudoLikelihood.fit_lbfgs([[1, 1]], decay=np.nan), "decay must be at least 0"),
        (lambda: PseudoLikelihood.fit(np.zeros((0, 4))), "empty"),
        (lambda: gardner_load(-1), "kappa must be finite and at least 0, got -1"),
        (lambda: gardner_margin(2.1), r"gamma must lie in \(0, 2\], got 2.1"),
        (lambda: gardner_margin(0), "gamma"),
        (lambda: gardner_margin(1e-300), "gamma must be above"),
        (lambda: repaired_share(np.inf), "kappa"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
