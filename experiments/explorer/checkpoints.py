"""Networks from checkpoints, each with the sequences that it was trained on.

A checkpoint holds no sequences but their SHA-256 [`minuddm.checkpoint`]. The main job shuffles a
text by seed and trains on the first P sequences of what is not held out; so its sequences are the
first P whose digest stands in the header, and P is found with them. Where no P is, the network is
shown alone. The folder of a `minuddm train` holds its sequences beside the checkpoint.
"""

import hashlib
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments import transition
from experiments.explorer.runs import Subject
from experiments.kit.experiment import Run
from experiments.kit.networks import compute
from experiments.kit.record import RESULTS
from experiments.kit.settings import PROCESSES, SCHEDULE
from minuddm import Corpus, Process, checkpoint_metadata, load_model
from minuddm.checks import Tokens
from minuddm.command.run import Run as TrainedRun
from minuddm.command.run import is_run, open_run


class Sequences(NamedTuple):
    """A text's sequences of one length, and how many of them are held out."""

    corpus: Corpus
    held_out: int


def of_main_job(args: Namespace) -> list[Path]:
    """Return the checkpoints of the main job or, where there are none, of its quick run.

    That is made if it was not yet, or goes on. `args` are the options of `experiments.transition`;
    they say which data and process. Raises `ValueError` for what it refuses.
    """
    transition.plan(args)  # refuses what cannot be read
    name = "-".join(filter(None, ["transition", transition.variant(args)]))
    folder = args.out or RESULTS / name
    if not args.quick:
        if found := sorted((folder / "cells").glob("*.safetensors")):
            return found
        print(f"no networks in {folder / 'cells'}: small ones are taken", file=sys.stderr)
    quick = Namespace(**vars(args) | {"quick": True})
    folder = args.out or RESULTS / f"{name}-quick"
    _, written = compute(transition.plan(quick).cells, folder / "cells", Run(quick, folder))
    return files(sorted(written.values()))


def files(runs: Sequence[Path]) -> list[Path]:
    """Return checkpoints, given as they are or by their folders. Raises `ValueError`."""
    found: list[Path] = []
    for run in runs:
        if not run.exists():
            raise ValueError(f"{run} does not exist")
        own = sorted(run.glob("*.safetensors")) if run.is_dir() else [run]
        if is_run(run):
            own = [open_run(run).checkpoint]
        if not own:
            raise ValueError(f"{run} holds no checkpoint (*.safetensors)")
        found += own
    return found


def subjects(paths: Sequence[Path], args: Namespace) -> list[Subject]:
    """Return the networks of checkpoints in order of P; of equal ones that of the lowest seed.

    Raises `ValueError` with one line for a file that is damaged or cannot be shown.
    """

    @cache
    def read(length: int) -> Sequences:
        plan = transition.plan(Namespace(**vars(args) | {"length": length}))
        return Sequences(plan.data.corpus, plan.described["data"]["test"])

    several = [_subject(path, read) for path in paths]
    found: dict[Any, Subject] = {}
    for _, kind, subject in sorted(several, key=lambda one: one[0]):
        found.setdefault(kind, subject)
    return list(found.values())


def _subject(path: Path, read: Any) -> tuple[tuple[Any, ...], Any, Subject]:
    """Return what a checkpoint's place depends on, what it is one of, and its subject."""
    if is_run(path.parent):
        return _of_run(open_run(path.parent))
    header = checkpoint_metadata(path)
    try:
        training = json.loads(header["training"])
        seed, schedule = int(training["seed"]), training["schedule"]
        digest, alphabet, steps = header["tokens_sha256"], header["alphabet"], int(header["step"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say what it was trained on ({error})") from None
    network = load_model(path)
    size = network.config
    if len(alphabet) != size.vocab:
        raise ValueError(f"{path} has an alphabet of {len(alphabet)} and predicts {size.vocab}")
    if schedule != repr(SCHEDULE):
        raise ValueError(f"{path} was trained with {schedule}; shown are those with {SCHEDULE}")
    process = _process(path, header, size.vocab)
    trained, unseen, pad = _sequences(read(size.length), alphabet, seed, digest)
    P = 0 if trained is None else len(trained)
    what = f"{size.width} × {size.blocks}, {steps:,} steps"
    masked = "" if process.states == process.V else ", masked"
    name = f"{f'P = {P:,}' if P else path.stem} ({what}{masked})"
    subject = Subject(name, network, process, alphabet, trained, unseen, pad)
    kind = (masked, size.width, size.blocks, P or path)
    return (masked, size.width, size.blocks, P, seed, -steps, str(path)), kind, subject


def _of_run(run: TrainedRun) -> tuple[tuple[Any, ...], Any, Subject]:
    """Return the same of what `minuddm train` has left."""
    if run.settings.unit != "characters":
        raise ValueError(f"{run.folder} has learnt {run.settings.unit}; shown are characters")
    s, P, network = run.settings, len(run.training), run.network()
    steps = int(checkpoint_metadata(run.checkpoint)["step"])
    masked = ", masked" if s.process == "masked" else ""
    name = f"{run.folder.name}: P = {P:,} ({s.width} × {s.blocks}, {steps:,} steps{masked})"
    alphabet = "".join(run.vocabulary.pieces)
    tokens = run.training, run.held_out, run.pad
    subject = Subject(name, network, run.process, alphabet, *tokens)
    kind = (masked, s.width, s.blocks, run.folder)
    return (masked, s.width, s.blocks, P, s.seed, -steps, str(run.folder)), kind, subject


def _process(path: Path, header: dict[str, str], V: int) -> Process:
    """Return the process that a header names; the uniform one is not named."""
    named = header.get("process", repr(PROCESSES["uniform"](V)))
    known: dict[str, Process] = {repr(make(V)): make(V) for make in PROCESSES.values()}
    if named not in known:
        raise ValueError(f"{path} was trained with {named}, which is not known here")
    return known[named]


def _sequences(
    sequences: Sequences, alphabet: str, seed: int, digest: str
) -> tuple[Tokens | None, Tokens | None, int | None]:
    """Return training and unseen sequences, if the digest finds them, and the padding."""
    corpus = sequences.corpus
    if corpus.alphabet != alphabet:
        return None, None, None
    training, test = corpus.split(sequences.held_out, seed)
    P = first(training.tokens, digest)
    return (None, None, corpus.pad) if P is None else (training.tokens[:P], test.tokens, corpus.pad)


def first(tokens: Tokens, digest: str) -> int | None:
    """Return the P whose first P sequences of tokens (n, L) have a SHA-256; None if there is none.

    A digest can be read as it grows, so all P take as long as the last.
    """
    growing = hashlib.sha256()
    for P, row in enumerate(tokens, 1):
        growing.update(row.tobytes())
        if growing.hexdigest() == digest:
            return P
    return None
