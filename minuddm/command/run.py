"""A run is a folder that holds all there is to it; the text it came from may go.

    settings.json            what was asked for, and the name and SHA-256 of the text
    vocabulary.json          token v is the v-th piece; tokenizer.json beside it, if there is one
    sequences.safetensors    to learn from, and held out
    checkpoint.safetensors   weights, their average and the optimiser, after so many steps
    log.csv                  loss and bound on the way

settings.json is written last: a folder without it is no run, and one that was interrupted before
begins anew. The checkpoint's header has digests of vocabulary and held-out sequences, so that files
of two runs are not mixed up.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from minuddm.checkpoint import checkpoint_metadata, load_model, step_of
from minuddm.checks import Tokens
from minuddm.command.settings import Settings
from minuddm.files import reserved, write_atomically
from minuddm.process import Process
from minuddm.sequences import Sequences
from minuddm.text import PAD
from minuddm.transformer import Transformer
from minuddm.vocabulary import Characters, Subwords, Unit, Vocabulary, Words

DEFAULT = Path("minuddm-run")
_SETTINGS, _VOCABULARY, _TOKENIZER = "settings.json", "vocabulary.json", "tokenizer.json"
_SEQUENCES, _CHECKPOINT, _LOG = "sequences.safetensors", "checkpoint.safetensors", "log.csv"
_OURS = {_SETTINGS, _VOCABULARY, _TOKENIZER, _SEQUENCES, _CHECKPOINT, _LOG}


@dataclass(frozen=True)
class Run:
    """A folder with settings, vocabulary and sequences; the network may be yet to come."""

    folder: Path
    settings: Settings
    text: Mapping[str, Any]
    """The name of the text, its sha256, and the shares `lost` and `rare` of its pieces."""
    vocabulary: Vocabulary
    training: Tokens
    held_out: Tokens

    @property
    def checkpoint(self) -> Path:
        """The file with the network."""
        return self.folder / _CHECKPOINT

    @property
    def log(self) -> Path:
        """The file with what was measured on the way."""
        return self.folder / _LOG

    @property
    def process(self) -> Process:
        """What corrupts the tokens."""
        return self.settings.of_tokens(self.vocabulary.V)

    @property
    def pad(self) -> int | None:
        """The token that fills lines up, if the sequences are lines."""
        return self.vocabulary.number[PAD] if self.settings.lines else None

    @property
    def about(self) -> dict[str, str]:
        """What the checkpoint says of the other files."""
        return {
            "vocabulary": hashlib.sha256(_said(self.vocabulary)).hexdigest(),
            "held_out": hashlib.sha256(self.held_out.tobytes()).hexdigest(),
        }

    def network(self) -> Transformer:
        """Return the average network; raises `ValueError` if it is not there, or of another run."""
        try:
            header = checkpoint_metadata(self.checkpoint)
        except FileNotFoundError:
            raise ValueError(
                f"{self.folder} has no network yet: minuddm train goes on with it"
            ) from None
        learnt = {"tokens_sha256": hashlib.sha256(self.training.tobytes()).hexdigest()}
        for name, digest in (self.about | learnt).items():
            if header.get(name) != digest:
                file = _VOCABULARY if name == "vocabulary" else _SEQUENCES
                raise ValueError(f"{self.checkpoint} is not of this run: {file} is another")
        model = load_model(self.checkpoint)
        if model.config != self.settings.model(self.vocabulary.V):
            raise ValueError(f"{self.checkpoint} is not of this run: {_SETTINGS} is another")
        return model


def begin(folder: Path, settings: Settings, sequences: Sequences) -> Run:
    """Return the run in a folder, begun if there is none, or none that has learnt anything.

    Raises `ValueError` if the folder holds another run, or something else.
    """
    text = {
        "name": sequences.name, "sha256": sequences.sha256,
        "lost": sequences.lost, "rare": sequences.rare,
    }  # fmt: skip
    run = Run(folder, settings, text, sequences.vocabulary, sequences.training, sequences.held_out)
    if is_run(folder) and not run.checkpoint.exists():
        with reserved(run.checkpoint):  # nothing was learnt, and nobody is at it
            _write(run)
    elif is_run(folder):
        there = open_run(folder)
        _agree(there, run)
        if settings != there.settings:
            _further(run)
            _write_settings(run)
    else:
        _create(folder)
        _write(run)
    return run


def open_run(folder: Path) -> Run:
    """Return the run that a folder holds; raises `ValueError` with one line if it holds none."""
    if not is_run(folder):
        raise ValueError(f"{folder} is no run: it has no {_SETTINGS}; minuddm train makes one")
    said = _json(folder / _SETTINGS)
    text = said["text"] if isinstance(said.get("text"), dict) else {}
    try:
        settings = Settings.read(said.get("settings"))
        if not all(isinstance(text.get(key), str) for key in ("name", "sha256")):
            raise ValueError("it does not name the text")
    except ValueError as error:
        raise ValueError(f"{folder / _SETTINGS} is damaged: {error}") from None
    vocabulary = _read_vocabulary(folder, settings)
    training, held_out = _read_sequences(folder / _SEQUENCES, vocabulary.V, settings.length)
    return Run(folder, settings, text, vocabulary, training, held_out)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run."""
    return (folder / _SETTINGS).is_file()


def _agree(there: Run, here: Run) -> None:
    """Raise `ValueError`, naming what differs, unless two runs are one but for their steps."""
    other = f"{there.folder} holds another run, {{}}: give another folder (--out)"
    begun, wanted = there.settings.said(), here.settings.said()
    for name, value in wanted.items():
        if name != "steps" and begun[name] != value:
            raise ValueError(other.format(f"whose {name} is {begun[name]} and not {value}"))
    if there.text["sha256"] != here.text["sha256"]:
        raise ValueError(other.format(f"of another text ({there.text['name']})"))
    if there.about != here.about or not np.array_equal(there.training, here.training):
        raise ValueError(other.format("which has cut this text otherwise"))


def _further(run: Run) -> None:
    """Raise `ValueError` if the network has taken more steps than the settings say."""
    if run.checkpoint.exists():
        step = step_of(checkpoint_metadata(run.checkpoint), run.checkpoint)
        if step > run.settings.steps:
            raise ValueError(
                f"{run.folder} has gone further: {step} steps there, {run.settings.steps} asked for"
            )


def _create(folder: Path) -> None:
    """Make the folder; raise `ValueError` if it cannot be, or holds something else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise ValueError(f"the folder {folder} cannot be made: {error.strerror}") from None
    if found - _OURS or _CHECKPOINT in found:
        raise ValueError(
            f"{folder} is no run and not empty (it has {min(found)}): give another folder (--out)"
        )


def _write(run: Run) -> None:
    """Write all that a run begins with; the settings last."""
    unit = run.vocabulary.unit
    if isinstance(unit, Subwords):
        write_atomically(run.folder / _TOKENIZER, unit.content.encode())
    write_atomically(run.folder / _VOCABULARY, _said(run.vocabulary))
    narrow = np.min_scalar_type(run.vocabulary.V)
    sequences = {"training": run.training.astype(narrow), "held_out": run.held_out.astype(narrow)}
    write_atomically(run.folder / _SEQUENCES, save(sequences))
    _write_settings(run)


def _write_settings(run: Run) -> None:
    said = {"text": dict(run.text), "settings": run.settings.said()}
    write_atomically(run.folder / _SETTINGS, json.dumps(said, indent=2).encode())


def _said(vocabulary: Vocabulary) -> bytes:
    unit = vocabulary.unit
    said = {"unit": unit.name, "pieces": vocabulary.pieces}
    if isinstance(unit, Subwords):
        said["tokenizer_sha256"] = hashlib.sha256(unit.content.encode()).hexdigest()
    return json.dumps(said, indent=0).encode()


def _read_vocabulary(folder: Path, settings: Settings) -> Vocabulary:
    said = _json(folder / _VOCABULARY)
    units: dict[str, Unit] = {unit.name: unit for unit in (Characters(), Words())}
    unit = units.get(settings.unit) or Subwords.read(folder / _TOKENIZER)
    pieces = said.get("pieces")
    if isinstance(pieces, list) and all(isinstance(p, str) for p in pieces) and len(pieces) > 1:
        vocabulary = Vocabulary(unit, tuple(pieces))
        filled = not settings.lines or PAD in vocabulary.number
        if filled and said == json.loads(_said(vocabulary)):
            return vocabulary
    raise ValueError(f"{folder / _VOCABULARY} is damaged: it is not that of the settings")


def _read_sequences(path: Path, V: int, L: int) -> tuple[Tokens, Tokens]:
    try:
        tensors = load(path.read_bytes())
        training, held_out = tensors["training"], tensors["held_out"]
    except (SafetensorError, KeyError, OSError) as error:
        raise ValueError(f"{path} is damaged or missing ({error})") from None
    for x in (training, held_out):
        if x.ndim != 2 or x.shape[1] != L or not len(x) or x.dtype.kind != "u" or x.max() >= V:
            raise ValueError(f"{path} is damaged: it does not hold sequences of {L} of {V} tokens")
    return training.astype(np.int32), held_out.astype(np.int32)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged or missing: it is no JSON object")
    return found
