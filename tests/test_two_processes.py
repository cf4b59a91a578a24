"""Both processes on the same sequences: one small run, and what its table must say."""

import csv
import json

import numpy as np
import pytest

from experiments import two_processes
from experiments.kit.pairs import WAYS, area, ways
from experiments.kit.settings import SCHEDULE
from minuddm import Absorbing, DatasetIdeal, Uniform
from minuddm.probes import channel_capacity


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs")
    two_processes.EXPERIMENT.main([
        "--quick", "--data", "hierarchy", "--subsets", "2", "30", "--steps", "5", "--out", str(out),
        "--jobs", "1",
    ])  # fmt: skip
    with (out / "table.csv").open() as file:
        return list(csv.DictReader(file)), json.loads((out / "record.json").read_text())


def test_the_three_ways_meet_in_one_table(run):
    table, record = run
    assert list(table[0]) == two_processes.EXPERIMENT.columns
    assert len(table) == 3 * 3 * 2 * 3 * 2  # ways, models, P, t, splits
    for row in table:
        assert (row["gain"] == "") == (row["way"] == WAYS[0])
        assert (row["repaired"] == "") == (row["t"] != "0.1")
        assert (row["area"] == "") == (row["way"] == WAYS[2])
    assert len(record["verdicts"]) == 8


def test_a_masked_chain_repairs_nothing_and_a_uniform_memory_all(run):
    for row in (row for row in run[0] if row["repaired"]):
        if row["way"] != WAYS[0]:
            assert float(row["repaired"]) == 0
        elif row["model"] == "dataset_ideal" and row["split"] == "train":
            assert float(row["repaired"]) > 0.95


def test_gains_are_differences_on_the_same_tokens(run):
    of = {tuple(row[k] for k in ("model", "P", "t", "split", "way")): row for row in run[0]}
    for key, row in of.items():
        if row["gain"]:
            other = of[*key[:-1], WAYS[0]]
            apart = float(row["recovery"]) - float(other["recovery"])
            assert float(row["gain"]) == pytest.approx(apart, abs=1e-5)


@pytest.mark.parametrize("t", [0.05, 0.5])
def test_the_third_way_has_the_capacity_of_the_first(t):
    (uniform, first), (masked, second), (same, third) = ways(27, t).values()
    assert (uniform, masked, same) == (Uniform(27), Absorbing(27), Absorbing(27))
    assert first == second == t < third
    told = channel_capacity(same, float(SCHEDULE.alpha(third)))
    assert told == pytest.approx(channel_capacity(uniform, float(SCHEDULE.alpha(t))), abs=1e-9)


def test_the_area_of_a_masked_memory_is_that_of_its_patterns():
    """[T40]: log P, to five times the error of 1000 corrupted sequences a node, 1.3 %."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(5, size=(20, 12))
    many, process = np.repeat(patterns, 50, axis=0), Absorbing(5)
    found = area(DatasetIdeal(patterns, 5, process), many, process, rng)
    assert found == pytest.approx(np.log(20), rel=0.065)
