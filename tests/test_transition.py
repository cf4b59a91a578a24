import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from minuddm import checks
from minuddm import transition as tr
from tests import oracle, strategies

ROUND = 1e-12  # a few dozen additions and products of numbers up to V = 9


@given(V=strategies.vocabularies, alpha=strategies.alphas)
def test_the_kernel_is_its_definition(V, alpha):
    np.testing.assert_allclose(tr.transition(alpha, V), oracle.kernel(alpha, V), atol=ROUND)


@given(V=strategies.vocabularies, alpha=strategies.alphas)
def test_the_spectrum_is_one_and_alpha(V, alpha):
    values = np.linalg.eigvalsh(tr.transition(alpha, V))
    np.testing.assert_allclose(values, [alpha] * (V - 1) + [1], atol=1e-9)


@given(V=strategies.vocabularies, alpha=strategies.alphas, seed=strategies.seeds)
def test_renaming_the_vocabulary_changes_nothing(V, alpha, seed):
    S = np.eye(V)[np.random.default_rng(seed).permutation(V)]
    Q = tr.transition(alpha, V)
    np.testing.assert_allclose(S @ Q @ S.T, Q, atol=ROUND)
    np.testing.assert_array_equal(Q, Q.T)


@given(V=strategies.vocabularies, alpha=strategies.alphas)
def test_the_distance_to_uniform_shrinks_in_proportion_to_alpha(V, alpha):
    """Total variation of a row from uniform: α (1 - 1/V)."""
    distance = 0.5 * np.abs(tr.transition(alpha, V) - 1 / V).sum(axis=1)
    np.testing.assert_allclose(distance, alpha * (1 - 1 / V), atol=ROUND)


@given(data=st.data(), V=strategies.vocabularies)
def test_where_the_present_token_is_impossible_it_stays(data, V):
    p = data.draw(strategies.distributions(V), label="p")
    np.testing.assert_allclose(tr.bridge(np.arange(V), np.tile(p, (V, 1)), 1.0, 1.0), np.eye(V))


# ---- draws: frequencies against the law. Seeds are fixed; each chi-square test was to fail with
# ---- probability 1e-4 when it was written, and is deterministic since.


def test_the_changed_share_is_smaller_than_the_resampled_share():
    V, alpha, n = 4, 0.6, 200_000
    xt = tr.corrupt(np.zeros((n, 1), int), alpha, V, np.random.default_rng(4))
    expected = (1 - alpha) * (1 - 1 / V)
    # 4 standard errors of a share: false alarm 6e-5
    assert abs((xt != 0).mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / n)


def test_less_noise_keeps_what_more_noise_kept():
    x = np.zeros((50, 50), int)
    more, less = (tr.corrupt(x, a, 9, np.random.default_rng(5)) for a in (0.2, 0.7))
    assert (less[more == 0] == 0).mean() > 0.85  # all kept ones; the rest returned by chance
    kept = np.random.default_rng(5).random(x.shape) < 0.2
    assert (less[kept] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("times", [(0.9, 0.4), (1.0, 0.95), (0.3, 0.0), (0.5, 0.5), (1.0, 1e-3)])
def test_sampled_bridges_have_the_frequencies_of_the_bridge(times, dtype):
    V, n, z = 5, 200_000, 1
    p = np.array([0.5, 0.04, 0.3, 0.16, 0.0])
    with np.errstate(divide="ignore"):
        log_p = np.broadcast_to(np.log(p), (n, 1, V)).astype(dtype)
    xs = tr.sample_bridge(np.full((n, 1), z), log_p, *times, np.random.default_rng(6))
    q = tr.bridge(z, p, *times)
    counts = np.bincount(xs[:, 0], minlength=V)
    assert (counts[q == 0] == 0).all()
    if (q > 0).sum() > 1:
        assert chisquare(counts[q > 0], n * q[q > 0]).pvalue > 1e-4


@pytest.mark.parametrize("z", [0, 1])
def test_a_tie_keeps_the_present_token(z):
    log_p = np.log(np.full((1, 1, 2), 0.5))
    assert tr.mode_of_bridge([[z]], log_p, 0.5, 0.0)[0, 0] == z


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tr.transition(0.5, 1), "V must be at least 2, got 1"),
        (lambda: tr.transition(0.5, 2.0), "V must be an integer"),
        (lambda: tr.transition(1.5, 3), r"alpha_ts must lie in \[0, 1\], got 1.5"),
        (lambda: tr.bridge(0, [1.0], 0.9, 0.5), "V must be at least 2"),
        (lambda: tr.propagate([0.7, 0.3], [0.1, 0.5]), "one alpha per sequence"),
        (lambda: tr.bridge(0, [0.5, 0.5], [0.9, 0.8], [0.2]), "one shape"),
        (lambda: tr.corrupt(np.zeros((2, 0), int), 0.5, 3, None), "at least one site a sequence"),
        (lambda: tr.bridge(0, [0.5, 0.5], 0.2, 0.4), "s > t"),
        (lambda: tr.bridge(0, [0.5, 0.4], 0.4, 0.2), "distributions"),
        (lambda: tr.bridge(2, [0.5, 0.5], 0.4, 0.2), r"xt must lie in 0 … 1, got 2"),
        (lambda: tr.bridge([0], [0.5, 0.5], 0.4, 0.2), "shape"),
        (lambda: tr.corrupt([[0.5]], 0.5, 3, np.random.default_rng(0)), "must be integers"),
        (lambda: tr.corrupt([0], 0.5, 3, np.random.default_rng(0)), "2 axes"),
        (lambda: tr.corrupt([[0]], [0.5, 0.5], 3, np.random.default_rng(0)), "one value per"),
        (lambda: tr.sample_bridge([[0]], np.full((1, 1, 2), np.nan), 1, 0.5, None), "NaN"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf])
def test_one_number_that_is_no_log_probability_is_found_wherever_it_stands(dtype, wrong):
    z = np.zeros((2, 3), np.int32)
    for place in np.ndindex(2, 3, 37):
        log_p = np.zeros((2, 3, 37), dtype)
        log_p[place] = -np.inf
        checks.log_probabilities(log_p, z)  # impossible values are welcome
        log_p[place] = wrong
        with pytest.raises(ValueError, match="NaN"):
            checks.log_probabilities(log_p, z)
    log_p[1, 2] = -np.inf
    with pytest.raises(ValueError, match="finite value for each token"):
        checks.log_probabilities(log_p, z)
