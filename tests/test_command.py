"""The command, from text to samples."""

import csv
import importlib
import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from minuddm.command import display, run
from minuddm.command.program import COMMANDS, main
from minuddm.command.restore import consensus, draws, encoded
from minuddm.command.settings import SCHEDULE, SIZES
from minuddm.ideal import DatasetIdeal
from minuddm.process import Absorbing, Uniform
from minuddm.vocabulary import HOLE
from tests.command import ROOT, TEXT, TINY, enter
from tests.published import CHECKPOINT, HUB
from tests.test_vocabulary import tokenizer


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


def test_a_dozen_lines_need_no_options_but_a_text(capsys):
    assert main(["train", "text.txt", *TINY]) == 0
    trained = capsys.readouterr().out
    assert "sequences of 64 characters to learn from" in trained
    assert re.search(r"step 6 of 6: loss \d\.\d+, held out \d\.\d+ ± \d\.\d+ nats a token", trained)
    assert len(re.findall("^  restored ", trained, re.MULTILINE)) == 3
    assert len(trained.split("sampled:\n")[1].split("\n\n")[0].splitlines()) == 3
    assert main(["sample"]) == 0
    samples = capsys.readouterr().out.splitlines()
    assert [len(line) for line in samples] == [64] * 5
    assert set("".join(samples)) <= set(TEXT.replace("\n", "↵"))
    assert main(["restore", "3 times 5 is 12."]) == 0
    shown = capsys.readouterr().out
    assert "seen      3 times 5 is 12." in shown
    assert "\033" not in shown
    assert main(["info"]) == 0
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert told["process"] == "uniform"
    assert told["training"].startswith("6 of 6 steps")
    assert "width 8, 1 blocks of 2 heads" in told["network"]


@pytest.mark.parametrize("process", ["uniform", "masked"])
@pytest.mark.parametrize("unit", [[], ["--words"], ["--tokenizer", "tokenizer.json"]])
@pytest.mark.parametrize("lines", [[], ["--lines"]])
def test_any_unit_lines_or_windows_and_either_process(process, unit, lines, capsys):
    if "--tokenizer" in unit:
        Path("tokenizer.json").write_text(tokenizer())
    words = [*TINY, *unit, *lines, "--process", process, "--length", "24", "--least", "1"]
    assert main(["train", "text.txt", *words]) == 0
    Path("text.txt").unlink()
    Path("tokenizer.json").unlink(missing_ok=True)  # a run holds all there is to it
    assert main(["sample", "-n", "3", "--steps", "4", "--prompt", "3 times"]) == 0
    assert main(["restore", "3 t_mes 4", "--known", "0", "--draws", "3"]) == 0
    assert main(["info"]) == 0
    samples = capsys.readouterr().out.split("minuddm sample minuddm-run\n")[1].splitlines()[:3]
    assert all(line.startswith("3 times") for line in samples)


def test_log_and_settings_say_what_was_done():
    main(["train", "text.txt", *TINY, "--out", "a/b"])
    said = json.loads(Path("a/b/settings.json").read_text())
    assert said["settings"]["width"] == 8
    assert said["settings"]["lr"] == SIZES["small"]["lr"]  # of the size
    rows = list(csv.DictReader(Path("a/b/log.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(float(row["held_out"]) > 0 for row in rows)


def test_restoring_leaves_what_is_known_and_tells_what_changes(capsys):
    main(["train", "text.txt", *TINY, "--length", "16"])
    capsys.readouterr()
    main(["restore", "3 times 4", "--known", "0-8", "--t", "1"])
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["seen      3 times 4", "restored  3 times 4", "changed   nothing"]
    main(["restore", "_é times 4", "--known", "2-9", "--t", "1", "--seed", "3"])
    seen, restored, *_, changed = capsys.readouterr().out.splitlines()
    assert seen == "seen      __ times 4"
    assert restored.endswith(" times 4")
    assert re.fullmatch(r"changed   0 '_' → '.' \d\.\d\d, 1 '_' → '.' \d\.\d\d", changed)


def test_a_mask_stands_for_a_word_with_the_space_before_it(capsys):
    main(["train", "text.txt", *TINY, "--words", "--least", "1", "--process", "masked"])
    capsys.readouterr()
    seen = encoded(run.open_run(run.DEFAULT), "3 _ 4 is _.")
    assert (seen == HOLE).tolist() == [False, True, False, False, True, False]
    main(["restore", "3 _ 4 is _."])
    seen, restored, *_ = capsys.readouterr().out.splitlines()
    assert seen == "seen      3 _ 4 is _."
    assert re.fullmatch(r"restored  3.* 4 is.*\.", restored)  # a masked network changes masks only


@pytest.mark.parametrize("process", [Uniform(3), Absorbing(3)])
def test_a_hole_is_summed_over(process):
    """Draws are of P(x0 | what is seen): the joint law of data and seen tokens, by enumeration.

    Of 1,000 draws a share is off by .08 with chance 1e-6 at most, and the chain adds .01. If a hole
    held plain noise, the shares of the uniform process would be .65, .18 and .18.
    """
    data, alpha = np.array([[1, 0, 1], [2, 2, 1], [0, 1, 1]]), SCHEDULE.alpha(0.2)
    seen, held, rng = np.array([1, HOLE, 1], np.int32), np.zeros(3, bool), np.random.default_rng(0)
    law = process.marginal(data, alpha)[:, [0, 2], seen[[0, 2]]].prod(axis=1)
    ideal = DatasetIdeal(data, 3, process)
    found = draws(ideal, process, seen, held, 0.2, 256, 1000, rng)
    shares = (found[:, None] == data).all(axis=2).mean(axis=0)
    np.testing.assert_allclose(shares, law / law.sum(), atol=0.09)


def test_certainty_is_how_many_draws_agree_with_the_one_that_agrees_best():
    drawn = np.array([[1, 2, 3], [1, 2, 4], [1, 5, 4], [0, 2, 4]], np.int32)
    best, certain = consensus(drawn)
    assert best.tolist() == [1, 2, 4]
    assert certain.tolist() == [0.75, 0.75, 0.75]


def test_colours_are_for_terminals_that_have_them(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    changed, certain = np.array([False, True, True, True]), np.array([1, 0.95, 0.6, 0.1])
    shown = display.painted("ab\nd", changed, certain)
    assert shown == "a\033[32;1mb\033[0m\033[33;1m↵\033[0m\033[31;1md\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert display.painted("ab\nd", changed, certain) == "ab↵d"


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_helps_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*([command] if command else []), "--help"])
    assert stop.value.code == 0
    assert re.search(r"Example:\n    minuddm ", capsys.readouterr().out)


def test_information_is_also_of_checkpoints_ours_and_others(capsys):
    main(["train", "text.txt", *TINY])
    capsys.readouterr()
    assert main(["info", "minuddm-run/checkpoint.safetensors"]) == 0
    assert "a checkpoint of this project" in capsys.readouterr().out
    for path in (HUB, HUB / "model.safetensors", CHECKPOINT):
        assert main(["info", str(path)]) == 0
        shown = capsys.readouterr().out
        assert "published" in shown
        assert "uniform" in shown


def test_the_package_installs_the_command():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts["minuddm"].split(":")
    assert getattr(importlib.import_module(module), function) is main
