"""Walks that let near patterns decide take the steps that sums over all patterns would."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopfield import BinaryMemory, Exponential, LogSumExp, LogSumReLU, Power, TokenMemory, walks
from tests import oracle, strategies

SEPARATIONS = [
    LogSumExp(0.05), LogSumExp(0.5), LogSumExp(2.0), LogSumExp(10.0), LogSumExp(1e3),
    LogSumReLU(0.5, 9.0), Power(2), Power(3), Power(4), Power(9, rectified=True), Power(30),
]  # fmt: skip


def around(x, share, V, rng):
    """Return x with a share of its tokens drawn anew."""
    return np.where(rng.random(x.shape) < share, rng.integers(V, size=x.shape), x)


@st.composite
def clusters(draw, V):
    """Patterns around a few centres, some of them twice, states near or far, and an order."""
    L = draw(st.sampled_from([1, 2, 9, 16, 30, 260]), label="L")
    P = draw(st.sampled_from([1, 31, 32, 70, 400, 3000]), label="P")
    rng = np.random.default_rng(draw(strategies.seeds, label="seed"))
    centres = rng.integers(V, size=(1 + P // 50, L))
    spread = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]), label="spread")
    damage = draw(st.sampled_from([0.1, 0.5, 1.0]), label="damage")
    patterns = around(centres[rng.integers(len(centres), size=P)], spread, V, rng)
    patterns[: P // 10] = patterns[P - P // 10 :]
    states = around(patterns[rng.integers(P, size=4)], damage, V, rng)
    return patterns, states, np.stack([rng.permutation(L) for _ in states])


@given(data=st.data(), F=st.sampled_from(SEPARATIONS))
def test_a_sweep_is_the_sweep_by_sums_over_all_patterns(data, F):
    V = data.draw(st.sampled_from([2, 3, 28, 300]), label="V")
    patterns, states, order = data.draw(clusters(V))
    memory = TokenMemory(patterns, V, F=F)
    got, changed, energy = memory._descend(states.astype(np.int32), order)
    wanted = oracle.descend(states, order, patterns, V, memory._table)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(changed, (wanted != states).any(axis=1))
    np.testing.assert_array_equal(energy, memory.energy(wanted))


@given(data=st.data(), F=st.sampled_from(SEPARATIONS))
def test_all_sites_at_once_are_single_sites_by_sums_over_all_patterns(data, F):
    V = data.draw(st.sampled_from([2, 28]), label="V")
    patterns, states, _ = data.draw(clusters(V))
    memory = TokenMemory(patterns, V, F=F)
    got, _ = memory._update(states.astype(np.int32))
    for i in range(states.shape[1]):
        sites = np.full((len(states), 1), i)
        wanted = oracle.descend(states, sites, patterns, V, memory._table)
        np.testing.assert_array_equal(got[:, i], wanted[:, i])


@pytest.mark.parametrize("options", [{}, {"synchronous": True}, {"seed": 3}], ids=str)
@pytest.mark.parametrize("B", [0, 1, 7])
def test_threads_change_no_bit(options, B):
    rng = np.random.default_rng(0)
    patterns = rng.integers(5, size=(40, 12))
    states = rng.integers(5, size=(B, 12))
    memory = TokenMemory(patterns, 5, F=Power(3))

    def recalled(threads):
        seed = options.get("seed")
        own = {} if seed is None else {"rng": np.random.default_rng(seed)}
        own |= {name: x for name, x in options.items() if name != "seed"}
        return memory.recall(states, threads=threads, **own)

    one = recalled(1)
    for threads in (2, 3, 16):
        for wanted, got in zip(one, recalled(threads), strict=True):
            assert wanted.dtype == got.dtype
            np.testing.assert_array_equal(wanted, got)


@pytest.mark.parametrize("beta", [0.4, 0.5])
def test_a_pattern_that_was_far_may_become_the_nearest(beta):
    """Three groups of near patterns outvote each other in turn, and one far pattern wins each time.

    It begins 30 matches behind, gains one at every site where each group gains two in three sites,
    overtakes them, and decides the last sites against them all.
    """
    P, block, middle, last = 1024, 60, 120, 20
    L = block + middle + last
    patterns = np.random.default_rng(0).integers(5, 9, size=(P, L))
    patterns[:31] = 1
    for group in range(3):
        patterns[10 * group : 10 * (group + 1), block + group : block + middle : 3] = 2
    patterns[:31, :block] = 0
    patterns[30, :30] = 4
    patterns[30, -last:] = 4
    state = np.where(np.arange(L) < block, 0, 3)[None]
    order = np.arange(L)[None]
    got, *_ = TokenMemory(patterns, 9, beta)._descend(state.astype(np.int32), order)
    table = TokenMemory(patterns, 9, beta)._table
    np.testing.assert_array_equal(got, oracle.descend(state, order, patterns, 9, table))
    assert (got[0, -last:] == 4).all()


@given(
    h=st.lists(st.integers(-3, 9), min_size=2, max_size=5),
    far=st.lists(st.sampled_from([0.0, 0.25, -0.25, 1.0]), min_size=5, max_size=5),
    x=st.integers(0, 4),
)
def test_what_is_decided_stays_so_whatever_the_far_patterns_add(h, far, x):
    h, x = np.array(h, float), x % len(h)
    added = np.array(far[: len(h)])
    tie = 1e-9
    found = walks._decided(h, x, np.abs(added).sum(), tie)
    if found >= 0:
        assert walks._best(h + added, x, tie) == found
    if not added.any() and len(np.unique(h)) == len(h):  # nothing far, and no ties: all is decided
        assert found == walks._best(h, x, tie)


@given(data=st.data(), F=st.sampled_from(SEPARATIONS))
@settings(max_examples=40)
def test_one_query_is_many_queries_to_the_bit(data, F):
    V = data.draw(st.sampled_from([2, 28]), label="V")
    patterns, states, _ = data.draw(clusters(V))
    memory = TokenMemory(patterns, V, F=F)
    for how in ({}, {"synchronous": True}):
        together = memory.recall(states, **how)
        for b, state in enumerate(states):
            alone = memory.recall(state[None], **how)
            np.testing.assert_array_equal(alone.state[0], together.state[b])
            seen = alone.energies.shape[1]
            np.testing.assert_array_equal(alone.energies[0], together.energies[b, :seen])


@given(data=st.data(), F=st.sampled_from([LogSumExp(1.5), Power(3)]))
@settings(max_examples=40)
def test_bytes_are_as_good_as_integers(data, F):
    """The same tokens as parts of larger vocabularies: bytes, two bytes, four."""
    patterns, states, _ = data.draw(clusters(30))
    found = [TokenMemory(patterns, V, F=F).recall(states) for V in (30, 256, 65_536)]
    for other in found[1:]:
        np.testing.assert_array_equal(other.state, found[0].state)
        np.testing.assert_array_equal(other.energies, found[0].energies)


@pytest.mark.parametrize(("V", "bytes_a_token"), [(2, 1), (255, 1), (256, 2), (65_536, 4)])
def test_a_pattern_is_kept_once_and_as_small_as_can_be(V, bytes_a_token):
    memory = TokenMemory(np.zeros((1000, 7), int), V)
    arrays = [value for value in vars(memory).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) == 7000 * bytes_a_token
    assert memory.patterns.dtype == np.int32


def test_spins_are_kept_as_bytes():
    memory = BinaryMemory(np.ones((1000, 7)), Exponential())
    assert memory._columns.nbytes == 7000
    np.testing.assert_array_equal(memory.patterns, np.ones((1000, 7), np.int8))


def test_an_order_of_patterns_changes_no_energy():
    """Energies are sums over the numbers of patterns with 0 … L matches."""
    rng = np.random.default_rng(1)
    patterns, x = rng.integers(5, size=(500, 20)), rng.integers(5, size=(9, 20))
    one, two = (TokenMemory(p, 5, 0.7) for p in (patterns, rng.permutation(patterns)))
    np.testing.assert_array_equal(one.energy(x), two.energy(x))
