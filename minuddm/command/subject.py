"""The network that a command looks at: that of a run, of a checkpoint, or a published one.

What is said of its tokens differs: a run keeps its vocabulary, a checkpoint may name its alphabet,
and a published network has that of its tokenizer, if this is at hand.
"""

from dataclasses import dataclass
from pathlib import Path

from minuddm.checkpoint import checkpoint_metadata, load_model
from minuddm.checks import Tokens
from minuddm.command import arguments, run
from minuddm.command.arguments import Parser
from minuddm.command.display import line
from minuddm.command.settings import PROCESSES
from minuddm.process import Process
from minuddm.published import load_published
from minuddm.text import PAD
from minuddm.transformer import Transformer
from minuddm.vocabulary import Characters, Subwords, Vocabulary


@dataclass(frozen=True)
class Subject:
    """A network, the process it undoes, and what its tokens are, if that is known."""

    name: str
    network: Transformer
    process: Process
    vocabulary: Vocabulary | None
    lines: bool = False

    @property
    def pad(self) -> int | None:
        """The token that fills lines up, if the sequences are lines."""
        return self.vocabulary.number[PAD] if self.vocabulary and self.lines else None

    def shown(self, row: Tokens) -> str:
        """Return tokens (L,) as a line; as numbers where nobody knows what they are."""
        if self.vocabulary is None:
            return " ".join(map(str, row.tolist()))
        return line(self.vocabulary, row, self.pad)


def take_subject(parser: Parser) -> None:
    """Add the argument that names a run or a file."""
    parser.add_argument(
        "run", nargs="?", type=arguments.folder, default=run.DEFAULT, metavar="RUN|FILE",
        help=f"a run, or a checkpoint (default: {run.DEFAULT})",
    )  # fmt: skip


def open_subject(
    path: Path, length: int | None = None, mask: int | None = None, tokenizer: Path | None = None
) -> Subject:
    """Return what a run or a file holds; length, mask and tokenizer are those of published ones.

    Raises `ValueError` with one line if it holds no network, or the tokenizer is another's.
    """
    if run.is_run(path):
        if tokenizer is not None:
            raise ValueError(
                f"{path} is a run, which has its own vocabulary: it takes no tokenizer"
            )
        of = run.open_run(path)
        return Subject(str(path), of.network(), of.process, of.vocabulary, of.settings.lines)
    if path == run.DEFAULT and not path.exists():
        raise ValueError(f"{path} does not exist; minuddm train makes it, or name another")
    if path.is_dir() and not (path / "config.json").exists():
        raise ValueError(f"{path} holds neither a run nor a published network with its config.json")
    if path.is_dir() or path.suffix == ".ckpt" or path.with_name("config.json").exists():
        network, alphabet = load_published(path, length=length, mask=mask), ""
    else:
        try:
            network, alphabet = load_model(path), checkpoint_metadata(path).get("alphabet", "")
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist") from None
    V, masked = network.config.vocab, network.config.states > network.config.vocab
    process = PROCESSES["masked" if masked else "uniform"](V)
    return Subject(str(path), network, process, _vocabulary(V, tokenizer, alphabet))


def _vocabulary(V: int, tokenizer: Path | None, alphabet: str) -> Vocabulary | None:
    if tokenizer is not None:
        unit = Subwords.read(tokenizer)
        return Vocabulary(unit, unit.all_pieces(V))
    return Vocabulary(Characters(), tuple(alphabet)) if len(alphabet) == V else None
