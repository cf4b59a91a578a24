"""Every instrument against a case with a known answer."""

import numpy as np
import pytest

from minuddm.ideal import DatasetIdeal
from minuddm.probes import (
    Curve,
    bootstrap_mean,
    conditional_entropy,
    curves_cross,
    curves_meet,
    divergence,
    entropy,
    held_out_nelbo,
    leave_one_out_entropy,
    plateau_left,
    recovery,
)
from minuddm.probes.transition import falls_below
from minuddm.schedule import Linear, LogLinear
from minuddm.transition import corrupt

X = np.random.default_rng(0).integers(5, size=(40, 12))


def uniform(tokens, alpha):
    return np.full((*tokens.shape, 5), -np.log(5))


def test_a_pure_copier_recovers_nothing_and_breaks_nothing():
    xt = corrupt(X, 0.5, 5, np.random.default_rng(1))
    copied = recovery(X, xt, xt)
    assert np.nanmax(copied.recovery) == 0
    assert np.nanmax(copied.unstable) == 0
    np.testing.assert_array_equal(copied.exact, (xt == X).all(axis=1))


def test_a_perfect_restorer_recovers_everything():
    perfect = recovery(X, corrupt(X, 0.5, 5, np.random.default_rng(2)), X)
    assert np.nanmin(perfect.recovery) == 1
    assert np.nanmax(perfect.unstable) == 0
    assert perfect.exact.all()


def test_recovery_counts_changed_and_unchanged_tokens_apart():
    r = recovery([[0, 0, 0, 0]], [[1, 1, 0, 0]], [[0, 1, 0, 2]])
    assert (r.recovery[0], r.unstable[0], r.exact[0]) == (0.5, 0.5, False)


def test_recovery_is_undefined_where_nothing_changed():
    r = recovery([[0, 0]], [[0, 0]], [[0, 1]])
    assert np.isnan(r.recovery[0])
    assert r.unstable[0] == 0.5
    assert np.isnan(recovery([[0]], [[1]], [[0]]).unstable[0])


def test_recovery_wants_one_shape():
    with pytest.raises(ValueError, match="one shape"):
        recovery([[0]], [[0, 1]], [[0]])


def test_entropy_of_certainty_is_zero_and_of_ignorance_log_v():
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(entropy(np.log([1.0, 0.0, 0.0])), 0)
    assert entropy(np.full(7, -np.log(7))) == pytest.approx(np.log(7))


@pytest.mark.parametrize(
    "shape, V", [((), 28), ((0, 3), 2), ((300, 32), 28), ((2, 3), 2**17), ((3,), 2**18)]
)
def test_the_entropy_of_many_laws_is_that_of_each(shape, V):
    laws = np.random.default_rng(0).standard_exponential((*shape, V))
    log_p = np.log(laws / laws.sum(axis=-1, keepdims=True)).astype(np.float32)
    each = [entropy(row) for row in log_p.reshape(-1, V)]
    found = entropy(log_p)
    assert found.shape == shape
    np.testing.assert_array_equal(found.ravel(), np.reshape(each, -1))


def test_the_leave_one_out_entropy_alone_is_the_same():
    memory = DatasetIdeal(X, 5)
    both = conditional_entropy(memory, X, 0.6, batch=7)
    alone = leave_one_out_entropy(memory, X, 5, 0.6, batch=16)
    np.testing.assert_array_equal(alone, both.loo)


def test_divergence_is_zero_for_itself_and_log_v_for_ignorance_of_a_certainty():
    with np.errstate(divide="ignore"):
        certain, uniform_law = np.log([1.0, 0, 0, 0]), np.full(4, -np.log(4))
    assert divergence(certain, certain) == 0
    assert divergence(certain, uniform_law) == pytest.approx(np.log(4))
    assert divergence(uniform_law, certain) == np.inf


def test_near_the_end_the_posterior_is_certain_whatever_the_conditional():
    """[T13]: what position i shows settles it, so the two entropies must never be confused."""
    H = conditional_entropy(uniform, X, 1 - 1e-5, batch=7)
    np.testing.assert_allclose(H.loo, np.log(5))
    assert H.posterior.max() < 1e-3
    np.testing.assert_allclose(conditional_entropy(uniform, X, 0.0).posterior, np.log(5))


def test_a_memory_is_certain_of_what_it_stores():
    H = conditional_entropy(DatasetIdeal(X[:10], 5), X[:10], float(LogLinear().alpha(1e-5)))
    assert H.loo.max() < 1e-9


def test_the_bound_of_knowing_nothing_is_log_v():
    for schedule in (LogLinear(), Linear()):
        bound = held_out_nelbo(uniform, np.tile(X, (50, 1)), 5, schedule, np.random.default_rng(3))
        error = bound.std() / np.sqrt(len(bound))
        assert abs(bound.mean() - np.log(5)) < 4 * error


def test_the_bound_of_the_ideal_memoriser_is_the_log_of_the_number_of_patterns():
    """Its law is uniform over P patterns, and the bound at the LOO conditional is tight [T11]."""
    patterns = np.random.default_rng(4).integers(5, size=(32, 12))
    x = np.tile(patterns, (20, 1))
    memoriser = DatasetIdeal(patterns, 5)
    bound = held_out_nelbo(memoriser, x, 5, LogLinear(), np.random.default_rng(5))
    error = bound.std() / np.sqrt(len(bound))
    assert abs(bound.mean() - np.log(32) / 12) < 4 * error


def test_the_memoriser_gives_unseen_sequences_no_chance():
    bound = held_out_nelbo(DatasetIdeal(X[:3], 5), X[10:], 5, LogLinear(), np.random.default_rng(6))
    assert np.isinf(bound).any()


def test_bootstrap_intervals_cover_as_often_as_they_say():
    """95 % intervals of 100 normal values: of 200, at least 177 cover; false alarm below 1e-4."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(200):
        interval = bootstrap_mean(rng.normal(size=100), rng, draws=400)
        hits += interval.low <= 0 <= interval.high
    assert 177 <= hits <= 200


def test_bootstrap_leaves_undefined_values_out():
    interval = bootstrap_mean([1.0, np.nan, 3.0], np.random.default_rng(8))
    assert interval.value == 2
    assert (interval.low, interval.high) == (1, 3)
    assert np.isnan(bootstrap_mean([np.nan], np.random.default_rng(9)).value)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [([1, 1, 0], 10**1.5), ([0, 1, 1], 1), ([1, 1, 1], np.nan), ([1, 0, 1], 10**0.5)],
)
def test_a_crossing_is_interpolated_in_the_logarithm(values, wanted):
    np.testing.assert_allclose(falls_below([1, 10, 100], values, 0.5), wanted)


def made_up_curve():
    """Training falls linearly in log P from 1 to .4, test rises from .1 to .4: known crossings."""
    rng, P = np.random.default_rng(10), [16, 64, 256, 1024]
    noise = rng.normal(size=(8, 400)) * 0.05
    training = [
        np.interp(np.log(p), np.log([16, 1024]), [1, 0.4]) + n
        for p, n in zip(P, noise[:4], strict=True)
    ]
    test = [
        np.interp(np.log(p), np.log([16, 1024]), [0.1, 0.4]) + n
        for p, n in zip(P, noise[4:], strict=True)
    ]
    return Curve(P, training, test)


def test_the_estimates_find_a_known_transition():
    rng = np.random.default_rng(11)
    left = plateau_left(made_up_curve(), rng)
    # the training mean is known to .05/√400 and falls by .6/log 64 per unit of log P
    error = 0.05 / np.sqrt(400) * np.log(64) / 0.6
    truth = np.log(16) + np.log(64) * (1 - 0.95) / 0.6
    assert abs(np.log(left.value) - truth) < 4 * error
    assert 2 * error < np.log(left.high / left.low) < 6 * error
    meet = curves_meet(made_up_curve(), rng)
    assert 900 < meet.value <= 1024


def test_a_curve_that_never_falls_has_no_transition():
    flat = [np.ones(50)] * 3
    left = plateau_left(Curve([1, 10, 100], flat, flat), np.random.default_rng(12))
    assert np.isnan(left.value)
    assert np.isinf(left.low)


@pytest.mark.parametrize(
    "curve",
    [
        Curve([1, 1], [np.ones(2)] * 2, [np.ones(2)] * 2),
        Curve([1, 2], [np.ones(2)], [np.ones(2)] * 2),
    ],
)
def test_curves_need_a_value_for_each_rising_count(curve):
    with pytest.raises(ValueError, match="one array of values for each rising P"):
        curves_meet(curve, np.random.default_rng(0))


def test_intervals_that_just_touch_have_met():
    flat = [np.zeros(5)] * 2
    assert curves_meet(Curve([3, 9], flat, flat), np.random.default_rng(13)).value == 3


def test_a_point_where_nothing_is_known_is_no_crossing():
    unknown = [np.full(3, np.nan), np.zeros(3)]
    assert plateau_left(Curve([3, 9], unknown, unknown), np.random.default_rng(15)).value == 9


def test_one_quantity_takes_over_from_another():
    rng = np.random.default_rng(14)
    noise = rng.normal(size=300) * 0.01
    one, other = [2 + noise, 1 + noise, 0 + noise], [noise, 1 - 0.5 + noise, 2 + noise]
    cross = curves_cross([10, 100, 1000], one, other, rng)
    # the gap goes 2, 0.5, -2: a fifth of the way from 100 to 1000
    assert cross.value == pytest.approx(100 * 10**0.2)
    assert cross.low == pytest.approx(cross.high)  # the same sequences: their noise cancels
