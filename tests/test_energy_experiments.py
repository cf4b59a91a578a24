"""The experiments of the energy side: small plans, known answers, records, repeats, bad input."""

import csv
import json

import numpy as np
import pytest
from experiments.workers import Workers

from experiments import basins, capacity, gallery, jobs, spin_transition, spurious
from experiments.basins import Stored
from experiments.capacity import Growth, Load
from experiments.spin_transition import Margin, Meeting
from experiments.spurious import Overload, Reach
from hopfield import hebbian
from hopfield.landscape import CapacityCurve

PLANS = {
    capacity: (
        [
            Load(memory, L, P, 2, 20, 0)
            for memory, L, sizes in (
                ("n = 2", 60, (6, 9, 30)),
                ("n = 3", 20, (10, 30, 90)),
                ("n = 3", 30, (20, 60, 180)),
                ("n = 4", 12, (10, 40, 160)),
                ("n = 4", 16, (20, 80, 320)),
                ("exponential", 8, (8, 32, 120)),
                ("exponential", 10, (16, 64, 256)),
                ("log-sum-exp", 8, (2, 8, 32)),
                ("log-sum-exp", 10, (4, 16, 64)),
                ("Epanechnikov", 8, (2, 8, 64)),
                ("Epanechnikov", 10, (4, 16, 90)),
            )
            for P in sizes
        ],
        [Growth(8, 4, 0), Growth(12, 4, 0)],
    ),
    spin_transition: (
        [Margin(P, 60, seed) for P in (30, 90) for seed in (0, 1)],
        [
            Meeting(patterns, P, 20, seed)
            for P in (10, 60)
            for patterns in ("random", "structured")
            for seed in (0, 1)
        ],
    ),
    spurious: (
        [Overload(P, 40, 20, seed) for P in (2, 4, 16, 32) for seed in (0, 1)],
        [
            Reach(memory, x, 8, 3, 50, 0)
            for memory in ("log-sum-exp", "Epanechnikov")
            for x in (0.5, 0.8)
        ],
    ),
    basins: [
        Stored(memory, patterns, P, 2, 2, seed)
        for P in (5, 20)
        for memory in basins.MEMORIES
        for patterns in basins.KINDS
        for seed in (0, 1)
    ],
}


@pytest.fixture
def small(monkeypatch):
    """Plans of seconds, and no timing."""
    for experiment, plan in PLANS.items():
        monkeypatch.setattr(experiment, "plan", lambda quick, seed, plan=plan: plan)
    times = {"recall_over_products": 1.0, "token_recall_seconds": 1.0}
    monkeypatch.setattr(capacity, "speed", lambda: times)
    monkeypatch.setattr(basins, "STEPS", 20)


@pytest.mark.parametrize("experiment", [*PLANS, gallery])
def test_an_experiment_leaves_its_record_table_and_figure(experiment, small, tmp_path, capsys):
    experiment.main(["--quick", "--out", str(tmp_path), "--jobs", "1"])
    paragraph = capsys.readouterr().out.strip()
    assert "\n" not in paragraph
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["headline"]["paragraph"] == paragraph
    assert record["claim"] == " ".join(experiment.__doc__.split("\n\n")[0].split())
    assert record["environment"]["numpy"]
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == experiment.COLUMNS
    assert (tmp_path / "figure.svg").read_bytes().rstrip().endswith(b"</svg>")


def test_what_is_finished_is_not_computed_again(small, tmp_path, capsys, monkeypatch):
    basins.main(["--quick", "--out", str(tmp_path), "--jobs", "1"])
    before = (tmp_path / "table.csv").read_bytes()
    monkeypatch.setattr(jobs, "_keep", None)
    basins.main(["--quick", "--out", str(tmp_path), "--jobs", "1"])
    assert (tmp_path / "table.csv").read_bytes() == before
    first, second = capsys.readouterr().out.strip().split("\n")
    assert first == second


def test_neither_the_number_of_jobs_nor_the_company_changes_a_bit(tmp_path):
    tasks = [Load("n = 2", 50, P, 2, 10, 3) for P in (5, 9, 12)]
    alone = [
        jobs.each(capacity.load, [task], tmp_path / "alone", Workers(), quiet=True)[0]
        for task in tasks
    ]
    together = jobs.each(capacity.load, tasks, tmp_path / "together", Workers(2), quiet=True)
    assert alone == together
    other = jobs.each(
        capacity.load, [Load("n = 2", 50, 12, 2, 10, 4)], tmp_path, Workers(), quiet=True
    )
    assert other[0] != together[2]


def test_what_another_code_found_is_not_taken_for_found(tmp_path, monkeypatch):
    task = Load("n = 2", 20, 2, 2, 2, 0)
    jobs.each(capacity.load, [task], tmp_path, Workers(), quiet=True)
    monkeypatch.setattr(jobs, "_code", lambda: "other")
    jobs.each(capacity.load, [task], tmp_path, Workers(), quiet=True)
    assert len(list((tmp_path / "cells").iterdir())) == 2


# ---- known answers ------------------------------------------------------------------------------


def test_slopes_of_known_lines():
    x = [1.0, 2.0, 4.0]
    y = np.array([[3.0, 5.0, 9.0], *([[3.0, 5.0, 9.0]] * 10)])
    assert capacity.slope(x, y) == pytest.approx((2.0, 2.0, 2.0))


def test_curves_are_grouped_by_memory_and_length():
    tasks = [Load("n = 2", 10, P, 2, 5, 0) for P in (1, 2)] + [Load("n = 3", 10, 5, 2, 5, 0)]
    found = [{"sets": [1.0, 1.0]}, {"sets": [0.5, 0.7]}, {"sets": [0.1, 0.1]}]
    shapes = capacity.curves(tasks, found)
    assert isinstance(shapes["n = 2", 10], CapacityCurve)
    np.testing.assert_allclose(shapes["n = 2", 10].mean, [1.0, 0.6])
    np.testing.assert_allclose(shapes["n = 3", 10].loads, [0.5])


def test_all_patterns_stay_until_two_are_neighbours():
    """At distance 1 from a neighbour, a third pattern on the neighbour's side tips the tie."""
    far = np.array([[1] * 12, [-1] * 12, [1, -1] * 6], np.int8)
    assert capacity._all_stay(far)
    near = far[[0, 0, 1]].copy()
    near[1, 0] = -1  # a neighbour, which -1 … -1 favours at site 0
    assert not capacity._all_stay(near)


def test_the_known_basin_of_a_single_pattern_is_half_the_cube():
    """One pattern under Hebb's rule: everything nearer to it than to its negative comes back."""
    task = Stored("Hopfield", "random", 1, 1, 20, 0)
    found = basins.basin(task)
    assert found["stays"] == [1.0]
    # up to 99 of 200 flips come back; at 100 the first spin visited decides
    assert found["radius"][0] == pytest.approx(0.495, abs=0.011)
    assert found["log_volume"] == pytest.approx(np.log(0.5) / 200, abs=2e-3)
    assert found["train_recovery"] == [1.0]


def test_overloads_of_one_and_of_two_patterns():
    found = spurious.overload(Overload(2, 100, 50, 0))
    assert found["1"][0] == 1.0  # no mixtures of two
    assert sum(share for share, _ in found.values()) == pytest.approx(1.0)


def test_minima_that_nothing_pulls_are_none():
    memory = spurious.on_circle(2, np.random.default_rng(0))
    ends = spurious.minima(memory, memory.patterns + 0.1)
    assert len(ends) == 2
    np.testing.assert_allclose(np.linalg.norm(ends - memory.patterns, axis=1).max(), 0, atol=0.01)
    reach = spurious.reach(Reach("Epanechnikov", 0.3, 5, 3, 100, 0))
    assert reach["stored"] == 5  # kernels that hardly overlap keep every pattern exactly


def test_the_ring_is_bessels_curve():
    assert spurious.exactness() < 1e-6


def test_letters_are_letters():
    drawn = gallery.letters()
    assert drawn.shape == (26, gallery.SIZE**2)
    assert len(np.unique(drawn, axis=0)) == 26
    share = (drawn == 1).mean(axis=1)
    assert ((share > 0.1) & (share < 0.6)).all()
    letter_o = drawn[gallery.LETTERS.index("O")].reshape(gallery.SIZE, gallery.SIZE)
    assert letter_o[gallery.SIZE // 2, gallery.SIZE // 2] == -1  # a hole in the middle
    assert (letter_o[gallery.SIZE // 2] == 1).sum() >= 4


def test_a_flipped_spin_that_comes_back_is_recovered_and_nothing_else_counts():
    xi = np.ones((2, spin_transition.L), np.int8)
    memory = hebbian(xi)
    overlap, repaired = spin_transition._recall(
        memory, xi, 0.1, np.random.default_rng(0), synchronous=True
    )
    assert overlap == 1.0
    np.testing.assert_array_equal(repaired, 1.0)
    _, kept = spin_transition._recall(memory, xi, 0.0, np.random.default_rng(0), synchronous=False)
    np.testing.assert_array_equal(kept, 1.0)  # nothing flipped, nothing moved


@pytest.mark.parametrize("experiment", [*PLANS, gallery])
def test_bad_input_gets_one_line_and_status_two(experiment, capsys):
    for words, message in ((["--jobs", "0"], "must be at least 1"), (["--what"], "unrecognized")):
        with pytest.raises(SystemExit) as stop:
            experiment.main(words)
        assert stop.value.code == 2
        errors = capsys.readouterr().err.strip()
        assert message in errors
        assert "\n" not in errors
    with pytest.raises(SystemExit) as stop:
        experiment.main(["--help"])
    assert stop.value.code == 0
    assert " ".join(experiment.__doc__.split("\n\n")[0].split())[:40] in " ".join(
        capsys.readouterr().out.split()
    )
