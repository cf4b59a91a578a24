"""What may be concluded from a reading: shares, gaps, and when there is too little to conclude."""

import numpy as np
import pytest
import scipy

from minuddm.ideal import DatasetIdeal
from minuddm.probes import (
    STARTS,
    Probed,
    Returned,
    gaps,
    proportion_interval,
    twins,
    verdicts,
)
from minuddm.probes.verdicts import BETWEEN, GENERALISES, REMEMBERS, UNDECIDED
from minuddm.process import Uniform
from tests.test_deployed import OTHERS, PATTERNS, STEPS, L, N, V, ignorant, read, words


@pytest.mark.parametrize("n", [1, 6, 40])
def test_exact_intervals_cover_at_least_as_often_as_they_say(n):
    intervals = [proportion_interval(k, n) for k in range(n + 1)]
    for p in np.linspace(0, 1, 201):
        chance = scipy.special.binom(n, range(n + 1)) * p ** np.arange(n + 1)
        chance = chance * (1 - p) ** np.arange(n, -1, -1)
        held = [one.low <= p <= one.high for one in intervals]
        assert chance[held].sum() >= 0.95 - 1e-12


def test_an_interval_of_none_or_all_has_a_closed_form():
    assert proportion_interval(0, 9).high == pytest.approx(1 - 0.025 ** (1 / 9))
    assert proportion_interval(9, 9).low == pytest.approx(0.025 ** (1 / 9))
    assert np.isnan(proportion_interval(0, 0)).all()
    with pytest.raises(ValueError, match="at most n = 2"):
        proportion_interval(3, 2)


def test_twins_are_each_others_nearest():
    x = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [5, 5, 5, 5], [0, 0, 0, 0]])
    near, pairs = twins(x)
    assert near.tolist() == [0, 0.25, 1, 0]
    assert pairs == 1
    assert np.isnan(twins(x[:1])[0]).all()


def made_up(settled, n, **texts):
    """A reading of n samples, the first `settled` of which are certain and all alike."""
    entropies = np.where(np.arange(n) < settled, 0.0, 1.0)
    own = Returned(entropies, np.full(n, np.nan), np.zeros(n))
    return Probed(
        V, L, STEPS, Uniform(V), np.zeros((n, L), np.int32), np.ones(1), np.ones((1, n)),
        dict.fromkeys(STARTS, own), **texts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settled", "n", "word"),
    [
        (40, 40, REMEMBERS), (36, 40, REMEMBERS), (35, 40, BETWEEN), (5, 40, BETWEEN),
        (4, 40, GENERALISES), (0, 40, GENERALISES), (6, 6, REMEMBERS), (0, 6, GENERALISES),
        (5, 5, UNDECIDED), (0, 5, UNDECIDED),
    ],
)  # fmt: skip
def test_shares_make_verdicts_and_few_sequences_make_none(settled, n, word):
    assert words(made_up(settled, n))[1.0] == word


def test_gaps_count_standard_errors_of_two_independent_means():
    def text(came):
        came = np.asarray(came)
        return {0.1: Returned(1 - came, came, np.zeros(len(came)))}

    of = made_up(
        0, 6, text=text([1.0, 1.0, 0.5, 0.5]), against=text([0.5, 0.0, np.nan, 0.25]),
        levels={name: np.ones((4, 5)) for name in ("text", "against")},
        sequences={"text": 4, "against": 4},
    )  # fmt: skip
    [gap] = gaps(of)["recovery"]
    error = np.sqrt((4 * 1 / 16 + 3 * 1 / 24) / 5 * (1 / 4 + 1 / 3))
    assert gap.difference == 0.5
    assert gap.errors == pytest.approx(0.5 / error)
    assert [one.errors for one in gaps(of)["bound"]] == [0] * 5


def test_fewer_than_six_leave_an_interval_that_reaches_one_half():
    assert proportion_interval(6, 6).low > 0.5 > proportion_interval(5, 5).low
    assert min(proportion_interval(k, n).low for n in range(6, 200) for k in range(n + 1)
               if k >= 0.9 * n) > 0.5  # fmt: skip


def test_returns_of_one_sequence_are_no_sequences_of_their_own():
    """A sequence that returns twice counts once in a standard error, with its mean."""
    came = {"text": [1.0, 0.0, 0.5, np.nan], "against": [0.0, 0.25, 0.5]}

    def gap(sequences, text):
        back = {name: {0.1: Returned(np.asarray(of), np.asarray(of), np.zeros(len(of)))}
                for name, of in (("text", text), ("against", came["against"]))}  # fmt: skip
        levels = {name: np.ones((3, 5)) for name in came}
        known = {"text": sequences, "against": 3}
        made = made_up(0, 6, **back, levels=levels | {"text": np.ones((len(text), 5))},
                       sequences=known)  # fmt: skip
        return gaps(made)["recovery"][0]

    assert gap(2, came["text"]) == gap(2, [0.5, 0.5])
    assert gap(1, [0.75]).errors == pytest.approx(0.5 / np.sqrt(0.125 / 2 * (1 + 1 / 3)))


def test_a_text_of_one_sequence_returns_as_often_as_there_are_samples():
    of = read(DatasetIdeal(PATTERNS, V), text=PATTERNS[:1], against=OTHERS)
    assert len(of.text[0.5].entropy) == N
    assert words(of, "text")[0.5] == REMEMBERS
    assert not of.copied.all()


def test_two_texts_of_a_sequence_each_tell_nothing_apart():
    of = read(DatasetIdeal(PATTERNS, V), text=PATTERNS[:1], against=PATTERNS[1:2])
    assert np.isnan([gap.errors for gap in gaps(of)["recovery"]]).all()
    assert words(of, "text")[0.25] == UNDECIDED


def test_without_another_text_it_is_said_that_none_was_there():
    of = read(DatasetIdeal(PATTERNS, V), text=PATTERNS)
    assert words(of, "text")[0.25] == REMEMBERS
    assert "no other text" in [one.why for one in verdicts(of) if one.subject == "text"][1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"samples": 1}, "samples must be at least 2, got 1"),
        ({"samples": 3000}, "samples must lie in 2 … 2048, got 3000"),
        ({"against": OTHERS}, "needs a text"),
        ({"text": OTHERS[:, :-1]}, "text must have length 16, got 15"),
        ({"text": OTHERS + 1}, "text must lie in 0 … 11, got 12"),
        ({"text": OTHERS[:0]}, "text must hold at least one sequence"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_probed_is_one_line(more, message):
    with pytest.raises(ValueError, match=message):
        read(ignorant, **more)
