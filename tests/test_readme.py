"""README promises nothing that a record or a program does not say."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "experiments" / "results"


def table_rows(first_cell: str) -> list[list[str]]:
    """The rows of the table whose header starts with a cell."""
    lines = README.split("\n")
    start = next(k for k, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_the_table_is_the_records():
    with (RESULTS / "transition" / "table.csv").open() as file:
        recorded = {
            (row["model"], row["P"], row["split"]): row
            for row in csv.DictReader(file)
            if row["t"] == "0.1"
        }
    columns = [
        ("network", "train", "recovery"),
        ("network", "test", "recovery"),
        ("network", "train", "entropy_loo"),
        ("network", "test", "entropy_loo"),
        ("dataset_ideal", "train", "recovery"),
        ("dataset_ideal", "test", "recovery"),
        ("token_memory", "train", "recovery"),
        ("token_memory", "test", "recovery"),
    ]
    shown = table_rows("P")
    assert {row[0] for row in shown} == {P for _, P, _ in recorded}
    for P, *cells in shown:
        wanted = [f"{float(recorded[m, P, split][name]):.2f}" for m, split, name in columns]
        assert cells == wanted


def test_the_claims_are_the_records():
    record = json.loads((RESULTS / "transition" / "record.json").read_text())
    assert record["environment"]["dirty"] is False
    claims = {row[0]: row for row in table_rows("claim")}
    for claim, key in (
        ("training recovery leaves 0.95", "leaves"),
        ("training and unseen recovery meet", "recoveries_meet"),
        ("their entropies meet, at the same place", "entropies_meet"),
    ):
        value, low, high = (record["headline"][key][end] for end in ("value", "low", "high"))
        assert claims[claim][1] == f"P = {value:.0f} ({low:.0f} to {high:.0f})"
    minutes = f"{record['wall_seconds'] / 60:.1f}"
    assert claims["training recovery leaves 0.95"][3] == f"{minutes} min"
    assert f"The first takes {minutes} minutes" in README


def test_what_must_hold_holds_in_the_record():
    """The shape of the transition, as the project promises it, at t = 0.1."""
    with (RESULTS / "transition" / "table.csv").open() as file:
        rows = {
            (row["model"], int(row["P"]), row["split"]): row
            for row in csv.DictReader(file)
            if row["t"] == "0.1"
        }

    def of(split, P, name="recovery", model="network"):
        return float(rows[model, P, split][name])

    counts = sorted({P for _, P, _ in rows})
    assert len(counts) >= 7
    assert of("train", 16) >= 0.99
    assert of("test", counts[-1]) - of("test", 16) >= 0.25
    assert of("train", 16, "entropy_loo") < 0.02
    for P in counts:
        assert of("train", P, model="dataset_ideal") >= 0.99
        if P >= 1024:
            assert abs(of("train", P) - of("test", P)) <= 0.06
            assert min(of("train", P), of("test", P)) >= 0.38
            assert of("train", P, "entropy_loo") > 1.0


def test_the_example_prints_what_it_says():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    printed = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert code
    assert printed
    answer = subprocess.run(
        [sys.executable, "-c", code[1]], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout == printed[1]


def test_every_label_the_code_cites_is_in_the_list_of_equations():
    listed = set()
    for row in table_rows("label"):
        listed |= set(re.findall(r"T\d+", row[0]))
    for path in [
        *ROOT.glob("minuddm/**/*.py"),
        *ROOT.glob("hopfield/**/*.py"),
        *ROOT.glob("experiments/*.py"),
    ]:
        cited = set(re.findall(r"\[(T\d+)\]", path.read_text()))
        assert cited <= listed, f"{path.name} cites {sorted(cited - listed)}"


@pytest.mark.parametrize("name", ["minuddm", "hopfield", "experiments", "tests"])
def test_every_file_the_readme_names_exists(name):
    for path in re.findall(rf"`({name}/[\w/]+\.?\w*)`", README):
        assert (ROOT / path).exists(), path
