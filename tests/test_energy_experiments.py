"""The experiments of the energy side: small plans, known answers, verdicts, bad input."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from experiments import basins, capacity, gallery, propagation, spin_transition, spurious
from experiments.basins import Stored
from experiments.capacity import Growth, Load
from experiments.kit import cells, circle
from experiments.kit.intervals import headers
from experiments.kit.patterns import SPINS, plane, repaired, source
from experiments.kit.record import RESULTS, Record
from experiments.kit.workers import Workers
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
def run(tmp_path, capsys, monkeypatch):
    """Runs an experiment, by a plan of seconds where it has a plan; returns what it printed."""
    monkeypatch.setattr(basins, "STEPS", 20)
    monkeypatch.setattr(propagation, "BETAS", (propagation.BETA, propagation.WARMER))
    monkeypatch.setattr(propagation, "LONG", 20)

    def act(module):
        small = module.EXPERIMENT
        if module in PLANS:
            small = dataclasses.replace(small, plan=lambda args: PLANS[module])
        small.main(["--quick", "--out", str(tmp_path), "--jobs", "1"])
        return capsys.readouterr().out.strip()

    return act


@pytest.mark.parametrize("module", [*PLANS, gallery, propagation])
def test_an_experiment_leaves_its_record_table_and_figure(module, run, tmp_path):
    printed = run(module)
    assert "\n" not in printed
    record = json.loads((tmp_path / "record.json").read_text())
    assert printed.startswith(record["headline"]["paragraph"])
    assert record["verdicts"]
    for verdict in record["verdicts"]:
        assert f"{verdict['claim']} ({verdict['number']})." in printed
    assert record["claim"] == " ".join(module.__doc__.split("\n\n")[0].split())
    assert record["environment"]["numpy"]
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == module.COLUMNS
    assert (tmp_path / "figure.svg").read_bytes().rstrip().endswith(b"</svg>")


def test_what_is_finished_is_not_computed_again(run, tmp_path, monkeypatch):
    first = run(basins)
    before = (tmp_path / "table.csv").read_bytes()
    monkeypatch.setattr(cells, "_keep", None)
    assert run(basins) == first
    assert (tmp_path / "table.csv").read_bytes() == before


def test_neither_the_number_of_jobs_nor_the_company_changes_a_bit(tmp_path):
    tasks = [Load("n = 2", 50, P, 2, 10, 3) for P in (5, 9, 12)]

    def sets(tasks, folder, jobs=1):
        found = cells.each(capacity.load, tasks, tmp_path / folder, Workers(jobs))
        return [piece["sets"].tolist() for piece in found]

    alone = [sets([task], "alone")[0] for task in tasks]
    assert sets(tasks, "together", 2) == alone
    assert sets([Load("n = 2", 50, 12, 2, 10, 4)], "together")[0] != alone[2]


@pytest.mark.parametrize("module", [*PLANS, gallery, propagation])
def test_bad_input_gets_one_line_and_status_two(module, capsys):
    for words, message in ((["--jobs", "0"], "must be at least 1"), (["--what"], "unrecognized")):
        with pytest.raises(SystemExit) as stop:
            module.EXPERIMENT.main(words)
        assert stop.value.code == 2
        errors = capsys.readouterr().err.strip()
        assert message in errors
        assert "\n" not in errors
    with pytest.raises(SystemExit) as stop:
        module.EXPERIMENT.main(["--help"])
    assert stop.value.code == 0
    assert module.EXPERIMENT.claim[:40] in " ".join(capsys.readouterr().out.split())


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
    np.testing.assert_array_equal(found["stays"], [1.0])
    # up to 99 of 200 flips come back; at 100 the first spin visited decides
    assert found["radius"][0] == pytest.approx(0.495, abs=0.011)
    assert found["log_volume"] == pytest.approx(np.log(0.5) / 200, abs=2e-3)
    np.testing.assert_array_equal(found["train_recovery"], [1.0])


def test_overloads_of_one_and_of_two_patterns():
    found = spurious.overload(Overload(2, 100, 50, 0))
    assert found["1"][0] == 1.0  # no mixtures of two
    assert sum(share for share, _ in found.values()) == pytest.approx(1.0)


def test_minima_that_nothing_pulls_are_none():
    memory = circle.memory(np.array([0.3, 0.3 + np.pi]))
    ends = spurious.minima(memory, memory.patterns + 0.1)
    assert len(ends) == 2
    assert spurious.counts(ends, memory.patterns, 0.01) == {"stored": 2, "emergent": 0}
    assert spurious.counts(ends, memory.patterns[:1], 0.01) == {"stored": 1, "emergent": 1}
    np.testing.assert_allclose(np.linalg.norm(ends - memory.patterns, axis=1).max(), 0, atol=0.01)
    reach = spurious.reach(Reach("Epanechnikov", 0.3, 5, 3, 100, 0))
    assert reach["stored"] == 5  # kernels that hardly overlap keep every pattern exactly


def test_the_ring_is_bessels_curve():
    assert circle.exactness() < 1e-6


def test_letters_are_letters():
    drawn = gallery.letters()
    assert drawn.shape == (26, gallery.SIZE**2)
    assert len(np.unique(drawn, axis=0)) == 26
    share = (drawn == 1).mean(axis=1)
    assert ((share > 0.1) & (share < 0.6)).all()
    letter_o = drawn[gallery.LETTERS.index("O")].reshape(gallery.SIZE, gallery.SIZE)
    assert letter_o[gallery.SIZE // 2, gallery.SIZE // 2] == -1  # a hole in the middle
    assert (letter_o[gallery.SIZE // 2] == 1).sum() >= 4


def test_a_damaged_spin_that_comes_back_is_recovered_and_nothing_else_counts():
    xi = np.ones((2, 300), np.int8)
    memory = hebbian(xi)
    damaged = xi.copy()
    damaged[0, :30] = -1
    for how in ({}, {"synchronous": True, "max_sweeps": 200}):
        recovered, overlap = repaired(memory, xi, damaged, **how)
        np.testing.assert_array_equal(recovered, 1.0)  # in the second one nothing moved
        np.testing.assert_array_equal(overlap, 1.0)
    flipped = np.where(np.arange(300) < 200, -1, 1)[None].astype(np.int8)  # ends at -ξ
    recovered, overlap = repaired(memory, xi[:1], flipped)
    assert (recovered[0], overlap[0]) == (0.0, -1.0)
    other = np.where(np.arange(300) < 250, -1, 1)[None].astype(np.int8)  # is not stored
    assert repaired(memory, other, other)[0] == 0.0  # nothing damaged, and it does not stay


def test_structured_patterns_have_few_numbers_behind_them_and_random_ones_have_none():
    """Signs of a 3-dimensional source: the correlations have rank 3, near enough."""
    for kind, share in (("structured", 0.7), ("random", 0.02)):
        x = source(kind, 3, 100, np.random.default_rng(0))(2000)
        assert set(np.unique(x)) == set(SPINS)
        values = np.linalg.eigvalsh(x.T.astype(float) @ x / 2000)[::-1]
        assert values[:3].sum() / 100 > share
        assert (values[:3].sum() / 100 < 0.1) == (kind == "random")


def test_pieces_are_grouped_by_fields_of_their_tasks():
    tasks = [Overload(P, 5, 5, seed) for P in (2, 3) for seed in (0, 1)]
    found = [{"x": k} for k in range(4)]
    assert cells.grouped(tasks, found, "P") == {2: found[:2], 3: found[2:]}
    assert cells.grouped(tasks, found, "seed", "L")[1, 5] == found[1::2]


def test_a_plane_is_a_square_of_points():
    np.testing.assert_array_equal(plane(1.0, 2), [[-1, -1], [1, -1], [-1, 1], [1, 1]])


def test_entropies_cross_where_lines_in_log_p_do():
    """Training rises from 0 to 1 and unseen falls from 1 to 0 over two decades: in the middle."""
    P, splits = (1, 10, 100), {}
    for split, line, n in (("train", (0, 0.4, 1.0), 3), ("test", (1, 0.5, 0.0), 5)):
        for p, value in zip(P, line, strict=True):
            splits["structured", p, f"{split} recovery"] = np.zeros((2, n))
            splits["structured", p, f"{split} entropy"] = np.full((2, n), value)
    found = spin_transition.estimates(splits, 0)["entropies_cross"]
    assert found == pytest.approx([10 ** (1 + 0.1 / 1.1)] * 3)
    for p in P:
        splits["structured", p, "test entropy"] += 2
    never = spin_transition.estimates(splits, 0)["entropies_cross"]
    assert np.isnan(never.value)
    assert never.high == np.inf


# ---- verdicts -----------------------------------------------------------------------------------


def words(module, **headline):
    """What is said of the committed record if some of its numbers were others."""
    record = Record.read(RESULTS / module.EXPERIMENT.name)
    record.headline.update(headline)
    return [verdict.word for verdict in module.EXPERIMENT.verdicts(record)]


def test_verdicts_follow_the_numbers():
    assert words(spurious) == ["holds", "holds"]
    assert words(spurious, spurious_outnumber_stored_at=3)[0] == "does not hold"
    few = {"reach": 0.8, "stored": 50.0, "emergent": 9.0, "P": 60}
    assert words(spurious, epanechnikov=few)[1] == "holds in part"
    assert words(spin_transition) == ["holds in part", "holds"]  # the root law fails at small loads
    unknown = {"value": None, "low": "inf", "high": "inf"}
    assert words(spin_transition, recoveries_meet=unknown)[1] == "open"
    assert words(spin_transition, entropies_cross=unknown)[1] == "holds in part"


@pytest.mark.parametrize(("own", "word"), [((0.9, 0.89, 0.91), "holds"), ((0.7, 0.5, 0.9), "open"),
                                           ((0.5, 0.4, 0.6), "does not hold")])  # fmt: skip
def test_the_verdict_on_basins_waits_for_intervals_that_are_apart(own, word):
    record = Record.read(RESULTS / "basins")
    for row in record.rows(memory="pseudo-likelihood", patterns="structured"):
        row |= zip(headers(["test_recovery"]), map(str, own), strict=True)
    assert [verdict.word for verdict in basins.EXPERIMENT.verdicts(record)] == [word]


def test_the_verdict_on_letters_names_every_memory():
    record = Record.read(RESULTS / "gallery")
    _, verdict = gallery.EXPERIMENT.verdicts(record)
    for name, whole in record.headline["letters_repaired"].items():
        assert f"{name} {whole}" in verdict.number
    all_but_one = record.headline["letters_repaired"] | {"exponential": 25}
    assert words(gallery, letters_repaired=all_but_one) == ["holds", "holds in part"]
    assert words(gallery, largest_rise=1e-6)[0] == "does not hold"
