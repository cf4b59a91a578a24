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
