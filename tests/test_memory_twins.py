"""Memories as a user would write them are those of this repository: values, states, steps."""

from importlib.util import find_spec

import numpy as np
import pytest

from experiments.bench.memory_twins import AttentionTwin, IdealTwin, RecallTwin
from hopfield import ContinuousMemory, TokenMemory
from minuddm import DatasetIdeal
from minuddm.transition import inverse_temperature

V, P, L, B = 7, 300, 12, 20


@pytest.fixture(params=["numpy", "torch"])
def xp(request):
    if find_spec(request.param) is None:
        pytest.skip("PyTorch is not installed (extra `bench`)")
    return __import__(request.param)


def patterns_and_states():
    rng = np.random.default_rng(0)
    patterns = rng.integers(V, size=(P, L))
    states = patterns[rng.integers(P, size=B)]
    return patterns, np.where(rng.random(states.shape) < 0.4, rng.integers(V, size=(B, L)), states)


@pytest.mark.parametrize("alpha", [0.1, 0.6, 0.95])
def test_the_conditionals_of_the_ideal_memoriser_agree(xp, alpha):
    patterns, states = patterns_and_states()
    beta = float(inverse_temperature(alpha, V))
    got = np.asarray(IdealTwin(xp, patterns, V)(states, beta))
    wanted = np.exp(DatasetIdeal(patterns, V)(states, alpha))
    np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("beta", [0.3, 3.0])
def test_recalls_end_in_the_same_states(xp, beta):
    patterns, states = patterns_and_states()
    got = np.asarray(RecallTwin(xp, patterns, V)(states, beta))
    np.testing.assert_array_equal(got, TokenMemory(patterns, V, beta).recall(states).state)


def test_steps_of_attention_agree(xp):
    rng = np.random.default_rng(1)
    patterns, states = rng.normal(size=(500, 6)), rng.normal(size=(9, 6))
    got = np.asarray(AttentionTwin(xp, patterns, 2.0)(states))
    np.testing.assert_allclose(got, ContinuousMemory(patterns, 2.0).step(states), atol=1e-12)
