"""README promises nothing that a record or a program does not say."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "experiments" / "results"
TIMES = ("0.1", "0.25", "0.5")
OWN_TEXT, TWO_THEORIES, OWN_KERNEL = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def table_rows(text: str, first_cell: str) -> list[list[str]]:
    """The rows of the tables whose header starts with a cell."""
    rows, inside = [], False
    for line in text.split("\n"):
        inside = line.startswith(f"| {first_cell} |") or (inside and line.startswith("|"))
        if inside:
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [row for row in rows if row[0] != first_cell and not row[0].startswith("-")]


def record(name: str) -> dict:
    return json.loads((RESULTS / name / "record.json").read_text())


def rows_of(name: str, t: str = "0.1") -> dict[tuple[str, int, str], dict[str, str]]:
    """The rows of a recorded table at one time, by model, P and split."""
    with (RESULTS / name / "table.csv").open() as file:
        return {
            (row["model"], int(row["P"]), row["split"]): row
            for row in csv.DictReader(file)
            if row["t"] == t
        }


def test_the_claims_are_those_of_the_records():
    """RESULTS.md is what the records say (test_report); what README shows of it stands there."""
    results = table_rows((ROOT / "experiments" / "RESULTS.md").read_text(), "claim")
    shown = table_rows(README, "claim")
    assert len(shown) == 10
    assert all(row[:3] in [known[:3] for known in results] for row in shown)
    commands = [known[3:] for known in results]
    assert all(row[3:] in commands for row in shown)
    assert f"The first takes {record('transition')['wall_seconds'] / 60:.1f} minutes" in README
    for folder in RESULTS.iterdir():
        if (folder / "record.json").exists():
            assert record(folder.name)["environment"]["dirty"] is False


def test_the_kernel_shown_is_the_one_that_is_tested(tmp_path):
    tested = (ROOT / "tests" / "test_foreign_kernel.py").read_text().splitlines()
    assert set(OWN_KERNEL.splitlines()) <= set(tested)
    assert len(OWN_KERNEL.splitlines()) < 15
    (tmp_path / "test_own.py").write_text(OWN_KERNEL)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py"]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(run, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_no_network_beats_the_ideal_on_unseen_sequences():
    for name in ("transition-hierarchy", "enough-hierarchy", "enough-3-rules", "enough-markov"):
        for t in TIMES:
            rows = rows_of(name, t)
            for model, P, split in rows:
                if (model, split) == ("network", "test"):
                    ideal = rows["source_ideal", P, "test"]
                    assert float(rows[model, P, split]["recovery_lo"]) <= float(
                        ideal["recovery_hi"]
                    )


def test_with_enough_data_the_network_nearly_is_the_ideal():
    """Within .02 nats of a Markov chain; within .06 and a tenth of the recovery of a hierarchy."""
    markov, tree = (rows_of(f"enough-{name}") for name in ("markov", "hierarchy"))
    assert float(markov["network", 65536, "test"]["excess"]) <= 0.02
    assert float(tree["network", 65536, "test"]["excess"]) <= 0.06
    network, ideal = (
        float(tree[model, 65536, "test"]["recovery"]) for model in ("network", "source_ideal")
    )
    assert network >= 0.9 * ideal


def test_what_must_hold_holds_in_the_record():
    """The shape of the transition, as the project promises it, at t = 0.1."""
    rows = rows_of("transition")

    def of(split, P, name="recovery", model="network"):
        return float(rows[model, P, split][name])

    counts = sorted({P for _, P, _ in rows})
    assert len(counts) >= 6
    assert {float(row["seeds"]) for row in rows.values()} == {3}
    assert of("train", 16) >= 0.99
    assert of("test", counts[-1]) - of("test", 16) >= 0.25
    assert of("train", 16, "entropy_loo") < 0.02
    for P in counts:
        assert of("train", P, model="dataset_ideal") >= 0.99
        if P >= 1024:
            assert abs(of("train", P) - of("test", P)) <= 0.06
            entropies = (of(split, P, "entropy_loo") for split in ("train", "test"))
            assert abs(np.subtract(*entropies)) <= 0.06
            assert of("train", P, "entropy_loo") > 1.0
    assert min(of("train", counts[-1]), of("test", counts[-1])) >= 0.38


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout


def test_the_example_prints_what_it_says():
    printed = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert printed
    assert run(TWO_THEORIES) == printed[1]


def test_the_few_windows_of_your_own_text_are_remembered():
    *rows, sampled, certain = run(OWN_TEXT).splitlines()
    assert sampled.startswith("sampled: [")
    assert float(certain.removeprefix("nats a token: ")) < 0.1
    pairs = [row.split(" | ")[1:] for row in rows]
    assert len(pairs) == 4
    assert sum(back == clean for back, clean in pairs) >= 3


@pytest.mark.parametrize("name", ["minuddm", "hopfield", "experiments", "tests"])
def test_every_file_the_readme_names_exists(name):
    for path in re.findall(rf"[`(]({name}/[\w/]+\.?\w*)[`)#]", README):
        assert (ROOT / path).exists(), path
