"""The command line of every experiment: the same options, one clear line for what is wrong.

Exit status: 0 done, 2 for input that cannot be used (nothing is written then), 130 interrupted.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import joblib
from joblib.externals.loky import get_reusable_executor

from experiments.workers import SchedulerError, Workers

RESULTS = Path(__file__).parent / "results"
INTERRUPTED = 130
SOONEST = 1e-3  # the earliest time at which a corruption is measured


class CommandLine(argparse.ArgumentParser):
    """A parser that reports an error in one line and knows the options all experiments share."""

    def __init__(self, name: str, claim: str, results: Path = RESULTS) -> None:
        super().__init__(
            prog=f"python -m experiments.{name}",
            description=claim,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--quick", action="store_true", help="a small run, under a minute")
        self.add_argument(
            "--out",
            type=Path,
            metavar="FOLDER",
            help=f"where the record goes (default: experiments/{results.name}/{name} with, after "
            "dashes, the data where it is not the default, and quick)",
        )
        self.add_argument(
            "--seed", type=whole(0, 2**63 - 1), default=0, help="of every random draw"
        )
        self.add_argument(
            "--jobs", type=whole(1), default=joblib.cpu_count(), help="processes, one thread each"
        )
        self.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="of a Dask scheduler, as tcp://host:8786, whose workers take the place of --jobs",
        )
        self._name, self._results = name, results

    def parse_args(self, *words: Any, **more: Any) -> Any:
        """Read the command line; `workers` are who does the work."""
        args = super().parse_args(*words, **more)
        args.workers = Workers(args.jobs, args.scheduler)
        try:
            args.workers.check()
        except SchedulerError as error:
            self.error(str(error))
        return args

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and leave with status 2."""
        print(f"{self.prog}: error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)

    def folder(self, args: argparse.Namespace, variant: str = "") -> Path:
        """Return the output folder, created; leave with status 2 if it cannot be written.

        Without --out it is named after the experiment, its variant, and --quick.
        """
        parts = [self._name, *([variant] if variant else []), *(["quick"] if args.quick else [])]
        out: Path = args.out or self._results / "-".join(parts)
        try:
            out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out):
                pass
        except OSError as error:
            self.error(f"--out {out} cannot be written: {os.strerror(error.errno or 0)}")
        return out


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers in least … most, for `type=`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least or (most is not None and value > most):
            allowed = f"at least {least}" if most is None else f"in {least} … {most}"
            raise argparse.ArgumentTypeError(f"must be {allowed}, got {value}")
        return value

    return read


def time(text: str) -> float:
    """Read a diffusion time in (0, 1], for `type=`."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"a time must lie in (0, 1], got {text}")
    if value < SOONEST:
        raise argparse.ArgumentTypeError(
            f"a time must be at least {SOONEST} for tokens to change, got {text}"
        )
    return value


def positive(text: str) -> float:
    """Read a positive finite number, for `type=`."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be positive and finite, got {text}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def run(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run an experiment's main as a command; an interrupt ends it with status 130."""
    try:
        main(None)
    except KeyboardInterrupt:
        get_reusable_executor().shutdown(kill_workers=True)  # what they finished is on disk
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
