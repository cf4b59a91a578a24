"""Stability, curvature, samples and the critic: each against a case with a known answer."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.ideal import DatasetIdeal, MarkovIdeal
from minuddm.probes import (
    Curve,
    NGram,
    basin_radius,
    class_means,
    conditional_entropy,
    copies,
    curvature,
    curves_meet,
    fixed_points,
    from_the_widest,
    kinds,
    nearest,
    plateau_left,
    recovery,
    threshold,
    token_classes,
)
from minuddm.probes.stability import CLASSES, entering_time, random_sequences
from minuddm.reverse import generate, restore
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


# ---- samples ------------------------------------------------------------------------------------


@given(seed=strategies.seeds, N=st.integers(1, 5), P=st.integers(1, 8), L=st.integers(1, 9))
def test_the_nearest_is_the_smallest_share_of_differences(seed, N, P, L):
    rng = np.random.default_rng(seed)
    x, S = rng.integers(3, size=(N, L)), rng.integers(3, size=(P, L))
    wanted = [min(float((a != b).mean()) for b in S) for a in x]
    np.testing.assert_allclose(nearest(x, S), wanted)


def test_what_a_memory_generates_is_memorised_and_what_a_source_generates_is_new():
    rng = np.random.default_rng(7)
    chain = MarkovChain.random(12, rng, concentration=1.0)
    training, held_out = chain.sample(200, 20, rng), chain.sample(500, 20, rng)
    theta = threshold(held_out, training)
    assert 0 <= theta <= 0.5
    for denoiser, kind in ((DatasetIdeal(training, 12), 0), (MarkovIdeal(chain), 2)):
        one, two = (
            generate(denoiser, 200, 20, 12, SCHEDULE, 64, np.random.default_rng(seed))
            for seed in (8, 9)
        )
        shares = [x.mean() for x in kinds(one, two, training, theta)]
        assert shares[kind] > 0.95
        assert sum(shares) == pytest.approx(1)
        assert copies(one, training).mean() == pytest.approx(float(kind == 0), abs=0.05)


def test_what_comes_up_again_and_was_never_shown_is_spurious():
    training, attractor = X[:5], np.full((4, 12), 1)
    shares = kinds(attractor, attractor, training, 0.1)
    assert shares.spurious.all()
    assert not (shares.memorised | shares.generalised).any()
    assert kinds(training, attractor, training, 0.1).memorised.all()
    assert kinds(X[5:], attractor, training, 0.1).generalised.all()


def test_the_threshold_calls_at_most_a_hundredth_of_unseen_sequences_memorised():
    rng = np.random.default_rng(10)
    training, held_out = rng.integers(4, size=(300, 16)), rng.integers(4, size=(2000, 16))
    theta = threshold(held_out, training)
    assert (nearest(held_out, training) <= theta).mean() <= 0.01
    assert (nearest(held_out, training) <= theta + 1 / 16 + 1e-9).mean() > 0.01
    assert threshold(training, training) == 0.0


# ---- the critic ---------------------------------------------------------------------------------


def slow_critic(text, V, history, v):
    """Witten-Bell by counting, from the longest history down."""
    if history is None:
        return 1 / V
    k = len(history)
    following = [
        x[i + k] for x in text for i in range(len(x) - k) if tuple(x[i : i + k]) == history
    ]
    shorter = slow_critic(text, V, history[1:] if k else None, v)
    if not following:
        return shorter
    kinds = len(set(following))
    return (following.count(v) + kinds * shorter) / (len(following) + kinds)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_critic_is_witten_bell(order):
    rng = np.random.default_rng(11)
    text, x = rng.integers(3, size=(6, 7)), rng.integers(3, size=(4, 9))
    got = NGram(text, 3, order).log_prob(x)
    rows = [tuple(map(int, row)) for row in text]
    for n, i in itertools.product(range(4), range(9)):
        history = tuple(map(int, x[n, max(0, i - order + 1) : i]))
        assert got[n, i] == pytest.approx(np.log(slow_critic(rows, 3, history, int(x[n, i]))))


@given(seed=strategies.seeds, order=st.integers(1, 4))
def test_the_critics_laws_sum_to_one(seed, order):
    rng = np.random.default_rng(seed)
    critic = NGram(rng.integers(4, size=(3, 6)), 4, order)
    history = rng.integers(4, size=5)
    total = sum(np.exp(critic.log_prob([[*history, v]])[0, -1]) for v in range(4))
    assert total == pytest.approx(1)


def test_a_critic_of_a_markov_chain_comes_to_its_entropy():
    rng = np.random.default_rng(12)
    chain = MarkovChain.random(6, rng)
    critic = NGram(chain.sample(20_000, 20, rng), 6, 2)
    x = chain.sample(4000, 20, rng)
    got = -critic.log_prob(x).mean(axis=1)
    exact = -chain.log_prob(x) / 20
    # 400,000 transitions of 36 kinds: the excess is about 30 / (2 · 400,000) nats, and the mean
    # difference of 80,000 tokens has a standard error below 1e-4
    assert abs((got - exact).mean()) < 5e-4
    assert critic.perplexity(x).mean() < critic.perplexity(rng.integers(6, size=(100, 20))).mean()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest([[0]], [[0, 1]]), r"sequences must be \(P, 1\), got \(1, 2\)"),
        (lambda: nearest([[0]], np.zeros((0, 1), int)), "sequences must be"),
        (lambda: kinds([[0]], [[0]], [[0]], 1.5), r"theta must lie in \[0, 1\], got 1.5"),
        (lambda: NGram([[0, 1]], 2, 0), "order must be"),
        (lambda: NGram([[0, 1]], 200, 4), "V\\^order must be at most"),
        (lambda: NGram(np.zeros((0, 3), int), 3), "needs text"),
        (lambda: NGram([[0, 3]], 3), "0 … 2"),
        (lambda: basin_radius(uniform, X, V, SCHEDULE, 8, None, trials=0), "trials must be"),
        (lambda: token_classes([[0]], [[0]], [[0, 1]]), "one shape"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
