"""Tokens from text: an alphabet learned from the corpus, windows or lines, nested subsets.

Text is as people have it: with byte order marks, any ends of lines, in one file or several; what is
not UTF-8 is refused. A corpus is N *different* sequences of L tokens. `split` shuffles them once by
seed and holds out the test set first; `subset(P)` takes the first P of what remains. So subsets are
nested, every one has the same test set, and no test sequence equals a training sequence.
"""

import codecs
import hashlib
import importlib.resources
import importlib.util
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minuddm import checks
from minuddm.checks import Tokens

PAD = "\n"
"""Fills a line up to L; it cannot occur inside a line."""
WINDOW = 32
"""The default length L."""
_MAX_LENGTH = 4096
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_MAX_ALPHABET = 4096


@dataclass(frozen=True)
class Corpus:
    """Different sequences (N, L) over an alphabet; token v is the character alphabet[v].

    tokens are kept as a read-only copy; sha256 is that of the bytes that were read; unknown counts
    the characters that the alphabet left out; dropped counts the lines longer than L; pad is the
    token that fills lines up, if there are lines.
    """

    tokens: Tokens
    alphabet: str
    name: str
    sha256: str
    unknown: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    pad: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", checks.read_only(self.tokens))

    @property
    def V(self) -> int:  # noqa: N802  the theory's letter
        """The vocabulary size."""
        return len(self.alphabet)

    @property
    def padding(self) -> float:
        """The share of the tokens that are padding; it counts in whatever is measured on tokens."""
        return 0.0 if self.pad is None else float((self.tokens == self.pad).mean())

    def __len__(self) -> int:
        return len(self.tokens)

    def decode(self, tokens: ArrayLike) -> list[str]:
        """Return one string for each row of tokens (B, L)."""
        table = np.array(list(self.alphabet), dtype=object)  # a text's type drops a last \0
        return ["".join(row) for row in table[checks.tokens(tokens, self.V, ndim=2)]]

    def split(self, test: int, seed: int) -> tuple["Corpus", "Corpus"]:
        """Return (training, test): shuffled once by seed, `test` sequences held out first."""
        if len(self) < 2:
            raise ValueError(f"{self.name} has one sequence, which cannot be split")
        if not 1 <= checks.count(test, "test", 0) < len(self):
            raise ValueError(
                f"the test set must have between 1 and {len(self) - 1} of the "
                f"{len(self)} sequences of {self.name}, got {test}"
            )
        order = np.random.default_rng(checks.count(seed, "seed", 0)).permutation(len(self))
        held_out, rest = self.tokens[order[:test]], self.tokens[order[test:]]
        return replace(self, tokens=rest), replace(self, tokens=held_out)

    def subset(self, P: int) -> "Corpus":
        """Return the first P sequences; subsets of one corpus are nested."""
        if not 1 <= checks.count(P, "P", 0) <= len(self):
            raise ValueError(
                f"P must lie in 1 … {len(self)}, the training sequences of {self.name}, got {P}"
            )
        return replace(self, tokens=self.tokens[:P])


def load_text(
    name_or_path: str | Path | Sequence[str | Path],
    length: int | None = None,
    *,
    lines: bool = False,
    vocab: int = 256,
) -> Corpus:
    """Return the corpus of a name (`pydoc`, `names`), of a UTF-8 text file, or of several.

    `pydoc` is the English of Python's own help pages (`pydoc_data.topics`), lower-cased, letters,
    space and full stop, repeated paragraphs removed. `names` are the surnames that the package
    `names` ships. A file is cut into windows of `length` characters (32 if not given) or, with
    `lines`, one sequence a line, padded to `length` (to the longest line, but 32 at most, if not
    given); longer lines are dropped and counted. No sequence spans two files. The alphabet is that
    of the text, its `vocab` most frequent characters if it has more; the others are left out and
    counted. Raises `ValueError` with one line for what cannot be used.
    """
    if length is not None and not 2 <= checks.count(length, "length") <= _MAX_LENGTH:
        raise ValueError(f"length must lie in 2 … {_MAX_LENGTH}, got {length}")
    if not 2 <= checks.count(vocab, "vocab") <= _MAX_ALPHABET:
        raise ValueError(f"vocab must lie in 2 … {_MAX_ALPHABET}, got {vocab}")
    name, sha256, texts = read_texts(name_or_path)
    if lines or "names" in map(str, _listed(name_or_path)):
        lines, texts = True, ["\n".join(texts)]
    if length is None:
        longest = max(len(line) for line in texts[0].split("\n"))
        length = max(2, min(longest, WINDOW)) if lines else WINDOW
    counts = Counter(itertools.chain.from_iterable(texts))
    if lines:
        del counts[PAD]
        known = {c for c, _ in counts.most_common(vocab - 1)} | {PAD}
    else:
        known = {c for c, _ in counts.most_common(vocab)}
    unknown = {c: n for c, n in counts.items() if c not in known}
    if unknown:
        texts = ["".join(c for c in text if c in known or (lines and c == PAD)) for text in texts]
    rows, dropped = _lines(texts[0], length) if lines else (_windows(texts, length), 0)
    rows = list(dict.fromkeys(rows))  # different ones, in order
    if not rows:
        if not lines:
            few = f"({sum(map(len, texts))} characters in all)"
            raise ValueError(f"{name} has no window of {length} characters {few}")
        shortest = min((len(line) for line in texts[0].split("\n") if line.strip()), default=0)
        instead = "choose a larger length" if shortest <= _MAX_LENGTH else "cut it without lines"
        raise ValueError(
            f"{name} has no line of at most {length} characters: the shortest has {shortest}, "
            f"so {instead}"
        )
    alphabet = "".join(sorted(known))
    if len(alphabet) < 2:
        raise ValueError(f"{name} has {len(alphabet)} different characters; at least 2 are needed")
    pad = alphabet.index(PAD) if lines else None
    return Corpus(_encode(rows, alphabet), alphabet, name, sha256, unknown, dropped, pad)


load = load_text  # its former name


def read_texts(name_or_path: str | Path | Sequence[str | Path]) -> tuple[str, str, list[str]]:
    """Return a name for all sources, the SHA-256 of their bytes, and the text of each.

    Without byte order marks, and with newlines alone. Raises as `load_text` does.
    """
    sources = _listed(name_or_path)
    for source in sources:
        if not isinstance(source, str | Path):
            raise TypeError(f"a text must be a name or a path, got {source!r}")
    if not sources:
        raise ValueError("load_text needs at least one file, got none")
    name = str(sources[0]) + (f" and {len(sources) - 1} more" if len(sources) > 1 else "")
    digest, texts = hashlib.sha256(), []
    for source in sources:
        raw, text = _source(source)
        digest.update(raw)
        texts.append(text)
    return name, digest.hexdigest(), texts


def _listed(name_or_path: Any) -> list[Any]:
    if isinstance(name_or_path, Sequence) and not isinstance(name_or_path, str | bytes):
        return list(name_or_path)
    return [name_or_path]


def _encode(rows: Iterable[str], alphabet: str) -> Tokens:
    number = {c: v for v, c in enumerate(alphabet)}
    return np.array([[number[c] for c in row] for row in rows], dtype=np.int32)


def _windows(texts: Iterable[str], length: int) -> list[str]:
    starts = ((text, i) for text in texts for i in range(0, len(text) - length + 1, length))
    return [text[i : i + length] for text, i in starts]


def _lines(text: str, length: int) -> tuple[list[str], int]:
    rows = [line for line in text.split("\n") if line.strip()]
    fitting = [row.ljust(length, PAD) for row in rows if len(row) <= length]
    return fitting, len(rows) - len(fitting)


def _source(name_or_path: str | Path) -> tuple[bytes, str]:
    """Return the bytes of a name or path, and the text that they are."""
    match str(name_or_path):
        case "pydoc":
            return _pydoc()
        case "names":
            return _names()
    return _read(Path(name_or_path))


def _pydoc() -> tuple[bytes, str]:
    """Return the help pages as they are, and their English with repeated paragraphs removed."""
    from pydoc_data.topics import topics  # half a megabyte: only when asked for

    raw = "\n\n".join(topics[key] for key in sorted(topics))
    paragraphs = (_fold(paragraph) for paragraph in re.split(r"\n\s*\n", raw))
    return raw.encode(), " ".join(dict.fromkeys(p for p in paragraphs if p))


def _fold(text: str) -> str:
    """Lower-case; every run of anything but letters and full stops becomes one space."""
    return re.sub(r"[^a-z.]+", " ", text.lower()).strip()


def _names() -> tuple[bytes, str]:
    """Return the file of surnames as it is, and the surnames, one a line, lower-cased."""
    if importlib.util.find_spec("names") is None:
        raise ValueError("the names corpus needs the package names: pip install 'minuddm[data]'")
    raw = importlib.resources.files("names").joinpath("dist.all.last").read_text("utf-8")
    return raw.encode(), "\n".join(
        line.split()[0].lower() for line in raw.splitlines() if line.strip()
    )


def _read(path: Path) -> tuple[bytes, str]:
    """Return a file's bytes, and its text without byte order mark, with newlines alone."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        raise ValueError(f"{path} is neither pydoc, names nor a file that exists") from None
    except UnicodeDecodeError as error:
        other = ", but UTF-16 or UTF-32" if raw.startswith(_WIDE) else ""
        raise ValueError(f"{path} is not UTF-8 text (byte {error.start}){other}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    if 4 * raw.count(0) > len(raw):  # Latin letters in 16 bits have every other byte 0
        raise ValueError(f"{path} is not UTF-8 text (byte {raw.index(0)} is 0), but UTF-16 or data")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ValueError(f"{path} is empty")
    return raw, text
