"""What an experiment is, and the one program that runs all of them.

    plan        the options → what is to be done, or a `ValueError` for what cannot be
    measure     the plan → what was found: table, numbers, paragraph, figure
    verdicts    a record, however old → whether its claims hold, and the numbers that say so

The program reads the command line, refuses in one line what cannot be done (status 2), measures,
prints the paragraph with the verdicts, and leaves record.json, table.csv, figure.png and figure.svg
in a folder, which was tried before. An interrupt ends it with status 130 (`kit/program.py`). What
is finished lies on disk either way (`kit/cells.py`), and the same command goes on from there.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.kit import cells, figures, legs
from experiments.kit.commandline import CommandLine, InputError, create
from experiments.kit.record import RESULTS, Record, claim, environment
from experiments.kit.workers import WorkersError

HOLDS, IN_PART, FAILS, OPEN, MEASURED = (
    "holds",
    "holds in part",
    "does not hold",
    "open",
    "measured",
)


@dataclass(frozen=True)
class Verdict:
    """A claim, the number that decides it, and the conditions that it consists of.

    A condition is None where the record cannot say, or its interval holds either answer: the claim
    is open then, unless another condition is refuted. A claim without conditions is a number only.
    """

    claim: str
    number: str
    conditions: tuple[bool | None, ...] = ()

    @property
    def word(self) -> str:
        """Return whether the claim holds."""
        if not self.conditions:
            return MEASURED
        if False in self.conditions:
            return IN_PART if True in self.conditions else FAILS
        return OPEN if None in self.conditions else HOLDS

    def __str__(self) -> str:
        return f"{self.word[0].upper()}{self.word[1:]}: {self.claim} ({self.number})."


@dataclass(frozen=True)
class Findings:
    """What an experiment found: rows of its table, numbers, a paragraph and a figure."""

    table: Sequence[Mapping[str, Any]]
    headline: Mapping[str, Any]
    """The numbers that verdicts are read from."""
    paragraph: str
    figure: Figure
    settings: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else the record says: `data`, `intervals`, …"""
    shown: str = ""
    """Printed before the paragraph."""


@dataclass(frozen=True)
class Run:
    """One run: its options, its folder, and who does its work."""

    args: Namespace
    out: Path

    def each(
        self, work: cells.Work, tasks: Sequence[Any], trial: Any = None, folder: Path | None = None
    ) -> list[cells.Found]:
        """Return what `work` finds for each task; what is finished is not done again."""
        return cells.each(work, tasks, folder or self.out / "cells", self.args.workers, trial)

    def spread(self, work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return what `work` finds for each tuple of arguments; nothing is kept."""
        return cells.spread(work, tasks, self.args.workers)


def _everything(args: Namespace) -> Namespace:
    return args


def _asked(args: Namespace) -> dict[str, Any]:
    """Return the options but for who does the work, and where the record goes."""
    elsewhere = {"out", "workers", *vars(args.workers)}
    return {name: value for name, value in vars(args).items() if name not in elsewhere}


@dataclass(frozen=True)
class Experiment:
    """A claim, which opens the docstring of its module, and how it is measured and judged."""

    name: str
    doc: str | None
    columns: Sequence[str]
    measure: Callable[[Any, Run], Findings]
    verdicts: Callable[[Record], list[Verdict]]
    plan: Callable[[Namespace], Any] = _everything
    options: Callable[[CommandLine], None] | None = None
    variant: Callable[[Namespace], str] | None = None
    """What is appended to the name of the folder where data are not the default."""

    @property
    def claim(self) -> str:
        """Return the claim."""
        return claim(self.doc)

    def main(self, argv: Sequence[str] | None = None) -> None:
        """Run the experiment with a command line's words; see `--help`."""
        p = CommandLine(self.name, self.claim)
        if self.options:
            self.options(p)
        args = p.parse_args(argv)
        command = " ".join([p.prog, *(sys.argv[1:] if argv is None else argv)])
        try:
            plan = self.plan(args)
            variant = self.variant(args) if self.variant else ""  # of data that can be read
            out = args.out or RESULTS / "-".join(
                filter(None, [self.name, variant, "quick" if args.quick else ""])
            )
            create(out)
        except (ValueError, TypeError) as error:
            p.error(str(error))
        try:
            with figures.style():
                self._run(plan, Run(args, out), command)
        except (InputError, WorkersError, OSError, MemoryError, FloatingPointError) as error:
            p.error(str(error) or "not enough memory")

    def _run(self, plan: Any, run: Run, command: str) -> None:
        """Measure what was planned; print and write what was found."""
        made_by = environment(Path(self.measure.__code__.co_filename))
        with legs.timed(run.out, f"{_asked(run.args)}, sources {made_by['sources']}") as seconds:
            found = self.measure(plan, run)
            wall_seconds = seconds()
        content = {
            "experiment": self.name,
            "claim": self.claim,
            "command": command,
            **found.more,
            "settings": found.settings,
            "wall_seconds": wall_seconds,
            "headline": {**found.headline, "paragraph": found.paragraph},
            "environment": made_by,
        }
        record = Record.of(content, self.columns, found.table)
        verdicts = self.verdicts(record)
        record.content["verdicts"] = [
            {"claim": v.claim, "number": v.number, "verdict": v.word} for v in verdicts
        ]
        if found.shown:
            print(found.shown)
        print(found.paragraph, *verdicts)
        record.write(run.out, figures.drawn(found.figure))
