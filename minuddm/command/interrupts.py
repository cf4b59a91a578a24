"""Ctrl-C, SIGTERM and SIGHUP: work that can stop is asked to, other work ends at once.

A file is there whole or not at all, so ending at once loses no more than what was not yet written.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

_LINE = "interrupted; the same command goes on from here\n"


@dataclass
class Stop:
    """Whether the user has asked for an end; `patient` while what runs looks at `asked` itself."""

    patient: bool = False
    asked: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the second one, or one while nobody is patient, ends the process."""
        if not self.patient or self.asked:
            with contextlib.suppress(OSError):
                os.write(2, f"\n{_LINE}".encode())
            os._exit(130)  # an exception could be caught by whoever is at work, as Numba does
        self.asked = True


@contextlib.contextmanager
def interruptible() -> Iterator[Stop]:
    """Give a `Stop` that takes the signals; nohup means what it says."""
    stop, before = Stop(), {}
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(which) != signal.SIG_IGN:
            before[which] = signal.signal(which, stop)
    try:
        yield stop
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
