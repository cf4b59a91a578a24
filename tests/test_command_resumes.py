"""A run goes on where it was, whatever signal ended it; streams that fail end none."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minuddm.checkpoint import checkpoint_metadata
from minuddm.command.program import main
from tests.command import ROOT, TINY, enter, refused, start, state


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


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
