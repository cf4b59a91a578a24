"""One program, a file a command, and how each of them ends.

    status 0      it is done
    status 2      it cannot be done: one line says why, and nothing is half-written
    status 130    Ctrl-C, SIGTERM or SIGHUP; `train` goes on from there when it is called again

Another command is another file in this folder and another name in COMMANDS.
"""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from minuddm.command.arguments import Parser

COMMANDS = ("train", "sample", "restore", "probe", "info")
INTERRUPTED = 130
_ABOUT = """Train a discrete diffusion language model on a text, and see what it has learnt.

Example:
    minuddm train mytext.txt && minuddm sample"""
_ENDS = """`minuddm COMMAND --help` says more. Exit status: 0 done; 2 it cannot be done, and
one line says why; 130 interrupted."""


class Command(Protocol):
    """A module of this package that is a command."""

    __doc__: str

    def options(self, parser: Parser) -> None:
        """Add what the command takes."""

    def execute(self, args: argparse.Namespace) -> int | None:
        """Do it; return a status if it is not 0. `ValueError` and `OSError` say why it cannot."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line's words and return the exit status; see `minuddm --help`."""
    _tolerate()
    parser = Parser(prog="minuddm", description=_ABOUT, epilog=_ENDS)
    named = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    of: dict[str, tuple[Command, Parser]] = {}
    for name in COMMANDS:
        module = cast(Command, importlib.import_module(f"minuddm.command.{name}"))
        about = module.__doc__
        own = named.add_parser(name, help=_first(about), description=about)
        module.options(own)
        of[name] = module, own
    args = parser.parse_args(argv)
    command, own = of[args.command]
    try:
        status = command.execute(args) or 0
        if sys.stdout is not None:  # it may have been closed
            sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough; nor may the last flush complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, FloatingPointError, OSError) as error:
        own.error(str(error))
    except MemoryError as error:
        own.error(f"this machine has not the memory for it ({error})")
    return status


def _first(text: str) -> str:
    """Return the first sentence of a docstring as argparse shows it in a list."""
    line = text.strip().split("\n")[0].rstrip(".")
    return line[0].lower() + line[1:]


def _tolerate() -> None:
    """Let streams escape what their encoding does not know, and show a line when it is whole."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
