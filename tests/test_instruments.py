"""Stability, curvature and the transition: each against a case with a known answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.ideal import DatasetIdeal, MarkovIdeal
from minuddm.probes import (
    Curve,
    basin_radius,
    class_means,
    conditional_entropy,
    curvature,
    curves_cross,
    curves_meet,
    fixed_points,
    from_the_widest,
    gap_closes,
    mean_interval,
    plateau_left,
    recovery,
    token_classes,
)
from minuddm.probes.stability import CLASSES, entering_time, random_sequences
from minuddm.reverse import restore
from minuddm.schedule import Linear, LogLinear
from minuddm.sources import MarkovChain
from minuddm.transition import corrupt
from tests import strategies

V, SCHEDULE = 5, LogLinear()
X = np.random.default_rng(0).integers(V, size=(30, 12))


def uniform(tokens, alpha):
    return np.full((*tokens.shape, V), -np.log(V))


def constant(tokens, alpha):
    """Sure of token 2 everywhere."""
    with np.errstate(divide="ignore"):
        return np.log(np.broadcast_to(np.arange(V) == 2, (*tokens.shape, V)).astype(float))


def copier(tokens, alpha):
    """Sure of what each token shows: it restores nothing."""
    with np.errstate(divide="ignore"):
        return np.log((np.arange(V) == tokens[..., None]).astype(float))


# ---- stability ----------------------------------------------------------------------------------


@given(seed=strategies.seeds)
def test_the_four_classes_are_the_two_questions(seed):
    rng = np.random.default_rng(seed)
    x0, xt, back = (rng.integers(2, size=(3, 8)) for _ in range(3))
    kind = token_classes(x0, xt, back)
    for name, changed, right in (
        ("stable", False, True),
        ("recovered", True, True),
        ("unstable", False, False),
        ("failed", True, False),
    ):
        wanted = ((xt != x0) == changed) & ((back == x0) == right)
        np.testing.assert_array_equal(kind == CLASSES.index(name), wanted)
    r = recovery(x0, xt, back)
    counts = np.stack([(kind == k).sum(axis=1) for k in range(4)])
    changed = counts[1] + counts[3]
    some = changed > 0
    np.testing.assert_array_equal(r.recovery[some], counts[1][some] / changed[some])


def test_class_means_are_means_over_tokens_of_a_class():
    kind = np.array([[0, 0, 1, 3], [2, 2, 2, 2]])
    value = np.array([[1.0, 3.0, 5.0, 7.0], [1.0, 2.0, 3.0, 6.0]])
    np.testing.assert_array_equal(
        class_means(kind, value), [[2, 5, np.nan, 7], [np.nan, np.nan, 3, np.nan]]
    )


def test_a_copier_and_a_memory_keep_their_sequences_and_a_constant_keeps_only_its_own():
    memory = DatasetIdeal(X, V)
    for t in (0.05, 0.5):
        assert fixed_points(copier, X, t, SCHEDULE, 16).all()
        assert fixed_points(memory, X, t, SCHEDULE, 16).all()
        assert not fixed_points(constant, X, t, SCHEDULE, 16).any()
        assert fixed_points(constant, np.full((1, 12), 2), t, SCHEDULE, 16).all()


def test_the_basin_of_a_copier_is_empty_and_that_of_a_constant_everything():
    rng = np.random.default_rng(1)
    none = basin_radius(copier, X, V, SCHEDULE, 16, rng)
    np.testing.assert_array_equal(none.radius, 0)
    np.testing.assert_array_equal(none.share, 1)
    all_of_it = basin_radius(constant, np.full((3, 12), 2), V, SCHEDULE, 16, rng)
    np.testing.assert_array_equal(all_of_it.radius, 12)


def test_the_basin_of_a_single_memory_is_deep_and_ends():
    """One stored sequence comes back from any damage that leaves a hint, for nothing else is known.

    Of many stored ones it comes back from less.
    """
    rng = np.random.default_rng(2)
    one = basin_radius(DatasetIdeal(X[:1], V), X[:1], V, SCHEDULE, 32, rng, trials=8)
    np.testing.assert_array_equal(one.radius, 12)
    many = np.random.default_rng(3).integers(V, size=(400, 12))
    some = basin_radius(DatasetIdeal(many, V), many[:20], V, SCHEDULE, 32, rng, trials=8)
    assert ((some.radius >= 2) & (some.radius <= 8)).all()
    assert (some.share >= 0.9).all()


def test_the_chain_is_entered_where_corruption_changes_so_many():
    for schedule in (LogLinear(), Linear()):
        for k in (1, 4, 9):
            t = entering_time(k, 12, V, schedule)
            assert (1 - schedule.alpha(t)) * (1 - 1 / V) * 12 == pytest.approx(k)
        assert entering_time(12, 12, V, schedule) == pytest.approx(1.0)  # more than t = 1 can


def test_random_sequences_are_uniform():
    counts = np.bincount(random_sequences(5000, 12, V, np.random.default_rng(4)).ravel())
    # sd of each count of 60,000 draws is 98; five of them: false alarm 3e-6
    assert np.abs(counts - 12_000).max() < 490


def test_a_watched_chain_is_the_same_chain():
    xt = corrupt(X, 0.5, V, np.random.default_rng(5))
    memory, seen = DatasetIdeal(X, V), []

    def watch(t, rows, tokens, log_p):
        seen.append((t, rows.start, tokens.copy(), log_p.shape))

    plain = restore(memory, xt, 0.5, SCHEDULE, 10, np.random.default_rng(6), batch=16)
    shown = restore(memory, xt, 0.5, SCHEDULE, 10, np.random.default_rng(6), batch=16, watch=watch)
    np.testing.assert_array_equal(plain, shown)
    assert [t for t, start, *_ in seen if start == 0] == pytest.approx(
        [0.5, 0.4, 0.3, 0.2, 0.1, 1e-5], abs=1e-4
    )
    np.testing.assert_array_equal(np.concatenate([s[2] for s in seen[:2]]), xt)
    assert seen[0][3] == (16, 12, V)
    assert len(seen) == 12


def test_on_the_ideals_the_estimators_find_the_transition_where_it_was_put():
    """A model that is the memoriser up to P = 64 and the generaliser from P = 256 on."""
    rng = np.random.default_rng(20)
    chain = MarkovChain.random(10, rng, concentration=1.0)
    sizes, test = [4, 16, 64, 256, 1024], chain.sample(80, 16, rng)
    alpha, recovered, entropies = float(SCHEDULE.alpha(0.25)), [], []
    for P in sizes:
        training = chain.sample(P, 16, rng)
        model = DatasetIdeal(training, 10) if P <= 64 else MarkovIdeal(chain)
        for values, measure in ((recovered, "recovery"), (entropies, "entropy")):
            pair = []
            for x in (np.resize(training, (80, 16)), test):
                xt = corrupt(x, alpha, 10, rng)
                if measure == "recovery":
                    back = restore(model, xt, 0.25, SCHEDULE, 32, rng)
                    pair.append(recovery(x, xt, back).recovery)
                else:
                    pair.append(conditional_entropy(model, xt, alpha).loo.mean(axis=1))
            values.append(pair)
    for estimate, values in (
        (plateau_left, recovered),
        (curves_meet, recovered),
        (curves_meet, entropies),
    ):
        curve = Curve(sizes, *map(list, zip(*values, strict=True)))
        found = estimate(curve, np.random.default_rng(21), draws=200)
        assert 64 <= found.low <= found.value <= found.high <= 256


def test_a_gap_closes_only_after_it_was_widest():
    flat = [np.zeros(50)] * 5
    opening = [np.full(50, x) for x in (0.0, 1.0, 2.0, 1.0, 0.0)]
    curve = Curve([1, 2, 4, 8, 16], flat, opening)
    late = from_the_widest(curve)
    assert late.sequences == [4, 8, 16]
    rng = np.random.default_rng(22)
    assert curves_meet(curve, rng, draws=20).value == 1.0
    assert curves_meet(late, rng, draws=20).value == 16.0
    assert gap_closes(curve, rng, draws=20).value == 16.0


def test_a_gap_that_was_never_open_closed_at_the_least_place_or_below():
    """Means of one law, six pairs of 30: intervals of one pair are apart with chance .034."""
    found = []
    for seed in range(20):  # four or more of them apart: a chance of .004
        rng = np.random.default_rng(seed)
        one, other = ([rng.normal(size=30) for _ in range(6)] for _ in range(2))
        found.append(gap_closes(Curve([4, 8, 16, 32, 64, 128], one, other), rng, draws=20))
    assert sum(closes.value == 4 and np.isnan(closes.low) for closes in found) > 16


def test_one_number_has_no_interval():
    rng = np.random.default_rng(0)
    one, other = ([np.array([[x]]) for x in line] for line in ((3.0, 2, 0), (1.0, 1, 1)))
    found = curves_cross([1, 2, 4], one, other, rng)
    assert 2 < found.value < 4
    assert np.isnan([found.low, found.high, mean_interval([[7.0]], rng).low]).all()


# ---- curvature ----------------------------------------------------------------------------------


@given(V=st.integers(2, 9), seed=strategies.seeds)
def test_the_five_numbers_are_those_of_the_jacobian(V, seed):
    p = np.random.default_rng(seed).dirichlet(np.ones(V))
    J = np.diag(p) - np.outer(p, p)
    c = curvature(np.log(p))
    assert c.trace == pytest.approx(np.trace(J), abs=1e-12)
    assert c.diagonal == pytest.approx(np.linalg.norm(np.diagonal(J)), abs=1e-12)
    lower = np.sqrt((np.tril(J, -1) ** 2).sum())
    assert c.off_diagonal == pytest.approx(lower, abs=1e-8)  # a square root of a difference
    ordered = np.sort(p)
    assert (c.margin, c.top) == pytest.approx((ordered[-1] - ordered[-2], ordered[-1]))


def test_certain_and_uniform_laws_have_known_numbers():
    with np.errstate(divide="ignore"):
        certain = curvature(np.log([1.0, 0.0, 0.0]))
    assert tuple(certain) == (0, 0, 0, 1, 1)
    flat = curvature(np.full((2, 4), -np.log(4)))
    np.testing.assert_allclose(flat.trace, 0.75)
    np.testing.assert_allclose(flat.diagonal, np.sqrt(4) * 3 / 16)
    np.testing.assert_allclose(flat.off_diagonal, np.sqrt(6) / 16)
    np.testing.assert_allclose(flat.margin, 0, atol=1e-15)
    with pytest.raises(ValueError, match="at least 2 values"):
        curvature([0.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: basin_radius(uniform, X, V, SCHEDULE, 8, None, trials=0), "trials must be"),
        (lambda: token_classes([[0]], [[0]], [[0, 1]]), "one shape"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
