"""The keystone: the diffused data set *is* the dense associative memory on tokens [T16].

`minuddm` and `hopfield` were written without each other; here they meet. At β_t = log(1 + V α_t /
(1 - α_t)):

    log p_t(z) = -β E(z) - log P + L log((1 - α)/V)
    heat bath of the memory = α p_i(v) + (1 - α)/V, p the ideal memoriser's conditional
    descent of one site = the ideal memoriser's most likely value, ties on both sides alike
"""

import numpy as np
from hypothesis import given

from hopfield import TokenMemory
from minuddm.ideal import DatasetIdeal
from minuddm.transition import inverse_temperature
from tests import oracle, strategies

cases = strategies.patterns_and_query()


@given(case=cases, alpha=strategies.inner_alphas)
def test_the_diffused_data_set_is_the_memorys_boltzmann_law(case, alpha):
    patterns, z, V = case
    P, L = patterns.shape
    beta = float(inverse_temperature(alpha, V))
    # the evidence Π_i q(z_i | ξ_i), averaged over patterns, in logarithms
    evidence = np.log(oracle.evidence(z[None], patterns, V, alpha)).sum(axis=1)
    log_p_t = np.log(np.exp(evidence - evidence.max()).mean()) + evidence.max()
    energy = TokenMemory(patterns, V, beta).energy(z[None])[0]
    wanted = -beta * energy - np.log(P) + L * np.log((1 - alpha) / V)
    assert abs(log_p_t - wanted) < 1e-9 * (1 + abs(wanted))


@given(case=cases, alpha=strategies.inner_alphas)
def test_the_heat_bath_is_the_noisy_conditional_of_the_ideal_memoriser(case, alpha):
    patterns, z, V = case
    memory = TokenMemory(patterns, V, float(inverse_temperature(alpha, V)))
    p = np.exp(DatasetIdeal(patterns, V)(z[None], alpha))
    np.testing.assert_allclose(
        memory.conditionals(z[None]), alpha * p + (1 - alpha) / V, rtol=1e-9, atol=1e-13
    )


@given(case=cases, alpha=strategies.inner_alphas)
def test_a_move_downhill_is_the_memorisers_most_likely_value(case, alpha):
    """A sweep visits site 0 first, so rolling site i to the front shows its choice at z itself."""
    patterns, z, V = case
    beta = float(inverse_temperature(alpha, V))
    log_p = DatasetIdeal(patterns, V)(z[None], alpha)[0]
    for i in range(len(z)):
        memory = TokenMemory(np.roll(patterns, -i, axis=1), V, beta)
        chosen = memory.recall(np.roll(z, -i)[None], max_sweeps=1).state[0, 0]
        best, rounding = log_p[i].max(), 1e-14 * len(patterns)  # of a sum of P terms
        if log_p[i, z[i]] >= best - rounding / 10:
            assert chosen == z[i]  # a tie keeps the present value
        assert log_p[i, chosen] >= best - rounding


def test_ties_are_ties_on_both_sides():
    patterns, z = np.array([[0, 1], [2, 1], [0, 1], [2, 1]]), np.array([1, 1])
    p = np.exp(DatasetIdeal(patterns, 3)(z[None], 0.5)[0, 0])
    assert p[0] == p[2] == 0.5
    memory = TokenMemory(patterns, 3, float(inverse_temperature(0.5, 3)))
    bath = memory.conditionals(z[None])[0, 0]
    assert bath[0] == bath[2] > bath[1]
    for present in (0, 2):  # either of the tied values stays
        assert memory.recall([[present, 1]]).state[0, 0] == present
