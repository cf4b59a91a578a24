"""Checkpoints: a run after so many steps, in one safetensors file, there whole or not at all.

    weights/…  average/…  moment1/…  moment2/…     the four tables of a run [`minuddm.weights`]
    losses                                         of every step, 0 for those to come
    header: format, model, training, tokens_sha256, step, what the caller says about it, and the
            process, unless it is the uniform one

The header says what a resumed run must agree with, so that a file of another network, another
configuration or other sequences is refused by name. Nothing in a file is run: tensors are numbers,
the header is JSON.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from minuddm.checks import Floats, Tokens
from minuddm.files import write_atomically
from minuddm.process import Process, Uniform
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig, Weights, shapes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FORMAT = "minuddm-checkpoint-1"
_PARTS = ("weights", "average", "moment1", "moment2")


@dataclass
class State:
    """A run after `step` steps: the weights, their average, Adam's moments, the losses so far."""

    weights: Weights
    average: Weights
    moment1: Weights
    moment2: Weights
    losses: NDArray[np.float64]
    step: int = 0

    @classmethod
    def start(cls, weights: Weights, steps: int) -> "State":
        """Return the state before the first step; `weights` is used, not copied."""
        first, second = (Weights(weights.shapes, weights.flat.dtype) for _ in range(2))
        return cls(weights, weights.copy(), first, second, np.zeros(steps))

    def arrays(self) -> tuple[Floats, ...]:
        """Return the four flat buffers: weights, average, moments."""
        return tuple(getattr(self, part).flat for part in _PARTS)


def load_model(path: str | Path, *, average: bool = True) -> Transformer:
    """Return the network of a checkpoint: the average of its weights, or the last ones.

    Raises `ValueError` for a file that is damaged or no checkpoint of this project.
    """
    tensors, header = _read(Path(path))
    try:
        config = ModelConfig(**json.loads(header["model"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} does not describe its network") from None
    weights = _table(tensors, "average" if average else "weights", config, Path(path))
    return Transformer(config, weights)


def checkpoint_metadata(path: str | Path) -> dict[str, str]:
    """Return what a checkpoint says of itself: configuration, step, and its `about` (alphabet)."""
    return _read(Path(path), names=())[1]


load_about = checkpoint_metadata  # its former name


def describe(
    model: ModelConfig,
    training: "DataclassInstance",
    process: Process,
    x: Tokens,
    about: Mapping[str, str],
) -> dict[str, str]:
    """Return the header of a run: what resuming must agree with, and what the caller says.

    The uniform process is not named: checkpoints were written before there was another.
    """
    if any(not isinstance(text, str) for pair in about.items() for text in pair):
        raise TypeError("about must map names to strings")
    fields = {f.name: getattr(training, f.name) for f in dataclasses.fields(training)}
    header = dict(about)
    if process != Uniform(model.vocab):
        header["process"] = repr(process)
    return header | {
        "format": _FORMAT,
        "model": json.dumps(dataclasses.asdict(model)),
        "training": json.dumps(fields, default=repr),
        "tokens_sha256": hashlib.sha256(x.tobytes()).hexdigest(),
    }


def write(path: Path, state: State, header: dict[str, str]) -> None:
    """Write a state with its header; what stood there is replaced at once."""
    tensors = {
        f"{part}/{name}": tensor for part in _PARTS for name, tensor in getattr(state, part).items()
    }
    header = header | {"step": str(state.step)}
    write_atomically(path, bytes(save(tensors | {"losses": state.losses}, metadata=header)))


def resume(path: Path | None, wanted: dict[str, str], model: Transformer) -> State | None:
    """Read a state into the model's own weights; return None where nothing was written yet.

    Raises `ValueError` if the folder does not exist, or the file does not belong to this run.
    """
    if path is None:
        return None
    if not path.parent.is_dir():
        raise ValueError(f"the folder of the checkpoint {path} does not exist")
    if not path.exists():
        return None
    tensors, header = _read(path)
    _agree(path, header, wanted)
    weights, average, first, second = (_table(tensors, part, model.config, path) for part in _PARTS)
    if weights.flat.dtype != model.weights.flat.dtype:
        raise ValueError(f"{path} holds {weights.flat.dtype}, not {model.weights.flat.dtype}")
    model.weights.flat[:] = weights.flat
    losses = np.array(tensors["losses"])
    return State(model.weights, average, first, second, losses, int(header["step"]))


def _agree(path: Path, header: dict[str, str], wanted: dict[str, str]) -> None:
    """Raise `ValueError`, naming what differs, unless the header is that of the run wanted."""
    for key in ("model", "training"):
        there, here = json.loads(header.get(key, "{}")), json.loads(wanted[key])
        for name in here:
            if there.get(name) != here[name]:
                raise ValueError(
                    f"{path} is of another configuration: "
                    f"{name} is {there.get(name)} there and {here[name]} here"
                )
    for key in (wanted.keys() | {"process"}) - {"model", "training"}:
        if header.get(key) != wanted.get(key):
            what = "other sequences" if key == "tokens_sha256" else f"another {key}"
            raise ValueError(f"{path} was trained on {what}")


def _read(
    path: Path, names: tuple[str, ...] | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors of a checkpoint, all or those of the given names, and its header."""
    try:
        with safe_open(path, "numpy") as file:
            header = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in (file.keys() if names is None else names)}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a checkpoint ({error})") from None
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of minuddm")
    return tensors, header


def _table(tensors: dict[str, NDArray[Any]], part: str, config: ModelConfig, path: Path) -> Weights:
    layout = shapes(config)
    names = [f"{part}/{name}" for name in layout]
    if any(n not in tensors or tensors[n].shape != layout[n[len(part) + 1 :]] for n in names):
        raise ValueError(f"{path} lacks tensors of its own configuration")
    return Weights(layout, flat=np.concatenate([tensors[n].ravel() for n in names]))
