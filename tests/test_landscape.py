import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopfield import BinaryMemory, Couplings, Exponential, Recall, TokenMemory, hebbian
from hopfield.landscape import (
    CapacityCurve,
    Damage,
    basin_radius,
    capacity,
    census,
    change,
    log_volume,
    overlap,
    repaired,
)
from tests import strategies

SPINS = np.array([-1, 1])


def random_spins(seed, *shape):
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), size=shape)


class Ball:
    """A memory with a known answer: what differs from the pattern at ≤ r sites comes back."""

    def __init__(self, pattern, r, values=SPINS):
        self.pattern, self.r, self.values = np.asarray(pattern), r, np.asarray(values)

    def recall(self, x, *, rng=None, max_sweeps=100):
        near = (x != self.pattern).sum(axis=1) <= self.r
        state = np.where(near[:, None], self.pattern, x)
        B = len(x)
        return Recall(state, np.zeros((B, 1)), np.zeros(B, np.int64), np.ones(B, bool))


@given(seed=strategies.seeds, L=st.integers(1, 12), V=st.integers(2, 9), data=st.data())
def test_exactly_so_many_sites_change(seed, L, V, data):
    rng = np.random.default_rng(seed)
    counts = np.array(data.draw(st.lists(st.integers(0, L), min_size=6, max_size=6)))
    for values in (np.arange(V), SPINS):
        x = rng.choice(values, size=(6, L))
        y = change(x, counts, values, rng)
        np.testing.assert_array_equal((x != y).sum(axis=1), counts)
        assert np.isin(y, values).all()


def test_every_other_value_is_as_likely_and_every_site_too():
    rng = np.random.default_rng(0)
    x = np.ones((30_000, 3), int)
    y = change(x, 1, np.arange(4), rng)
    values = np.bincount(y[y != x], minlength=4)
    sites = (y != x).sum(axis=0)
    assert values[1] == 0
    # 30,000 draws over 3: sd 82; five of them leave a false alarm of 4e-6
    assert np.abs(values[[0, 2, 3]] - 10_000).max() < 410
    assert np.abs(sites - 10_000).max() < 410


def test_overlaps_of_spins_and_of_tokens():
    assert overlap([1, 1, -1, 1], [1, 1, 1, 1], SPINS) == 0.5
    assert overlap([1, 1, 1, 1], [1, 1, 1, 1], SPINS) == 1
    assert overlap([0, 2, 1, 1], [0, 2, 2, 2], np.arange(3)) == 0.5


@given(L=st.integers(1, 15), r=st.integers(0, 15), V=st.integers(2, 4))
def test_the_radius_of_a_ball_is_its_radius(L, r, V):
    values = np.arange(V)
    pattern = np.zeros(L, int)
    found = basin_radius(
        Ball(pattern, r, values), np.tile(pattern, (3, 1)), np.random.default_rng(0), trials=2
    )
    np.testing.assert_array_equal(found, min(r, L))


def test_a_pattern_that_does_not_stay_has_radius_minus_one():
    class Leaves(Ball):
        def recall(self, x, **rest):
            return super().recall(x, **rest)._replace(state=-x)

    pattern = np.ones(8, int)
    assert basin_radius(Leaves(pattern, 8), pattern[None], np.random.default_rng(0)) == [-1]


def test_a_pattern_that_does_not_stay_changes_nothing_for_the_others():
    patterns = random_spins(8, 6, 30)
    memory = hebbian(patterns[:3])
    found = basin_radius(memory, patterns, np.random.default_rng(0))
    alone = basin_radius(memory, patterns[:3], np.random.default_rng(0))
    assert (found[3:] == -1).all()
    assert (found[:3] > 0).all()
    assert (alone > 0).all()


@given(seed=strategies.seeds, L=st.integers(1, 10), V=st.integers(2, 4))
def test_damage_grows_and_equal_generators_do_equal_damage(seed, L, V):
    x = np.random.default_rng(seed).integers(V, size=(4, L))
    one, other = (Damage(x, np.arange(V), np.random.default_rng(seed)) for _ in range(2))
    for k in range(L):
        less, more = one.at(k), one.at(k + 1)
        assert ((less == x) | (more == less)).all()  # what is changed stays changed, to the same
        assert ((less != x).sum(axis=1) == k).all()
        np.testing.assert_array_equal(less, other.at(k))


@given(L=st.integers(1, 10), r=st.integers(0, 10), V=st.integers(2, 3))
def test_the_volume_of_a_ball_is_its_number_of_states(L, r, V):
    pattern = np.zeros(L, int)
    log, shares = log_volume(
        Ball(pattern, r, np.arange(V)), pattern, np.random.default_rng(0), trials=3
    )
    states = np.array(list(itertools.product(range(V), repeat=L))) if V**L <= 60_000 else None
    if states is not None:
        assert np.exp(log) == pytest.approx(((states != 0).sum(axis=1) <= r).sum(), rel=1e-9)
    np.testing.assert_array_equal(shares, np.arange(L + 1) <= r)


def test_the_volume_of_a_real_basin_is_the_count_of_its_states():
    """All 2^12 states of two spin patterns recalled; the estimate sees 2,000 a shell.

    A shell's share has relative error at most 1/√2000 at the bulk, so 10 % is four of them.
    """
    patterns = random_spins(1, 2, 12)
    memory = BinaryMemory(patterns, Exponential())
    states = np.array(list(itertools.product([-1, 1], repeat=12)), np.int8)
    count = (memory.recall(states).state == patterns[0]).all(axis=1).sum()
    # the estimate recalls in random order, the count in fixed order: ties only differ by which
    log, _ = log_volume(memory, patterns[0], np.random.default_rng(0), trials=2000)
    assert np.exp(log) == pytest.approx(count, rel=0.1)


def test_a_ball_repairs_what_it_should():
    pattern = np.ones((2, 10), int)
    share = repaired(Ball(pattern[0], 4), pattern, [4, 5], np.random.default_rng(0), trials=5)
    np.testing.assert_array_equal(share, [1.0, 0.0])


def test_a_capacity_curve_falls_where_it_should():
    """A memory that keeps everything up to P = 20, and nothing above: the known answer."""

    def memory_of(patterns):
        keeps = len(patterns) <= 20

        class Known(Ball):
            def recall(self, x, *, rng=None, max_sweeps=100):
                state = x if keeps else -x
                return super().recall(x)._replace(state=state)

        return Known(patterns[0], 0)

    def patterns_of(P, rng):
        return rng.choice([-1, 1], size=(P, 100))

    calls = []
    curve = capacity(
        memory_of, patterns_of, [10, 20, 30], 100, np.random.default_rng(0), sets=2,
        progress=lambda: calls.append(1),
    )  # fmt: skip
    np.testing.assert_array_equal(curve.mean, [1, 1, -1])
    np.testing.assert_array_equal(curve.low, curve.mean)
    assert len(calls) == 6
    at, low, high = curve.falls_through(0.95, np.random.default_rng(1))
    assert at == pytest.approx(0.2 + 0.1 * 0.05 / 2)
    assert low == high == at
    assert np.isnan(curve.falls_through(-2, np.random.default_rng(1))[0])
    assert curve.falls_through(2, np.random.default_rng(1))[0] == 0.1


def test_intervals_of_a_capacity_curve_are_students():
    sets = np.array([[0.9, 1.0, 0.8, 0.9]])
    half = 3.182446 * sets.std(ddof=1) / 2  # t quantile of 3 degrees of freedom
    known = iter(sets[0])

    class Fixed(Ball):
        def recall(self, x, *, rng=None, max_sweeps=100):
            state = x.copy()
            flips = round((1 - next(known)) / 2 * x.shape[1])
            state[:, :flips] *= -1
            return super().recall(x)._replace(state=state)

    curve = capacity(
        lambda p: Fixed(p[0], 0), lambda P, rng: np.ones((P, 20), int), [5], 20,
        np.random.default_rng(0), sets=4,
    )  # fmt: skip
    assert isinstance(curve, CapacityCurve)
    assert curve.high[0] - curve.mean[0] == pytest.approx(half, rel=1e-5)


def test_a_census_knows_patterns_negatives_mixtures_and_the_rest():
    patterns = random_spins(2, 3, 200)
    mixture = np.sign(patterns.sum(axis=0, dtype=int)).astype(np.int8)
    negative = np.sign(patterns[0].astype(int) - patterns[1] + patterns[2]).astype(np.int8)
    other = random_spins(3, 200)
    starts = np.stack([patterns[0], -patterns[1], mixture, negative, other])
    still = Couplings(np.zeros((200, 200)))
    found = census(still, starts, patterns, np.random.default_rng(0))
    np.testing.assert_array_equal(found.kind, [1, 1, 3, 3, 0])
    assert found.share(3) == 0.4
    assert found.distinct(3) == 2


def test_a_census_of_tokens():
    patterns = np.random.default_rng(4).integers(5, size=(6, 60))
    votes = (patterns[:3, :, None] == np.arange(5)).sum(axis=0)
    mixture = votes.argmax(axis=1)
    memory = TokenMemory(patterns, 5, 50.0)
    kinds = census(memory, patterns, patterns, np.random.default_rng(0)).kind
    np.testing.assert_array_equal(kinds, 1)

    class Still(Ball):
        def recall(self, x, *, rng=None, max_sweeps=100):
            return super().recall(x)._replace(state=x)

    still = Still(patterns[0], 0, np.arange(5))
    found = census(still, np.stack([mixture, (patterns[0] + 1) % 5]), patterns,
                   np.random.default_rng(0))  # fmt: skip
    assert found.kind[0] == 3
    assert found.kind[1] == 0


def test_what_is_not_at_rest_is_no_fixed_point():
    class Never(Ball):
        def recall(self, x, *, rng=None, max_sweeps=100):
            return super().recall(x)._replace(converged=np.zeros(len(x), bool))

    patterns = random_spins(5, 3, 20)
    found = census(Never(patterns[0], 20), patterns, patterns, np.random.default_rng(0))
    np.testing.assert_array_equal(found.kind, -1)


def test_hopfields_mixtures_are_found_by_random_starts():
    """Amit, Gutfreund & Sompolinsky: at low load odd mixtures are stable; even ones are not."""
    patterns = random_spins(6, 5, 400)
    memory = hebbian(patterns)
    found = census(memory, random_spins(7, 300, 400), patterns, np.random.default_rng(0))
    assert found.share(1) > 0.3
    assert found.share(3) > 0.01
    mixture = np.sign(patterns[:3].sum(axis=0, dtype=int))
    assert overlap(memory.recall(mixture[None]).state[0], mixture, SPINS) > 0.98


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: change(np.ones((1, 3)), 4, SPINS, np.random.default_rng(0)), "count must lie in"),
        (lambda: change(np.ones((1, 3)), -1, SPINS, np.random.default_rng(0)), "0 … 3"),
        (lambda: repaired(None, [[1]], 0, None, trials=0), "trials must be"),
        (lambda: capacity(None, None, [1], 1, None, sets=1), "sets must be at least 2"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message):
        call()
