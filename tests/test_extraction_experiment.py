"""What is given away, and the line of pooled entropies: a tiny run, known answers, verdicts."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import t as student

from experiments import entropy_memorization, extraction
from experiments.entropy_memorization import CHAIN
from experiments.extraction import told, values
from experiments.kit.extracted import LONG, RANDOM, TREE, Size, needed, pairs, quantile
from experiments.kit.intervals import headers, over_seeds
from experiments.kit.pools import (
    FREQUENCIES,
    MEMORY,
    NETWORK,
    SOURCE,
    levels,
    nothing,
    number,
    steeper,
    subjects,
)
from experiments.kit.record import Record
from experiments.kit.settings import PROCESSES
from minuddm import DatasetIdeal
from minuddm.probes.pooled_entropy import ESTIMATES

SMALL = ["--quick", "--sizes", "16x1", "--subsets", "2", "8", "--steps", "5", "--samples", "2",
         "--jobs", "1"]  # fmt: skip


@pytest.fixture(scope="module")
def run(text, tmp_path_factory):
    """The table and the record of a tiny run of `extraction`."""
    out = tmp_path_factory.mktemp("extraction")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "QUICK", Size(8, 10, 4, 2, 1))
        extraction.EXPERIMENT.main([*SMALL, "--data", str(text), "--out", str(out)])
    with (out / "table.csv").open() as file:
        return list(csv.DictReader(file)), json.loads((out / "record.json").read_text())


# ---- extraction ----------------------------------------------------------------------------------


def test_all_that_gives_sequences_away_stands_in_one_table(run):
    table, record = run
    assert list(table[0]) == extraction.EXPERIMENT.columns
    copies = [row for row in table if row["part"] == "copies"]
    ideals, text = 2 * 2 * 9, 2 * 2 * 2 * 7  # data, processes, N; processes, P, models, N
    assert len(copies) == ideals + text
    assert {row["model"] for row in copies if row["data"] == TREE} == {"source_ideal"}
    for row in table:
        assert (row["finished"] == "False") == (row["model"] == "network")  # 5 steps finish nothing
        if row["part"] in ("copies", "D1", "prefix"):
            assert 0 <= float(row["value"]) <= 1
        else:
            assert float(row["value"]) >= 1
    assert len(record["verdicts"]) == 5
    assert record["settings"]["processes"] == list(PROCESSES)
    assert record["settings"]["subsets"] == [2, 8]


def test_the_ideals_are_there_whatever_the_networks_have_learnt(run):
    """Of 8 samples: a uniform memory copies at N = 8, a masked one hardly; D1 is exact."""
    table, record = run
    [uniform], [masked] = (
        values(table, part="copies", data=RANDOM, process=process, steps=8) for process in PROCESSES
    )
    assert uniform[0] == 1
    assert masked[0] <= 0.5  # of chances .06 each, 5 of 8 come up in 1 of 3e5 runs
    [first] = values(table, part="D1", process="masked", steps=2)
    assert first[0] == pytest.approx(7 / 18, abs=1e-6)
    words = {verdict["claim"]: verdict["verdict"] for verdict in record["verdicts"]}
    assert words["more steps extract a stored sequence more often"] == "does not hold"


def test_chances_below_what_samples_can_tell_need_more_samples_than_those_drawn():
    found = needed(np.array([0.5, 0.02, 0.009]), samples=100)
    assert found.tolist() == [1, 35, np.inf]
    assert told([np.inf]) == "more than were drawn"
    assert (told([35.0]), told([2.5e7])) == ("35", "2e+07")


def test_a_median_of_samples_needed_may_be_infinite_at_its_upper_end():
    rng = np.random.default_rng(0)
    value, low, high = quantile(np.array([1.0, 2.0, 3.0, np.inf, np.inf]), 0.5, rng)
    assert (value, high) == (3, np.inf)
    assert low in (1, 2)


def test_bounds_are_paired_one_to_one_with_near_ones_of_the_others():
    near, other = pairs(np.array([1.0, 2.0, 2.01, 3.0]), np.array([2.05, 0.95, 2.2]))
    assert near.tolist() in ([0, 1], [0, 2])  # one of the two shares a partner, and goes without
    assert other.tolist() == [1, 0]
    assert len(pairs(np.array([1.0, 9.0]), np.array([5.0]))[0]) == 0


def record_of(rows):
    """A record whose table has the given shares, chances and numbers with narrow intervals."""
    wide = {"D1": 0.0}
    table = [
        row | dict(zip(headers(["value"]), (v, v - wide.get(row["part"], 0.01), v + 0.01),
                       strict=True)) for *_, row, v in rows
    ]  # fmt: skip
    return Record({"headline": {}, "data": {"name": "pydoc"}}, table)


def whole(faster="uniform"):
    """A table in which one process copies in fewer steps."""
    rows = []
    for process in PROCESSES:
        first = process == faster
        for N in (8, 16, 32, LONG, 256):
            about = {"part": "copies", "process": process, "steps": N}
            for data, model, P in ((RANDOM, "dataset_ideal", 16), (TREE, "source_ideal", ""),
                                   ("pydoc", "network", 4)):  # fmt: skip
                row = about | {"data": data, "model": model, "P": P}
                rows.append((row, 0.9 if first else 0.5))
        for N, v in ((1, 0.4), (256, 0.3)):
            rows.append(({"part": "D1", "process": process, "steps": N}, v))
        for split, v in (("train", 10), ("test", 1000)):
            about = {"process": process, "model": "network", "P": 4, "split": split}
            rows.append((about | {"part": extraction.PAIRED}, v))
    return rows


@pytest.mark.parametrize("faster", PROCESSES)
def test_verdicts_follow_the_table(faster):
    found = [verdict.word for verdict in extraction.verdicts(record_of(whole(faster)))]
    won = "holds" if faster == "uniform" else "does not hold"
    assert found == [won, won, won, "does not hold", "holds"]


def test_without_sequences_of_the_same_bound_nothing_is_said_of_them():
    rows = [row for row in whole() if row[0]["part"] != extraction.PAIRED]
    *_, last = extraction.verdicts(record_of(rows))
    assert last.word == "open"
    assert "no bounds" in last.number


def test_seeds_are_pooled_and_numbers_of_samples_by_their_logarithm():
    rows = [{"part": part, "P": 4, "steps": 8, "seed": seed, "value": v}
            for part, values in (("copies", (0.2, 0.4, 0.6)), ("needed", (10, 100, 1000)),
                                 ("prefix", (0.5,)), ("paired, by paths", (5, np.inf, 7)))
            for seed, v in enumerate(values)]  # fmt: skip
    found = {row["part"]: values([row])[0] for row in extraction.pooled(rows)}
    assert found["copies"][0] == pytest.approx(0.4)
    assert found["needed"][0] == pytest.approx(100)
    assert found["needed"][2] == pytest.approx(10 ** (2 + student.ppf(0.975, 2) / 3**0.5))
    assert found["prefix"][0] == 0.5
    assert found["paired, by paths"] == (7, 5, np.inf)


def test_pairs_are_compared_seed_by_seed():
    """Seeds a million apart, and a hundredth within each: the share is a hundredth, and sure."""
    rows = [{"part": extraction.PAIRED, "process": "masked", "split": split, "seed": seed,
             "value": most * share, "value_lo": 1, "value_hi": 1e30}
            for seed, most in enumerate((1e9, 2e15, 1e21))
            for split, share in (("train", 0.01 + 0.001 * seed), ("test", 1))]  # fmt: skip
    found = extraction.share_of_samples(rows, process="masked")
    assert 0.005 < found.low < 0.011 < found.high < 0.02
    one = extraction.share_of_samples(rows[:2], process="masked")
    assert one == (0.01, 1 / 1e30, 1e30)
    assert np.isnan(extraction.share_of_samples([], process="masked").value)


# ---- entropy and memorisation --------------------------------------------------------------------


def test_half_of_the_tokens_are_replaced_and_scored():
    x = np.random.default_rng(0).integers(5, size=(6, 9)).astype(np.int32)
    tokens, scores = entropy_memorization.halves(DatasetIdeal(x, 5), x, 5, 60, 0, "test")
    assert tokens.shape == (60, 4)
    assert scores.shape == (60,)
    assert ((scores >= 0) & (scores <= 4)).all()
    assert scores.mean() < 0.5  # 5 of 9 tokens tell 6 sequences of 5 values apart, nearly always
    known = entropy_memorization.frequencies(np.zeros((1, 8), np.int32), 3)
    log_p = known(x[:2], np.ones(2))
    assert log_p.shape == (2, 9, 3)
    np.testing.assert_allclose(np.exp(log_p[0, 0]), [9 / 11, 1 / 11, 1 / 11])


def line(model, split, slope, excess, levels=8, P=4, data="pydoc", half=0.001):
    """The rows of one subject, the same for all estimates."""
    known = {"kind": "line", "model": model, "split": split, "levels": levels, "P": P, "seed": 0,
             "data": data}  # fmt: skip
    numbers = {
        f"{name}{end}": v + shift
        for name, v in (("slope", slope), ("r", 0.9), ("null", 0.01), ("excess", excess))
        for end, shift in (("", 0), ("_lo", -half), ("_hi", half))
    }
    return [known | numbers | {"estimate": estimate} for estimate in ESTIMATES]


@pytest.mark.parametrize(
    ("left", "train", "levels", "words"),
    [
        (0.0, 0.05, 8, ["holds", "holds", "holds", "holds", "holds"]),
        (0.02, 0.01, 8, ["holds", "holds", "does not hold", "does not hold", "holds"]),
        (0.0, 0.05, 2, ["open", "holds", "holds", "open", "holds"]),
    ],
)
def test_verdicts_on_the_line_follow_the_table(left, train, levels, words):
    rows = [
        *line(NETWORK, "train", 0.05, train, levels),
        *line(NETWORK, "test", 0.05, 0.02),
        *line(MEMORY, "train", np.nan, np.nan, 1),
        *line(FREQUENCIES, "test", 0.05, left),
        *line(SOURCE, "test", 0.05, left, data=CHAIN),
    ]
    record = Record({"headline": {"subsets": [4]}, "data": {"name": "pydoc"}}, rows)
    assert [verdict.word for verdict in entropy_memorization.verdicts(record)] == words
    assert over_seeds(rows[:1], "slope") == pytest.approx((0.05, 0.049, 0.051))
    said = entropy_memorization.paragraph(rows)
    assert "perfect memory, P = 4, training pydoc: 1 level" in said


def test_lines_of_several_seeds_have_students_interval_over_them():
    rows = [row | {"seed": seed} for seed, slope in enumerate((0.04, 0.05, 0.09))
            for row in line(NETWORK, "train", slope, 0.0, levels=2 + seed)]  # fmt: skip
    [of] = subjects(rows).values()
    assert [row["seed"] for row in of["plug_in"]] == [0, 1, 2]
    assert levels(of["plug_in"]) == 4
    value, low, high = number(of["plug_in"], "slope")
    assert value == pytest.approx(0.06)
    assert high - value == pytest.approx(
        student.ppf(0.975, 2) * np.std([0.04, 0.05, 0.09], ddof=1) / 3**0.5
    )
    assert low == pytest.approx(2 * value - high)
    rows = [row | {"r": r} for row, r in zip(of["plug_in"], (0.9, 0.99, ""), strict=True)]
    middle, _, high = number(rows, "r")
    assert np.arctanh(middle) == pytest.approx((np.arctanh(0.9) + np.arctanh(0.99)) / 2)
    assert high < 1


def test_training_and_unseen_text_are_compared_seed_by_seed():
    """Two networks scatter, their differences do not: only these decide."""
    rows = [row | {"seed": seed} for seed, less in enumerate((0.0, 0.04))
            for split, excess in (("train", 0.05), ("test", 0.02))
            for row in line(NETWORK, split, 0.05, excess - less)]  # fmt: skip
    one, other, apart = steeper(rows, 4)
    assert one.low < other.value < one.high
    assert apart == pytest.approx((0.03, 0.03, 0.03))
    assert steeper([row | {"levels": 1} for row in rows], 4) is None
    *_, alone = steeper([row for row in rows if row["seed"] == 0], 4)
    assert alone == pytest.approx((0.03, 0.03 - 0.001 * 2**0.5, 0.03 + 0.001 * 2**0.5))


def test_an_interval_that_is_wide_is_not_nothing():
    found = [nothing(x, 0.02) for x in ((0, -0.01, 0.01), (0.01, -0.03, 0.05), (0.03, 0.01, 0.05))]
    assert found == [True, None, False]
