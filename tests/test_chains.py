"""Chains of both processes with perfect memory: the chances of single sequences, and of copies.

A chain of N steps visits α = 1 - k/N, k = N … 0, and starts from noise.
"""

import math

import numpy as np
import pytest

from minuddm import Absorbing, DatasetIdeal, Uniform
from tests import oracle

D1 = np.array([[0, 0], [0, 1], [1, 0]])
D2 = oracle.states(3, 3)[np.random.default_rng(0).permutation(27)[:4]]


def last_law(ideal, process, L, steps):
    """The law of a chain of N steps, a product of matrices over all states: α = 1 - k/N."""
    z = oracle.states(process.states, L)
    start = (
        np.ones(len(z)) / len(z) if process.states == process.V else (z == process.V).all(1) * 1.0
    )
    for k in range(steps, 0, -1):
        alpha_t, alpha_s = 1 - k / steps, 1 - (k - 1) / steps
        q = process.bridge(z, np.exp(ideal(z, alpha_t)), alpha_s, alpha_t)  # (n, L, states)
        matrix = np.ones((len(z), len(z)))
        for i in range(L):
            matrix *= q[:, i][:, z[:, i]]
        start = start @ matrix
    return dict(zip(map(tuple, z.tolist()), start, strict=True))


@pytest.mark.parametrize(
    ("patterns", "V", "steps", "uniform", "masked"),
    [
        (D1, 2, 1, [0.444444], [0.444444]),
        (D1, 2, 2, [0.412534], [0.388889]),
        (D1, 2, 8, [0.366691], [0.347222]),
        (D1, 2, 64, [0.339994], [0.335069]),
        (D2, 3, 4, [0.207434, 0.160327, 0.276707, 0.202819],
         [0.218750, 0.192383, 0.260742, 0.208984]),
        (D2, 3, 16, [0.239432, 0.224544, 0.262273, 0.239332],
         [0.241943, 0.235168, 0.252869, 0.239624]),
    ],
)  # fmt: skip
def test_chains_of_both_processes_extract_with_the_known_chances(
    patterns, V, steps, uniform, masked
):
    for process, wanted in ((Uniform(V), uniform), (Absorbing(V), masked)):
        law = last_law(DatasetIdeal(patterns, V, process), process, patterns.shape[1], steps)
        assert sum(law.values()) == pytest.approx(1, abs=1e-12)
        found = [law[tuple(x)] for x in patterns[: len(wanted)].tolist()]
        np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("process", "steps", "share"),
    [(Uniform(28), 4, 0.99), (Uniform(28), 8, 1.0), (Absorbing(28), 8, 0.06),
     (Absorbing(28), 16, 0.29), (Absorbing(28), 32, 0.57)],
)  # fmt: skip
def test_the_uniform_process_corrects_itself_and_the_masked_one_commits(process, steps, share):
    """Shares of 500 samples that are copies, to .02 and 4 standard errors: 6e-5 false alarms."""
    patterns = np.random.default_rng(0).integers(0, 28, (16, 32))
    ideal, rng = DatasetIdeal(patterns, 28, process), np.random.default_rng(steps)
    z = process.noise((500, 32), rng)
    for k in range(steps, 0, -1):
        alpha_t, alpha_s = 1 - k / steps, 1 - (k - 1) / steps
        u = rng.random(z.shape)
        z = process.bridge_quantile(z, ideal(z, alpha_t), alpha_s, alpha_t, u)
    copies = (z[:, None] == patterns).all(axis=2).any(axis=1).mean()
    assert abs(copies - share) < 0.02 + 4 * math.sqrt(share * (1 - share) / 500)
