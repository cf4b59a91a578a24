"""What all experiments share: which cell is valid, what a record says, how a verdict is worded."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from experiments.kit import cells
from experiments.kit.commandline import InputError
from experiments.kit.experiment import Experiment, Findings, Verdict
from experiments.kit.figures import subplots
from experiments.kit.record import Record, records
from experiments.kit.workers import Workers
from minuddm.probes import Interval

# ---- cells --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Task:
    n: int
    tokens: np.ndarray = field(default_factory=lambda: np.arange(3))
    bar: int = field(default=0, compare=False)


done = []


def square(task):
    done.append(task.n)
    return {"square": task.n**2, "all": [task.n, 2 * task.n]}


def test_what_is_finished_is_not_done_again_and_comes_in_the_order_of_the_tasks(tmp_path):
    done.clear()
    first = cells.each(square, [Task(3), Task(1)], tmp_path, Workers())
    again = cells.each(square, [Task(1), Task(2), Task(3)], tmp_path, Workers())
    assert [int(found["square"]) for found in first] == [9, 1]
    assert [found["all"].tolist() for found in again] == [[1, 2], [2, 4], [3, 6]]
    assert done == [1, 3, 2]  # the last first


def test_neither_the_number_of_jobs_nor_the_company_changes_a_bit(tmp_path):
    tasks, (one, other) = [Task(n) for n in range(5)], (tmp_path / "alone", tmp_path / "together")
    alone = [cells.each(square, [task], one, Workers())[0] for task in tasks]
    together = cells.each(square, tasks, other, Workers(2))
    for mine, yours in zip(alone, together, strict=True):
        np.testing.assert_equal(mine, yours)
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


def test_a_tiny_task_goes_before_what_is_missing_and_only_then(tmp_path):
    done.clear()
    for _ in range(2):
        cells.each(square, [Task(7)], tmp_path, Workers(), trial=Task(0))
    assert done == [0, 7]


PROGRAM = """
from dataclasses import dataclass
from pathlib import Path

from experiments.kit import cells
from experiments.kit.workers import Workers

@dataclass(frozen=True)
class Task:
    n: int

def square(task):
    return {"square": task.n**2}

if __name__ == "__main__":
    found = cells.each(square, [Task(n) for n in range(3)], Path(), Workers(2))
    print(*(piece["square"] for piece in found))
"""


def test_workers_do_the_work_of_the_program_itself(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout == "0 1 4\n", done.stderr


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Task(2), False),
        (Task(1, np.array([0, 1, 3])), False),
        (Task(1, np.arange(3, dtype=np.int32)), False),
        (Task(1, np.arange(3)[None]), False),
        (Task(1, bar=5), True),
    ],
)
def test_a_cell_is_named_by_all_of_its_task_that_is_compared(other, same, tmp_path):
    one = cells.path(square, Task(1), tmp_path)
    assert (cells.path(square, other, tmp_path) == one) is same


def test_another_work_is_another_cell_and_what_cannot_be_named_is_refused(tmp_path):
    assert cells.path(square, Task(1), tmp_path).name.startswith("square-")
    assert cells.path(test_what_cannot, Task(1), tmp_path) != cells.path(square, Task(1), tmp_path)
    with pytest.raises(TypeError, match="cannot name a cell"):
        cells.path(square, Task({1}), tmp_path)


def test_what_cannot():
    """Has a name of its own."""


def test_what_another_code_found_is_not_taken_for_found(tmp_path, monkeypatch):
    """Sources are the packages, the kit and the module of the work; not the other experiments."""
    rooms = ("minuddm/probes", "hopfield", "experiments/kit")
    for room in rooms:
        (tmp_path / room).mkdir(parents=True)
        (tmp_path / room / "a.py").write_text("x = 1")
    module, other = (tmp_path / "experiments" / name for name in ("claim.py", "other.py"))
    module.write_text("y = 1")
    monkeypatch.setattr(cells, "ROOT", tmp_path)
    name, seen = cells.sources.__wrapped__, set()
    seen.add(name(module))
    for file in (*(tmp_path / room / "a.py" for room in rooms), module):
        file.write_text("x = 2")
        seen.add(name(module))
    assert len(seen) == 5
    other.write_text("z = 1")
    assert name(module) in seen
    monkeypatch.setattr(cells, "sources", lambda module: "of the other code")
    assert not cells.path(square, Task(1), tmp_path).exists()


# ---- records, intervals, verdicts ---------------------------------------------------------------


def test_a_record_survives_its_file(tmp_path):
    content = {"experiment": "x", "headline": {"a": float("nan"), "b": float("inf"),
               "c": Interval(1.5, 0.5, float("inf"))}}  # fmt: skip
    rows = [{"P": 2, "share": 0.123456789, "left": "out"}, {"P": 3, "share": float("nan")}]
    record = Record.of(content, ["P", "share"], rows)
    record.write(tmp_path)
    assert (tmp_path / "table.csv").read_text() == "P,share\n2,0.123457\n3,\n"
    assert Record.read(tmp_path) == record
    assert record.interval("c") == Interval(1.5, 0.5, float("inf"))
    assert np.isnan([record.number("a"), *record.interval("d")]).all()
    assert record.rows(P=2, share=0.123457) == record.table[:1]
    assert record.command == "python -m experiments.x"


def test_records_of_quick_runs_are_left_out(tmp_path):
    for name in ("one", "one-quick"):
        (tmp_path / name).mkdir()
        Record.of({"experiment": "one"}, ["a"], [{"a": 1}]).write(tmp_path / name)
    assert list(records(tmp_path)) == ["one"]


@pytest.mark.parametrize(
    ("conditions", "word"),
    [
        ((True,), "holds"), ((True, True), "holds"), ((True, False), "holds in part"),
        ((False, False), "does not hold"), ((True, None), "open"), ((), "measured"),
        ((False, None), "does not hold"), ((True, False, None), "holds in part"),
    ],
)  # fmt: skip
def test_a_verdict_has_a_word_and_the_number_that_says_so(conditions, word):
    verdict = Verdict("water runs downhill", "3 of 3", conditions)
    assert verdict.word == word
    assert str(verdict) == f"{word.capitalize()}: water runs downhill (3 of 3)."


# ---- the program --------------------------------------------------------------------------------


def plan(args):
    if args.seed == 13:
        raise ValueError("not\nthis seed")
    return args.seed


def measure(seed, run):
    if seed == 14:
        raise InputError("a checkpoint is damaged")
    found = run.each(square, [Task(seed)])
    figure, axes = subplots(1, 1, (3, 2))
    axes.plot([0, 1])
    return Findings([{"n": seed}], {"square": int(found[0]["square"])}, "Seen.", figure, {"a": 1})


def verdicts(record):
    return [Verdict("squares are even", str(record.headline["square"]),
                    (record.headline["square"] % 2 == 0,))]  # fmt: skip


EXAMPLE = Experiment("example", "A claim\nof two lines.\n\nMore.", ["n"], measure, verdicts, plan)


def test_a_run_leaves_its_record_table_and_figure_and_says_its_verdict(tmp_path, capsys):
    EXAMPLE.main(["--seed", "2", "--out", str(tmp_path)])
    assert capsys.readouterr().out == "Seen. Holds: squares are even (4).\n"
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["claim"] == "A claim of two lines."
    assert record["command"] == f"python -m experiments.example --seed 2 --out {tmp_path}"
    assert record["headline"] == {"square": 4, "paragraph": "Seen."}
    assert record["verdicts"] == [
        {"claim": "squares are even", "number": "4", "verdict": "holds"}
    ]  # fmt: skip
    assert len(record["environment"]["sources"]) == 16
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "figure.svg").read_bytes().rstrip().endswith(b"</svg>")
    assert not list(tmp_path.rglob(".*"))


def test_the_record_of_a_run_counts_all_of_its_legs(tmp_path):
    interrupts = [KeyboardInterrupt()]

    def slowly(seed, run):
        found = measure(seed, run)
        if interrupts:
            time.sleep(0.2)
            raise interrupts.pop()
        return found

    slow = dataclasses.replace(EXAMPLE, measure=slowly)
    with pytest.raises(KeyboardInterrupt):
        slow.main(["--out", str(tmp_path)])
    slow.main(["--out", str(tmp_path), "--jobs", "1"])
    assert json.loads((tmp_path / "record.json").read_text())["wall_seconds"] > 0.18


@pytest.mark.parametrize(
    ("seed", "message"),
    [("13", "not this seed"), ("14", "is damaged"), ("--", "--seed needs a value")],
)
def test_what_cannot_be_done_gets_one_line_and_status_two(seed, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        EXAMPLE.main([f"--seed={seed}", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    errors = capsys.readouterr().err.strip()
    assert message in errors
    assert "\n" not in errors
    assert not (tmp_path / "out" / "record.json").exists()


def test_a_folder_is_named_after_experiment_variant_and_quick(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.kit.experiment.RESULTS", tmp_path)
    EXAMPLE.main(["--quick"])
    dataclasses.replace(EXAMPLE, variant=lambda args: "other").main(["--seed", "1"])
    assert {path.name for path in tmp_path.iterdir()} == {"example-quick", "example-other"}
