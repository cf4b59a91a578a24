"""The probe of a deployed network, on denoisers whose state is known.

Draws have fixed seeds; where a verdict could be missed by chance, the chance is said.
"""

import tracemalloc

import numpy as np
import pytest
import scipy

from minuddm.ideal import DatasetIdeal, MarkovIdeal
from minuddm.probes import (
    STARTS,
    evaluations,
    gaps,
    memories,
    probe,
    twins,
    verdicts,
)
from minuddm.probes.deployed import at_a_time
from minuddm.probes.verdicts import BETWEEN, FORGOTTEN, GENERALISES, REMEMBERS, UNDECIDED
from minuddm.process import Absorbing, Uniform
from minuddm.schedule import LogLinear
from minuddm.sources import MarkovChain

V, L, STEPS, N = 12, 16, 8, 40
PATTERNS = np.random.default_rng(0).integers(V, size=(8, L))
OTHERS = np.random.default_rng(1).integers(V, size=(N, L))


def read(denoiser, seed=0, V=V, L=L, **more):
    rng = np.random.default_rng(seed)
    return probe(denoiser, V, L, LogLinear(), STEPS, rng, **{"samples": N} | more)


def words(of, subject="samples"):
    return {one.t: one.word for one in verdicts(of) if one.subject == subject}


def ignorant(tokens, alpha):
    return np.full((*tokens.shape, V), -np.log(V))


@pytest.fixture(scope="module")
def remembering():
    return read(DatasetIdeal(PATTERNS, V), text=PATTERNS, against=OTHERS)


@pytest.fixture(scope="module")
def generalising():
    chain = MarkovChain.random(V, np.random.default_rng(2))
    text, against = (chain.sample(60, L, np.random.default_rng(seed)) for seed in (3, 4))
    return read(MarkovIdeal(chain), text=text, against=against)


# ---- networks whose state is known --------------------------------------------------------------


def test_a_memory_remembers_from_every_start(remembering):
    assert words(remembering) == dict.fromkeys(STARTS, REMEMBERS)
    assert max(back.entropy.max() for back in remembering.own.values()) < 1e-6
    assert remembering.copied.all()


def test_the_number_of_memories_is_that_which_makes_samples_repeat(remembering):
    number, low, high = memories(remembering)
    repeated = (remembering.samples[:, None] == remembering.samples).all(axis=-1)
    assert number == N * (N - 1) / (repeated.sum() - N)
    assert low < len(PATTERNS) < high


def test_a_text_that_is_stored_comes_back_and_another_one_does_not(remembering):
    found = words(remembering, "text")
    assert {found[t] for t in (0.25, 0.5)} == {REMEMBERS}
    ahead = {gap.t: gap.errors for gap in gaps(remembering)["recovery"]}
    assert min(ahead[t] for t in (0.1, 0.25, 0.5)) > 3
    assert all(gap.errors > 3 for gap in gaps(remembering)["bound"])


def test_the_ideal_generaliser_generalises_and_knows_neither_text_better(generalising):
    assert words(generalising) == dict.fromkeys(STARTS, GENERALISES)
    assert words(generalising, "text") == dict.fromkeys(STARTS[:-1], FORGOTTEN)
    assert memories(generalising).value == np.inf
    assert memories(generalising).low > 100
    apart = [gap.errors for of in gaps(generalising).values() for gap in of]
    assert np.isfinite(apart).all()  # 13 comparisons: one beyond 4 errors is a chance of 1 in 1,200
    assert np.abs(apart).max() < 4


def test_who_knows_nothing_remembers_nothing_and_every_token_costs_log_v():
    of = read(ignorant, text=OTHERS)
    assert words(of) == dict.fromkeys(STARTS, GENERALISES)
    for back in (*of.own.values(), *of.text.values()):
        np.testing.assert_allclose(back.entropy, np.log(V), rtol=1e-12)
    np.testing.assert_allclose(of.way, np.log(V), rtol=1e-12)


def test_half_a_memory_is_in_between():
    """The exact conditionals of a law that is a memory or uniform, with chance ½ each.

    Of 40 samples between 5 and 35 are settled, but for a chance of 2e-7.
    """

    def half(tokens, alpha):
        keep, other = alpha + (1 - alpha) / V, (1 - alpha) / V
        fits = np.where(
            tokens[:, None] == PATTERNS, np.log(keep)[:, None, None], np.log(other)[:, None, None]
        )
        without = fits.sum(axis=-1, keepdims=True) - fits  # (B, P, L)
        weight = np.exp(without + (L - 1) * np.log(V)) / len(PATTERNS)  # beside a uniform 1
        law = np.full((*tokens.shape, V), 1 / V)
        for mu, row in enumerate(PATTERNS):
            law[:, np.arange(L), row] += weight[:, mu]
        return np.log(law / law.sum(axis=-1, keepdims=True))

    assert words(read(half))[1.0] == BETWEEN


def code(tokens, alpha):
    """The exact conditionals of blocks of five equal tokens: the other four tell each token."""
    B, beta = len(tokens), np.log1p(V * alpha / (1 - alpha))
    seen = np.eye(V)[tokens].reshape(B, -1, 5, V)
    field = beta[:, None, None, None] * (seen.sum(axis=2, keepdims=True) - seen)
    return scipy.special.log_softmax(field, axis=-1).reshape(*tokens.shape, V)


def test_certainty_without_repetition_is_undecided():
    """12⁶ sequences are settled, all of them; two samples of 40 are alike with chance 3e-4."""
    rng = np.random.default_rng(5)
    text, against = (np.repeat(rng.integers(V, size=(N, 6)), 5, axis=1) for _ in range(2))
    of = read(code, L=30, text=text, against=against)
    assert words(of)[1.0] == UNDECIDED
    [why] = [one.why for one in verdicts(of) if (one.subject, one.t) == ("samples", 1.0)]
    assert "no two are alike" in why
    assert words(of, "text")[0.1] == UNDECIDED  # for unseen sequences come back as well


# ---- what was read ------------------------------------------------------------------------------


@pytest.mark.parametrize("process", [Uniform(V), Absorbing(V)])
def test_the_number_of_sequences_that_are_read_is_known_beforehand(process):
    asked, memory = 0, DatasetIdeal(PATTERNS, V, process)

    def counted(tokens, alpha):
        nonlocal asked
        asked += len(tokens)
        return memory(tokens, alpha)

    read(counted, samples=6, text=PATTERNS, against=OTHERS[:4], process=process)
    assert asked == evaluations(V, L, STEPS, 6, len(PATTERNS), 4, process)


def test_a_masked_memory_remembers_as_well():
    of = read(DatasetIdeal(PATTERNS, V, Absorbing(V)), samples=12, process=Absorbing(V))
    assert of.own[1.0].entropy.max() < 1e-6
    assert (of.samples < V).all()


def test_neither_texts_nor_threads_change_what_is_read_of_the_samples(generalising):
    chain = MarkovChain.random(V, np.random.default_rng(2))
    alone = read(MarkovIdeal(chain), threads=2)
    np.testing.assert_array_equal(alone.samples, generalising.samples)
    for t in STARTS:
        np.testing.assert_array_equal(alone.own[t].entropy, generalising.own[t].entropy)
    assert not alone.text
    assert gaps(alone) == {}


def test_own_samples_are_what_returns_from_noise(generalising):
    assert np.isnan(generalising.own[1.0].recovery).all()
    np.testing.assert_array_equal(generalising.own[1.0].apart, twins(generalising.samples)[0])
    assert generalising.way.shape == (len(generalising.times), N)
    assert generalising.levels["text"].shape == (N, len(STARTS))


def test_conditionals_a_thread_holds_stay_below_17_megabytes_or_are_of_one_sequence():
    for values, length in ((28, 32), (30_522, 128), (2**16, 16)):
        held = at_a_time(values, length)
        assert 4 * values * length * held <= 2**24 or held == 1
    assert at_a_time(2**16, 4096) == 1


def test_no_array_but_answers_and_gradients_is_as_large_as_they_are():
    """Of 2^14 values 4 sequences of 64 are a table; the bound's gradient is a second one."""
    table = 4 * 2**14 * 64 * 4

    def held(values):
        def flat(tokens, alpha):
            return np.full((*tokens.shape, values), np.float32(-np.log(values)))

        text, rng = (
            np.random.default_rng(0).integers(values, size=(2, 64)),
            np.random.default_rng(0),
        )
        tracemalloc.start()
        probe(flat, values, 64, LogLinear(), 1, rng, text=text, against=text, samples=4)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    held(2)  # compiles
    assert table <= held(2**14) < 2.5 * table
