import numpy as np
import pytest
from hypothesis import given

from minuddm.denoiser import posterior, score_ratios
from minuddm.ideal import DatasetIdeal
from tests import oracle, strategies


@given(case=strategies.patterns_and_query(), alpha=strategies.inner_alphas)
def test_the_ideal_memoriser_is_the_sum_over_its_patterns(case, alpha):
    patterns, z, V = case
    beta = np.log1p(V * alpha / (1 - alpha))
    for i in range(len(z)):
        others = np.arange(len(z)) != i
        m = (patterns[:, others] == z[others]).sum(axis=1)
        weight = np.exp(beta * (m - m.max()))
        wanted = np.array([weight[patterns[:, i] == v].sum() for v in range(V)]) / weight.sum()
        got = np.exp(DatasetIdeal(patterns, V)(z[None], alpha)[0, i])
        # β m is right to an ulp of β L ≤ 14 · 6; smaller weights underflow in the sum, not in ours
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-300)


def small(seed):
    rng = np.random.default_rng(seed)
    V, L = 3, 3
    return rng.integers(V, size=(5, L)), rng.integers(V, size=L), V, L


@given(seed=strategies.seeds, alpha=strategies.inner_alphas)
def test_score_ratios_are_ratios_of_the_diffused_law(seed, alpha):
    patterns, z, V, L = small(seed)
    p_t = oracle.marginal(oracle.dataset_law(patterns, V), V, L, alpha).reshape((V,) * L)
    ratios = score_ratios(DatasetIdeal(patterns, V)(z[None], alpha), z[None], alpha)[0]
    for i in range(L):
        line = p_t[tuple(slice(None) if k == i else z[k] for k in range(L))]
        np.testing.assert_allclose(ratios[i], line / line[z[i]], rtol=1e-9 + 1e-14 / (1 - alpha))


def test_without_signal_it_knows_only_how_often_each_value_occurs():
    patterns, z, V, _ = small(1)
    p = np.exp(DatasetIdeal(patterns, V)(z[None], 0.0)[0])
    wanted = np.stack([np.bincount(column, minlength=V) / 5 for column in patterns.T])
    np.testing.assert_allclose(p, wanted, atol=1e-14)


def test_without_noise_it_believes_the_patterns_that_match_best_elsewhere():
    patterns = np.array([[0, 0, 0], [0, 0, 1], [1, 1, 1]])
    log_p = DatasetIdeal(patterns, 2)([[0, 0, 1]], 1.0)[0]
    np.testing.assert_allclose(np.exp(log_p), [[1, 0], [1, 0], [0.5, 0.5]], atol=1e-14)
    assert np.isfinite(log_p).all()


@pytest.mark.parametrize("alpha", [1e-9, 1 - 1e-9])
def test_nothing_overflows_at_the_extremes(alpha):
    patterns = np.random.default_rng(2).integers(4, size=(50, 64))
    log_p = DatasetIdeal(patterns, 5)(patterns[:3], alpha)
    assert (log_p[..., 4] == -np.inf).all()  # a value no pattern has
    np.testing.assert_allclose(np.exp(log_p).sum(-1), 1, atol=1e-12)


def test_a_repeated_pattern_counts_twice():
    p = np.exp(DatasetIdeal([[0, 0], [0, 0], [1, 1]], 2)([[0, 1]], 0.0)[0])
    np.testing.assert_allclose(p, [[2 / 3, 1 / 3]] * 2)


@pytest.mark.parametrize(
    ("patterns", "tokens", "alpha", "message"),
    [
        ([[0, 3]], [[0, 0]], 0.5, "patterns must lie in 0 … 2, got 3"),
        (np.zeros((0, 2), int), [[0, 0]], 0.5, "empty"),
        ([[0, 1]], [[0, 0, 0]], 0.5, "length 2, got 3"),
        ([[0, 1]], [[0, 3]], 0.5, "tokens must lie in 0 … 2"),
        ([[0, 1]], [[0, 0]], -0.5, "alpha"),
    ],
)
def test_bad_arguments_get_one_clear_line(patterns, tokens, alpha, message):
    with pytest.raises(ValueError, match=message):
        DatasetIdeal(patterns, 3)(tokens, alpha)


def test_the_posterior_needs_some_noise():
    with pytest.raises(ValueError, match="got 1"):
        posterior(np.zeros((1, 1, 2)), [[0]], 1.0)
