"""The command line of every experiment: the same options, one clear line for what is wrong.

It also says how a run ends, `ENDS`.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import joblib

from experiments.kit.workers import Workers, WorkersError
from minuddm.command.arguments import Parser, positive, time, whole

__all__ = ["CommandLine", "InputError", "create", "folder", "positive", "time", "whole"]

SEEDS = 2**53 - 1  # seeds of several networks are made of one, and stay within 64 bits
ENDS = """Exit status: 0 done; 2 it cannot be done, and one line says why; 130 interrupted by
Ctrl-C, SIGTERM or SIGHUP. What is finished is kept: the same command goes on from there."""


class InputError(ValueError):
    """What was asked for cannot be done; the message says why in one line."""


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Help that ends with the default, but for a flag, or where the text itself tells it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        own = action.default is None or action.default is False
        return action.help if own else super()._get_help_string(action)


class CommandLine(Parser):
    """A parser that reports an error in one line and knows the options all experiments share."""

    def __init__(self, name: str, claim: str) -> None:
        super().__init__(
            prog=f"python -m experiments.{name}",
            description=claim,
            epilog=ENDS,
            formatter_class=Defaults,
        )
        self.add_argument("--quick", action="store_true", help="a small run, under a minute")
        self.add_argument(
            "--out",
            type=folder,
            metavar="FOLDER",
            help=f"where the record goes (default: experiments/results/{name} with, after "
            "dashes, the data where it is not the default, digits of its own for a file, and "
            "quick)",
        )
        self.add_argument("--seed", type=whole(0, SEEDS), default=0, help="of every random draw")
        self.add_argument(
            "--jobs", type=whole(1), default=joblib.cpu_count(), help="processes, one thread each"
        )
        self.add_argument(
            "--scheduler",
            metavar="ADDRESS",
            help="of a Dask scheduler, as tcp://host:8786, whose workers take the place of --jobs",
        )

    def parse_args(self, *words: Any, **more: Any) -> Any:
        """Read the command line; `workers` are who does the work."""
        args = super().parse_args(*words, **more)
        for name, value in vars(args).items():
            if value == []:  # argparse takes `--name=--` for nothing at all
                self.error(f"--{name.replace('_', '-')} needs a value")
        args.workers = Workers(args.jobs, args.scheduler)
        try:
            args.workers.check()
        except WorkersError as error:
            self.error(str(error))
        return args


def create(folder: Path) -> None:
    """Create a folder, and try it with a MiB; raise `InputError` if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(2**20))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be written: {error.strerror}") from None


def folder(text: str) -> Path:
    """Read the path of a folder, for `type=`."""
    if not text:
        raise argparse.ArgumentTypeError("a folder must have a name")
    try:
        return Path(text).absolute()
    except FileNotFoundError:
        raise argparse.ArgumentTypeError("the working folder is gone") from None
