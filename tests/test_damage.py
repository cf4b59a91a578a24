"""Cells and records that are damaged or another's are told by name, and not believed.

Fuzzed with a fixed seed: bytes are flipped, cut off, removed, or overwritten by zeros.
"""

import json
import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from experiments.kit import cells
from experiments.kit.commandline import InputError
from experiments.kit.figures import drawn, subplots
from experiments.kit.grid import Grid
from experiments.kit.record import Record, records
from experiments.kit.workers import Workers
from experiments.report import judged
from experiments.report.__main__ import main
from minuddm import ModelConfig, TrainConfig, Transformer
from minuddm.train import train

TRIALS = 100


def mutated(data, rng):
    """Return bytes that differ from `data`."""
    kind, at = rng.integers(4), int(rng.integers(len(data)))
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[at + 1 + int(rng.integers(9)) :]
    return data[:at] + bytes(b ^ 255 for b in data[at : at + 9]) + data[at + 9 :]


@dataclass(frozen=True)
class Task:
    P: int


def work(task):
    return {"values": np.arange(task.P) / 3, "name": np.array("some words"), "P": task.P}


def each(*tasks, folder):
    return cells.each(work, tasks, folder, Workers())


# ---- cells --------------------------------------------------------------------------------------


def test_a_damaged_cell_is_told_in_a_line_and_measured_anew(tmp_path, capsys):
    (right,) = each(Task(30), folder=tmp_path)
    file = cells.path(work, Task(30), tmp_path)
    whole, rng, told = file.read_bytes(), np.random.default_rng(0), 0
    capsys.readouterr()
    for _ in range(TRIALS):
        file.write_bytes(mutated(whole, rng))
        (found,) = each(Task(30), folder=tmp_path)
        np.testing.assert_equal(found, right)
        said = capsys.readouterr().err.splitlines()
        told += len(said) == 2
        assert said in ([], [said[0] if said else "", "work: 1 of 1 done"])
        assert not said or (str(file) in said[0] and said[0].endswith("measured anew"))
    assert told > TRIALS * 0.8  # the others change dates and the like


def test_a_cell_of_another_size_is_not_taken_for_its_name(tmp_path, capsys):
    each(Task(3), folder=tmp_path)
    shutil.copy(cells.path(work, Task(3), tmp_path), cells.path(work, Task(4), tmp_path))
    capsys.readouterr()
    (found,) = each(Task(4), folder=tmp_path)
    assert int(found["P"]) == 4
    said = capsys.readouterr().err.splitlines()[0]
    assert cells.path(work, Task(4), tmp_path).name in said
    assert f"but {cells.path(work, Task(3), tmp_path).stem}" in said


def test_a_cell_runs_nothing(tmp_path):
    """A pickle in a cell is damage."""
    file = cells.path(work, Task(2), tmp_path)
    np.savez(file, values=np.array([{}], dtype=object))
    assert int(each(Task(2), folder=tmp_path)[0]["P"]) == 2


def test_a_network_of_another_cell_is_refused_by_name(tmp_path):
    x, rng = np.zeros((1, 4), int), np.random.default_rng(0)
    one, other, none = (tmp_path / f"{name}.safetensors" for name in ("one", "other", "none"))
    model = Transformer.init(ModelConfig(2, 4, 8, 1, 2), rng, engine="numpy")
    train(model, x, TrainConfig(steps=1, batch=1), checkpoint=one, about={"cell": "one"})
    shutil.copy(one, other)
    of = {("8x1", 1, seed): path for seed, path in enumerate((one, other, none))}
    grid = Grid(*[None] * 7, checkpoints=of)
    assert grid.network("8x1", 1, 0).config == model.config
    for seed, message in ((1, "is not the network of its name"), (2, "none.safetensors")):
        with pytest.raises(InputError, match=message) as raised:
            grid.network("8x1", 1, seed)
        assert "trained anew" in str(raised.value)
        assert "\n" not in str(raised.value)


# ---- records ------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """The folder of a record of the keystone, which holds."""
    content = {
        "experiment": "keystone", "claim": "c", "settings": {"chains": 1}, "wall_seconds": 1.0,
        "headline": {"tokens_differing": 0, "largest_difference": 0.0, "paragraph": "Said."},
        "data": {"L": 2}, "environment": {"cpu": "c", "cores": 2, "date": "d", "commit": "abc",
                                          "dirty": False},
    }  # fmt: skip
    folder = tmp_path / "results" / "keystone"
    folder.mkdir(parents=True)
    figure, axes = subplots(1, 1, (1, 1))
    axes.plot([0, 1])
    Record.of(content, ["P", "recovery"], [{"P": 2, "recovery": 0.5}]).write(folder, drawn(figure))
    return folder


@pytest.mark.parametrize("name", ["record.json", "table.csv", "figure.svg", "figure.png"])
def test_a_damaged_record_is_refused_in_a_line_that_names_it(written, name, capsys):
    file, rng, refused = written / name, np.random.default_rng(1), 0
    whole, right = file.read_bytes(), Record.read(written)
    for _ in range(TRIALS):
        file.write_bytes(mutated(whole, rng))
        try:
            assert Record.read(written) == right  # another blank between two entries
        except ValueError as error:
            assert str(written) in str(error)
            assert "\n" not in str(error)
            refused += 1
    file.write_bytes(whole[:-9])
    assert refused > TRIALS * 0.8
    with pytest.raises(SystemExit) as stop:
        main(["--results", str(written.parent), "--out", str(written.parent / "report")])
    assert stop.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert str(file) in said
    assert not (written.parent / "report").exists()


def test_a_table_of_another_record_is_not_taken_for_its_own(written):
    record = Record.read(written)
    Record(record.content, [{"P": "3", "recovery": "1"}]).write(written.parent)
    shutil.copy(written.parent / "table.csv", written)
    with pytest.raises(ValueError, match=r"table.csv is not what was written"):
        Record.read(written)


def test_a_figure_that_is_not_kept_may_lie_beside_a_record(written):
    record = Record.read(written)
    record.write(written)
    assert Record.read(written) == record


def test_a_table_that_is_too_large_to_be_kept_may_be_missing(written):
    (written / "table.csv").unlink()
    assert Record.read(written).table == []


@pytest.mark.parametrize("content", [{}, [], 3, "x", {"experiment": 3}, {"sha256": 3}, None])
def test_what_is_no_record_is_refused_in_a_line(written, content):
    (written / "record.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"record.json is damaged"):
        Record.read(written)


def test_a_record_that_lacks_what_is_judged_is_refused_in_a_line(written):
    """The oldest have no digest that would tell."""
    content = Record.read(written).content
    del content["headline"]["tokens_differing"]
    (written / "record.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="record of keystone cannot be judged"):
        judged(records(written.parent))
