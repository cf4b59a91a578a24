"""The course of a run, as its user sees it: loss, bound on held-out text, speed, time left.

On a terminal a bar follows each step; everywhere each look at the held-out sequences is a line, and
a row of log.csv: step; seconds, of each leg up to its last look; mean loss since the last look;
bound on held-out sequences and its standard error. Bounds are in nats per token. All looks draw the
same times and corruptions, so that what differs between two of them is the network.
"""

import contextlib
import csv
import io
import time

import numpy as np
from tqdm import tqdm

from minuddm.command.interrupts import Stop
from minuddm.command.run import Run
from minuddm.command.settings import SCHEDULE
from minuddm.files import write_atomically
from minuddm.probes import held_out_nelbo
from minuddm.transformer import Transformer

_LOOKS, _SELDOM = 20, 1000  # looks a run, and steps between two at most
_HELD_OUT, _DRAWS = 256, 2  # sequences looked at, and how often
_RECENT = 50  # losses whose mean the bar shows
COLUMNS = ["step", "seconds", "loss", "held_out", "held_out_error"]


class Course:
    """Follows a run: training calls `step` after every step, and `look` after those of `looks`."""

    def __init__(self, run: Run, stop: Stop) -> None:
        self._run, self._stop, self._steps = run, stop, run.settings.steps
        self.every = max(1, min(self._steps // _LOOKS, _SELDOM))
        """Steps between two looks, and between two checkpoints."""
        self.looks = {*range(self.every, self._steps, self.every), self._steps}
        self._bar = tqdm(total=self._steps, unit="step", leave=False, disable=None)
        self._bar.set_postfix_str("compiling, which a machine does once")
        self._losses: list[float] = []
        self._rows: list[list[str]] = []
        self._since, self._before, self._timed = 0.0, 0.0, 0
        self._held_out = ""

    def step(self, step: int, loss: float) -> bool:
        """Show the loss of a step; return whether an end was asked for."""
        if not self._since:
            self._begin(step)
        else:
            self._timed += 1
        self._losses.append(loss)
        recent = self._losses[-_RECENT:]  # a single batch tells little
        mean = sum(recent) / len(recent)
        self._bar.set_postfix_str(f"loss {mean:.3f}{self._held_out}", refresh=False)
        self._bar.update()
        return self._stop.asked

    def look(self, step: int, network: Transformer) -> None:
        """Measure the bound on held-out sequences, show it, and write the log."""
        run, rng = self._run, np.random.default_rng(self._run.settings.seed)
        seconds = time.perf_counter() - self._since
        each = held_out_nelbo(
            network, run.held_out[:_HELD_OUT], run.vocabulary.V, SCHEDULE, rng, _DRAWS,
            process=run.process,
        )  # fmt: skip
        loss, bound = float(np.mean(self._losses)), float(each.mean())
        error = float(each.std() / np.sqrt(len(each)))
        self._before += time.perf_counter() - self._since
        self._rows.append(
            [str(step), *(f"{number:.4f}" for number in (self._before, loss, bound, error))]
        )
        _write(run, self._rows)
        self._held_out = f", held out {bound:.3f}"
        with contextlib.suppress(BrokenPipeError):  # the log says it as well
            tqdm.write(
                f"step {step:,} of {self._steps:,}: loss {loss:.3f}, held out {bound:.3f} ± "
                f"{error:.3f} nats a token{self._speed(step, seconds)}"
            )
        self._losses.clear()
        self._since, self._timed = time.perf_counter(), 0

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _begin(self, step: int) -> None:
        """Start the clock of this leg after its first step, which may have had to be compiled."""
        self._rows = [row for row in read_log(self._run) if int(row[0]) < step]
        self._before = float(self._rows[-1][1]) if self._rows else 0.0
        self._since = time.perf_counter()
        self._bar.n = self._bar.initial = step - 1
        self._bar.start_t = time.time()
        self._stop.patient = True  # from now on a request is seen within a step

    def _speed(self, step: int, seconds: float) -> str:
        """Return tokens a second since the last look, and how long the rest takes at that rate."""
        if not self._timed:
            return ""
        each, left = seconds / self._timed, self._steps - step
        tokens = self._run.settings.batch * self._run.settings.length
        rest = f", {_duration(each * left)} left" if left else ""
        return f", {tokens / each:,.0f} tokens/s{rest}"


def _duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _write(run: Run, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write_atomically(run.log, text.getvalue().encode())


def read_log(run: Run) -> list[list[str]]:
    """Return the rows of the log, none if it cannot be read: nothing depends on it."""
    try:
        header, *rows = csv.reader(run.log.read_text().splitlines())
        _ = [[float(number) for number in row] + [int(row[0])] for row in rows]
    except (OSError, ValueError, IndexError, csv.Error):
        return []
    return rows if header == COLUMNS and all(len(row) == len(header) for row in rows) else []
