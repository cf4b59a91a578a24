"""What the tests of the command share: a text, a network of no size, and ways to run it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minuddm.checkpoint import checkpoint_metadata
from minuddm.command.program import main

ROOT = Path(__file__).parents[1]
TEXT = "".join(f"{k} times {k + 1} is {k * (k + 1)}.\n" for k in range(60))
TINY = [
    "--width", "8", "--blocks", "1", "--heads", "2", "--batch", "4", "--steps", "6", "--threads",
    "1",
]  # fmt: skip


def enter(folder, monkeypatch):
    """Work in a folder with a text in it."""
    monkeypatch.chdir(folder)
    Path("text.txt").write_text(TEXT)


def state(folder):
    """What a run is after its last step: the digest of weights, moments, losses and settings."""
    return checkpoint_metadata(Path(folder, "checkpoint.safetensors"))["sha256"]


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
