"""Whatever streams, signals and folders a run is given, it ends as `--help` says."""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from experiments.kit import commandline
from experiments.kit.experiment import Experiment
from tests.test_kit import EXAMPLE

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted(
    path.stem for path in (ROOT / "experiments").glob("*.py") if path.stem != "__init__"
)
FONTS = ("findfont: ", "Matplotlib is building the font cache")  # on a machine's first run
LINE = "interrupted; the same command goes on from here"
SMALL = ["experiments.keystone", "--quick", "--patterns", "3", "--chains", "2", "--steps", "2"]


def start(*words, **more):
    # a test runner may have passed on an ignored Ctrl-C
    usual = dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    return subprocess.Popen(
        [sys.executable, *words], cwd=ROOT, text=True,
        preexec_fn=lambda: [signal.signal(*each) for each in usual.items()],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )  # fmt: skip


def wait_for(what, found):
    for _ in range(600):
        if result := found():
            return result
        time.sleep(0.1)
    raise AssertionError(f"no {what} after a minute")


def has_begun(process):
    """Whether SIGTERM is caught, which is so from the first import on."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return int(caught, 16) >> (signal.SIGTERM - 1) & 1


def running(process):
    """Return the processes that another one has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    command = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, words in command.items() if b"popen_loky" in words]


# ---- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", ["ASCII, no such backend", "everything is closed", "nobody reads", "a full disk"]
)
def test_no_stream_keeps_a_run_from_its_record(case, tmp_path):
    words, more = ["-m", *SMALL, "--out", str(tmp_path)], {}
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "MPLBACKEND": "nothing"}
    with contextlib.ExitStack() as stack:
        if case == "everything is closed":
            closing = (
                "import os, sys; [os.close(k) for k in range(3)]; os.execv(sys.executable, {})"
            )
            words = ["-c", closing.format([sys.executable, *words])]
        if case == "nobody reads":
            reading, writing = os.pipe()
            os.close(reading)
            stack.callback(os.close, writing)
            more = {"stdout": writing, "stderr": writing}
        if case == "a full disk":
            full = stack.enter_context(Path("/dev/full").open("w"))
            more = {"stdout": full, "stderr": full}
        process = start(*words, env=environment, **more)
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    paragraph = json.loads((tmp_path / "record.json").read_text())["headline"]["paragraph"]
    assert "β" in paragraph
    assert (tmp_path / "figure.svg").read_text().rstrip().endswith("</svg>")
    if case == "ASCII, no such backend":
        assert said.startswith(paragraph.replace("β", "\\u03b2"))
        told = [line for line in errors.splitlines() if not line.startswith(FONTS)]
        assert told == []


def test_a_notebook_keeps_its_backend_its_style_and_its_streams(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # has no file, no encoding
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # would be an ImportError
    before, handler = matplotlib.rcParams.copy(), signal.getsignal(signal.SIGTERM)
    EXAMPLE.main(["--seed", "2", "--out", str(tmp_path)])
    assert sys.stdout.getvalue().startswith("Seen.")
    assert matplotlib.rcParams.copy() == before
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_record_survives_a_name_that_is_no_utf8(tmp_path):
    out = tmp_path / os.fsdecode(b"\xff")
    EXAMPLE.main(["--seed", "2", "--out", str(out)])
    assert str(out) in json.loads((out / "record.json").read_text())["command"]


# ---- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0, 0.3, 0.9])
def test_an_interrupt_while_modules_are_imported_is_one_line(moment, tmp_path):
    process = start("-m", *SMALL, "--steps", "100000", "--out", str(tmp_path / "out"))
    wait_for("beginning", lambda: has_begun(process))
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, said, errors.strip()) == (130, "", LINE)


AT_WORK = """
import sys, time
sys.argv = ["-m"]
import experiments  # as `python -m experiments.…` begins
from experiments.kit.workers import Workers
list(Workers(2).do(time.sleep, [(600,)] * 2))
"""


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_a_run_ends_its_workers_and_a_second_one_changes_nothing(which):
    process = start("-c", AT_WORK)
    workers = wait_for("workers", lambda: (found := running(process))[1:] and found)
    process.send_signal(which)
    process.send_signal(which)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, LINE)
    wait_for("end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_a_worker_that_is_killed_is_one_line():
    process = start("-c", AT_WORK)
    os.kill(wait_for("workers", lambda: running(process))[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert errors.splitlines()[-1].endswith("was ended from outside; was there enough memory?")


# ---- folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("out", ["", "file", "file/folder", "/proc/folder", "full"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_computed(
    name, out, tmp_path, capsys
):
    experiment = dataclasses.replace(
        importlib.import_module(f"experiments.{name}").EXPERIMENT,
        plan=lambda args: args, measure=None,
    )  # fmt: skip
    (tmp_path / "file").touch()
    words = ["--quick", "--out", str(tmp_path / out) if out else ""]
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    if out == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, usual[1]))
    try:
        with pytest.raises(SystemExit) as stop:
            experiment.main(words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    errors = capsys.readouterr().err.strip()
    assert stop.value.code == 2
    assert "cannot be written" in errors if out else "a folder must have a name" in errors
    assert "\n" not in errors


def test_what_is_shared_by_experiments_has_a_folder_that_is_tried_as_well(tmp_path, monkeypatch):
    (tmp_path / "cells").touch()
    with pytest.raises(commandline.InputError, match="cannot be written: File exists"):
        commandline.create(tmp_path / "cells")


def test_too_little_memory_is_one_line(tmp_path, capsys):
    def measure(*_):
        np.empty(2**62, np.uint8)

    experiment = Experiment("x", "A claim.", [], measure, lambda record: [])
    with pytest.raises(SystemExit) as stop:
        experiment.main(["--out", str(tmp_path)])
    assert stop.value.code == 2
    assert "Unable to allocate" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("measured", [False, True])
def test_a_disk_that_fills_up_is_one_line_and_the_paragraph_is_not_lost(
    measured, tmp_path, capsys, monkeypatch
):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    def verdicts(record):
        monkeypatch.setattr(os, "fsync", full)
        return EXAMPLE.verdicts(record)

    if not measured:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SystemExit) as stop:
        words = ["--seed", "2", "--out", str(tmp_path)]
        dataclasses.replace(EXAMPLE, verdicts=verdicts).main(words)
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert f"No space left on device: '{tmp_path}" in said.err.splitlines()[-1]
    assert "Traceback" not in said.err
    assert said.out.startswith("Seen.") == measured
    assert not list(tmp_path.rglob("*.partial"))
    monkeypatch.undo()
    EXAMPLE.main(["--seed", "2", "--out", str(tmp_path)])
    assert (tmp_path / "record.json").exists()
