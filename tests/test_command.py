"""The command, from text to samples, and whatever text, folder or signal it is given."""

import csv
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from minuddm.checkpoint import checkpoint_metadata
from minuddm.command import run
from minuddm.command.program import COMMANDS, main
from minuddm.command.settings import SIZES
from tests.published import CHECKPOINT, HUB
from tests.test_vocabulary import tokenizer

ROOT = Path(__file__).parents[1]
TEXT = "".join(f"{k} times {k + 1} is {k * (k + 1)}.\n" for k in range(60))
TINY = [
    "--width", "8", "--blocks", "1", "--heads", "2", "--batch", "4", "--steps", "6", "--threads",
    "1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, with a text in it."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)
    return tmp_path


def refused(capsys, *words):
    """The one line of a command that cannot be done."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.out == ""
    [line] = said.err.splitlines()
    assert line.startswith(f"minuddm {words[0]}: error: ")
    return line.split("error: ")[1]


def start(*words, **more):
    """The command as a process of its own, with the usual signals."""
    usual = dict.fromkeys((signal.SIGINT, signal.SIGTERM), signal.SIG_DFL)
    return subprocess.Popen(
        [sys.executable, "-m", "minuddm", *words], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: [signal.signal(*each) for each in usual.items()], **more,
    )  # fmt: skip


# ---- from text to samples -----------------------------------------------------------------------


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


def test_certainty_is_how_many_draws_agree_with_the_one_that_agrees_best():
    from minuddm.command.restore import consensus

    drawn = np.array([[1, 2, 3], [1, 2, 4], [1, 5, 4], [0, 2, 4]], np.int32)
    best, certain = consensus(drawn)
    assert best.tolist() == [1, 2, 4]
    assert certain.tolist() == [0.75, 0.75, 0.75]


def test_colours_are_for_terminals_that_have_them(monkeypatch):
    from minuddm.command import display

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


# ---- runs that go on ----------------------------------------------------------------------------


def state(folder):
    """What a run is after its last step: the digest of weights, moments, losses and settings."""
    return checkpoint_metadata(Path(folder, "checkpoint.safetensors"))["sha256"]


def test_more_steps_go_on_where_the_run_was_and_fewer_are_refused(capsys):
    main(["train", "text.txt", *TINY])
    main(["train", "text.txt", *TINY, "--steps", "9"])
    main(["train", "text.txt", *TINY, "--steps", "9", "--out", "whole"])
    assert state("minuddm-run") == state("whole")
    assert json.loads(Path("minuddm-run/settings.json").read_text())["settings"]["steps"] == 9
    before = state("whole")
    main(["train", "text.txt", *TINY, "--steps", "9", "--out", "whole"])  # nothing is left to do
    assert state("whole") == before
    assert "has gone further" in refused(capsys, "train", "text.txt", *TINY)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_to_the_same_bits(which, capsys):
    long = [*TINY, "--steps", "100000"]
    process = start("train", "text.txt", *long)
    for _ in range(1200):  # two minutes
        if Path("minuddm-run/log.csv").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(which)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    steps = checkpoint_metadata("minuddm-run/checkpoint.safetensors")["step"]
    assert f"stopped after step {steps}; the same command goes on from there" in said
    more = str(int(steps) + 50)
    short = [*TINY, "--steps", more]
    assert main(["train", "text.txt", *short]) == 0
    assert main(["train", "text.txt", *short, "--out", "whole"]) == 0
    assert state("minuddm-run") == state("whole")


def test_a_signal_before_the_first_step_ends_at_once_and_leaves_what_can_be_begun():
    process = start("train", "text.txt", *TINY)
    while process.poll() is None and not Path("minuddm-run").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode in (0, 130, -signal.SIGTERM)
    assert main(["train", "text.txt", *TINY]) == 0


# ---- what cannot be done ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is neither pydoc, names nor a file that exists"),
        (b"", "is empty"),
        (TEXT.encode("utf-16"), "is not UTF-8 text (byte 0), but UTF-16 or UTF-32"),
        (bytes(range(256)) * 9, "is not UTF-8 text"),
        (b"a" * 500, "1 different characters are kept; at least 2 are needed"),
        (b"too short", "is too short for sequences of length 64"),
    ],
)
def test_a_text_that_cannot_be_used_is_one_line_and_leaves_nothing(content, message, capsys):
    if content is not None:
        Path("bad.txt").write_bytes(content)
    assert message in refused(capsys, "train", "bad.txt", *TINY)
    assert not Path("minuddm-run").exists()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_ends_of_lines_make_no_other_run(mark, end):
    Path("other.txt").write_bytes((mark + TEXT.replace("\n", end)).encode())
    for name in ("text", "other"):
        main(["train", f"{name}.txt", *TINY, "--steps", "1", "--out", name])
    assert state("text") == state("other")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--length", "32"], "whose length is 64 and not 32"),
        (["--seed", "1"], "whose seed is 0 and not 1"),
        (["--process", "masked"], "whose process is uniform and not masked"),
        (["--width", "16"], "whose width is 8 and not 16"),
        (["--lines"], "whose lines is False and not True"),
    ],
)
def test_a_run_of_other_settings_is_not_gone_on_with(words, message, capsys):
    main(["train", "text.txt", *TINY])
    before = state("minuddm-run")
    line = refused(capsys, "train", "text.txt", *TINY, *words)
    assert line == f"minuddm-run holds another run, {message}: give another folder (--out)"
    assert state("minuddm-run") == before


def test_a_run_of_another_text_is_not_gone_on_with(capsys):
    main(["train", "text.txt", *TINY])
    Path("text.txt").write_text(TEXT.replace("times", "plus"))
    assert "holds another run, of another text" in refused(capsys, "train", "text.txt", *TINY)


def test_a_folder_with_other_things_is_left_alone(capsys):
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("…")
    line = refused(capsys, "train", "text.txt", *TINY, "--out", "mine")
    assert "mine is no run and not empty (it has thesis.tex)" in line
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]
    assert "cannot be made" in refused(capsys, "train", "text.txt", *TINY, "--out", "text.txt/run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--width", "9"], "width must be a multiple of 2 * heads"),
        (["--steps", "0"], "argument --steps: must be at least 1, got 0"),
        (["--lr", "nan"], "argument --lr: must be positive and finite, got nan"),
        (["--dropout", "1"], "argument --dropout: must lie in [0, 1), got 1"),
        (["--words", "--tokenizer", "x"], "not allowed with argument"),
        (["--tokenizer", "none.json"], "the tokenizer none.json cannot be read: No such file"),
        (["--siz", "tiny"], "unrecognized arguments: --siz tiny"),
    ],
)
def test_options_that_cannot_be_are_one_line_and_leave_nothing(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "text.txt", *TINY, *words])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert message in said
    assert said.count("\n") == 1
    assert not Path("minuddm-run").exists()


@pytest.mark.parametrize("command", [["sample"], ["restore", "text"], ["info"]])
def test_a_run_that_is_not_there_is_one_line(command, capsys):
    line = refused(capsys, *command)
    assert "minuddm-run" in line
    assert "minuddm train makes" in line


@pytest.mark.parametrize(
    "name", ["settings.json", "vocabulary.json", "sequences.safetensors", "checkpoint.safetensors"]
)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty object", "changed"])
def test_a_damaged_run_is_one_line_that_names_the_file(name, damage, capsys):
    main(["train", "text.txt", *TINY])
    path = Path("minuddm-run", name)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        changed = bytearray(content)
        changed[-40] ^= 1
        new = {"cut": content[:-9], "empty object": b"{}", "changed": bytes(changed)}[damage]
        path.write_bytes(new)
    if (name, damage) == ("settings.json", "changed"):
        return  # a setting is text that anybody may change
    line = refused(capsys, "sample")
    assert name in line or "minuddm-run has no network yet" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["restore", "4" * 65], "the text has 65 characters, and the run's sequences 64"),
        (["restore", ""], "there is no text to restore"),
        (["restore", "3 times", "--known", "7"], "known positions must lie in 0 … 6, got 7"),
        (["restore", "3_times", "--known", "1"], "position 1 cannot be known"),
        (["restore", "3 times", "--mask", "ab"], "--mask must be one character, got 'ab'"),
        (["restore", "3 times", "--t", "0"], "a time must lie in (0, 1], got 0"),
        (["restore", "3 times", "--known", "3-1"], "positions rise, got 3-1"),
        (["restore", "3 times", "--known", "x"], "positions are written as 0-3,7, got 'x'"),
        (["sample", "--prompt", "é"], "the prompt 'é' has others than the run's characters"),
        (["sample", "-n", "0"], "must be in 1 … 10000, got 0"),
        (["info", "text.txt"], "text.txt is damaged or not a checkpoint"),
        (["info", "gone"], "gone does not exist"),
    ],
)
def test_questions_that_have_no_answer_are_one_line(words, message, capsys):
    if words[0] != "info":
        main(["train", "text.txt", *TINY, "--steps", "1"])
    assert message in refused(capsys, *words)


def test_a_reader_that_has_seen_enough_is_no_error():
    main(["train", "text.txt", *TINY])
    process = start("sample", "-n", "3000", "--steps", "1")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


def test_streams_without_unicode_are_written_to_all_the_same():
    main(["train", "text.txt", *TINY])
    words = [sys.executable, "-m", "minuddm", "sample", "-n", "9"]
    more = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    said = subprocess.run(words, env=os.environ | more, capture_output=True, text=True, check=True)
    assert "\\u21b5" in said.stdout


def test_two_runs_of_one_folder_do_not_mix():
    main(["train", "text.txt", *TINY, "--out", "one"])
    main(["train", "text.txt", *TINY, "--out", "two", "--length", "32"])
    Path("two/checkpoint.safetensors").replace("one/checkpoint.safetensors")
    with pytest.raises(ValueError, match=r"is not of this run: sequences\.safetensors is another"):
        run.open_run(Path("one")).network()
