"""What an experiment is run on, and what it says of it."""

import csv
import json

import numpy as np
import pytest

from experiments import transition
from experiments.kit.commandline import CommandLine

SMALL = [
    *("--lines", "--length", "8", "--subsets", "4", "8", "--sequences", "10", "--grid", "4"),
    *("--times", "0.2", "0.5", "--models", "pseudolikelihood", "--seeds", "1", "--jobs", "1"),
]


def test_padding_of_lines_is_counted_and_said(tmp_path, capsys):
    """Characters alone are measured beside it: half of the tokens here fill up lines."""
    rng, out = np.random.default_rng(0), tmp_path / "out"
    words = ["".join(rng.choice(list("abc"), size=rng.integers(2, 7))) for _ in range(200)]
    path = tmp_path / "words.txt"
    path.write_text("\n".join(words))
    transition.EXPERIMENT.main(["--data", str(path), "--out", str(out), *SMALL])
    said = capsys.readouterr()
    assert "of the tokens are padding" in said.err
    assert "These numbers count the padding of lines" in said.out
    record = json.loads((out / "record.json").read_text())
    assert record["data"]["padding"] > 0.4
    found = [dict(np.load(file)) for file in sorted((out / "cells").glob("*.npz"))]
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    differ = 0
    for row in rows:
        cell = found[["4", "8"].index(row["P"])]
        for name in ("recovery", "entropy_loo"):
            alone = cell[f"pseudolikelihood {row['split']} {row['t']} {name}_characters"]
            assert float(row[f"{name}_characters"]) == pytest.approx(np.nanmean(alone), rel=1e-5)
            differ += row[f"{name}_characters"] != row[name]
    assert differ > len(rows)  # of twice as many


def test_no_text_takes_the_place_of_data_that_have_a_name(tmp_path):
    """Nor of another text."""
    texts = [tmp_path / place / name for place in "ab" for name in ("hierarchy.txt", "x.txt")]
    folders = []
    for k, path in enumerate(texts):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"a text {k}")
        p = CommandLine("transition", "")
        transition.options(p)
        folders += [transition.variant(p.parse_args(["--data", word]))
                    for word in (str(path), "hierarchy")]  # fmt: skip
    assert set(folders[1::2]) == {"hierarchy"}
    assert len(set(folders)) == 1 + len(texts)


def test_data_that_are_missing_are_refused_before_a_folder_is_named_after_them(tmp_path, capsys):
    for name in ("no file", str(tmp_path)):
        with pytest.raises(SystemExit) as stop:
            transition.EXPERIMENT.main(["--data", name])
        assert stop.value.code == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert name in said
