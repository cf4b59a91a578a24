import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from minuddm.nelbo import enumerate_law
from minuddm.sources import MarkovChain, RandomHierarchy
from tests import oracle, strategies


def chain(seed=0, V=3):
    return MarkovChain.random(V, np.random.default_rng(seed), 1.0)


def grammar(seed=0, v=3, m=2, s=2, d=2):
    return RandomHierarchy.random(v, m, s, d, np.random.default_rng(seed))


@given(V=st.integers(2, 4), L=st.integers(1, 4), seed=strategies.seeds)
def test_a_chains_probabilities_sum_to_one_and_give_its_entropy(V, L, seed):
    source = chain(seed, V)
    law = enumerate_law(source, V, L).ravel()
    assert law.sum() == pytest.approx(1, abs=1e-12)
    entropy = -(law * np.log(np.where(law > 0, law, 1))).sum()
    assert source.entropy(L) * L == pytest.approx(entropy, abs=1e-10)


@given(V=st.integers(2, 5), seed=strategies.seeds)
def test_a_chain_starts_where_it_stays(V, seed):
    source = chain(seed, V)
    np.testing.assert_allclose(source.start @ source.matrix, source.start, atol=1e-10)


def test_a_given_start_is_used():
    source = MarkovChain([[0.5, 0.5], [0.1, 0.9]], start=[1.0, 0.0])
    assert (source.sample(100, 3, np.random.default_rng(0))[:, 0] == 0).all()
    assert source.log_prob([[1, 0]])[0] == -np.inf
    assert not source.contains([[1, 0]])[0]


def test_a_deterministic_chain_has_no_entropy_but_its_start():
    cycle = MarkovChain([[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert cycle.entropy(10) * 10 == pytest.approx(math.log(3))
    x = cycle.sample(50, 7, np.random.default_rng(1))
    assert ((x[:, 1:] - x[:, :-1]) % 3 == 1).all()


def test_chains_sample_their_law():
    """Chi-square over all 27 sequences with a fixed seed; false alarm 1e-4 when written."""
    source, n = chain(2), 100_000
    x = source.sample(n, 3, np.random.default_rng(3))
    counts = np.bincount(x @ [9, 3, 1], minlength=27)
    expected = n * enumerate_law(source, 3, 3).ravel()
    assert chisquare(counts, expected).pvalue > 1e-4


@given(
    v=st.integers(2, 4),
    m=st.integers(1, 2),
    s=st.integers(2, 3),
    d=st.integers(1, 2),
    seed=strategies.seeds,
)
def test_every_sampled_sequence_has_a_derivation(v, m, s, d, seed):
    source = grammar(seed, v, m, s, d)
    x = source.sample(20, np.random.default_rng(seed))
    assert x.shape == (20, s**d)
    assert source.contains(x).all()
    np.testing.assert_allclose(source.log_prob(x), -source.L * source.entropy())


def test_a_hierarchys_probabilities_sum_to_one_over_its_support():
    source = grammar(4)
    x = oracle.states(3, 4)
    inside = source.contains(x)
    assert inside.sum() == 3 * 2**3  # v m^N derivations, all different
    law = enumerate_law(source, 3, 4)
    assert law.sum() == pytest.approx(1)
    assert -(law[law > 0] * np.log(law[law > 0])).sum() / 4 == pytest.approx(source.entropy())
    assert (source.log_prob(x[~inside]) == -np.inf).all()


def test_hierarchies_sample_their_law():
    source, n = grammar(5), 50_000
    x = source.sample(n, np.random.default_rng(6))
    counts = np.bincount(x @ [27, 9, 3, 1], minlength=81)
    law = enumerate_law(source, 3, 4).ravel()
    assert (counts[law == 0] == 0).all()
    assert chisquare(counts[law > 0], n * law[law > 0]).pvalue > 1e-4


@pytest.mark.parametrize(("rules", "entropy"), [(2, 0.7798), (3, 1.1599)])
def test_the_default_hierarchy_has_its_known_entropy(rules, entropy):
    source = RandomHierarchy.random(8, rules, 2, 4, np.random.default_rng(7))
    assert source.entropy() == pytest.approx(entropy, abs=5e-5)
    assert source.L == 16


def test_one_symbol_cannot_be_told_from_another_by_anything_but_its_rules():
    """The parser inverts the sampler: the root of a derivation is the one it was made from."""
    source = grammar(8, v=4, m=2, s=2, d=3)
    x = np.repeat(np.arange(4, dtype=np.int32), 25)[:, None]
    rng, roots = np.random.default_rng(9), x[:, 0].copy()
    for level in source.rules:
        x = level[x, rng.integers(2, size=x.shape)].reshape(100, -1)
    for parents in source._parents[::-1]:
        x = parents[source._code(x.reshape(100, -1, 2))]
    np.testing.assert_array_equal(x[:, 0], roots)


AMBIGUOUS = np.array([[[[0, 0], [0, 1]], [[1, 1], [0, 1]]]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MarkovChain([[0.5, 0.4], [0.5, 0.5]]), "rows that sum to one, got 0.9"),
        (lambda: MarkovChain([[1.5, -0.5], [0.5, 0.5]]), "finite and not negative"),
        (lambda: MarkovChain([[0.5, 0.5]]), "square"),
        (lambda: MarkovChain([[1.0]]), "V must be at least 2"),
        (lambda: MarkovChain(np.eye(2)), "several stationary laws; give a start"),
        (lambda: MarkovChain(np.eye(2), start=[0.5, 0.4]), "start must have rows that sum"),
        (lambda: MarkovChain(np.eye(2), start=[1.0]), r"start must have shape \(2,\)"),
        (lambda: MarkovChain.random(3, np.random.default_rng(0), 0.0), "concentration"),
        (lambda: chain().log_prob([[0, 3]]), "x must lie in 0 … 2, got 3"),
        (
            lambda: RandomHierarchy(AMBIGUOUS),
            r"ambiguous: \[0, 1\] is a right side twice in level 0",
        ),
        (lambda: RandomHierarchy(np.zeros((2, 2), int)), "shape"),
        (lambda: RandomHierarchy(np.full((1, 2, 1, 2), 2)), "rules must lie in 0 … 1, got 2"),
        (lambda: grammar(v=2, m=3, s=2), "need 6 different right sides; branching 2 has only 4"),
        (lambda: grammar().contains([[0, 1]]), "length 4, got 2"),
    ],
)
def test_impossible_sources_get_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
