"""The main job as a user meets it: a small run, a second call, an interrupt, bad input."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import kernel_lab, keystone, transition
from experiments.kit import cells, settings, table

ROOT = Path(__file__).parents[1]
SMALL = [
    *("--subsets", "4", "8", "--steps", "20", "--sequences", "10", "--grid", "8"),
    *("--width", "16", "--heads", "2", "--blocks", "1", "--times", "0.2", "0.5", "--jobs", "2"),
    *("--seeds", "2"),
]


@pytest.fixture
def text(tmp_path):
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], size=600)
    path = tmp_path / "text.txt"
    path.write_text(" ".join(words))
    return path


def command(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "experiments.transition", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def small(text, out):
    return ["--data", str(text), "--length", "8", "--out", str(out), *SMALL]


def test_a_run_leaves_a_record_a_table_and_two_figures(text, tmp_path, capsys):
    out = tmp_path / "out"
    transition.EXPERIMENT.main(small(text, out))
    paragraph = capsys.readouterr().out.strip()
    assert "\n" not in paragraph
    assert "P = 4" in paragraph
    record = json.loads((out / "record.json").read_text())
    assert paragraph.startswith(record["headline"]["paragraph"])
    for verdict in record["verdicts"]:
        assert f"{verdict['claim']} ({verdict['number']})" in paragraph
    assert record["data"]["name"] == "text.txt"
    assert len(record["data"]["sha256"]) == 64
    assert record["settings"]["training"]["seed"] == 0
    assert record["environment"]["numpy"]
    assert str(tmp_path) not in json.dumps(record["data"])
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 2 * 2  # P × models × times × splits
    assert list(rows[0]) == table.COLUMNS
    for row in rows:
        low, mid, high = (float(row[f"recovery{end}"]) for end in ("_lo", "", "_hi"))
        assert low <= mid <= high
        assert 0 <= mid <= 1
        assert (row["entropy_loo"] == "") == (row["model"] == "token_memory")
    assert (out / "figure.svg").exists()


def test_a_second_run_computes_nothing_and_says_the_same(text, tmp_path, capsys, monkeypatch):
    transition.EXPERIMENT.main(small(text, tmp_path / "out"))
    before = (tmp_path / "out" / "table.csv").read_bytes()
    monkeypatch.setattr(cells, "_keep", None)
    transition.EXPERIMENT.main(small(text, tmp_path / "out"))
    first, second = capsys.readouterr().out.strip().split("\n")
    assert first == second
    assert (tmp_path / "out" / "table.csv").read_bytes() == before


def test_the_number_of_jobs_changes_no_bit(text, tmp_path):
    tables = []
    for jobs in ("1", "2"):
        out = tmp_path / jobs
        transition.EXPERIMENT.main([*small(text, out), "--jobs", jobs])
        tables.append((out / "table.csv").read_bytes())
    assert tables[0] == tables[1]


def test_every_model_restores_the_same_corrupted_sequences(text, tmp_path):
    """A memory and its diffusion twin agree on the training set, where both are perfect."""
    out = tmp_path / "out"
    transition.EXPERIMENT.main(small(text, out))
    with (out / "table.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and r["t"] == "0.2"]
    for row in rows:
        if row["model"] != "network":
            assert float(row["recovery"]) > 0.9


@pytest.mark.parametrize("source", ["markov", "hierarchy"])
def test_a_known_source_adds_its_ideal_and_the_distance_to_both_ideals(source, tmp_path, capsys):
    out = tmp_path / "out"
    transition.EXPERIMENT.main(["--data", source, "--out", str(out), *SMALL])
    printed = capsys.readouterr().out
    assert "KL(memoriser ‖ net)" in printed
    assert "ideal generaliser" in printed
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == set(settings.MODELS) - {"pseudolikelihood"}
    for row in rows:
        if row["model"] == "network":
            assert float(row["kl_dataset_ideal"]) > 0
            assert float(row["kl_source_ideal"]) > 0
            assert float(row["excess"]) > 0
        if row["model"] == "source_ideal" and row["split"] == "test":
            assert abs(float(row["excess"])) < 4 * float(row["nelbo_se"])
    record = json.loads((out / "record.json").read_text())
    assert record["headline"]["ideals_cross"] is not None


def test_the_masked_process_changes_no_visible_token(tmp_path, capsys):
    out, words = tmp_path / "out", ["--data", "hierarchy", "--process", "masked", *SMALL]
    transition.EXPERIMENT.main([*words, "--out", str(out)])
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"network", "dataset_ideal", "source_ideal"}
    for row in rows:
        assert float(row["unstable"]) == 0
        if row["model"] == "source_ideal" and row["split"] == "test":
            assert abs(float(row["excess"])) < 4 * float(row["nelbo_se"])
        if row["model"] == "dataset_ideal" and row["split"] == "train":
            assert float(row["recovery"]) > 0.9
            assert float(row["clean_entropy_loo"]) < 0.01
    record = json.loads((out / "record.json").read_text())
    assert record["settings"]["model"]["states"] == record["data"]["V"] + 1
    assert all(": masked: " in verdict["claim"] for verdict in record["verdicts"])
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        transition.EXPERIMENT.main([*words, "--models", "network,token_memory"])
    assert left.value.code == 2
    assert "error: the masked process has no token_memory\n" in capsys.readouterr().err


def test_models_can_be_chosen_and_the_first_trained_one_is_the_subject(text, tmp_path, capsys):
    out = tmp_path / "out"
    transition.EXPERIMENT.main([*small(text, out), "--models", "dataset_ideal,pseudolikelihood"])
    paragraph = capsys.readouterr().out
    assert "linear network of the pseudo-likelihood" in paragraph
    assert "The ideal memoriser" in paragraph
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == {"dataset_ideal", "pseudolikelihood"}
    for row in rows:
        if row["model"] == "pseudolikelihood":
            assert float(row["kl_dataset_ideal"]) > 0
            assert float(row["nelbo"]) > 0
            if row["split"] == "train" and row["t"] == "0.2":
                assert float(row["recovery"]) > 0.8  # so few are remembered by couplings, too


@pytest.mark.parametrize("source", ["markov"])
def test_two_trained_models_stand_beside_each_other(source, tmp_path, capsys):
    out = tmp_path / "out"
    models = "network,pseudolikelihood,source_ideal"
    transition.EXPERIMENT.main(["--data", source, "--out", str(out), *SMALL, "--models", models])
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["model"] for row in rows} == set(models.split(","))
    for row in rows:
        assert (row["kl_source_ideal"] == "") == (row["model"] == "source_ideal")
        assert row["excess"] != ""
    assert "The ideal memoriser" not in capsys.readouterr().out


@pytest.mark.parametrize("experiment", [kernel_lab, keystone])
def test_small_experiments_leave_their_records(experiment, tmp_path, capsys):
    experiment.EXPERIMENT.main(["--quick", "--out", str(tmp_path)])
    paragraph = capsys.readouterr().out.strip()
    record = json.loads((tmp_path / "record.json").read_text())
    assert paragraph.startswith(record["headline"]["paragraph"])
    assert {verdict["verdict"] for verdict in record["verdicts"]} == {"holds"}
    assert (tmp_path / "figure.svg").exists()
    if experiment is keystone:
        assert record["headline"]["tokens_differing"] == 0
        assert record["headline"]["largest_difference"] < 1e-10
    else:
        assert record["headline"]["largest_deviation_in_standard_errors"] < 4.5
        assert record["headline"]["least_p_value_of_the_bridge"] > 1e-4


def test_an_interrupt_leaves_what_a_second_call_goes_on_from(text, tmp_path):
    out = tmp_path / "out"
    words = [*small(text, out), "--steps", "4000", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.transition", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a test runner started in the background may have passed on an ignored Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(out.rglob("*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "goes on from here" in errors
    assert "Traceback" not in errors
    assert not (out / "record.json").exists()
    assert list(out.rglob("*.safetensors"))
    resumed = command(*words)
    assert resumed.returncode == 0, resumed.stderr
    assert (out / "record.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "{missing}"], "neither pydoc, names nor a file"),
        (["--data", "{empty}"], "is empty"),
        (["--data", "{binary}"], "not UTF-8"),
        (["--data", "{short}"], "no window of 32 characters"),
        (["--subsets", "1000000"], "P must lie in 1 … "),
        (["--subsets", "0"], "must be at least 1, got 0"),
        (["--length", "1"], "must be in 2 … 1024, got 1"),
        (["--vocab", "1"], "must be in 2 … 4096, got 1"),
        (["--times", "0"], r"a time must lie in (0, 1], got 0"),
        (["--times", "1.5"], r"a time must lie in (0, 1], got 1.5"),
        (["--times", "1e-6"], "a time must be at least 0.001 for tokens to change, got 1e-6"),
        (["--seed", "99999999999999999999"], "must be in 0 … 9007199254740991"),
        (["--data", "markov", "--length", "3"], "repeat too often"),
        (["--times", "soon"], "'soon' is not a number"),
        (["--width", "30"], "width must be a multiple of 2 * heads = 8, got 30"),
        (["--dropout", "1"], "dropout must lie in [0, 1), got 1.0"),
        (["--average", "1"], "average must lie in [0, 1), got 1.0"),
        (["--lr", "-1"], "must be positive and finite"),
        (["--steps", "many"], "'many' is not a whole number"),
        (["--seed", "-1"], "must be in 0 … 9007199254740991, got -1"),
        (["--models", "transformer"], "got 'transformer'"),
        (["--models", "token_memory"], "one that is trained: network or pseudolikelihood"),
        (["--models", "network,source_ideal"], "source_ideal needs a known source: markov or"),
        (["--models", "pseudolikelihood", "--length", "200"], "needs L V of at most 2500, got 200"),
        (["--fast"], "unrecognized arguments: --fast"),
        (["--data", "hierarchy", "--length", "8"], "hierarchy have length 16, got 8"),
        (["--data", "{short}", "--length", "3", "--out", "{empty}/x"], "cannot be written"),
    ],
)
def test_bad_input_gets_one_line_and_status_two(words, message, tmp_path, capsys):
    files = {"missing": None, "empty": b"", "binary": b"\xff\xfe\xfa", "short": b"a short text"}
    paths = {}
    for name, content in files.items():
        paths[name] = tmp_path / name
        if content is not None:
            paths[name].write_bytes(content)
    out = tmp_path / "out"
    if "--out" not in words:
        words = [*words, "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        transition.EXPERIMENT.main([word.format(**paths) for word in words])
    assert stop.value.code == 2
    errors = capsys.readouterr().err.strip()
    assert message in errors
    assert "\n" not in errors
    assert not out.exists()


def test_a_damaged_checkpoint_is_reported_by_name(text, tmp_path, capsys):
    out = tmp_path / "out"
    transition.EXPERIMENT.main(small(text, out))
    for cell in out.rglob("*.npz"):
        if not cell.name.endswith(".looks.npz"):
            cell.unlink()
    damaged = next(iter(out.rglob("*P=000004*.safetensors")))
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(SystemExit) as stop:
        transition.EXPERIMENT.main(small(text, out))
    assert stop.value.code == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert f"{damaged.name} is damaged or not a checkpoint" in error


def test_help_explains(capsys):
    with pytest.raises(SystemExit) as stop:
        transition.EXPERIMENT.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for option in ("--quick", "--out", "--seed", "--jobs", "--data", "--subsets"):
        assert option in text
    assert "(default: 0)" in text
    assert "None" not in text and "False" not in text
