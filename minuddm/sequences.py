"""Sequences to learn from and sequences held out, of texts as people have them.

    windows     L pieces each, of stretches that hold no HOLE and lie in one file. Those to learn
                from overlap, so that a piece is seen in several places; the last tenth of each
                file, one window at least, is cut off before and is held out.
    lines       different lines, each filled up to L with PAD; a tenth of them, by seed, is held
                out. Lines that are longer, or hold a HOLE, are left out.

In either case no sequence that is held out is one to learn from. What the rule costs is counted:
`lost` is the share of the text's pieces that are in no sequence.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.text import PAD, read_texts
from minuddm.vocabulary import HOLE, Unit, Vocabulary

LONGEST = 4096
_SHARE = 10  # one piece in so many is held out
_OVERLAP = 8  # windows begin L / 8 apart,
_MANY = 2**18  # or farther if there are more than so many


@dataclass(frozen=True)
class Sequences:
    """Sequences (P, L) to learn from and (N, L) held out, and what they came from.

    sha256 is that of the bytes read; lost is the share of the pieces that are in no sequence; rare
    the share that the vocabulary does not keep.
    """

    training: Tokens
    held_out: Tokens
    vocabulary: Vocabulary
    name: str
    sha256: str
    lost: float
    rare: float


def read_sequences(
    files: str | Path | Sequence[str | Path],
    unit: Unit,
    length: int | None = None,
    *,
    lines: bool = False,
    most: int = 256,
    least: int = 1,
    seed: int = 0,
    longest: int = 64,
) -> Sequences:
    """Return the sequences of UTF-8 files, or of what `minuddm.text.load_text` has names for.

    `most` and `least` choose the vocabulary (`Vocabulary.of`). Without a length it is `longest`
    or, with `lines`, that of the longest line if this is less. Raises `ValueError` with one line
    for what cannot be used.
    """
    if length is not None and not 2 <= checks.count(length, "length") <= LONGEST:
        raise ValueError(f"length must lie in 2 … {LONGEST}, got {length}")
    name, sha256, texts = read_texts(files)
    if lines:
        texts = [line for text in texts for line in text.split("\n") if line.strip()]
    cut = [unit.cut(text) for text in texts]
    try:
        vocabulary = Vocabulary.of(unit, cut, most, least, lines)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if length is None:
        length = max(2, min(longest, max(map(len, cut)))) if lines else longest
    encoded = [vocabulary.encode(pieces) for pieces in cut]
    pieces = sum(map(len, encoded))
    whole = sum(int((tokens != HOLE).sum()) for tokens in encoded)
    if lines:
        training, held_out, used = _lines(encoded, vocabulary.number[PAD], length, seed, name)
    else:
        training, held_out, used = _windows(encoded, length, name)
    return Sequences(
        training, held_out, vocabulary, name, sha256, 1 - used / pieces, 1 - whole / pieces
    )


def encoded_sequences(
    files: str | Path | Sequence[str | Path],
    vocabulary: Vocabulary,
    length: int,
    *,
    lines: bool = False,
    apart: int | None = None,
) -> Tokens:
    """Return the different sequences (N, L) of texts in a vocabulary that is given.

    Lines filled up, or windows that begin `apart` pieces apart, L if not given, farther where they
    would be too many. Nothing is held out. Raises `ValueError` with one line if there are none.
    """
    name, _, texts = read_texts(files)
    if lines:
        texts = [line for text in texts for line in text.split("\n") if line.strip()]
    encoded = [vocabulary.encode(text) for text in texts]
    if lines:
        rows = _filled(encoded, vocabulary.number[PAD], length)
    else:
        long = [x for x in _stretches(encoded) if len(x) >= length]
        rows = _cut(long, length, max(apart or length, sum(map(len, long)) // _MANY))
    if not len(rows):
        longest = max(map(len, _stretches(encoded)), default=0)
        wanted = f"line of at most {length}" if lines else f"stretch of {length}"
        raise ValueError(
            f"{name} has no {wanted} {vocabulary.unit.name} that the network knows; the longest "
            f"stretch has {longest}"
        )
    return _different(rows, rows[:0])


def _windows(encoded: Sequence[Tokens], L: int, name: str) -> tuple[Tokens, Tokens, int]:
    """Return windows to learn from, windows held out, and the number of tokens in them."""
    ends = [max(L, len(x) // _SHARE) if len(x) >= 2 * L else 0 for x in encoded]
    begin = _stretches(x[: len(x) - n] for x, n in zip(encoded, ends, strict=True))
    end = _stretches(x[len(x) - n :] for x, n in zip(encoded, ends, strict=True))
    begin, end = ([x for x in part if len(x) >= L] for part in (begin, end))
    apart = min(L, max(1, L // _OVERLAP, sum(map(len, begin)) // _MANY))
    training, held_out = _cut(begin, L, apart), _cut(end, L, L)
    if not len(training) or not len(held_out):
        longest = max(map(len, _stretches(encoded)), default=0)
        raise ValueError(
            f"{name} is too short for sequences of length {L}, of which some are held out: its "
            f"longest stretch has {longest}; choose a smaller length"
        )
    used = sum((len(x) - L) // apart * apart + L for x in begin) + held_out.size
    held_out = _different(held_out, training)
    if not len(held_out):
        raise ValueError(
            f"{name} repeats itself: every window of length {L} of its last tenth occurs before, "
            "so that nothing can be held out; choose a larger length"
        )
    return training, held_out, used


def _lines(
    encoded: Sequence[Tokens], pad: int, L: int, seed: int, name: str
) -> tuple[Tokens, Tokens, int]:
    """Return lines to learn from, lines held out, and the number of tokens in all such lines."""
    rows = _filled(encoded, pad, L)
    used = int(sum(len(x) for x in encoded if _fits(x, L)))
    rows = _different(rows, rows[:0])
    if len(rows) < 2:
        shortest = min(map(len, encoded))
        raise ValueError(
            f"{name} has {len(rows)} different lines of at most {L} that can be used, and at least "
            f"2 are needed; its shortest line has {shortest}"
        )
    order = np.random.default_rng(seed).permutation(len(rows))
    n = max(1, len(rows) // _SHARE)
    return rows[order[n:]], rows[order[:n]], used


def _fits(x: Tokens, L: int) -> bool:
    return len(x) <= L and bool((x != HOLE).all())


def _filled(encoded: Sequence[Tokens], pad: int, L: int) -> Tokens:
    """Return the lines (n, L) that are no longer than L and hold no hole, filled up."""
    fitting = [x for x in encoded if _fits(x, L)]
    rows = np.full((len(fitting), L), pad, np.int32)
    for row, x in zip(rows, fitting, strict=True):
        row[: len(x)] = x
    return rows


def _stretches(encoded: Iterable[Tokens]) -> list[Tokens]:
    """Return what lies between holes."""

    def parts(x: Tokens) -> Iterator[Tokens]:
        holes = np.flatnonzero(x == HOLE)
        starts, stops = [0, *(holes + 1)], [*holes, len(x)]
        return (x[a:b] for a, b in zip(starts, stops, strict=True) if b > a)

    return list(itertools.chain.from_iterable(map(parts, encoded)))


def _cut(stretches: Sequence[Tokens], L: int, apart: int) -> Tokens:
    """Return windows (n, L) of stretches of at least L tokens, whose starts lie `apart` apart."""
    view = np.lib.stride_tricks.sliding_window_view
    cut = [view(x, L)[::apart] for x in stretches]
    return np.concatenate(cut) if cut else np.empty((0, L), np.int32)


def _different(rows: Tokens, others: Tokens) -> Tokens:
    """Return the different ones among rows (n, L), in order, that are none of the others."""
    seen, kept = {row.tobytes() for row in others}, []
    for k, row in enumerate(rows):
        if (content := row.tobytes()) not in seen:
            seen.add(content)
            kept.append(k)
    return rows[kept]
