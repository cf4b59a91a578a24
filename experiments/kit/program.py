"""A run as a process: from its first import to its end it ends as `--help` says.

    interrupts       Ctrl-C, SIGTERM and SIGHUP end it at once, and its workers, with one line: a
                     file is there whole or not at all, so nothing has to be put away first
    output           what its encoding does not know is escaped, what a closed pipe or a full disk
                     does not take is dropped: the record says it as well
    closed streams   are /dev/null, or the next file to be opened would take their place
    figures          are files, whatever MPLBACKEND shows others with

`python -m experiments.…` begins with it (`experiments/__init__.py`).
"""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
from types import FrameType
from typing import Any

INTERRUPTED = 130


class _Tolerant(io.FileIO):
    """A stream that drops what cannot be written."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def begin() -> None:
    """Prepare the process; to be called before anything slow is imported."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout, sys.stderr = _stream(1, sys.stdout), _stream(2, sys.stderr)
    os.environ["MPLBACKEND"] = "agg"
    # what an interrupt leaves in /dev/shm joblib's tracker removes, and should do so without a word
    usual = os.environ.get("PYTHONWARNINGS", "")
    os.environ["PYTHONWARNINGS"] = f"{usual},ignore:resource_tracker".lstrip(",")
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(which) != signal.SIG_IGN:  # nohup means what it says
            signal.signal(which, _end)


def _stream(number: int, usual: Any) -> io.TextIOWrapper:
    encoding = "utf-8" if usual is None else usual.encoding
    raw = io.BufferedWriter(_Tolerant(number, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True)


def _end(number: int, frame: FrameType | None) -> None:
    """End the process here: an exception could be caught by whoever is at work.

    Numba and joblib do catch some.
    """
    for worker in multiprocessing.active_children():
        if worker.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.write(2, b"\ninterrupted; the same command goes on from here\n")
    os._exit(INTERRUPTED)
