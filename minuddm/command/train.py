"""Train a network on text files, and show what it has learnt.

A token is a character, a word (--words), or a piece of a tokenizer.json (--tokenizer). Sequences
are windows of the text, or its lines (--lines); a tenth is held out. --size sets the network and
how long it is trained; what is given singly stands above it. Everything is kept in one folder. A
run that was ended by Ctrl-C goes on, bit for bit, when the same command is given again, and a
finished one with more --steps.

Example:
    minuddm train mytext.txt
    minuddm train names.txt --lines --size tiny --out names-run
    minuddm train *.py --tokenizer tokenizer.json --process masked --size medium
"""

import argparse
import contextlib
import os
from pathlib import Path

import numpy as np

from minuddm import checks
from minuddm.command import arguments, display, run
from minuddm.command.arguments import Group, Parser
from minuddm.command.course import Course
from minuddm.command.interrupts import interruptible
from minuddm.command.program import INTERRUPTED
from minuddm.command.run import Run
from minuddm.command.settings import PROCESSES, SCHEDULE, SIZES, Settings
from minuddm.reverse import generate, restore
from minuddm.sequences import LONGEST, Sequences, read_sequences
from minuddm.train import train
from minuddm.transformer import Transformer
from minuddm.vocabulary import MOST, Characters, Subwords, Unit, Words

T, STEPS, SHOWN = 0.25, 128, 3
_MOST_STEPS = 10**9
_STATES = 5  # weights, average, two moments, gradient
_LENGTHS = {"characters": 64, "words": 16, "tokens": 32}
_VOCABULARIES = {"characters": (256, 1), "words": (4096, 2), "tokens": (4096, 2)}


def options(parser: Parser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="UTF-8 text; pydoc is the English of Python's help"
    )
    parser.add_argument(
        "--out", type=arguments.folder, default=run.DEFAULT, metavar="RUN",
        help=f"the folder of the run (default: {run.DEFAULT})",
    )  # fmt: skip
    _of_text(parser.add_argument_group("the text"))
    _of_network(parser.add_argument_group("the network, and how it is trained"))


def _of_text(group: Group) -> None:
    whole = arguments.whole
    group.add_argument("--lines", action="store_true", help="a sequence is a line")
    unit = group.add_mutually_exclusive_group()
    unit.add_argument("--words", action="store_true", help="a token is a word")
    unit.add_argument("--tokenizer", type=Path, metavar="JSON", help="a token is one of this file")
    group.add_argument(
        "--length", type=whole(2, LONGEST),
        help=f"tokens in a sequence (default: {_each(_LENGTHS)}; no more than the longest line)",
    )  # fmt: skip
    group.add_argument(
        "--vocab", type=whole(2, MOST), metavar="V",
        help="the most frequent tokens that are kept; sequences hold no others "
        f"(default: {_each({name: most for name, (most, _) in _VOCABULARIES.items()})})",
    )  # fmt: skip
    group.add_argument(
        "--least", type=whole(1), metavar="COUNT",
        help="how often a token must occur to be kept "
        f"(default: {_each({name: least for name, (_, least) in _VOCABULARIES.items()})})",
    )  # fmt: skip


def _of_network(group: Group) -> None:
    whole = arguments.whole
    group.add_argument("--size", choices=SIZES, default="small", help="(default: small)")
    group.add_argument("--process", choices=PROCESSES, default="uniform", help="(default: uniform)")
    group.add_argument("--width", type=whole(1), help=_sizes("width"))
    group.add_argument("--blocks", type=whole(1), help=_sizes("blocks"))
    group.add_argument("--heads", type=whole(1), help=_sizes("heads", "of attention"))
    group.add_argument("--dropout", type=arguments.share, default=0.0, help="(default: 0)")
    group.add_argument("--batch", type=whole(1), help=_sizes("batch", "sequences a step"))
    group.add_argument("--lr", type=arguments.positive, help=_sizes("lr", "rate"))
    group.add_argument("--steps", type=whole(1, _MOST_STEPS), help=_sizes("steps", "in all"))
    group.add_argument("--seed", type=whole(0, 2**63 - 1), default=0, help="(default: 0)")
    group.add_argument(
        "--threads", type=whole(1), default=os.cpu_count() or 1,
        help="which change nothing but the time (default: one a core)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Train, and show what was learnt."""
    with interruptible() as stop:
        unit = _unit(args)
        sequences = _read(args, unit)
        settings = _settings(args, unit, sequences)
        network = _network(settings, sequences)
        of = run.begin(args.out, settings, sequences)
        _tell(of)
        with contextlib.closing(Course(of, stop)) as course:
            trained = train(
                network, of.training, of.settings.training(),
                process=of.process, checkpoint=of.checkpoint, every=course.every,
                threads=args.threads, about=of.about, watch=course.step, probe=course.look,
                probe_at=course.looks,
            )  # fmt: skip
    if len(trained.losses) < of.settings.steps:
        print(f"stopped after step {len(trained.losses)}; the same command goes on from there")
        return INTERRUPTED
    _show(of, trained.average)
    return 0


def _unit(args: argparse.Namespace) -> Unit:
    if args.tokenizer:
        return Subwords.read(args.tokenizer)
    return Words() if args.words else Characters()


def _read(args: argparse.Namespace, unit: Unit) -> Sequences:
    most, least = _VOCABULARIES[unit.name]
    return read_sequences(
        args.files, unit, args.length, lines=args.lines, most=args.vocab or most,
        least=args.least or least, seed=args.seed, longest=_LENGTHS[unit.name],
    )  # fmt: skip


def _settings(args: argparse.Namespace, unit: Unit, sequences: Sequences) -> Settings:
    """Return the settings: those of the size, but for what was given singly."""
    most, least = _VOCABULARIES[unit.name]
    sizes = {name: getattr(args, name) or value for name, value in SIZES[args.size].items()}
    return Settings(
        unit=unit.name, lines=args.lines, length=sequences.training.shape[1],
        vocab=args.vocab or most, least=args.least or least, process=args.process,
        dropout=args.dropout, seed=args.seed, **sizes,
    )  # fmt: skip


def _network(settings: Settings, sequences: Sequences) -> Transformer:
    """Return the network before its first step; raise `ValueError` if it cannot be trained here."""
    V, B = sequences.vocabulary.V, settings.batch
    network = Transformer.init(settings.model(V), np.random.default_rng(settings.seed))
    of_step = 4 * B * settings.length * (V + settings.width * settings.blocks)
    checks.within_memory(of_step, f"a batch of {B:,} sequences")
    checks.within_memory(_STATES * network.weights.flat.nbytes, "the state of training")
    return network


def _tell(of: Run) -> None:
    """Print what is learnt from, and what of the text is not."""
    unit, text = of.vocabulary.unit.name, of.text
    print(
        f"{text['name']}: {len(of.training):,} sequences of {of.settings.length} {unit} to learn "
        f"from, {len(of.held_out):,} held out, {of.vocabulary.V:,} different {unit}"
    )
    if text["lost"] > 0.005:
        rare = f", as {text['rare']:.1%} are rare or special" if text["rare"] else ""
        print(f"{text['lost']:.0%} of the {unit} are in no sequence{rare}")


def _show(of: Run, network: Transformer) -> None:
    """Print three held-out sequences, corrupted and restored, and three samples."""
    settings, rng = of.settings, np.random.default_rng(of.settings.seed)
    clean = np.resize(of.held_out, (SHOWN, settings.length))
    noisy = of.process.corrupt(clean, float(SCHEDULE.alpha(T)), rng)
    back = restore(network, noisy, T, SCHEDULE, STEPS, rng, process=of.process)
    print(f"\nheld out, corrupted to t = {T:g}, and restored:")
    for rows in zip(clean, noisy, back, strict=True):
        n = max(len(row) - display.filling(row, of.pad) for row in rows)
        for name, row in zip(("was", "seen", "restored"), rows, strict=True):
            print(f"  {name:9}{display.plain(''.join(display.pieces(of.vocabulary, row[:n])))}")
    print("\nsampled:")
    for row in generate(
        network, SHOWN, settings.length, of.vocabulary.V, SCHEDULE, STEPS, rng, process=of.process
    ):
        print(f"  {display.line(of.vocabulary, row, of.pad)}")
    print(f"\nkept in {of.folder}: minuddm sample {of.folder}")


def _each(values: dict[str, int]) -> str:
    return ", ".join(f"{value} {name}" for name, value in values.items())


def _sizes(name: str, what: str = "") -> str:
    values = ", ".join(f"{size[name]:g} {kind}" for kind, size in SIZES.items())
    return f"{what} (default: {values})".strip()
