"""How far long work is: a bar on a terminal; elsewhere, as in a log, a line for each piece."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Piece = TypeVar("Piece")


def watched(pieces: Iterable[Piece], total: int, name: str) -> Iterator[Piece]:
    """Yield finished pieces as they come in, and say on stderr how many there are."""
    if sys.stderr.isatty():
        yield from tqdm(pieces, total=total, desc=name)
        return
    for n, piece in enumerate(pieces, 1):
        print(f"{name}: {n} of {total} done", file=sys.stderr, flush=True)
        yield piece
