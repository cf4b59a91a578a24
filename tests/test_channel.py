"""The channel of one token [T42]: its capacity, a memory that fails there, and coupled recovery."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, xlogy

from experiments.kit.overlaps import half_recall, recalled
from minuddm import Absorbing, Uniform, posterior
from minuddm.probes import alpha_of_capacity, channel_capacity
from tests.test_theory_masked import carried, of_law, uniform_of_law

ALPHA = st.one_of(st.sampled_from([0.0, 5e-324, 1.0]), st.floats(0.0, 1.0))


@given(V=st.integers(2, 300), alpha=ALPHA)
def test_the_capacities_are_those_of_an_erasure_and_of_a_symmetric_channel(V, alpha):
    e = (1 - alpha) * (1 - 1 / V)
    symmetric = math.log(V) + xlogy(1 - e, 1 - e) + xlogy(e, e) - e * math.log(V - 1)
    masked, uniform = (channel_capacity(make(V), alpha) for make in (Absorbing, Uniform))
    assert masked == pytest.approx(alpha * math.log(V), abs=1e-12)
    assert uniform == pytest.approx(symmetric, abs=1e-12)
    assert uniform <= masked + 1e-12


@pytest.mark.parametrize(
    ("V", "alpha", "masked", "uniform"), [(28, 0.75, 2.4992, 1.9854), (4, 0.5, 0.6931, 0.3128)]
)
def test_the_known_capacities(V, alpha, masked, uniform):
    assert channel_capacity(Absorbing(V), alpha) == pytest.approx(masked, abs=5e-5)
    assert channel_capacity(Uniform(V), alpha) == pytest.approx(uniform, abs=5e-5)


@given(V=st.integers(2, 300), share=ALPHA)
def test_an_alpha_has_the_capacity_asked_for(V, share):
    for process in (Absorbing(V), Uniform(V)):
        alpha = alpha_of_capacity(process, share * math.log(V))
        assert channel_capacity(process, alpha) == pytest.approx(share * math.log(V), abs=1e-9)


@pytest.mark.parametrize("capacity", [-0.1, 1.1, math.nan])
def test_a_capacity_that_no_alpha_has_is_refused(capacity):
    with pytest.raises(ValueError, match="capacity must"):
        alpha_of_capacity(Uniform(3), capacity)


KNOWN = [
    (Absorbing(28), {16: 2.541, 64: 2.510, 256: 2.502}),
    (Uniform(28), {16: 2.044, 64: 2.006, 256: 1.995}),
]


@pytest.mark.parametrize(("process", "known"), KNOWN)
def test_half_of_what_a_perfect_memory_restores_is_right_near_capacity(process, known):
    """[T42]: within five standard errors of ½ (false alarms: 1e-6 each); certain, lost beyond."""
    rng, C = np.random.default_rng(0), channel_capacity(process, 0.75)
    for L, at in known.items():
        assert abs(recalled(process, 0.75, L, L * at, rng).mean() - 0.5) < 5 * 0.5 / 2000**0.5
    assert recalled(process, 0.75, 4000, 4000 * (C - 0.1), rng, n=50).mean() > 0.99
    assert recalled(process, 0.75, 4000, 4000 * (C + 0.1), rng, n=50).mean() < 0.01
    assert half_recall(process, 0.75, 64, seed=0) == pytest.approx(known[64], abs=0.02)


@pytest.mark.parametrize("process", [Absorbing(4), Uniform(4)])
def test_overlaps_stand_for_patterns(process):
    """The same memory with its patterns: means within five standard errors."""
    rng, P, L, alpha = np.random.default_rng(1), 60, 8, 0.5
    weights = np.empty(1500)
    for k in range(len(weights)):
        patterns = rng.integers(4, size=(P + 1, L))
        z = process.corrupt(patterns[:1], alpha, rng)
        beta = np.minimum(process.inverse_temperature(z, alpha), 1e4)
        evidence = (beta * (patterns == z)).sum(axis=1)
        weights[k] = np.exp(evidence[0] - logsumexp(evidence))
    drawn = recalled(process, alpha, L, math.log(P), rng, n=20_000)
    error = math.hypot(weights.std() / len(weights) ** 0.5, drawn.std() / len(drawn) ** 0.5)
    assert 0.05 < weights.mean() < 0.95
    assert abs(weights.mean() - drawn.mean()) < 5 * error


def test_masked_tokens_come_back_no_less_often_than_the_same_tokens_redrawn():
    """[T42]: the expected number of tokens changed and restored, over 200 random laws."""
    rng, gains = np.random.default_rng(2), []
    for _ in range(200):
        V, L = [(2, 3), (3, 2)][rng.integers(2)]
        law, alpha = rng.dirichlet(np.full(V**L, 0.4)).reshape((V,) * L), rng.uniform(0.05, 0.95)
        z = np.indices((V,) * L).reshape(L, -1).T
        p = np.exp(posterior(uniform_of_law(law)(z, np.full(len(z), alpha)), z, alpha))
        changed = np.arange(V) != z[..., None]
        redrawn = carried(law, Uniform(V), alpha).ravel() @ (p**2 * changed).sum(axis=(1, 2))
        z = np.indices((V + 1,) * L).reshape(L, -1).T
        p = np.exp(of_law(law)(z, alpha)) * (z == V)[..., None]
        masked = carried(law, Absorbing(V), alpha).ravel() @ (p**2).sum(axis=(1, 2)) * (1 - 1 / V)
        gains.append(masked / redrawn)
    assert min(gains) >= 1 - 1e-12
    assert max(gains) > 1.1
