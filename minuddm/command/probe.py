"""Ask a network, whose training data need not be at hand, whether it remembers.

RUN|FILE is a run, a checkpoint, or a published network (see minuddm info --help). Sequences are
sampled from noise, corrupted again to several times t and restored; where the network remembers,
what returns leaves no doubt of any token, and the samples repeat themselves. A --text that may
have been in training is restored as well, and --against is one that was not. The verdicts are
printed; with figures, tables and all numbers they stand in probe.html and probe.json.

Example:
    minuddm probe myrun
    minuddm probe model.safetensors --tokenizer tokenizer.json --text mine.txt --against other.txt
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minuddm.checks import Floats, Tokens
from minuddm.command import arguments
from minuddm.command.arguments import Parser
from minuddm.command.settings import SCHEDULE
from minuddm.command.subject import Subject, open_subject, take_subject
from minuddm.denoiser import Denoiser
from minuddm.files import write_atomically
from minuddm.probes import Probed, Returned, evaluations, gaps, memories, probe, verdicts
from minuddm.probes.deployed import MOST, STARTS, at_a_time
from minuddm.reverse import restore
from minuddm.sequences import encoded_sequences
from minuddm.weights import number_of_weights

PAGE, NUMBERS = "probe.html", "probe.json"
_FOLDER = Path("minuddm-probe")
_LARGE = 10_000_000  # weights whose copies are not small any more


def options(parser: Parser) -> None:
    """Add what the command takes."""
    whole = arguments.whole
    take_subject(parser)
    parser.add_argument(
        "--out", type=arguments.folder, default=_FOLDER, metavar="FOLDER",
        help=f"where {PAGE} and {NUMBERS} are written (default: {_FOLDER})",
    )  # fmt: skip
    text = parser.add_argument_group("texts that it may know")
    text.add_argument("--text", nargs="+", metavar="FILE", help="that may have been in training")
    text.add_argument("--against", nargs="+", metavar="FILE", help="of its kind, that was not")
    text.add_argument(
        "--tokenizer", type=Path, metavar="JSON", help="the tokenizer of a published network"
    )
    size = parser.add_argument_group("how much is asked")
    size.add_argument(
        "-n", type=whole(2, MOST), default=64,
        help="samples, and sequences of each text (default: 64)",
    )  # fmt: skip
    size.add_argument(
        "--steps",
        type=whole(1, arguments.LONGEST_CHAIN),
        default=64,
        help="of the chain from noise (default: 64)",
    )
    size.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, help="of every draw (default: 0)"
    )
    size.add_argument(
        "--threads", type=whole(1),
        help="they change nothing but the time; each has a copy of the network's matrices "
        f"(default: one a core, and one alone from {_LARGE // 10**6} million weights on)",
    )  # fmt: skip
    of = parser.add_argument_group("a published network")
    of.add_argument("--length", type=whole(1), help="where its configuration has none")
    of.add_argument("--mask", type=whole(0), help="the token that a masked one reads as MASK")


def execute(args: argparse.Namespace) -> None:
    """Probe the network, write page and numbers, and print the verdicts."""
    subject = open_subject(args.run, args.length, args.mask, args.tokenizer)
    texts: dict[str, Any] = _texts(args, subject)
    _make(args.out)
    begun = time.perf_counter()
    config = subject.network.config
    threads = args.threads or (number_of_weights(config) < _LARGE and os.cpu_count()) or 1
    numbers = {name: len(texts[name]) for name in ("text", "against") if name in texts}
    size = config.vocab, config.length
    asked = evaluations(*size, args.steps, args.n, **numbers, process=subject.process)
    _tell(subject, asked, args.n, threads)
    with _counted(subject.network, asked) as denoiser:
        read = probe(
            denoiser, *size, SCHEDULE, args.steps, np.random.default_rng(args.seed), **texts,
            samples=args.n, process=subject.process, threads=threads,
        )  # fmt: skip
    how = (
        f"{args.n} samples, chains of {args.steps} steps from noise, seed {args.seed}; the network "
        f"read {asked:,} sequences, in {_duration(time.perf_counter() - begun)}."
    )
    from minuddm.command.page import page, paragraphs  # matplotlib: only where something is drawn

    html, said = page(subject, read, how), numbers_of(subject, read)
    write_atomically(args.out / NUMBERS, json.dumps(said, indent=1, allow_nan=False).encode())
    write_atomically(args.out / PAGE, html.encode())
    print("\n".join(paragraphs(read)))
    print(f"kept in {args.out}: {PAGE}, {NUMBERS}")


def _texts(args: argparse.Namespace, subject: Subject) -> dict[str, Tokens]:
    """Return the sequences of the texts, and all places where a sample may be copied from."""
    if args.against and not args.text:
        raise ValueError("--against is compared with --text, which is not given")
    if not args.text:
        return {}
    if subject.vocabulary is None:
        raise ValueError(
            f"nothing tells which tokens {subject.name} has: give the tokenizer.json that it was "
            "trained with (--tokenizer)"
        )
    of = subject.vocabulary, subject.network.config.length
    found = {
        name: encoded_sequences(files, *of, lines=subject.lines)
        for name, files in (("text", args.text), ("against", args.against))
        if files
    }
    return found | {"among": encoded_sequences(args.text, *of, lines=subject.lines, apart=1)}


def _make(folder: Path) -> None:
    """Make the folder before anything is computed for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"the folder {folder} cannot be made: {error.strerror}") from None
    try:
        for name in (PAGE, NUMBERS):  # who cannot write should know before
            if (folder / name).is_dir():
                raise ValueError(f"{folder / name} is a folder, where a file would be written")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"the folder {folder} cannot be written: {error.strerror}") from None


def _tell(subject: Subject, asked: int, samples: int, threads: int) -> None:
    """Say how long it will take, from a step of the chain that is timed."""
    config = subject.network.config
    batch = at_a_time(config.vocab, config.length)
    seconds = 0.0
    for n in (1, min(samples, batch * threads)):  # the first may compile
        noise = subject.process.noise((n, config.length), np.random.default_rng(0))
        before = time.perf_counter()
        restore(
            subject.network, noise, 1.0, SCHEDULE, 1, np.random.default_rng(0), batch=batch,
            threads=threads, process=subject.process,
        )  # fmt: skip
        seconds = (time.perf_counter() - before) / (2 * n)  # two calls: noise, and the last step
    print(
        f"{subject.name}: the network reads {asked:,} sequences of {config.length} tokens, "
        f"{min(samples, batch * threads)} at a time, in about {_duration(seconds * asked)}",
        file=sys.stderr,
    )


@contextmanager
def _counted(network: Denoiser, asked: int) -> Iterator[Denoiser]:
    """Give the network with a bar on a terminal that follows what it reads."""
    with tqdm(total=asked, unit="sequence", leave=False, disable=None) as bar:

        def counted(tokens: Tokens, alpha: Floats) -> Floats:
            log_p = network(tokens, alpha)
            bar.update(len(tokens))
            return log_p

        yield counted


def numbers_of(subject: Subject, read: Probed) -> dict[str, Any]:
    """Return all that was read as JSON; what is undefined or infinite is null."""
    about = memories(read)
    return {
        "network": subject.name, "V": read.V, "L": read.L, "process": repr(read.process),
        "steps": read.steps, "starts": STARTS,
        "verdicts": [one._asdict() | {"share": _plain(one.share)} for one in verdicts(read)],
        "gaps": {name: [_plain(gap) for gap in of] for name, of in gaps(read).items()},
        "memories": _plain(about),
        "sequences": dict(read.sequences), "samples": read.samples.tolist(),
        "copied": None if read.copied is None else read.copied.tolist(),
        "way": {"t": _plain(read.times), "entropy": _plain(read.way)},
        "own": _returned(read.own), "text": _returned(read.text),
        "against": _returned(read.against),
        "levels": {name: _plain(parts) for name, parts in read.levels.items()},
    }  # fmt: skip


def _returned(of: Mapping[float, Returned]) -> dict[str, Any]:
    return {
        f"{t:g}": {name: _plain(values) for name, values in back._asdict().items()}
        for t, back in of.items()
    }


def _plain(numbers: Any) -> Any:
    array = np.asarray(numbers, dtype=object)
    array[~np.isfinite(array.astype(float))] = None
    return array.tolist()


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{seconds / 60:.0f} min"
