"""The entropy of tokens pooled by score: its estimates, its line, and a line that needs no memory.

[T48]; random tests have fixed seeds.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, pearsonr

from minuddm.probes import miller_madow, plug_in, pools, trends
from minuddm.probes.pooled_entropy import ESTIMATES, line
from tests import strategies

RNG = np.random.default_rng(0)


def entropy_of(values):
    """-Σ f log f, value by value."""
    shares = [values.count(v) / len(values) for v in set(values)]
    return -sum(f * math.log(f) for f in shares)


def zipf(V):
    weight = 1 / np.arange(1, V + 1)
    return weight / weight.sum()


# ---- estimates -----------------------------------------------------------------------------------


@given(seed=strategies.seeds, n=st.integers(1, 30), V=st.integers(2, 5))
def test_the_plug_in_entropy_is_its_definition_and_miller_madow_adds_for_each_value_seen(
    seed, n, V
):
    x = np.random.default_rng(seed).integers(V, size=n).tolist()
    counts = np.bincount(x, minlength=V)
    assert plug_in(counts) == pytest.approx(entropy_of(x), abs=1e-12)
    more = (len(set(x)) - 1) / (2 * n)
    assert miller_madow(counts) == pytest.approx(entropy_of(x) + more, abs=1e-12)


def test_no_counts_have_no_entropy():
    np.testing.assert_array_equal(plug_in(np.zeros((2, 3))), 0)
    np.testing.assert_array_equal(miller_madow(np.zeros((2, 3))), 0)


def test_the_plug_in_entropy_is_too_small_and_miller_madow_mends_it():
    """2000 samples of 60 tokens of 6 equally likely values: bias 5/120, to 4 standard errors."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(60, np.full(6, 1 / 6), size=2000)
    for found, bias in ((plug_in(counts), -5 / 120), (miller_madow(counts), 0)):
        # the next term of the expansion is (1 - Σ 1/p)/12n² = -8e-4
        assert abs(found.mean() - math.log(6) - bias) < 4 * found.std() / math.sqrt(2000) + 8e-4


@given(seed=strategies.seeds)
def test_levels_hold_the_tokens_of_their_sequences(seed):
    rng = np.random.default_rng(seed)
    tokens, scores = rng.integers(4, size=(60, 3)), rng.integers(-1, 4, size=60)
    found = pools(tokens, scores, 4, rng, least=5, repeats=2)
    number = {e: (scores == e).sum() for e in np.unique(scores)}
    assert found.score.tolist() == [e for e in number if number[e] >= 5]
    for k, e in enumerate(found.score):
        own = tokens[scores == e].ravel().tolist()
        assert found.sequences[k] == number[e]
        assert found.plug_in[k] == pytest.approx(entropy_of(own), abs=1e-12)
        assert found.miller_madow[k] >= found.plug_in[k]


def test_a_rarefied_level_is_the_mean_entropy_of_that_many_of_its_sequences():
    """Of a level of exactly `least` sequences it is the plug-in entropy. Of 3 of 4 sequences it is
    the mean over all ways to leave one out, to 4 standard errors of 4000 draws."""
    tokens = np.array([[0, 0], [0, 1], [1, 2], [0, 2], [3, 3], [3, 0], [1, 1]])
    scores = np.array([0, 0, 0, 0, 7, 7, 7])
    found = pools(tokens, scores, 4, np.random.default_rng(0), least=3, repeats=4000)
    assert found.rarefied[1] == pytest.approx(found.plug_in[1], abs=1e-12)
    each = [entropy_of(np.delete(tokens[:4], k, axis=0).ravel().tolist()) for k in range(4)]
    assert abs(found.rarefied[0] - np.mean(each)) < 4 * np.std(each) / math.sqrt(4000)


# ---- the line ------------------------------------------------------------------------------------


@given(seed=strategies.seeds, K=st.integers(4, 12))
def test_the_line_is_that_of_least_squares(seed, K):
    rng = np.random.default_rng(seed)
    e, H = rng.permutation(30)[:K], rng.normal(size=K)
    slope, r = line(e, H)
    wanted, correlation = linregress(e, H), pearsonr(e, H)
    assert slope.value == pytest.approx(wanted.slope, abs=1e-9)
    assert r.value == pytest.approx(correlation.statistic, abs=1e-9)
    # both intervals, Student's of the slope by its p-value, Fisher's of r by SciPy's
    interval = correlation.confidence_interval(0.95)
    assert (r.low, r.high) == pytest.approx(tuple(interval), abs=1e-4)  # 1.96 for the quantile
    assert (slope.low > 0 or slope.high < 0) == (wanted.pvalue < 0.05)


def test_two_levels_have_no_line_and_equal_entropies_no_correlation():
    assert all(np.isnan(x) for interval in line([0, 1], [0.0, 1.0]) for x in interval)
    slope, r = line([0, 1, 2, 3], [1.0, 1.0, 1.0, 1.0])
    assert slope.value == 0
    assert np.isnan(r.value)
    assert line([0, 1, 2], [0.0, 2.0, 4.0]).r == (1, -1, 1)


def test_a_perfect_memory_has_one_level_and_no_slope():
    tokens = np.random.default_rng(0).integers(5, size=(100, 8))
    found, trend = trends(tokens, np.zeros(100, int), 5, np.random.default_rng(1))
    assert found.score.tolist() == [0]
    for name in ESTIMATES:
        assert all(np.isnan(x) for interval in trend[name] for x in interval)


# ---- [T48] ---------------------------------------------------------------------------------------


def guessing_the_mode(V, L):
    """H_e = h(e/L) + (e/L) H(others), e = 1 … L: what is guessed is right where the mode is."""
    p = zipf(V)
    others = p[1:] / p[1:].sum()
    share = np.arange(1, L + 1) / L
    with np.errstate(divide="ignore", invalid="ignore"):
        h = -share * np.log(share) - np.nan_to_num((1 - share) * np.log(1 - share))
    return h + share * -(others * np.log(others)).sum()


def test_guessing_the_mode_of_independent_tokens_has_the_line_and_remembers_nothing():
    """[T48]: r = .975349 over e = 8 … 32."""
    H = guessing_the_mode(28, 32)[7:]
    assert line(np.arange(8, 33), H).r.value == pytest.approx(0.975349, abs=1e-6)


def test_tokens_that_are_guessed_by_their_mode_pool_to_the_formula():
    """Of 40,000 sequences; levels of n sequences are within 5 of their standard errors and bias.

    A share f of a level's 32 n tokens has variance f (1 - f)/32 n at most, as e fixes that of the
    mode: the error of H is below √(Σ f log² f/32 n).
    """
    rng = np.random.default_rng(0)
    tokens = rng.choice(28, p=zipf(28), size=(40_000, 32))
    found = pools(tokens, (tokens != 0).sum(axis=1), 28, rng, least=100, repeats=1)
    wanted = guessing_the_mode(28, 32)[found.score - 1]
    error = np.sqrt(4.0 / (32 * found.sequences))  # Σ f log² f < 4
    assert len(found.score) > 10
    assert (np.abs(found.miller_madow - wanted) < 5 * error).all()


def by_chance(seed, V=5000, n=20_000):
    """Tokens of a Zipf law, L = 50, and scores independent of them, of which each is .8 as frequent
    as the next."""
    rng = np.random.default_rng(seed)
    tokens = rng.choice(V, p=zipf(V), size=(n, 50))
    return tokens, np.maximum(1, 51 - rng.geometric(0.2, n)), rng


def test_levels_of_different_sizes_have_the_line_though_scores_know_nothing_of_tokens():
    """[T48]: by the bias of the plug-in entropy alone; equal numbers of sequences have none.

    Of K independent levels r has deviation 1/√(K - 1), so that of its mean over 4 is below .11.
    """
    found = []
    for seed in range(4):
        tokens, scores, rng = by_chance(seed)
        levels = pools(tokens, scores, 5000, rng)
        assert len(levels.score) > 20
        found.append([line(levels.score, getattr(levels, name)).r.value for name in ESTIMATES])
    plug, miller, rarefied = np.transpose(found)
    assert plug.min() > 0.9
    assert miller.min() > 0.85
    assert abs(rarefied.mean()) < 4 * 0.11


def test_against_their_nulls_all_three_slopes_are_slopes_of_chance():
    """Each lies within 4 deviations of its permuted ones, of which 40 tell the deviation."""
    tokens, scores, rng = by_chance(9, V=1000, n=4000)
    levels, found = trends(tokens, scores, 1000, rng, repeats=5, permutations=40)
    assert len(levels.score) > 10
    for name in ESTIMATES:
        slope, _, null, excess = found[name]
        deviation = (null.high - null.low) / (2 * 1.96)
        assert abs(slope.value - null.value) < 4 * deviation
        assert excess.value == pytest.approx(slope.value - null.value)
        assert excess.low == pytest.approx(slope.value - null.high)
    assert found["plug_in"].null.low > 0
    assert found["rarefied"].null.low < 0 < found["rarefied"].null.high


def test_a_line_that_is_there_is_beyond_its_null():
    """Independent tokens guessed by their mode: the slope is the formula's, not bias."""
    rng = np.random.default_rng(3)
    tokens = rng.choice(28, p=zipf(28), size=(6000, 32))
    levels, found = trends(tokens, (tokens != 0).sum(axis=1), 28, rng, repeats=5, permutations=40)
    wanted = line(levels.score, guessing_the_mode(28, 32)[levels.score - 1]).slope.value
    for name in ESTIMATES:
        assert found[name].excess.low > 0.8 * wanted
        assert found[name].excess.high < 1.2 * wanted


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plug_in([-1.0, 2.0]), "counts must be finite and at least 0"),
        (lambda: line([1, 2, 3], [1.0, 2.0]), r"entropy must have the shape of score, \(3,\)"),
        (lambda: pools([[0, 1]], [1, 2], 2, RNG), r"one value per sequence \(1,\), got \(2,\)"),
        (lambda: pools([[0, 1]], [0.5], 2, RNG), "scores must be integers, got dtype float64"),
    ],
)
def test_what_cannot_be_gets_one_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
