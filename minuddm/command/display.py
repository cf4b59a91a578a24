"""How sequences are shown: a line each, changed tokens in colour where the terminal has it."""

import os
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Tokens
from minuddm.vocabulary import Vocabulary

MASKED = "_"
_SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍"}
_SURE, _LIKELY = 0.9, 0.5
_GREEN, _YELLOW, _RED, _GREY = "32;1", "33;1", "31;1", "90"


def coloured() -> bool:
    """Return whether stdout is a terminal that has colours, and may (no-color.org)."""
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def plain(text: str) -> str:
    """Return a text on one line, with signs for what would break or move it."""
    return "".join(_SIGNS.get(c, c if c.isprintable() else "·") for c in text)


def line(vocabulary: Vocabulary, row: Tokens, pad: int | None = None) -> str:
    """Return tokens (L,) as a line, without what fills it up."""
    return plain("".join(pieces(vocabulary, row)[: len(row) - filling(row, pad)]))


def pieces(vocabulary: Vocabulary, row: Tokens) -> list[str]:
    """Return what each of the tokens (L,) shows; MASK, which is none of them, a low line."""
    shown: list[str] = []
    for k, part in enumerate(np.split(row, np.flatnonzero(row >= vocabulary.V))):
        if k:
            shown.append(" " * vocabulary.unit.spaced + MASKED)
        shown += vocabulary.spell(part[min(k, 1) :])
    return shown


def filling(row: Tokens, pad: int | None) -> int:
    """Return how many tokens at the end of a line fill it up."""
    others = np.flatnonzero(row != pad)
    return len(row) - (int(others[-1]) + 1 if len(others) else 0)


def painted(shown: Sequence[str], changed: NDArray[np.bool_], certain: NDArray[np.float64]) -> str:
    """Return pieces (L,) on a line, the changed ones in the colour of how certain they are.

    Green from .9 on, yellow from .5, else red.
    """
    parts = []
    for piece, new, sure in zip(map(plain, shown), changed, certain, strict=True):
        colour = _GREEN if sure >= _SURE else _YELLOW if sure >= _LIKELY else _RED
        parts.append(paint(piece, colour) if new else piece)
    return "".join(parts)


def paint(text: str, colour: str) -> str:
    """Return a text in a colour, if the terminal has it."""
    return f"\033[{colour}m{text}\033[0m" if coloured() and text else text


def tenths(shown: Sequence[str], certain: NDArray[np.float64]) -> str:
    """Return under each piece the first digit of its certainty, nothing where it is 1."""
    digits = []
    for piece, sure in zip(map(plain, shown), certain, strict=True):
        sign = " " if sure >= 1 else str(int(10 * sure))
        digits.append(sign.ljust(len(piece))[: len(piece)])
    return paint("".join(digits).rstrip(), _GREY)
