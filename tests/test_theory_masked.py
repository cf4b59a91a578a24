"""Laws of the masked process that `minuddm/THEORY.md` derives, with its numbers, by enumeration."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import xlogy

from minuddm import Absorbing, DatasetIdeal, Linear, LogLinear, Uniform
from minuddm.ideal import HierarchyIdeal, MarkovIdeal
from minuddm.nelbo import enumerate_law, exact_nelbo, masked_nelbo
from minuddm.probes import entropy
from minuddm.schedule import Cosine
from minuddm.sources import MarkovChain, RandomHierarchy
from tests import oracle, strategies

T11A = np.random.default_rng(0).dirichlet(np.ones(9)).reshape(3, 3)
D2 = oracle.states(3, 3)[np.random.default_rng(0).permutation(27)[:4]]
LAW2 = oracle.dataset_law(D2, 3).reshape(3, 3, 3)


def shannon(law):
    return -xlogy(law, law).sum()


def of_law(law):
    """The exact conditionals of a law given the visible tokens, by summing over all states."""
    V, L = law.shape[0], law.ndim
    x = oracle.states(V, L)

    def denoiser(tokens, alpha):
        out = np.empty((*tokens.shape, V))
        for z, row in zip(tokens, out, strict=True):
            for i in range(L):
                others = (np.arange(L) != i) & (z < V)
                weight = law.ravel() * (x[:, others] == z[others]).all(axis=1)
                p = np.bincount(x[:, i], weight, V)
                with np.errstate(divide="ignore"):
                    row[i] = np.log(p / p.sum()) if p.sum() > 0 else -math.log(V)
        return out

    return denoiser


def carried(law, process, alpha):
    """p_t over all states of the sequence, one kernel a position."""
    for axis in range(law.ndim):
        law = np.moveaxis(process.propagate(np.moveaxis(law, axis, -1), alpha), -1, axis)
    return law


# ---- the bound in closed form -------------------------------------------------------------------


def test_the_known_masked_bounds():
    """[T38]: the ideal, unigrams, and the uniform denoiser."""
    unigrams = np.log(np.stack([T11A.sum(axis=1), T11A.sum(axis=0)]))
    for denoiser, wanted in (
        (of_law(T11A), 1.781973),
        (lambda z, alpha: np.broadcast_to(unigrams, (*z.shape, 3)), 2.006622),
        (lambda z, alpha: np.full((*z.shape, 3), -math.log(3)), 2.197225),
    ):
        closed = masked_nelbo(denoiser, T11A)
        assert closed == pytest.approx(wanted, abs=1e-6)
        for schedule in (Linear(), LogLinear(), LogLinear(0.4), Cosine()):
            integral = exact_nelbo(denoiser, T11A, schedule, process=Absorbing(3))
            assert integral == pytest.approx(closed, abs=1e-9)


@given(seed=strategies.seeds, size=st.sampled_from([(2, 3), (3, 3), (2, 4)]))
def test_the_closed_form_is_the_integral_for_any_denoiser_that_reads_tokens_alone(seed, size):
    """[T38]: a conditional drawn anew for every state, so good or bad that no order is favoured."""
    V, L = size
    law = np.random.default_rng(seed).dirichlet(np.full(V**L, 0.5)).reshape((V,) * L)
    drawn = np.log(np.random.default_rng([seed, 1]).dirichlet(np.ones(V), ((V + 1) ** L, L)))

    def denoiser(tokens, alpha):
        return drawn[tokens @ (V + 1) ** np.arange(L)]

    integral = exact_nelbo(denoiser, law, Linear(), 20, Absorbing(V))
    assert masked_nelbo(denoiser, law) == pytest.approx(integral, rel=1e-9)


def test_the_ideals_masked_bounds_are_the_entropies_of_their_sources():
    rng, process = np.random.default_rng(4), Absorbing(3)
    chain, tree = MarkovChain.random(3, rng), RandomHierarchy.random(3, 2, 2, 2, rng)
    for ideal, table, wanted in (
        (MarkovIdeal(chain, process), enumerate_law(chain, 3, 4), 4 * chain.entropy(4)),
        (HierarchyIdeal(tree, process), enumerate_law(tree, 3, 4), 4 * tree.entropy()),
        (DatasetIdeal(D2, 3, process), LAW2, math.log(4)),
    ):
        assert masked_nelbo(ideal, table) == pytest.approx(wanted, abs=1e-8)
        bound = exact_nelbo(ideal, table, LogLinear(), process=process)
        assert bound == pytest.approx(wanted, abs=1e-8)


# ---- the keystone -------------------------------------------------------------------------------


@given(case=strategies.patterns_and_query(), alpha=st.floats(0.01, 0.99), seed=strategies.seeds)
def test_the_masked_data_set_counts_the_patterns_that_agree_where_visible(case, alpha, seed):
    """[T39]: log p_t(z) against the sum over patterns of the kernel's chances."""
    patterns, state, V = case
    z = np.where(np.random.default_rng(seed).random(len(state)) < 0.5, V, state)
    n, L = (z < V).sum(), len(z)
    agree = ((patterns == z) | (z == V)).all(axis=1).sum()
    chance = Absorbing(V).marginal(patterns, alpha)[:, np.arange(L), z].prod(axis=1).mean()
    if agree:
        wanted = math.log(agree) - math.log(len(patterns))
        wanted += n * math.log(alpha) + (L - n) * math.log(1 - alpha)
        assert math.log(chance) == pytest.approx(wanted, rel=1e-9)
    else:
        assert chance == 0


def ideals(rng, V=3):
    """Pairs of an ideal of the uniform and of the masked process, over sequences of length 4."""
    patterns, chain = rng.integers(V, size=(5, 4)), MarkovChain.random(V, rng)
    tree = RandomHierarchy.random(V, 2, 2, 2, rng)
    return [
        (make(None), make(Absorbing(V)))
        for make in (
            lambda process: DatasetIdeal(patterns, V, process),
            lambda process: MarkovIdeal(chain, process),
            lambda process: HierarchyIdeal(tree, process),
        )
    ]


@given(seed=strategies.seeds, kind=st.integers(0, 2))
def test_a_mask_is_an_alpha_of_nothing_and_what_is_visible_an_alpha_of_one(seed, kind):
    """[T39]: to the bit, whatever is shown in the place of a mask."""
    rng = np.random.default_rng(seed)
    uniform, masked = ideals(rng)[kind]
    x, hidden = rng.integers(3, size=(6, 4)), rng.random((6, 4)) < 0.5
    found = masked(np.where(hidden, 3, x), 0.4)
    np.testing.assert_array_equal(found, uniform(x, np.where(hidden, 0.0, 1.0)))
    other = np.where(hidden, rng.integers(3, size=x.shape), x)
    np.testing.assert_array_equal(found, uniform(other, np.where(hidden, 0.0, 1.0)))


@given(seed=strategies.seeds, kind=st.integers(0, 2))
def test_any_alpha_of_each_token_is_its_evidence(seed, kind):
    """Against the sum over all states: 0, 1 and anything between, in one sequence."""
    rng = np.random.default_rng(seed)
    uniform, _ = ideals(rng)[kind]
    law = exact_law(uniform)
    x = oracle.states(3, 4)[rng.choice(81, p=law)][None]  # at α = 1 it has to be possible
    alpha = rng.choice([0.0, 0.2, 0.5, 0.9, 1.0], size=(1, 4))
    z = np.where(rng.random((1, 4)) < 0.5, rng.integers(3, size=(1, 4)), x)
    z = np.where(alpha == 1, x, z)
    wanted = oracle.conditionals(law, 3, z[0], alpha[0], leave_out=True)
    np.testing.assert_allclose(np.exp(uniform(z, alpha)[0]), wanted, rtol=1e-9, atol=1e-12)


def exact_law(ideal):
    """The law of an ideal over 3⁴ states: of its patterns, of its chain, of its tree."""
    if isinstance(ideal, DatasetIdeal):
        return oracle.dataset_law(ideal.patterns, 3)
    if isinstance(ideal, MarkovIdeal):
        source = MarkovChain(np.exp(ideal._log_matrix), np.exp(ideal._log_start))
    else:
        source = RandomHierarchy(ideal._rules)
    return enumerate_law(source, 3, 4).ravel()


@given(seed=strategies.seeds, kind=st.integers(0, 2), certain=st.sampled_from(["masked", "all"]))
def test_off_the_support_those_count_that_contradict_the_fewest_visible_tokens(seed, kind, certain):
    """[T39]: P(x_i = v | …) ∝ Σ over states of law · e^{-β · contradictions elsewhere}, β → ∞."""
    rng = np.random.default_rng(seed)
    uniform, masked = ideals(rng)[kind]
    law, x = exact_law(uniform), oracle.states(3, 4)
    z = rng.integers(4 if certain == "masked" else 3, size=4)
    found = masked(z[None], 0.5)[0]
    if certain == "all":
        np.testing.assert_array_equal(found, uniform(z[None], 1.0)[0])
    assert not np.isnan(found).any()
    for i in range(4):
        others = (np.arange(4) != i) & (z < 3)
        misses = (x[:, others] != z[others]).sum(axis=1)
        least = misses == misses[law > 0].min()
        wanted = np.bincount(x[:, i], law * least, 3)
        np.testing.assert_allclose(np.exp(found[i]), wanted / wanted.sum(), rtol=1e-9, atol=1e-12)


# ---- entropy and information --------------------------------------------------------------------


def uniform_of_law(law):
    def denoiser(tokens, alpha):
        with np.errstate(divide="ignore"):
            return np.log([
                oracle.conditionals(law.ravel(), law.shape[0], z, a, leave_out=True)
                for z, a in zip(tokens, alpha, strict=True)
            ])  # fmt: skip

    return denoiser


@pytest.mark.parametrize(
    ("law", "masked", "uniform"),
    [(T11A, 1.781973, 1.881956), (LAW2, math.log(4), 1.708814)],
)
def test_the_area_under_the_entropy_is_that_of_the_data_for_the_masked_process_alone(
    law, masked, uniform
):
    """[T40]: ∫ Σ_i H(x0_i | x_t without i) dα."""
    V, L = law.shape[0], law.ndim
    nodes, weights = np.polynomial.legendre.leggauss(40)
    for process, denoiser, wanted in (
        (Absorbing(V), of_law(law), masked),
        (Uniform(V), uniform_of_law(law), uniform),
    ):
        z, area = oracle.states(process.states, L), 0.0
        for u, w in zip((nodes + 1) / 2, weights / 2, strict=True):
            alpha = 1 - u**3
            H = entropy(denoiser(z, np.full(len(z), alpha))).sum(axis=1)
            area += 3 * u**2 * w * float(carried(law, process, alpha).ravel() @ H)
        assert area == pytest.approx(wanted, abs=1e-6)


UNIFORM = [(0.2, 0.075985, 0.729392), (0.5, 0.420433, 1.506569), (0.8, 0.947440, 1.967142)]
MASKED = [(0.2, 0.399036, 1.829367), (0.5, 0.877053, 1.365057), (0.8, 1.222657, 0.946620)]


@pytest.mark.parametrize(
    ("process", "alpha", "information", "rate"),
    [(Uniform(3), *row) for row in UNIFORM] + [(Absorbing(3), *row) for row in MASKED],
)
def test_the_mean_loss_of_the_ideal_is_the_information_that_is_lost(
    process, alpha, information, rate
):
    """[T41]: E ℓ = dI(x0; x_t)/dα for α' = -1, on D2; by differences of I over ±1e-4."""

    def mutual(a):
        p_t = carried(LAW2, process, a).ravel()
        each = process.marginal(D2, a)  # (P, L, states)
        joint = np.stack([
            np.einsum("a,b,c->abc", *rows).ravel() for rows in each
        ]) / len(D2)  # fmt: skip
        return shannon(p_t) + math.log(4) - shannon(joint)

    assert mutual(alpha) == pytest.approx(information, abs=1e-6)
    ideal, z = DatasetIdeal(D2, 3, process), oracle.states(process.states, 3)
    log_p, loss = ideal(z, alpha), 0.0
    for x in D2:
        chance = process.marginal(x, alpha)[np.arange(3), z].prod(axis=1)
        each = process.nelbo(log_p, np.broadcast_to(x, z.shape), z, alpha, -1.0).sum(axis=1)
        loss += float(np.where(chance > 0, chance * each, 0).sum()) / len(D2)
    assert loss == pytest.approx(rate, abs=1e-6)
    slope = (mutual(alpha + 1e-4) - mutual(alpha - 1e-4)) / 2e-4
    assert loss == pytest.approx(slope, abs=1e-6)


def test_the_leave_one_out_entropy_of_the_uniform_process_ends_as_that_of_one_mask():
    """[T41]: as α → 1, P(x_i | x_t without i) is P(x_i | …) with i alone masked."""
    rng = np.random.default_rng(5)
    for uniform, masked in ideals(rng)[1:]:
        x = oracle.states(3, 4)[rng.choice(81, p=exact_law(uniform), size=3)]
        near = np.exp(uniform(x, 1 - 1e-11))
        for i in range(4):
            z = x.copy()
            z[:, i] = 3
            np.testing.assert_allclose(near[:, i], np.exp(masked(z, 0.5))[:, i], atol=1e-8)
