"""Worlds whose chains can be enumerated, for the tests of extraction.

Perfect memories D1 and D2, a Markov chain, and conditionals drawn anew for every state and alpha,
which belong to no law.
"""

import functools

import numpy as np
import pytest

from minuddm import Absorbing, DatasetIdeal, Linear, Uniform
from minuddm.ideal import MarkovIdeal
from minuddm.probes import generated_law
from tests import chains
from tests.chains import D2

D1 = np.array([[0, 0], [0, 1], [1, 0]])
PROCESSES = [Uniform(3), Absorbing(3)]


def crooked(process, L, seed=0):
    """Conditionals drawn for every state and alpha; all sequences of a call have one alpha."""

    @functools.cache
    def table(alpha):
        chance = np.random.default_rng([seed, round(alpha * 1e6)])
        return np.log(chance.dirichlet(np.ones(process.V), (process.states**L, L)))

    return lambda tokens, alpha: table(float(alpha[0]))[tokens @ process.states ** np.arange(L)]


WORLDS = {
    "D1, uniform": (DatasetIdeal(D1, 2), Uniform(2), D1[:1]),
    "D1, masked": (DatasetIdeal(D1, 2, Absorbing(2)), Absorbing(2), D1[:1]),
    "D2, uniform": (DatasetIdeal(D2, 3), Uniform(3), D2),
    "D2, masked": (DatasetIdeal(D2, 3, Absorbing(3)), Absorbing(3), D2),
    "chain, uniform": (MarkovIdeal(chains.CHAIN), Uniform(3), D2[:2]),
    "crooked, uniform": (crooked(Uniform(2), 2), Uniform(2), D1[1:]),
    "crooked, masked": (crooked(Absorbing(2), 2), Absorbing(2), D1[1:]),
}
"""Of each a denoiser, its process, and sequences whose chance is sought."""


def exact(denoiser, process, L, N, schedule=None, **options):
    """The law of a chain, which must be one."""
    law = generated_law(denoiser, L, process.V, schedule or Linear(), N, process, **options)
    assert law.shape == (process.V,) * L
    assert law.sum() == pytest.approx(1, abs=1e-9)
    return law
