"""The bound by noise level, and damage of exactly k tokens."""

import numpy as np
import pytest

from minuddm import DatasetIdeal, Linear, LogLinear, Uniform
from minuddm.ideal import MarkovIdeal
from minuddm.probes import held_out_nelbo, nelbo_by_level, recovered_after
from minuddm.sources import MarkovChain
from tests import oracle
from tests.chains import D2, LAW, PROCESSES

ALPHAS = np.array([0.75, 0.5, 0.1])


def joint(alpha):
    """p(x0, x_t) over all sequences, (27, 27), of the uniform process on D2."""
    kernel = Uniform(3).marginal(oracle.states(3, 3), alpha)  # (n, L, V)
    z = oracle.states(3, 3)
    return LAW[:, None] * np.prod([kernel[:, i][:, z[:, i]] for i in range(3)], axis=0)


def left_open(alpha):
    """H(x0 | x_t), nats a sequence."""
    both = joint(alpha)
    given = np.divide(both, both.sum(axis=0), out=np.ones_like(both), where=both > 0)
    return -float((both * np.log(given)).sum())


def returned(alpha):
    """The chance that a chain of infinitely many steps returns x0 from x_t."""
    both = joint(alpha)
    return float((both**2 / both.sum(axis=0)).sum())


def test_a_basin_reaches_as_far_as_the_bound_says():
    """[T47], with its numbers: P(exact) ≥ exp(-H(x0 | x_t)), by Jensen, without equality."""
    entropies, exact = np.array([(left_open(a), returned(a)) for a in ALPHAS]).T
    np.testing.assert_allclose(entropies, [0.535640, 0.965861, 1.366515], atol=1e-6)
    np.testing.assert_allclose(exact, [0.718132, 0.477605, 0.260055], atol=1e-6)
    assert (exact > np.exp(-entropies)).all()


def test_the_bound_up_to_t_is_the_entropy_left_at_t():
    """[T47]: ∫₀ᵗ E[ℓ] = H(x0 | x_t) at the ideal; 4 standard errors: one false alarm in 5,000."""
    ideal, x = DatasetIdeal(D2, 3), np.repeat(D2, 16, axis=0)
    edges = (1e-5, *(1 - ALPHAS))
    runs = np.array([
        nelbo_by_level(ideal, x, 3, Linear(), np.random.default_rng(seed), edges).mean(axis=0)
        for seed in range(20)
    ])  # fmt: skip
    reached = 3 * runs.cumsum(axis=1)
    error = reached.std(axis=0, ddof=1) / np.sqrt(20)
    wanted = np.array([left_open(alpha) for alpha in ALPHAS])
    assert (np.abs(reached.mean(axis=0) - wanted) < 4 * error + 1e-3).all()  # 1e-3: below 1e-5


@pytest.mark.parametrize("process", PROCESSES)
def test_levels_are_the_parts_of_the_bound(process):
    ideal, x = DatasetIdeal(D2, 3, process), np.repeat(D2, 16, axis=0)
    both = []
    for seed in range(20):
        chance = [np.random.default_rng([seed, k]) for k in range(2)]
        parts = nelbo_by_level(
            ideal, x, 3, LogLinear(), chance[0], (1e-5, 0.3, 1.0), process=process
        )
        assert parts.shape == (64, 2)
        whole = held_out_nelbo(ideal, x, 3, LogLinear(), chance[1], process=process)
        both.append([parts.sum(axis=1).mean(), whole.mean()])
    apart = np.diff(both, axis=1)[:, 0]  # besides: reconstruction and prior, below 1e-3
    assert abs(apart.mean()) < 4 * apart.std(ddof=1) / np.sqrt(20) + 2e-3


@pytest.mark.parametrize("edges", [(0.1,), (0.0, 0.5), (0.5, 0.2), (0.1, 1.5)])
def test_edges_rise_within_the_times(edges):
    with pytest.raises(ValueError, match=r"edges must be|t_max must lie|t_min must lie"):
        nelbo_by_level(DatasetIdeal(D2, 3), D2, 3, Linear(), np.random.default_rng(0), edges)


def test_denoisers_are_asked_about_the_same_damage():
    """A denoiser is as good as itself, and the ideal of the source beats one that knows nothing."""
    chain = MarkovChain.random(6, np.random.default_rng(0))
    ideal, x = MarkovIdeal(chain), chain.sample(100, 12, np.random.default_rng(1))

    def came(denoiser, changed=(1, 4, 12)):
        chance = np.random.default_rng(2)
        return recovered_after(denoiser, x, 6, changed, LogLinear(), 16, chance)

    np.testing.assert_array_equal(came(ideal), came(ideal))
    assert came(ideal).shape == (100, 3)
    known, guessed = came(ideal).mean(axis=0), came(lambda z, _: np.full((*z.shape, 6), -1.8))
    assert (known[:2] > guessed.mean(axis=0)[:2] + 0.1).all()
    with pytest.raises(ValueError, match=r"changed must lie in \[1, 12\], got 13"):
        came(ideal, (13,))
