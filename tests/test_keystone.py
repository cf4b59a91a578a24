"""The keystone: the diffused data set *is* the dense associative memory on tokens [T16].

Neither of `minuddm` and `hopfield` imports the other. Take the stored patterns as a data set,
corrupt it at α, and set the memory to β = log(1 + V α / (1 - α)). Then for every state z

    log p_t(z) = -β E(z) - log P + L log((1 - α)/V)
    heat bath of site i = α p_i + (1 - α)/V           p the ideal memoriser's conditional [T14]
    update of site i = argmax p_i                     ties are ties on both sides

Why: a token of ξ shows z_i with chance (1 - α)/V · e^{β 1[ξ_i = z_i]}, so ξ becomes z with chance
((1 - α)/V)^L e^{β m(z)}, whose mean over the patterns is the first line. In the vote of
`hopfield.reference` e^β - 1 is V α/(1 - α), and the last sum is p_i(v) Σ_μ e^{β m_μ^{-i}} [T14]:

    heat bath of site i ∝ 1 + V α/(1 - α) · p_i(v)

which is the second line. It rises with p_i(v): the third. The reverse chain asks for p_i alone, and
the memory at β has it. So diffusion with a perfect memory is retrieval while β rises from 0 to ∞.
"""

import numpy as np
from hypothesis import given
from scipy.special import logsumexp

from hopfield import LogSumExp, TokenMemory
from hopfield.reference import PlainMemory
from minuddm.ideal import DatasetIdeal
from minuddm.transition import inverse_temperature
from tests import oracle, strategies

cases = strategies.patterns_and_query()


@given(case=cases, alpha=strategies.inner_alphas)
def test_the_diffused_data_set_is_the_memorys_boltzmann_law(case, alpha):
    patterns, z, V = case
    P, L = patterns.shape
    beta = float(inverse_temperature(alpha, V))
    # Π_i q(z_i | ξ_i), the chance that pattern ξ became z, averaged over the patterns
    evidence = np.log(oracle.evidence(z[None], patterns, V, alpha)).sum(axis=1)
    log_p_t = logsumexp(evidence) - np.log(P)
    definition = PlainMemory(patterns, np.arange(V), LogSumExp(beta)).energy(z)
    for energy in (definition, TokenMemory(patterns, V, beta).energy(z[None])[0]):
        wanted = -beta * energy - np.log(P) + L * np.log((1 - alpha) / V)
        assert abs(log_p_t - wanted) < 1e-9 * (1 + abs(wanted))


@given(case=cases, alpha=strategies.inner_alphas)
def test_the_heat_bath_is_the_noisy_conditional_of_the_ideal_memoriser(case, alpha):
    patterns, z, V = case
    beta = float(inverse_temperature(alpha, V))
    p = np.exp(DatasetIdeal(patterns, V)(z[None], alpha)[0])
    plain = PlainMemory(patterns, np.arange(V), LogSumExp(beta))
    definition = [plain.heat_bath(z, i, beta) for i in range(len(z))]
    for bath in (definition, TokenMemory(patterns, V, beta).conditionals(z[None])[0]):
        np.testing.assert_allclose(bath, alpha * p + (1 - alpha) / V, rtol=1e-9, atol=1e-13)


@given(case=cases, alpha=strategies.inner_alphas)
def test_a_move_downhill_is_the_memorisers_most_likely_value(case, alpha):
    patterns, z, V = case
    memory = TokenMemory(patterns, V, float(inverse_temperature(alpha, V)))
    log_p = DatasetIdeal(patterns, V)(z[None], alpha)[0]
    rounding = 1e-14 * len(patterns)  # of a sum of P terms
    for i in range(len(z)):
        chosen, best = memory.step(z[None], i)[0, i], log_p[i].max()
        if log_p[i, z[i]] >= best - rounding / 10:  # surely a tie, which keeps the present value
            assert chosen == z[i]
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
