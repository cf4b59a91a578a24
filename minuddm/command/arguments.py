"""How a command line is read: every error is one line, and status 2."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

Group: TypeAlias = argparse._ArgumentGroup
"""Options that `--help` shows together; argparse has no public name for it."""
SOONEST = 1e-3  # the earliest time at which a corruption changes anything
LONGEST_CHAIN = 1_000_000  # steps


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and which takes options by their full names."""

    def __init__(self, **more: Any) -> None:
        usual: dict[str, Any] = {
            "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False,
        }  # fmt: skip
        super().__init__(**usual | more)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line and leave with status 2."""
        print(f"{self.prog}: error: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)


def folder(text: str) -> Path:
    """Read the path of a folder, for `type=`."""
    if not text:
        raise argparse.ArgumentTypeError("a folder must have a name")
    return Path(text)


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


def share(text: str) -> float:
    """Read a number in [0, 1), for `type=`."""
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must lie in [0, 1), got {text}")
    return value


def positions(text: str) -> list[int]:
    """Read positions such as 0-3,7 (the first is 0), for `type=`."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = first, last if dash else first
        if not all(end.isascii() and end.isdigit() and len(end) < 10 for end in ends):
            raise argparse.ArgumentTypeError(f"positions are written as 0-3,7, got {text!r}")
        a, b = map(int, ends)
        if a > b:
            raise argparse.ArgumentTypeError(f"positions rise, got {part.strip()}")
        if b - a > 10_000:
            raise argparse.ArgumentTypeError(f"no sequence is so long: {part.strip()}")
        found.update(range(a, b + 1))
    return sorted(found)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
