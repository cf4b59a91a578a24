"""What a token is: a character, a word, or a piece that somebody's tokenizer knows.

A *unit* cuts a text into pieces, and spells pieces out again. A vocabulary keeps V of the pieces
that a text has; token v is pieces[v]. Those that it does not keep have no token: pieces that are
too rare, and a tokenizer's special tokens, its unknown token among them. In an encoded text they
are a HOLE, and a sequence holds no hole (`minuddm.sequences`). So nothing outside the vocabulary is
ever a target or a sample, and what is learnt is the law of sequences that have no hole: no
correction to the bound, the process or the samplers is needed.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from minuddm import checks
from minuddm.checks import Tokens
from minuddm.text import PAD

HOLE = -1
"""What stands in an encoded text for a piece that the vocabulary does not keep."""
MOST = 2**16
"""The largest vocabulary."""
_WORD = re.compile(r" ?\w+| ?[^\w\s]|\s")
_PARTIAL = "\ufffd"  # what decoders show for the bytes of half a character


class Unit(Protocol):
    """How a text is cut into pieces."""

    @property
    def name(self) -> str:
        """What a piece is, in the plural."""

    @property
    def spaced(self) -> bool:
        """Whether a piece takes the space before it."""

    @property
    def special(self) -> frozenset[str]:
        """Pieces that no vocabulary keeps."""

    def cut(self, text: str) -> list[str]:
        """Return the pieces of a text."""

    def spell(self, pieces: Sequence[str]) -> list[str]:
        """Return what each piece shows in its place; together they are the text."""


@dataclass(frozen=True)
class Characters:
    """A piece is a character."""

    name: str = field(default="characters", init=False)
    spaced: bool = field(default=False, init=False)
    special: frozenset[str] = field(default=frozenset(), init=False)

    def cut(self, text: str) -> list[str]:
        """Return the characters of a text."""
        return list(text)

    def spell(self, pieces: Sequence[str]) -> list[str]:
        """Return the characters."""
        return list(pieces)


@dataclass(frozen=True)
class Words:
    """A piece is a word or a mark, with the space before it, or another space: nothing is lost."""

    name: str = field(default="words", init=False)
    spaced: bool = field(default=True, init=False)
    special: frozenset[str] = field(default=frozenset(), init=False)

    def cut(self, text: str) -> list[str]:
        """Return the words of a text."""
        return _WORD.findall(text)

    def spell(self, pieces: Sequence[str]) -> list[str]:
        """Return the words."""
        return list(pieces)


@dataclass(frozen=True)
class Subwords:
    """A piece is a token of a `tokenizer.json`, read by the library `tokenizers`.

    content is that of the file. Raises `ValueError` if it is no tokenizer, or the library missing.
    """

    content: str = field(repr=False)
    name: str = field(default="tokens", init=False)
    spaced: bool = field(default=True, init=False)

    @classmethod
    def read(cls, path: Path) -> "Subwords":
        """Return the tokenizer of a file; raises `ValueError` with one line if there is none."""
        try:
            unit = cls(path.read_bytes().decode("utf-8"))
            _ = unit._tokenizer
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ValueError(f"the tokenizer {path} cannot be read: {reason}") from None
        except ValueError as error:
            raise ValueError(f"the tokenizer {path} cannot be read: {error}") from None
        return unit

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer  # an extra: only where it is used
        except ImportError:
            raise ValueError(
                "it needs the package tokenizers: pip install 'minuddm[text]'"
            ) from None
        try:
            tokenizer = Tokenizer.from_str(self.content)
        except Exception as error:  # the library raises this class, and no other
            raise ValueError(f"it is no tokenizer ({' '.join(str(error).split())})") from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def all_pieces(self, V: int) -> tuple[str, ...]:
        """Return its tokens 0 … V - 1 in their order; raises `ValueError` if they are fewer."""
        pieces = [self._tokenizer.id_to_token(v) for v in range(V)]
        known = tuple(piece for piece in pieces if piece is not None)
        if len(known) < V:
            raise ValueError(f"the tokenizer has {len(known)} of the network's {V} tokens")
        return known

    @cached_property
    def special(self) -> frozenset[str]:
        """The special tokens and the unknown token."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        model = json.loads(self.content)["model"]
        unknown = {model.get("unk_token")}
        if isinstance(model.get("unk_id"), int):
            unknown.add(self._tokenizer.id_to_token(model["unk_id"]))
        return frozenset({token.content for token in added if token.special} | unknown - {None})

    def cut(self, text: str) -> list[str]:
        """Return the tokens of a text; the tokenizer adds none at its ends."""
        named = self._tokenizer.id_to_token
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the text {text!r:.80} holds what no encoding of text has") from None
        return [named(i) for i in self._tokenizer.encode(text, add_special_tokens=False).ids]

    def spell(self, pieces: Sequence[str]) -> list[str]:
        """Return what each token adds to the text; half a character waits for its other half."""
        shown: list[str] = []
        for end, run in itertools.groupby(pieces, lambda piece: piece == PAD):
            if end:
                shown += run
                continue
            ids: list[int] = []
            before = ""
            for piece in run:
                ids.append(self._tokenizer.token_to_id(piece))
                now = self._tokenizer.decode(ids, skip_special_tokens=False).rstrip(_PARTIAL)
                shown.append(now[_common(before, now) :])
                before = now
        return shown


def _common(one: str, two: str) -> int:
    """Return how many characters two texts begin with together."""
    pairs = zip(one, two, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


@dataclass(frozen=True)
class Vocabulary:
    """The pieces that are kept; token v is pieces[v]."""

    unit: Unit
    pieces: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.pieces) < 2:
            raise ValueError(
                f"{len(self.pieces)} different {self.unit.name} are kept; at least 2 are needed"
            )

    @classmethod
    def of(
        cls, unit: Unit, texts: Iterable[Sequence[str]], most: int, least: int, lines: bool
    ) -> "Vocabulary":
        """Keep of texts that are cut the `most` frequent pieces, seen `least` times or more.

        With `lines` PAD is one of them. Ties are kept in the order of the text.
        """
        if not 2 <= checks.count(most, "vocab") <= MOST:
            raise ValueError(f"vocab must lie in 2 … {MOST}, got {most}")
        checks.count(least, "least")
        counts = Counter(itertools.chain.from_iterable(texts))
        for piece in unit.special | ({PAD} if lines else set()):
            del counts[piece]
        kept = [piece for piece, n in counts.most_common(most - lines) if n >= least]
        return cls(unit, tuple(sorted(kept + [PAD] * lines)))

    @property
    def V(self) -> int:  # noqa: N802  the theory's letter
        """The vocabulary size."""
        return len(self.pieces)

    @cached_property
    def number(self) -> dict[str, int]:
        """The token of each piece."""
        return {piece: v for v, piece in enumerate(self.pieces)}

    def encode(self, text: str | Sequence[str]) -> Tokens:
        """Return the tokens (n,) of a text, or of one that is cut; HOLE for what is not kept."""
        pieces = self.unit.cut(text) if isinstance(text, str) else text
        return np.array([self.number.get(piece, HOLE) for piece in pieces], dtype=np.int32)

    def spell(self, tokens: ArrayLike) -> list[str]:
        """Return what each of the tokens (L,) shows; together they are the text."""
        row = checks.tokens(tokens, self.V, ndim=1)
        return self.unit.spell([self.pieces[v] for v in row])

    def decode(self, tokens: ArrayLike) -> list[str]:
        """Return one text for each row of tokens (B, L)."""
        return ["".join(self.spell(row)) for row in checks.tokens(tokens, self.V, ndim=2)]
