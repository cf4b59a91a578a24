"""`hopfield.reference` obeys its law, and what is tabulated and compiled computes the same."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hopfield import BinaryMemory, LogSumExp, LogSumReLU, Power, TokenMemory
from hopfield.reference import PlainMemory, products
from tests import oracle, strategies
from tests.rounding import of_energy

SPINS = np.array([-1, 1])


@st.composite
def twins(draw):
    """A compiled memory of tokens or spins, the same in plain NumPy, and states (B, L)."""
    if draw(st.booleans(), label="spins"):
        patterns, states = draw(strategies.spins_and_states())
        F = draw(strategies.separations(origin=float(patterns.shape[1])))
        return BinaryMemory(patterns, F), PlainMemory(patterns, SPINS, F, products), states
    patterns, x, V = draw(strategies.patterns_and_query(most=40))
    F = draw(strategies.separations(origin=float(len(x))))
    far = np.random.default_rng(draw(strategies.seeds)).integers(V, size=(2, len(x)))
    plain = PlainMemory(patterns, np.arange(V), F)
    return TokenMemory(patterns, V, F=F), plain, np.vstack([x, far])


def rounding(plain):
    """What the energy of any state may be wrong by: no overlap exceeds L."""
    P, L = plain.patterns.shape
    return of_energy(plain.F, np.full((1, P), float(L)))


def undecided(plain, x, i):
    """Whether an energy at site i lies so near the lowest that float64 cannot say it is no tie."""
    states = [np.where(np.arange(len(x)) == i, v, x) for v in plain.values]
    z = [plain.overlaps(y, plain.patterns) for y in states]
    E = -np.array([oracle.extended_potential(plain.F, overlaps) for overlaps in z])
    if np.isinf(E.min()):
        return False  # all of them tie
    above, size = E - E.min(), 1 + np.abs(E.min())
    return ((above > 1e-17 * size) & (above < 1e-10 * size)).any()


def updated(memory, plain, x, i):
    """The reference's update; where several others tie for lowest, the one the memory takes."""
    assume(not undecided(plain, x, i))
    E, y = plain.site_energies(x, i), plain.update(x, i)
    if y[i] != x[i] and np.isclose(E, E.min(), rtol=1e-12, atol=1e-12).sum() > 1:
        taken = memory.step(x[None], i)[0]
        assert plain.energy(taken) <= E.min() + rounding(plain)
        return taken
    return y


# ---- the law ------------------------------------------------------------------------------------


@given(case=twins())
def test_no_update_raises_the_energy_and_recall_ends_where_none_lowers_it(case):
    _, plain, states = case
    for x in states:
        for i in range(len(x)):
            y = plain.update(x, i)
            assert plain.energy(y) <= plain.energy(x)
            assert (np.delete(y, i) == np.delete(x, i)).all()
        end = plain.recall(x)
        for i in range(len(x)):
            assert plain.update(end, i) is end


@given(case=strategies.patterns_and_query(), beta=st.floats(1e-2, 20))
def test_an_update_is_a_vote_of_the_patterns(case, beta):
    """x_i ← argmax_v Σ_{μ: ξ_i^μ = v} e^{β m_μ^{-i}}, as the docstring derives it [T19]."""
    patterns, x, V = case
    plain = PlainMemory(patterns, np.arange(V), LogSumExp(beta))
    for i in range(len(x)):
        if undecided(plain, x, i):
            continue
        elsewhere = (np.delete(patterns, i, axis=1) == np.delete(x, i)).sum(axis=1)
        weight = np.exp(beta * (elsewhere - elsewhere.max()))
        votes = np.array([weight[patterns[:, i] == v].sum() for v in range(V)])
        most = np.flatnonzero(votes >= votes.max() * (1 - 1e-12))
        wanted = x[i] if x[i] in most else most[0]
        assert plain.update(x, i)[i] == wanted


@pytest.mark.parametrize("F", [LogSumExp(2.0), Power(2), LogSumReLU(0.5, 2.0)])
def test_a_tie_keeps_the_present_value(F):
    plain = PlainMemory(np.array([[0, 0], [1, 0]]), np.arange(3), F)
    for x, wanted in (([0, 0], 0), ([1, 0], 1), ([2, 0], 0)):  # of tied others, the first
        assert plain.update(np.array(x), 0)[0] == wanted


def test_where_every_energy_is_infinite_nothing_is_preferred():
    plain = PlainMemory(np.zeros((1, 4), int), np.arange(3), LogSumReLU(1.0, 4.0))
    x = np.array([1, 2, 1, 2])  # no match: too far for the kernel, whatever one site does
    assert plain.energy(x) == np.inf
    np.testing.assert_array_equal(plain.recall(x), x)
    np.testing.assert_array_equal(plain.heat_bath(x, 0, 2.0), [1 / 3] * 3)


def test_long_spins_do_not_overflow():
    """Patterns are int8, and an overlap of 200 is not."""
    plain = PlainMemory(np.ones((1, 200), np.int8), SPINS, Power(2), products)
    assert plain.energy(np.ones(200, np.int8)) == -(200**2) / 2


# ---- compiled walks and tables are the same memory ----------------------------------------------


@given(case=twins())
def test_energies_are_those_of_the_reference(case):
    memory, plain, states = case
    got, wanted = memory.energy(states), np.array([plain.energy(x) for x in states])
    np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=1e-13, atol=rounding(plain))


@given(case=twins())
def test_a_step_is_an_update_of_the_reference(case):
    memory, plain, states = case
    for i in range(states.shape[1]):
        for x, y in zip(states, memory.step(states, i), strict=True):
            np.testing.assert_array_equal(y, updated(memory, plain, x, i))


@given(case=twins())
def test_a_recall_is_that_of_the_reference_sweep_by_sweep(case):
    memory, plain, states = case
    path = [states[-1]]
    while len(path) == 1 or (path[-1] != path[-2]).any():
        x = path[-1]
        for i in range(len(x)):
            x = updated(memory, plain, x, i)
        path.append(x)
    found = memory.recall(states[-1:])
    np.testing.assert_array_equal(found.state[0], path[-1])
    assert plain.recall(path[-1]) is path[-1]
    assert found.converged[0]
    assert found.steps[0] == len(path) - 2  # the last sweep changed nothing
    wanted = np.array([plain.energy(y) for y in path])
    np.testing.assert_array_equal(np.isinf(found.energies[0]), np.isinf(wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_allclose(
        found.energies[0, finite], wanted[finite], rtol=1e-13, atol=rounding(plain)
    )


@given(case=twins(), seed=strategies.seeds)
def test_a_sweep_in_random_order_is_those_updates_in_that_order(case, seed):
    memory, plain, states = case
    order = np.tile(np.arange(states.shape[1]), (len(states), 1))
    np.random.default_rng(seed).permuted(order, axis=1, out=order)
    found = memory.recall(states, rng=np.random.default_rng(seed), max_sweeps=1).state
    for x, sites, y in zip(states, order, found, strict=True):
        for i in sites:
            x = updated(memory, plain, x, i)
        np.testing.assert_array_equal(y, x)


@given(case=twins())
def test_a_synchronous_step_is_every_update_of_one_state(case):
    memory, plain, states = case
    found = memory.recall(states[-1:], synchronous=True, max_sweeps=1).state[0]
    for i in range(states.shape[1]):
        assert found[i] == updated(memory, plain, states[-1], i)[i]


@given(case=twins(), beta=st.floats(1e-2, 20))
def test_the_heat_bath_is_that_of_the_reference(case, beta):
    memory, plain, states = case
    assume(getattr(plain.F, "n", 0) <= 6)  # energies of 1e50 leave nothing but 0 and 1
    got = memory.conditionals(states, beta)
    if isinstance(memory, BinaryMemory):
        got = np.stack([1 - got, got], axis=-1)
    wanted = [[plain.heat_bath(x, i, beta) for i in range(len(x))] for x in states]
    # β times what two energies may be wrong by is the relative error of their weights
    np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * beta * rounding(plain) + 1e-12)
