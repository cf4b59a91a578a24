"""Worlds of three tokens, and the laws of chains on them, for the tests of samplers.

A chain of N steps visits α = 1 - k/N, k = N … 0, and starts from noise, as in `test_chains`.
"""

from itertools import pairwise

import numpy as np

from experiments.kit.chains import World
from minuddm import Absorbing, DatasetIdeal, Uniform
from minuddm.ideal import MarkovIdeal
from minuddm.sources import MarkovChain
from tests import oracle

D2 = oracle.states(3, 3)[np.random.default_rng(0).permutation(27)[:4]]
LAW = oracle.dataset_law(D2, 3)
PROCESSES = (Uniform(3), Absorbing(3))
UNIFORM, MASKED = (World(process, DatasetIdeal(D2, 3, process), 3) for process in PROCESSES)
CHAIN = MarkovChain.random(3, np.random.default_rng(1))
MARKOV = [World(process, MarkovIdeal(CHAIN, process), 3) for process in PROCESSES]


def even(N):
    return 1 - np.arange(N, -1, -1) / N


def law_at(world, alpha, law):
    """p_t over all states, from the law of clean ones."""
    x, z = oracle.states(3, 3), world.states
    kernel = world.process.marginal(x, alpha)  # (n, L, states)
    return law @ np.prod([kernel[:, i][:, z[:, i]] for i in range(3)], axis=0)


def clean_law(world):
    if world in MARKOV:
        return np.exp(CHAIN.log_prob(oracle.states(3, 3)))
    return LAW


def last_law(world, alphas, step, corrector=None):
    """The law at the end of a chain through alphas, corrected after every step but the last."""
    law = world.noise()
    for alpha_t, alpha_s in pairwise(alphas):
        law = law @ step(alpha_s, alpha_t)
        if corrector is not None and alpha_s < 1:
            law = law @ corrector(alpha_s)
    return law


def distance(one, other):
    return 0.5 * np.abs(one - other).sum()


def distance_to_clean(world, law):
    """Total variation between a law over all states and that of clean sequences."""
    return distance(law, law_at(world, 1.0, clean_law(world)))


def prompted(world, alphas, corrected):
    """The law of a chain whose first token is held at 1."""
    law = np.where(world.states[:, 0] == 1, 1.0, 0.0)
    law[law > 0] = world.noise().reshape(world.process.states, -1).sum(axis=0)
    for alpha_t, alpha_s in pairwise(alphas):
        law = law @ world.bridge(alpha_s, alpha_t, [0])
        if corrected and alpha_s < 1:
            law = law @ world.heat_bath(alpha_s, [0])
    return law
