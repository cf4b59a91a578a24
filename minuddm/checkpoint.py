"""Checkpoints: a run after so many steps, in one safetensors file, there whole or not at all.

    weights/…  average/…  moment1/…  moment2/…     the four tables of a run [`minuddm.weights`]
    losses                                         of every step, 0 for those to come
    header: format, model, training, tokens_sha256, step, what the caller says about it, and the
            process, unless it is the uniform one; sha256, the digest of all this and of the tensors

The header says what a resumed run must agree with, so that a file of another network, another
configuration or other sequences is refused by name. Nothing in a file is run, tensors are numbers
and the header is JSON; and nothing is believed: the digest, the step, shapes, dtypes and the
numbers themselves are checked whenever a file is read. Files of format 1 have no digest.
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

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.files import write_atomically
from minuddm.process import Process, Uniform
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig, Weights, described, shapes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_FORMER, _FORMAT = "minuddm-checkpoint-1", "minuddm-checkpoint-2"
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
        size = 4 * weights.flat.nbytes + 8 * steps
        checks.within_memory(size, f"training {weights.flat.size:,} weights for {steps:,} steps")
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
        config = ModelConfig(**fields_of(header, "model", Path(path)))
    except (TypeError, ValueError):
        raise ValueError(f"{path} does not describe its network") from None
    weights = _table(tensors, "average" if average else "weights", config, Path(path))
    return Transformer(config, weights)


def checkpoint_metadata(path: str | Path) -> dict[str, str]:
    """Return what a checkpoint says of itself: configuration, step, and its `about` (alphabet)."""
    return _read(Path(path))[1]


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
        "model": json.dumps(described(model)),
        "training": json.dumps(fields, default=repr),
        "tokens_sha256": hashlib.sha256(x.tobytes()).hexdigest(),
    }


def write(path: Path, state: State, header: dict[str, str]) -> None:
    """Write a state with its header; what stood there is replaced at once."""
    tensors = {
        f"{part}/{name}": tensor for part in _PARTS for name, tensor in getattr(state, part).items()
    } | {"losses": state.losses}
    header = header | {"format": _FORMAT, "step": str(state.step)}
    header["sha256"] = _digest(tensors, header)
    write_atomically(path, bytes(save(tensors, metadata=header)))


def resume(path: Path | None, wanted: dict[str, str], model: Transformer) -> State | None:
    """Read a state into the model's own weights; return None where nothing was written yet.

    Raises `ValueError` if the file is damaged or does not belong to this run.
    """
    if path is None or not path.exists():
        return None
    tensors, header = _read(path)
    _agree(path, header, wanted)
    steps, begun = (json.loads(h["training"])["steps"] for h in (wanted, header))
    step, losses = step_of(header, path), tensors.get("losses")
    if step > begun:
        raise ValueError(f"{path} is damaged: step '{step}' of {begun}")
    if step > steps:
        raise ValueError(f"{path} has gone further: {step} steps there, {steps} asked for")
    if losses is None or losses.shape != (begun,) or losses.dtype != np.float64:
        raise ValueError(f"{path} is damaged: it does not hold the losses of {begun} steps")
    weights, average, first, second = (_table(tensors, part, model.config, path) for part in _PARTS)
    for table in (weights, average, first, second):
        if table.flat.dtype != model.weights.flat.dtype:
            raise ValueError(f"{path} holds {table.flat.dtype}, not {model.weights.flat.dtype}")
    if not np.isfinite(losses).all() or (second.flat < 0).any():
        raise ValueError(f"{path} is damaged: no run has such losses or second moments")
    model.weights.flat[:] = weights.flat
    state = State(model.weights, average, first, second, np.zeros(steps), step)
    state.losses[: state.step] = losses[: state.step]
    return state


def step_of(header: Mapping[str, str], path: Path) -> int:
    """Return the steps that a checkpoint's header says were taken.

    Raises `ValueError` if it says none.
    """
    step = header.get("step", "")
    if not (step.isascii() and step.isdigit() and len(step) < 20):
        raise ValueError(f"{path} is damaged: step {step[:80]!r}")
    return int(step)


def fields_of(header: Mapping[str, str], key: str, path: Path) -> dict[str, Any]:
    """Return one of the header's entries that are JSON objects, empty if there is none.

    Raises `ValueError` if it is none.
    """
    try:
        found = json.loads(header.get(key, "{}"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: its {key} cannot be read")
    return found


def _agree(path: Path, header: dict[str, str], wanted: dict[str, str]) -> None:
    """Raise `ValueError`, naming what differs, unless the header is that of the run wanted.

    The number of steps may differ where the rate does not fall to 0 at the last one. Runs were
    annealed before there was a choice.
    """
    for key in ("model", "training"):
        there, here = fields_of(header, key, path), json.loads(wanted[key])
        if key == "training":
            there = {"anneal": True} | there
        for name in here | there:
            if name == "steps" and not here["anneal"] and isinstance(there.get(name), int):
                continue
            if there.get(name) != here.get(name):
                raise ValueError(
                    f"{path} is of another configuration: "
                    f"{name} is {there.get(name)} there and {here.get(name)} here"
                )
    for key in (wanted.keys() | {"process"}) - {"model", "training"}:
        if header.get(key) != wanted.get(key):
            what = "other sequences" if key == "tokens_sha256" else f"another {key}"
            raise ValueError(f"{path} was trained on {what}")


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Return the tensors of a checkpoint and its header, as they were written."""
    try:
        with safe_open(path, "numpy") as file:
            header = dict(file.metadata() or {})
            dtypes = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
            if others := set(dtypes.values()) - {"F32", "F64"}:
                raise ValueError(f"{path} holds {min(others)}; checkpoints hold F32 or F64")
            tensors = {name: file.get_tensor(name) for name in dtypes}
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or not a checkpoint ({error})") from None
    if header.get("format") not in (_FORMER, _FORMAT):
        raise ValueError(f"{path} is not a checkpoint of minuddm")
    if header["format"] == _FORMAT and header.get("sha256") != _digest(tensors, header):
        raise ValueError(f"{path} is damaged: its contents are not those that were written")
    return tensors, header


def _digest(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, str]) -> str:
    """Return the SHA-256 of a header, but for its own entry, and of all tensors."""
    said = {key: header[key] for key in sorted(header) if key != "sha256"}
    digest = hashlib.sha256(json.dumps(said).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}".encode())
        digest.update(tensor.data)
    return digest.hexdigest()


def _table(tensors: dict[str, NDArray[Any]], part: str, config: ModelConfig, path: Path) -> Weights:
    """Return one of the four tables, if the file has all of it, of one dtype and finite."""
    layout = shapes(config) if config.blocks <= len(tensors) else {}
    found = [tensors.get(f"{part}/{name}") for name in layout]
    if not layout or any(
        tensor is None or tensor.shape != shape
        for tensor, shape in zip(found, layout.values(), strict=True)
    ):
        raise ValueError(f"{path} lacks tensors of its own configuration")
    whole = [tensor.ravel() for tensor in found if tensor is not None]
    if len({tensor.dtype for tensor in whole}) > 1:
        raise ValueError(f"{path} is damaged: the dtypes of its {part} differ")
    if not all(np.isfinite(tensor).all() for tensor in whole):
        raise ValueError(f"{path} is damaged: its {part} are not finite")
    return Weights(layout, flat=np.concatenate(whole))
