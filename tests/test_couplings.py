import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from threadpoolctl import threadpool_limits

from hopfield import Couplings, hebbian, pseudo_inverse, storkey
from hopfield.landscape import change
from tests import rational, strategies

RULES = (hebbian, storkey, pseudo_inverse)


def random_spins(seed, *shape):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), size=shape)


@given(seed=strategies.seeds, L=st.integers(2, 12))
def test_a_sweep_sets_each_spin_to_the_sign_of_its_field(seed, L):
    """Against the rule, site by site, with couplings that are not symmetric at all."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(L, L))
    np.fill_diagonal(W, 0)
    x = rng.choice([-1, 1], size=L)
    wanted = x.copy()
    for i in range(L):
        wanted[i] = 1 if W[i] @ wanted > 0 else -1
    found = Couplings(W).recall(x[None], max_sweeps=1)
    np.testing.assert_array_equal(found.state[0], wanted)
    assert found.energies[0, -1] == pytest.approx(-0.5 * wanted @ W @ wanted, abs=1e-12 * L * L)


@given(seed=strategies.seeds, L=st.integers(2, 12))
def test_a_synchronous_step_is_the_sign_of_all_fields(seed, L):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(L, L))
    np.fill_diagonal(W, 0)
    x = rng.choice([-1, 1], size=(3, L))
    found = Couplings(W).recall(x, synchronous=True, max_sweeps=1)
    np.testing.assert_array_equal(found.state, np.where(x @ W.T > 0, 1, -1))


def test_a_field_of_zero_keeps_the_spin():
    W = np.zeros((3, 3))
    x = random_spins(0, 4, 3)
    for synchronous in (False, True):
        found = Couplings(W).recall(x, synchronous=synchronous)
        np.testing.assert_array_equal(found.state, x)
        assert (found.steps == 0).all()


@given(case=strategies.spins_and_states())
def test_hebbs_couplings_are_the_mean_product(case):
    patterns, _ = case
    L = patterns.shape[1]
    wanted = [[0 if i == j else sum(int(p[i]) * int(p[j]) for p in patterns) / L
               for j in range(L)] for i in range(L)]  # fmt: skip
    np.testing.assert_allclose(hebbian(patterns).W, wanted, atol=1e-15)


def test_storkeys_rule_is_its_definition():
    patterns = random_spins(1, 3, 5).astype(float)
    L, W = 5, np.zeros((5, 5))
    for xi in patterns:
        h = [[sum(W[i, k] * xi[k] for k in range(L) if k not in (i, j)) for j in range(L)]
             for i in range(L)]  # fmt: skip
        W = np.array([[0.0 if i == j else
                       W[i, j] + (xi[i] * xi[j] - xi[i] * h[j][i] - h[i][j] * xi[j]) / L
                       for j in range(L)] for i in range(L)])  # fmt: skip
    np.testing.assert_allclose(storkey(patterns).W, W, atol=1e-14)


def test_better_rules_hold_more_patterns():
    """At half as many patterns as spins Hebb's rule holds none, the pseudo-inverse holds all."""
    patterns = random_spins(2, 60, 120)
    kept = {
        rule: (rule(patterns).recall(patterns).state == patterns).all(axis=1).mean()
        for rule in RULES
    }
    assert kept[hebbian] < 0.05
    assert kept[pseudo_inverse] == 1.0
    few = patterns[:18]
    assert (storkey(few).recall(few).state == few).all(axis=1).mean() > (
        hebbian(few).recall(few).state == few
    ).all(axis=1).mean()


def test_the_pseudo_inverse_projects_onto_its_patterns():
    patterns = random_spins(3, 4, 20)
    projection = np.linalg.pinv(patterns.astype(float)) @ patterns
    np.testing.assert_allclose(projection @ patterns.T, patterns.T, atol=1e-12)
    W = pseudo_inverse(patterns).W
    np.testing.assert_allclose(W + np.diag(np.diagonal(projection)), projection, atol=1e-12)


@st.composite
def small_sets(draw):
    """Patterns (P, L) of few spins: fewer than spins and many more, independent and repeated."""
    L, P = draw(st.integers(2, 7), label="L"), draw(st.sampled_from([1, 2, 3, 6, 20]), label="P")
    patterns = random_spins(draw(strategies.seeds, label="seed"), P, L)
    again = draw(st.integers(0, P), label="stored twice")
    return np.concatenate([patterns, patterns[:again]])


@given(patterns=small_sets(), rule=st.sampled_from(RULES))
def test_a_rule_is_the_same_in_rational_numbers_and_obeys_no_rounding(patterns, rule):
    """In every state: a field of zero keeps its spin, and no other is taken for one."""
    memory, exact = rule(patterns), getattr(rational, rule.__name__)(patterns)
    np.testing.assert_allclose(memory.W, np.array(exact, float), rtol=0, atol=1e-12)
    states = np.array(list(itertools.product([-1, 1], repeat=patterns.shape[1])))
    h = np.array([[float(f) for f in rational.fields(exact, s)] for s in states.tolist()])
    wanted = np.where(h * states < 0, -states, states)  # a Fraction that is not 0 is no float 0
    found = memory.recall(states, synchronous=True, max_sweeps=1)
    np.testing.assert_array_equal(found.state, wanted)


@given(seed=strategies.seeds, L=st.integers(2, 60), data=st.data())
def test_what_patterns_span_twice_they_span_once(seed, L, data):
    patterns = random_spins(seed, data.draw(st.integers(1, L), label="P"), L)
    once, twice = pseudo_inverse(patterns), pseudo_inverse(np.concatenate([patterns, -patterns]))
    smallest = np.linalg.svd(patterns.astype(float), compute_uv=False)
    cond = smallest[0] / smallest[smallest > 1e-9 * smallest[0]].min()
    np.testing.assert_allclose(once.W, twice.W, rtol=0, atol=2e-15 * L * cond)
    np.testing.assert_array_equal(twice.recall(patterns).state, patterns)


@given(seed=strategies.seeds, L=st.integers(2, 60), more=st.integers(0, 60))
def test_patterns_that_span_everything_couple_nothing(seed, L, more):
    """The projection is the identity: every state is a fixed point, and margins are 0."""
    basis = np.where(np.eye(L) > 0, -1, 1)  # ones, and ones but for one spin: independent
    basis[0] = 1
    patterns = np.concatenate([basis, random_spins(seed, more, L)])
    memory = pseudo_inverse(patterns)
    assert (memory.W == 0).all()
    x = random_spins(seed, 5, L)
    np.testing.assert_array_equal(memory.recall(x).state, x)
    assert (memory.margins(patterns) == 0).all()
    assert memory.asymmetry == 0


def test_asymmetry_is_zero_two_and_root_two():
    rng = np.random.default_rng(4)
    W = rng.normal(size=(300, 300))
    np.fill_diagonal(W, 0)
    assert Couplings(W + W.T).asymmetry == 0
    assert Couplings(W - W.T).asymmetry == pytest.approx(2)
    assert Couplings(W).asymmetry == pytest.approx(np.sqrt(2), abs=0.02)  # sd 1/300 or so
    assert Couplings(np.zeros((2, 2))).asymmetry == 0


@given(case=strategies.spins_and_states())
def test_margins_are_fields_of_unit_rows(case):
    patterns, _ = case
    memory = hebbian(patterns)
    for mu, xi in enumerate(patterns.astype(float)):
        for i in range(len(xi)):
            size = np.sqrt((memory.W[i] ** 2).sum())
            wanted = xi[i] * (memory.W[i] @ xi) / size if size else 0.0
            assert memory.margins(patterns)[mu, i] == pytest.approx(wanted, abs=1e-12)


def test_a_long_heat_bath_draws_from_boltzmanns_law():
    """χ² of 4,000 chains over 16 states; false alarm 1e-3."""
    rng = np.random.default_rng(5)
    W = rng.normal(size=(4, 4))
    W = np.triu(W, 1) + np.triu(W, 1).T
    memory = Couplings(W)
    states = np.array(np.meshgrid(*[[-1, 1]] * 4, indexing="ij")).reshape(4, -1).T
    weight = np.exp(-0.7 * memory.energy(states))
    end = memory.heat_bath(random_spins(6, 4000, 4), rng, beta=0.7, sweeps=30)
    counts = (end.state[:, None] == states).all(axis=2).sum(axis=0)
    assert chisquare(counts, 4000 * weight / weight.sum()).pvalue > 1e-3
    np.testing.assert_allclose(end.energies[:, -1], memory.energy(end.state), atol=1e-12)


def test_a_conditional_is_the_logistic_of_twice_the_field():
    memory = hebbian(random_spins(7, 5, 9))
    x = random_spins(8, 3, 9)
    np.testing.assert_allclose(
        memory.conditionals(x, 0.8), 1 / (1 + np.exp(-1.6 * memory.fields(x))), rtol=1e-12
    )


def test_the_classical_network_falls_through_its_capacity_where_theory_says():
    """n = 2 at L = 2,000, recall from the patterns themselves: mean overlap .95 at .138 ± .01.

    One set of patterns each; sets differ by .02 in overlap here (4 sets), the distance to .95 is
    above .04 on both sides.
    """
    rng = np.random.default_rng(9)
    overlaps = []
    for P in (256, 296):  # loads .128 and .148
        patterns = rng.choice(np.array([-1, 1], np.int8), size=(P, 2000))
        found = hebbian(patterns).recall(patterns, rng=rng)
        overlaps.append((found.state * patterns).mean())
    assert overlaps[0] > 0.95 > overlaps[1]


def test_repeats_are_bit_identical():
    patterns, x = random_spins(10, 40, 100), random_spins(11, 30, 100)
    memory = hebbian(patterns)
    one, two = (memory.recall(x, rng=np.random.default_rng(0)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_bits_of_a_rule_do_not_depend_on_the_threads_of_blas():
    patterns = random_spins(14, 300, 300)
    for rule in RULES:
        found = []
        for threads in (1, 2):
            with threadpool_limits(threads, user_api="blas"):
                found.append(rule(patterns[:30] if rule is storkey else patterns).W)
        np.testing.assert_array_equal(*found)


def test_damaged_patterns_are_repaired():
    patterns = random_spins(12, 10, 200)
    noisy = change(patterns, 40, [-1, 1], np.random.default_rng(1))
    for rule in RULES:
        np.testing.assert_array_equal(rule(patterns).recall(noisy).state, patterns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Couplings([[0, 1]]), r"W must be square with zero diagonal, got shape \(1, 2\)"),
        (lambda: Couplings(np.eye(2)), "zero diagonal"),
        (lambda: Couplings([[0, np.inf], [1, 0]]), "W must be finite, got inf"),
        (lambda: Couplings([["a"]]), "W must be real numbers"),
        (lambda: hebbian([[1, 2]]), "patterns must be -1 or 1, got 2"),
        (lambda: storkey(np.zeros((0, 3))), "empty"),
        (lambda: hebbian([[1, -1]]).recall([[1]]), "states must have length 2, got 1"),
        (lambda: hebbian([[1, -1]]).recall([[1, -1]], max_sweeps=0), "max_sweeps"),
        (lambda: hebbian([[1, -1]]).conditionals([[1, -1]], -1), "beta must be positive"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
