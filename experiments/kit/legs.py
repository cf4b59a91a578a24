"""How long a run took: one that was interrupted and went on has several legs, and all count.

A note beside the cells holds the seconds of former legs. A leg that was killed counts up to the
last file that it wrote. The note stays as long as the cells do: the same command, once more, finds
them, and the time that it reports is still that of measuring them.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from minuddm.files import write_atomically


@contextlib.contextmanager
def timed(folder: Path, run: str) -> Iterator[Callable[[], float]]:
    """Give a clock that returns the seconds of all legs, in a folder, of the run so described."""
    cells = folder / "cells"
    note, before, started = cells / "legs.json", _spent(folder, run), time.perf_counter()

    def seconds() -> float:
        return before + time.perf_counter() - started

    def keep(seconds: float, since: float | None) -> None:
        content = {"run": run, "seconds": seconds, "since": since}
        write_atomically(note, json.dumps(content).encode())

    cells.mkdir(exist_ok=True)
    keep(before, time.time())
    try:
        yield seconds
    except BaseException:
        note.touch()
        raise
    if any(cells.glob("*.npz")):
        keep(seconds(), None)
    else:
        note.unlink()
        with contextlib.suppress(OSError):  # it holds something else
            cells.rmdir()


def _spent(folder: Path, run: str) -> float:
    """Return the seconds that former legs took, 0 for a note that is missing, foreign or damaged.

    A note that says when a leg began is that of one that did not end.
    """
    try:
        note = json.loads((folder / "cells" / "legs.json").read_bytes())
        if note["run"] != run:
            return 0.0
        last = max(file.stat().st_mtime for file in folder.rglob("*"))
        leg = 0.0 if note["since"] is None else max(0.0, last - note["since"])
        return float(note["seconds"]) + leg
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
