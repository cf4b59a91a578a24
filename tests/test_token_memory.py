import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopfield import TokenMemory
from tests import oracle, strategies

betas = st.one_of(st.sampled_from([1e-2, 1.0, 1e3]), st.floats(1e-2, 1e3))


@given(case=strategies.patterns_and_query(), beta=betas)
def test_the_energy_is_its_definition(case, beta):
    patterns, x, V = case
    energy = TokenMemory(patterns, V, beta).energy(x[None])[0]
    assert energy == pytest.approx(oracle.energy(x, patterns, beta), rel=1e-12, abs=1e-12)


@given(case=strategies.patterns_and_query(), beta=betas, seed=strategies.seeds)
def test_the_energy_never_rises_and_recall_ends_at_a_fixed_point(case, beta, seed):
    patterns, _, V = case
    rng = np.random.default_rng(seed)
    x = rng.integers(V, size=(5, patterns.shape[1]))
    memory = TokenMemory(patterns, V, beta)
    for order in (None, rng):
        recall = memory.recall(x, rng=order)
        # an energy is right to an ulp of L plus P roundings, divided by β, in the logarithm
        slack = 1e-14 * (patterns.shape[1] + len(patterns) / beta)
        assert (np.diff(recall.energies, axis=1) <= slack).all()
        assert recall.converged.all()
        np.testing.assert_allclose(recall.energies[:, -1], memory.energy(recall.state), atol=slack)
        again = memory.recall(recall.state)
        np.testing.assert_array_equal(again.state, recall.state)
        assert (again.steps == 0).all()


@given(case=strategies.patterns_and_query(), beta=st.floats(1e-2, 30))
def test_a_fixed_point_has_no_better_neighbour(case, beta):
    patterns, x, V = case
    state = TokenMemory(patterns, V, beta).recall(x[None]).state[0]
    here = oracle.energy(state, patterns, beta)
    for i in range(len(x)):
        for v in range(V):
            other = state.copy()
            other[i] = v
            assert oracle.energy(other, patterns, beta) >= here - 1e-12 * (1 + len(patterns) / beta)


@given(case=strategies.patterns_and_query(), beta=st.floats(1e-2, 30))
def test_the_heat_bath_is_the_boltzmann_law_of_one_site(case, beta):
    patterns, x, V = case
    got = TokenMemory(patterns, V, beta).conditionals(x[None])[0]
    for i in range(len(x)):
        energies = []
        for v in range(V):
            other = x.copy()
            other[i] = v
            energies.append(oracle.energy(other, patterns, beta))
        weight = np.exp(-beta * (np.array(energies) - min(energies)))
        np.testing.assert_allclose(got[i], weight / weight.sum(), rtol=1e-9, atol=1e-13)


def test_stored_patterns_are_recalled_from_a_third_of_their_tokens_changed():
    rng = np.random.default_rng(0)
    patterns = rng.integers(28, size=(200, 30))
    x = patterns.copy()
    x[:, ::3] = rng.integers(28, size=(200, 10))
    recall = TokenMemory(patterns, 28, 5.0).recall(x, rng=rng)
    np.testing.assert_array_equal(recall.state, patterns)
    assert recall.converged.all()
    assert (recall.steps <= 3).all()


def test_a_tie_keeps_the_present_value():
    memory = TokenMemory([[0, 0], [1, 1]], 3, 1.0)
    np.testing.assert_array_equal(memory.recall([[0, 1]]).state, [[1, 1]])
    np.testing.assert_array_equal(TokenMemory([[0], [1]], 3).recall([[1]]).state, [[1]])


def test_the_trace_holds_its_last_value_once_at_rest():
    patterns = np.random.default_rng(1).integers(4, size=(5, 12))
    noise = np.random.default_rng(2).integers(4, size=(20, 12))
    recall = TokenMemory(patterns, 4, 2.0).recall(noise)
    for steps, line in zip(recall.steps, recall.energies, strict=True):
        assert (line[steps:] == line[steps]).all()


def test_recall_can_be_cut_short():
    patterns = np.random.default_rng(3).integers(3, size=(40, 20))
    noise = np.random.default_rng(4).integers(3, size=(30, 20))
    recall = TokenMemory(patterns, 3, 0.5).recall(noise, max_sweeps=1)
    assert recall.energies.shape == (30, 2)
    assert not recall.converged.all()


def test_the_same_generator_gives_the_same_recall():
    patterns = np.random.default_rng(5).integers(3, size=(30, 15))
    noise = np.random.default_rng(6).integers(3, size=(10, 15))
    one, two = (
        TokenMemory(patterns, 3).recall(noise, rng=np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.state, two.state)
    np.testing.assert_array_equal(one.energies, two.energies)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TokenMemory([[0, 1]], 1), "V must be"),
        (lambda: TokenMemory([[0, 1]], 2, 0.0), "beta must be positive and finite, got 0.0"),
        (lambda: TokenMemory([[0, 1]], 2, np.inf), "beta"),
        (lambda: TokenMemory([[0, 2]], 2), "patterns must lie in 0 … 1, got 2"),
        (lambda: TokenMemory(np.zeros((0, 3), int), 2), "empty"),
        (lambda: TokenMemory([[0.5]], 2), "integers"),
        (lambda: TokenMemory([[0, 1]], 2).energy([[0]]), "length 2, got 1"),
        (lambda: TokenMemory([[0, 1]], 2).recall([[0, -1]]), "0 … 1, got -1"),
        (lambda: TokenMemory([[0, 1]], 2).recall([[0, 1]], max_sweeps=0), "max_sweeps"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
