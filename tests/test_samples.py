"""What a model generates: told apart by distance, and judged by a critic from outside."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.ideal import DatasetIdeal, MarkovIdeal
from minuddm.probes import NGram, copies, kinds, nearest, threshold
from minuddm.reverse import generate
from minuddm.schedule import LogLinear
from minuddm.sources import MarkovChain
from tests import strategies

X = np.random.default_rng(0).integers(5, size=(30, 12))


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
            generate(denoiser, 200, 20, 12, LogLinear(), 64, np.random.default_rng(seed))
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
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
