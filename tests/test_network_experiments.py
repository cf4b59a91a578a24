"""The experiments on trained networks: one small grid for all, known answers, bad input."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import (
    entropy_memorization,
    estimators,
    extraction,
    generated,
    learning_time,
    probed,
    size_sweep,
    stability,
    uncertainty,
    unseen_basins,
)
from experiments.kit import cells, grid, networks
from experiments.kit.commandline import CommandLine
from experiments.kit.data import read
from experiments.learning_time import Learner, agreement
from minuddm.probes import Curve, Interval, curves_meet, plateau_left
from minuddm.probes.stability import CLASSES

SMALL = ["--quick", "--sizes", "16x1", "24x1", "--subsets", "2", "8", "--steps", "20", "--seeds",
         "2", "--samples", "10"]  # fmt: skip
ON_THE_GRID = (
    *(size_sweep, generated, estimators, stability, uncertainty),
    *(unseen_basins, probed, entropy_memorization),
)


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """A folder in which all cells are done."""
    out = tmp_path_factory.mktemp("trained")
    size_sweep.EXPERIMENT.main([*SMALL, "--data", str(text), "--out", str(out), "--jobs", "2"])
    return out


@pytest.mark.parametrize("experiment", ON_THE_GRID)
def test_experiments_share_one_grid(experiment, trained, text, capsys, monkeypatch):
    monkeypatch.setattr(cells, "_keep", None)
    monkeypatch.setattr(stability, "TIMES", (0.1, 1.0))
    monkeypatch.setattr(entropy_memorization, "QUICK", (200, 4))
    experiment.EXPERIMENT.main([*SMALL, "--data", str(text), "--out", str(trained), "--jobs", "1"])
    paragraph = capsys.readouterr().out.strip()
    assert "\n" not in paragraph
    record = json.loads((trained / "record.json").read_text())
    assert paragraph.startswith(record["headline"]["paragraph"])
    assert record["verdicts"]
    assert record["settings"]["seeds"] == [0, 1]
    asked = record["settings"]["sizes"], record["settings"]["subsets"]
    assert set(record["finished"]) == set(map(str, asked[1]))
    assert all(len(of) == 2 * len(asked[0]) for of in record["finished"].values())
    with (trained / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == experiment.EXPERIMENT.columns
    assert (trained / "figure.svg").exists()


@pytest.mark.parametrize("experiment", [size_sweep, generated, stability, unseen_basins])
def test_one_seed_is_judged_too(experiment, trained, text, capsys, monkeypatch):
    monkeypatch.setattr(stability, "TIMES", (0.1, 1.0))
    words = [*SMALL, "--seeds", "1", "--data", str(text), "--out", str(trained), "--jobs", "1"]
    experiment.EXPERIMENT.main(words)
    assert "nan" not in capsys.readouterr().out


def test_text_needs_a_second_subset_for_a_reference(text, tmp_path, capsys):
    words = ["--quick", "--subsets", "8", "--data", str(text), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        unseen_basins.EXPERIMENT.main(words)
    assert ended.value.code == 2
    assert "at least 2 subsets" in capsys.readouterr().err


def test_a_peak_lies_between_the_neighbours_of_where_it_was_seen():
    ends = ((8, 8), (4, 8), (8, 32))
    seen = [generated.between(Interval(8, *pair), [4, 8, 32])[1:] for pair in ends]
    assert seen == [(4, 32), (0, 32), (4, np.inf)]


def test_official_files_hold_what_their_columns_say(trained, text, monkeypatch):
    monkeypatch.setattr(stability, "TIMES", (0.1, 1.0))
    words = [*SMALL, "--data", str(text), "--out", str(trained), "--jobs", "1", "--official-format"]
    stability.EXPERIMENT.main(words)
    files = sorted(path.name for path in (trained / "official").glob("*.csv"))
    assert len(files) == 2 * 2 * 3  # t × P × mode, one size, one seed
    assert "stability_t=0.1_subset=8_test.csv" in files
    with (trained / "official" / "stability_t=0.1_subset=8_test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == stability.OFFICIAL
    arrays = np.load(trained / "official" / "stability_t=0.1_subset=8_test.npz")
    assert set(arrays) == {"entropy", "mask_perturbed", "mask_correct", "mask_unstable"}
    for row, changed, right, unstable, H in zip(rows, *(arrays[k] for k in (
        "mask_perturbed", "mask_correct", "mask_unstable", "entropy")), strict=True):  # fmt: skip
        clean, noisy, back = row["original"], row["perturbed"], row["restored"]
        assert [a != b for a, b in zip(clean, noisy, strict=True)] == list(changed)
        assert [a == b for a, b in zip(clean, back, strict=True)] == list(right)
        assert list(~changed & ~right) == list(unstable)
        assert row["is_exact_match"] == str(clean == back)
        assert float(row["perturbation_rate"]) == pytest.approx(changed.mean(), rel=1e-5)
        if changed.any():
            came = (changed & right).sum() / changed.sum()
            assert float(row["recovery_rate"]) == pytest.approx(came, rel=1e-5)
        stable = ~changed & right
        if stable.any():
            assert float(row["entropy_stable"]) == pytest.approx(H[stable].mean(), rel=1e-5)


def test_cells_of_a_grid_are_nested_and_differ_by_seed(text, tmp_path):
    p = CommandLine("x", "y")
    grid.options()(p)
    plan = grid.plan(p.parse_args([*SMALL, "--sizes", "16x1", "--data", str(text)]))
    small, large = plan.cells["16x1", 2, 0], plan.cells["16x1", 8, 0]
    np.testing.assert_array_equal(small.training, large.training[:2])
    np.testing.assert_array_equal(plan.parts[0][0][:8], large.training)
    assert (plan.cells["16x1", 8, 1].training != large.training).any()
    names = {cells.path(networks.measure, cell, tmp_path) for cell in plan.cells.values()}
    assert len(names) == len(plan.cells) == 4


# ---- known answers ------------------------------------------------------------------------------


def test_seeds_that_agree_change_no_estimate_and_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    P = [10, 100, 1000]
    means = (1.0, 0.97, 0.5)
    one = [np.clip(m + 0.02 * rng.normal(size=200), 0, 1) for m in means]
    flat = [np.full(200, 0.4)] * 3
    alone = plateau_left(Curve(P, one, flat), np.random.default_rng(1))
    twice = Curve(P, [np.stack([x, x]) for x in one], [np.stack([x, x]) for x in flat])
    same = plateau_left(twice, np.random.default_rng(1))
    assert same.value == pytest.approx(alone.value)
    apart = Curve(
        P, [np.stack([x, np.clip(x - 0.06 * k, 0, 1)]) for k, x in enumerate(one)],
        [np.stack([x, x]) for x in flat],
    )  # fmt: skip
    wide = plateau_left(apart, np.random.default_rng(1))
    assert wide.high / wide.low > 2 * alone.high / alone.low
    with pytest.raises(ValueError, match="same number of seeds"):
        curves_meet(Curve(P, [np.ones((2, 5)), np.ones((1, 5)), np.ones((2, 5))], flat),
                    np.random.default_rng(0))  # fmt: skip


def test_networks_agree_where_they_say_the_same():
    says = np.array([[1, 2, 3, 4], [1, 1, 1, 1]]), np.array([[1, 2, 0, 0], [1, 1, 1, 1]])
    one, other = ({"says": x} for x in says)
    assert agreement(one, other).tolist() == [0.5, 1.0]


def test_learning_time_leaves_its_record(text, tmp_path, capsys):
    words = ["--quick", "--subsets", "2", "4", "--steps", "60", "--seeds", "1", "--jobs", "2"]
    learning_time.EXPERIMENT.main([*words, "--data", str(text), "--out", str(tmp_path)])
    paragraph = capsys.readouterr().out.strip()
    record = json.loads((tmp_path / "record.json").read_text())
    assert paragraph.startswith(record["headline"]["paragraph"])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == learning_time.COLUMNS
    assert {(row["P"], row["half"]) for row in rows} == {(p, h) for p in "24" for h in "01"}


def test_halves_share_no_sequence_and_the_tests(text):
    data = read(str(text), None, lines=False, vocab=256, rules=2, seed=0).corpus
    training, _ = data.split(5, 0)
    first, second = training.tokens[:4], training.tokens[len(training) // 2 :][:4]
    assert not (first[:, None] == second).all(axis=2).any()
    task = Learner(str(text), "", 4, 1, 130, 5, 0)
    found = learning_time.learn(task)
    assert found["steps"].tolist() == [125, 130]  # the first look and the last
    assert len(found["says"]) == 2
    assert len(found["says"][0]) == 5 * data.tokens.shape[1]


def test_the_peak_of_a_known_curve():
    class Found:
        subsets, seeds = (2, 8, 32), (0, 1)

        class settings:  # noqa: N801
            seed = 0

    values = [np.full((2, 50), m) + 0.01 * np.random.default_rng(0).normal(size=(2, 50))
              for m in (1.0, 2.0, 1.5)]  # fmt: skip
    assert generated.peak(Found(), values, "x") == Interval(8.0, 8.0, 8.0)


def test_a_capacity_that_doubles_with_weights_and_steps_is_read_on_the_way(monkeypatch):
    """Recovery .95 - .1 log(P/P*), P* = W steps/250000: linear in log P, so it is read exactly."""
    weights = {"8x2": 1000, "16x2": 2000, "32x2": 4000}
    monkeypatch.setattr(size_sweep, "weights", lambda found, size: weights[size])
    subsets, seeds, steps = (2, 8, 32, 128), (0, 1), np.array([500, 707, 1000, 1414, 2000])

    def cell(size, P):
        mean = 0.95 - 0.1 * np.log(P / (weights[size] * steps / 250_000))
        values = np.repeat(mean[:, None], 5, axis=1)
        return {"course steps": steps, "course train recovery": values,
                "course test recovery": values}  # fmt: skip

    cells = {(size, P, seed): cell(size, P) for size in weights for P in subsets for seed in seeds}
    found = SimpleNamespace(sizes=tuple(weights), subsets=subsets, seeds=seeds, cells=cells,
                            settings=SimpleNamespace(steps=2000, seed=0))  # fmt: skip
    read = size_sweep.by_steps(found)
    assert list(read) == ["500", "1000", "2000"]
    for after, of in read.items():
        for size, W in weights.items():
            at_the_least = max(subsets[0], W * int(after) / 250_000)
            assert of[size].value == pytest.approx(at_the_least)
    assert read["2000"]["growth"].value == pytest.approx(1)
    assert np.isnan(read["500"]["growth"].value)  # the smallest has left before the least P


def test_a_reading_that_follows_its_shell_has_rank_correlation_one():
    shell, alone = estimators.REFERENCE, estimators.ALONE

    def group(reference, own):
        found = dict.fromkeys(estimators.NEEDS, Interval(1.0, 1.0, 1.0))
        return found | {shell: Interval(reference, 0, 0), alone: Interval(own, 0, 0)}

    single = {("sl"[k % 2], k): group(10.0 * 2**k, 20.0 * 2**k) for k in range(4)}
    agree = estimators.agreement(single, 1)[alone][shell]
    assert agree["rank_correlation"] == pytest.approx(1)
    assert agree["distance"] == pytest.approx(np.log(2))
    assert agree["shift"] == pytest.approx(np.log(2))
    constant = estimators.agreement(single, 0)[estimators.CLOSES][shell]
    assert np.isnan(constant["rank_correlation"])
    single["s", 9] = group(10.0, float("nan"))  # never read: left out
    single["s", 10] = group(2.0, 1.0)  # it had risen from the start: a bound on P, not a P
    assert estimators.agreement(single, 1)[alone][shell]["pairs"] == 4
    one_size = {("s", k): found for (_, k), found in single.items()}  # its seeds have no order
    assert np.isnan(estimators.agreement(one_size, 1)[alone][shell]["rank_correlation"])


@pytest.mark.parametrize(
    ("copied", "said", "is_"),
    [
        (0.95, "remembers", "right"),
        (0.95, "generalises", "wrong"),
        (0.95, "is in between", "undecided"),
        (0.0, "generalises", "right"),
        (0.02, "remembers", "wrong"),
        (0.0, "undecided", "undecided"),
        (0.5, "remembers", "open"),
    ],
)
def test_a_verdict_is_judged_by_the_copies(copied, said, is_):
    assert probed.judged({"is": probed.state(copied), probed.WORDS[-1]: said}) == is_


def test_classes_have_the_papers_order():
    assert CLASSES == ("stable", "recovered", "unstable", "failed")


@pytest.mark.parametrize("experiment", [*ON_THE_GRID, extraction, learning_time])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "no such file"], "neither pydoc, names nor a file"),
        (["--subsets", "1"], "must be at least 2, got 1"),
        (["--subsets", "1000000"], "1000000"),
        (["--what"], "unrecognized"),
    ],
)
def test_bad_input_gets_one_line_and_status_two(experiment, words, message, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as stop:
        experiment.EXPERIMENT.main([*words, "--out", str(out)])
    assert stop.value.code == 2
    errors = capsys.readouterr().err.strip()
    assert message in errors
    assert "\n" not in errors
    assert not out.exists()


@pytest.mark.parametrize(
    ("size", "message"),
    [("64", "width x blocks"), ("60x2", "multiple of 8"), ("64x0", "at least 1"), ("axb", "64x2")],
)
def test_sizes_that_are_none_are_refused(size, message, capsys):
    with pytest.raises(SystemExit):
        size_sweep.EXPERIMENT.main(["--sizes", size])
    assert message in capsys.readouterr().err


def test_a_radius_ends_where_the_share_of_the_reference_is_lost():
    """Shares of .95 are lost between 2 and 3 changed tokens, at once, or never."""
    known = [np.full(4, r) for r in (1.0, 0.8, 0.8)]
    assert unseen_basins.radius([0.95 * known[0], 0.80 * known[1] / 0.8, 0.72 + 0 * known[2]],
                                known) == pytest.approx(2 + 0.04 / 0.08)  # fmt: skip
    assert unseen_basins.radius([0.9 * x for x in known], known) == 0
    assert unseen_basins.radius(known, known) == 3
