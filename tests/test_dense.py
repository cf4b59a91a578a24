"""The dense memory on spins, and with every separation function on tokens [T17], [T19]."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from scipy.stats import chisquare

from hopfield import (
    BinaryMemory,
    Exponential,
    LogSumExp,
    LogSumReLU,
    Power,
    TokenMemory,
    hebbian,
)
from hopfield.landscape import change
from tests import oracle, strategies
from tests.rounding import of_energy as rounding


def energies(F, states, patterns):
    return np.array([-oracle.potential(F, patterns.astype(int) @ s) for s in states])


@given(case=strategies.spins_and_states(), F=strategies.separations())
def test_the_energy_of_spins_is_its_definition(case, F):
    patterns, states = case
    got = BinaryMemory(patterns, F).energy(states)
    wanted = energies(F, states, patterns)
    slack = rounding(F, states.astype(float) @ patterns.T)
    np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=1e-13, atol=slack)


@given(case=strategies.spins_and_states(), seed=strategies.seeds)
def test_hopfield_1982_is_the_case_n_is_2(case, seed):
    """F(z) = z²/2 and Hebbian couplings without diagonal: one dynamics, and E + PL/2 = L · E_W."""
    patterns, states = case
    P, L = patterns.shape
    dense, classical = BinaryMemory(patterns), hebbian(patterns)
    np.testing.assert_allclose(
        dense.energy(states) + P * L / 2, L * classical.energy(states), rtol=1e-12, atol=1e-9
    )
    for order in (None, seed):
        one, other = (
            m.recall(states, rng=None if order is None else np.random.default_rng(order))
            for m in (dense, classical)
        )
        np.testing.assert_array_equal(one.state, other.state)
        np.testing.assert_array_equal(one.steps, other.steps)
    one, other = (m.recall(states, synchronous=True) for m in (dense, classical))
    np.testing.assert_array_equal(one.state, other.state)
    np.testing.assert_array_equal(one.cycling, other.cycling)


@pytest.mark.parametrize("F", [Power(3), LogSumExp(0.7), LogSumReLU(0.5, 3.0)])
def test_a_long_heat_bath_draws_from_boltzmanns_law(F):
    """χ² of 4,000 chains over the 8 states of 3 spins; false alarm 1e-3 for each F."""
    rng = np.random.default_rng(3)
    patterns = np.array([[1, 1, 1], [1, -1, 1], [-1, -1, 1]], np.int8)
    memory = BinaryMemory(patterns, F)
    states = np.array(list(itertools.product([-1, 1], repeat=3)), np.int8)
    weight = np.exp(-0.3 * memory.energy(states))
    starts = rng.choice(np.array([-1, 1], np.int8), size=(4000, 3))
    end = memory.heat_bath(starts, rng, beta=0.3, sweeps=30).state
    counts = (end[:, None] == states).all(axis=2).sum(axis=0)
    expected = 4000 * weight / weight.sum()
    kept = expected > 1e-9  # the Epanechnikov memory forbids some states
    assert counts[~kept].sum() == 0
    assert chisquare(counts[kept], expected[kept]).pvalue > 1e-3


def test_a_heat_bath_reports_what_moved():
    patterns = np.ones((1, 6), np.int8)
    cold = BinaryMemory(patterns, LogSumExp(50.0)).heat_bath(
        -patterns, np.random.default_rng(0), beta=50.0, sweeps=3
    )
    np.testing.assert_array_equal(cold.state, patterns)  # there is one minimum
    assert cold.energies.shape == (1, 4)
    assert cold.converged.all()
    assert cold.steps[0] <= 2


def test_a_synchronous_recall_finds_two_cycles():
    """Antiferromagnet: one pattern and its opposite couple two spins, which flip together."""
    memory = BinaryMemory([[1, -1]])
    found = memory.recall([[1, 1], [1, -1], [-1, -1]], synchronous=True)
    np.testing.assert_array_equal(found.cycling, [True, False, True])
    np.testing.assert_array_equal(found.converged, [False, True, False])
    np.testing.assert_array_equal(found.steps, [0, 0, 0])
    np.testing.assert_array_equal(found.state[1], [1, -1])


@given(case=strategies.spins_and_states())
def test_a_synchronous_step_is_all_single_steps_of_one_state(case):
    patterns, states = case
    memory = BinaryMemory(patterns, Power(3))
    sync = memory.recall(states, synchronous=True, max_sweeps=1)
    singles = np.stack([memory.step(states, i)[:, i] for i in range(states.shape[1])], axis=1)
    done = sync.energies.shape[1] == 1  # nothing moved at all
    np.testing.assert_array_equal(sync.state, states if done else singles)


@given(case=strategies.spins_and_states())
def test_of_symmetric_couplings_every_synchronous_recall_ends(case):
    """Goles & Olivos: a fixed point or a 2-cycle, nothing else."""
    patterns, states = case
    found = hebbian(patterns).recall(states, synchronous=True, max_sweeps=1000)
    assert (found.converged | found.cycling).all()


def test_an_exponential_memory_returns_patterns_by_the_thousand():
    """L = 40, P = 2^14 random patterns, 4 flips: at least 99 % of 1,000 come back."""
    rng = np.random.default_rng(0)
    patterns = rng.choice(np.array([-1, 1], np.int8), size=(2**14, 40))
    memory, probes = BinaryMemory(patterns, Exponential()), patterns[:1000]
    back = memory.recall(change(probes, 4, memory.values, rng)).state
    assert (back == probes).all(axis=1).mean() >= 0.99


def test_rectified_powers_do_not_know_negatives():
    pattern = np.ones((1, 9), np.int8)
    near = -pattern.copy()
    near[0, 0] = 1
    assert (BinaryMemory(pattern, Power(2)).recall(near).state == -1).all()
    # without negative overlaps nothing pulls until some site agrees; then the pattern wins
    rectified = BinaryMemory(pattern, Power(2, rectified=True))
    np.testing.assert_array_equal(rectified.recall(near).state, near)
    half = pattern.copy()
    half[0, :4] = -1
    np.testing.assert_array_equal(rectified.recall(half).state, pattern)


def test_repeats_are_bit_identical():
    rng = np.random.default_rng(1)
    patterns = rng.choice([-1, 1], size=(50, 30))
    x = rng.choice([-1, 1], size=(20, 30))
    memory = BinaryMemory(patterns, Power(4))
    one, two = (memory.recall(x, rng=np.random.default_rng(2)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    one, two = (memory.heat_bath(x, np.random.default_rng(2), beta=1e-4) for _ in range(2))
    np.testing.assert_array_equal(one.state, two.state)


MEMORY = BinaryMemory([[1, -1, 1]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BinaryMemory([[1, 0]]), "patterns must be -1 or 1, got 0"),
        (lambda: BinaryMemory([[1, 0.5]]), "patterns must be -1 or 1, got 0.5"),
        (lambda: BinaryMemory([[1, np.nan]]), "patterns must be -1 or 1, got nan"),
        (lambda: BinaryMemory([["a"]]), "patterns must be real numbers"),
        (lambda: BinaryMemory(np.zeros((0, 5))), r"patterns must not be empty, got shape \(0, 5\)"),
        (lambda: BinaryMemory([1, -1]), "2 axes"),
        (lambda: MEMORY.energy([[1, -1]]), "states must have length 3, got 2"),
        (lambda: MEMORY.recall([[1, -1, 2]]), "states must be -1 or 1, got 2"),
        (lambda: MEMORY.recall([[1, -1, 1]], max_sweeps=0), "max_sweeps must be at least 1"),
        (lambda: MEMORY.recall([[1, -1, 1]], synchronous=True, max_sweeps=0), "max_sweeps"),
        (lambda: MEMORY.conditionals([[1, -1, 1]], beta=0), "beta must be positive"),
        (lambda: MEMORY.heat_bath([[1, -1, 1]], None, sweeps=0), "sweeps must be"),
        (lambda: MEMORY.step([[1, -1, 1]], 3), "site must lie in 0 … 2, got 3"),
        (lambda: TokenMemory([[0, 3]], 3), "patterns must lie in 0 … 2, got 3"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
