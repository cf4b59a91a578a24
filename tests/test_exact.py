"""The exact answers: ideal generalisers against enumeration, and the bound of a whole law."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.denoiser import posterior
from minuddm.ideal import DatasetIdeal, HierarchyIdeal, MarkovIdeal
from minuddm.nelbo import discrete_elbo, enumerate_law, exact_nelbo
from minuddm.probes import held_out_nelbo
from minuddm.process import Uniform
from minuddm.reverse import restore
from minuddm.schedule import Cosine, Linear, LogLinear
from minuddm.sources import MarkovChain, RandomHierarchy
from minuddm.transition import corrupt
from tests import oracle, strategies


class Enumerated:
    """The conditionals of any small law, leave-one-out or posterior, by summing over all states."""

    def __init__(self, law, leave_out=True, blur=0.0):
        self.law, self.leave_out, self.blur = law, leave_out, blur

    def __call__(self, tokens, alpha):
        V = self.law.shape[0]
        with np.errstate(divide="ignore"):
            p = np.array(
                [
                    oracle.conditionals(self.law.ravel(), V, z, a, leave_out=self.leave_out)
                    for z, a in zip(tokens, alpha, strict=True)
                ]
            )
            return np.log((1 - self.blur) * p + self.blur / V)


extremes = st.one_of(st.sampled_from([1e-9, 0.5, 1 - 1e-9]), st.floats(1e-9, 1 - 1e-9))


def agree(denoiser, law, z, alpha):
    """LOO and posterior equal the sums over all states."""
    V = law.shape[0]
    log_p = denoiser(z[None], alpha)
    loo, seen = (
        oracle.conditionals(law.ravel(), V, z, alpha, leave_out=out) for out in (True, False)
    )
    rounding = 1e-10
    np.testing.assert_allclose(np.exp(log_p[0]), loo, rtol=rounding, atol=1e-13)
    with np.errstate(divide="ignore"):
        after = np.exp(posterior(log_p, z[None], alpha)[0])
    np.testing.assert_allclose(after, seen, rtol=rounding, atol=1e-13)


@given(V=st.integers(2, 3), kind=st.integers(0, 2), alpha=extremes, seed=strategies.seeds)
def test_ideals_and_their_posteriors_are_sums_over_all_states(V, kind, alpha, seed):
    """At noise levels beyond those of the law `enumeration` (tests/test_laws)."""
    denoiser, law = strategies.ideals(Uniform(V), seed)[kind]
    agree(denoiser, law, np.random.default_rng(seed).integers(V, size=law.ndim), alpha)


@pytest.mark.parametrize("branching", [2, 3])
def test_belief_propagation_takes_any_branching(branching):
    rng = np.random.default_rng(branching)
    source = RandomHierarchy.random(2, 1, branching, 2, rng)
    law = enumerate_law(source, 2, branching**2)
    for alpha in (0.1, 0.9):
        agree(HierarchyIdeal(source), law, rng.integers(2, size=branching**2), alpha)


def test_a_deterministic_chain_is_followed_through_any_noise():
    cycle = MarkovChain(np.roll(np.eye(5), 1, axis=1))
    x = (np.arange(60) + 2)[None] % 5
    xt = corrupt(x, 0.3, 5, np.random.default_rng(0))
    for alpha in (1e-9, 0.3, 1 - 1e-9):
        log_p = MarkovIdeal(cycle)(xt, alpha)
        assert not np.isnan(log_p).any()
        np.testing.assert_allclose(np.exp(log_p).sum(-1), 1)
    assert (MarkovIdeal(cycle)(xt, 0.3).argmax(-1) == x).all()


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_ends_of_time_are_valid(alpha):
    rng = np.random.default_rng(1)
    source = RandomHierarchy.random(4, 2, 2, 3, rng)
    p = np.exp(HierarchyIdeal(source)(rng.integers(4, size=(5, 8)), alpha))
    np.testing.assert_allclose(p.sum(-1), 1)
    q = np.exp(MarkovIdeal(MarkovChain.random(4, rng))(rng.integers(4, size=(5, 8)), alpha))
    np.testing.assert_allclose(q.sum(-1), 1)


# ---- the bound of a whole law --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("V", "L", "skip", "entropy", "of_posterior"),
    [(3, 2, False, 1.781973, 2.684000), (2, 3, True, 1.623300, 2.392370)],
)
def test_the_known_bounds(V, L, skip, entropy, of_posterior):
    rng = np.random.default_rng(0)
    if skip:
        rng.dirichlet(np.ones(9))
    law = rng.dirichlet(np.ones(V**L)).reshape((V,) * L)
    assert exact_nelbo(Enumerated(law), law, Linear()) == pytest.approx(entropy, abs=1e-6)
    found = exact_nelbo(Enumerated(law, leave_out=False), law, Linear())
    assert found == pytest.approx(of_posterior, abs=1e-5)


@pytest.mark.parametrize("schedule", [Linear(), LogLinear(0.01), Cosine()])
def test_the_bound_is_the_entropy_for_the_ideal_and_more_for_any_other(schedule):
    """Where α(1) > 0 the chain starts from uniform noise but the data have not quite got there."""
    law = np.random.default_rng(2).dirichlet(np.ones(9)).reshape(3, 3)
    last = oracle.marginal(law, 3, 2, float(schedule.alpha(1.0)))
    entropy = -(law * np.log(law)).sum() + (last * np.log(9 * last)).sum()
    assert exact_nelbo(Enumerated(law), law, schedule) == pytest.approx(entropy, abs=1e-8)
    for other in (
        Enumerated(law, leave_out=False),
        Enumerated(law, blur=0.1),
        Enumerated(law, blur=1),
    ):
        assert exact_nelbo(other, law, schedule) > entropy + 1e-3


def test_knowing_nothing_costs_log_v_a_token():
    law = np.random.default_rng(3).dirichlet(np.ones(8)).reshape(2, 2, 2)
    assert exact_nelbo(Enumerated(law, blur=1), law, Linear()) == pytest.approx(
        3 * math.log(2), abs=1e-8
    )


def test_the_ideals_bounds_are_the_entropies_of_their_sources():
    rng = np.random.default_rng(4)
    chain, tree = MarkovChain.random(3, rng), RandomHierarchy.random(3, 2, 2, 2, rng)
    for denoiser, source, L, entropy in (
        (MarkovIdeal(chain), chain, 4, chain.entropy(4)),
        (HierarchyIdeal(tree), tree, 4, tree.entropy()),
    ):
        law = enumerate_law(source, 3, L)
        assert exact_nelbo(denoiser, law, Linear()) == pytest.approx(L * entropy, abs=1e-8)
    patterns = rng.integers(3, size=(5, 3))
    law = oracle.dataset_law(patterns, 3).reshape(3, 3, 3)
    entropy = -(law[law > 0] * np.log(law[law > 0])).sum()
    memoriser = DatasetIdeal(patterns, 3)
    assert exact_nelbo(memoriser, law, Linear()) == pytest.approx(entropy, abs=1e-8)


def test_more_steps_bring_the_discrete_bound_down_to_the_continuous_one():
    law = np.random.default_rng(5).dirichlet(np.ones(9)).reshape(3, 3)
    entropy = -(law * np.log(law)).sum()
    bounds = [discrete_elbo(Enumerated(law), law, Linear(), T) for T in (1, 2, 4, 8, 32, 128)]
    assert (np.diff(bounds) < 0).all()
    assert bounds[-1] > entropy
    # first order in 1/T: the gap shrinks fourfold from 32 to 128 steps, to a tenth of it
    assert (bounds[-1] - entropy) / (bounds[-2] - entropy) == pytest.approx(0.25, abs=0.03)


def test_a_denoiser_that_excludes_the_truth_has_no_finite_discrete_bound():
    law = np.full((2, 2), 0.25)
    memoriser = DatasetIdeal([[0, 0]], 2)
    assert discrete_elbo(memoriser, law, Linear(), 4) == math.inf


@pytest.mark.parametrize("seed", range(20))
def test_monte_carlo_agrees_with_enumeration(seed):
    """20 seeds at 4 standard errors: one false alarm in 800 runs of this test."""
    rng = np.random.default_rng([6, seed])
    chain = MarkovChain.random(3, rng, 1.0)
    blurred = Enumerated(enumerate_law(chain, 3, 3), blur=0.2)
    exact = exact_nelbo(blurred, blurred.law, LogLinear(), points=20) / 3
    x = chain.sample(150, 3, rng)
    estimate = held_out_nelbo(blurred, x, 3, LogLinear(), rng, draws=2)
    assert abs(estimate.mean() - exact) < 4 * estimate.std(ddof=1) / np.sqrt(len(x))


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (np.full((2, 3), 1 / 6), "L axes of one size V"),
        (np.full((2, 2), 0.3), "a distribution, got the sum 1.2"),
        (np.ones(1), "V must be at least 2"),
    ],
)
def test_what_is_no_law_is_refused(law, message):
    with pytest.raises(ValueError, match=message):
        exact_nelbo(Enumerated(law), law, Linear())


def test_a_denoiser_of_another_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"the law has V = 2, the denoiser returned shape"):
        exact_nelbo(Enumerated(np.full((3, 3), 1 / 9)), np.full((2, 2), 0.25), Linear())


@pytest.mark.parametrize(
    ("ideal", "message"),
    [
        ("markov", "at least one site a sequence"),
        ("hierarchy", "must have length 4, got 0"),
        ("dataset", "must have length 2, got 0"),
    ],
)
def test_sequences_without_tokens_are_refused(ideal, message):
    rng = np.random.default_rng(8)
    denoiser = {
        "markov": lambda: MarkovIdeal(MarkovChain.random(3, rng)),
        "hierarchy": lambda: HierarchyIdeal(RandomHierarchy.random(3, 2, 2, 2, rng)),
        "dataset": lambda: DatasetIdeal([[0, 1]], 3),
    }[ideal]()
    with pytest.raises(ValueError, match=message):
        denoiser(np.zeros((2, 0), int), 0.5)


@given(T=st.integers(1, 20), seed=strategies.seeds)
def test_no_discrete_bound_is_below_the_entropy(T, seed):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(4)).reshape(2, 2)
    entropy = -(law * np.log(law)).sum()
    assert discrete_elbo(Enumerated(law, blur=rng.random()), law, Cosine(), T) >= entropy - 1e-12


def test_too_many_states_are_refused_by_their_number():
    with pytest.raises(ValueError, match=r"at most 2\^20 = 1,048,576 states .* got 28\^32"):
        enumerate_law(MarkovChain.random(28, np.random.default_rng(0)), 28, 32)


def test_the_ideal_generaliser_recovers_what_can_be_recovered():
    """The known bands, shares of all changed tokens, 64 sampled steps: .70–.80, .55–.59, .31–.34.

    Bands over four grammars; two standard errors, sequences being independent, for another one.
    """
    rng = np.random.default_rng(7)
    source = RandomHierarchy.random(8, 2, 2, 4, rng)
    ideal, x = HierarchyIdeal(source), source.sample(2000, rng)
    for t, low, high in ((0.1, 0.70, 0.80), (0.25, 0.55, 0.59), (0.5, 0.31, 0.34)):
        xt = corrupt(x, float(LogLinear().alpha(t)), 8, rng)
        back = restore(ideal, xt, t, LogLinear(), 64, rng)
        changed, came = (xt != x).sum(axis=1), ((xt != x) & (back == x)).sum(axis=1)
        share = came.sum() / changed.sum()
        error = np.sqrt(((came - share * changed) ** 2).sum()) / changed.sum()
        assert low - 2 * error < share < high + 2 * error
