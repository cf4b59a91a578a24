"""The two formats of published checkpoints: what their configurations say, and their tensors.

    hub          a safetensors file, numbers after a header of JSON, and a config.json beside it
    lightning    a zip with a pickle of everything, which is read and not run [pickles]

Tensors are read one at a time, when asked for; so a file with the moments of an optimiser costs no
more than its weights.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

from safetensors import safe_open

from minuddm.published.pickles import Inert, Tensor, unpickled

Said = dict[str, Any]
"""What a configuration says, and no entry for what it does not say."""
Found = Mapping[str, Tensor]
"""The tensors of a file by its own names."""

_MOST_SETTINGS = 2**20  # bytes of a config.json
_HUB = {
    "family": "model_type", "causal": "causal", "conditioned": "time_conditioning",
    "guided": "cfg", "length": "model_length", "vocab": "vocab_size", "width": "hidden_dim",
    "cond": "cond_dim", "blocks": "n_blocks", "heads": "n_heads",
}  # fmt: skip
_LIGHTNING = {
    "family": ("algo", "name"), "answer": ("algo", "parameterization"),
    "conditioned": ("algo", "time_conditioning"), "causal": ("algo", "causal_attention"),
    "length": ("model", "length"), "width": ("model", "hidden_size"),
    "cond": ("model", "cond_dim"), "blocks": ("model", "n_blocks"), "heads": ("model", "n_heads"),
}  # fmt: skip
_BEFORE_DUO = {
    "family": ("diffusion",), "answer": ("parameterization",),
    "conditioned": ("time_conditioning",),
}  # fmt: skip


@contextmanager
def hub(path: Path, average: bool) -> Iterator[tuple[Said, Found]]:
    """Open a safetensors file with the config.json beside it."""
    if average:
        raise ValueError("it holds one set of weights, and no average beside it")
    path = path / "model.safetensors" if path.is_dir() else path
    with path.with_name("config.json").open("rb") as file:
        settings = _object(file.read(_MOST_SETTINGS), "config.json")
    said = {name: settings[key] for name, key in _HUB.items() if settings.get(key) is not None}
    with path.open("rb") as file, safe_open(path, "numpy"):  # which checks the whole header
        size = int.from_bytes(file.read(8), "little")
        header = _object(file.read(size), "header")
        header.pop("__metadata__", None)
        start = 8 + size
        yield said, {name: _tensor(file, start, entry) for name, entry in header.items()}


def _object(text: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"its {name} is no JSON object")
    return found


def _tensor(file: BinaryIO, start: int, entry: Mapping[str, Any]) -> Tensor:
    """Return a tensor of an open safetensors file, whose numbers begin at `start`."""
    first, last = entry["data_offsets"]

    def read() -> bytes:
        file.seek(start + first)
        return file.read(last - first)

    return Tensor(tuple(entry["shape"]), entry["dtype"], read, str(first))


@contextmanager
def lightning(path: Path, average: bool) -> Iterator[tuple[Said, Found]]:
    """Open a checkpoint of Lightning, with the last weights or with their average."""
    with ZipFile(path) as archive:
        checkpoint = unpickled(archive)
        settings = _inside(checkpoint, "hyper_parameters", "config")
        places: dict[str, tuple[str, ...]] = dict(_LIGHTNING)
        if _inside(settings, "algo") is None:
            places |= _BEFORE_DUO
        said = {name: _inside(settings, *place) for name, place in places.items()}
        found = _tensors(_inside(checkpoint, "state_dict"), "state_dict")
        if average:
            shadow = _inside(checkpoint, "ema", "shadow_params")
            learnt = [name for name in found if not name.endswith("inv_freq")]
            if not isinstance(shadow, list) or len(shadow) != len(learnt):
                raise ValueError(f"it has no average (ema.shadow_params) of {len(learnt)} tensors")
            found |= _tensors(dict(zip(learnt, shadow, strict=True)), "ema.shadow_params")
        yield {name: value for name, value in said.items() if _is_said(value)}, found


def _tensors(table: Any, name: str) -> dict[str, Tensor]:
    if not isinstance(table, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in table.items()
    ):
        raise ValueError(f"its {name} holds something else than tensors")
    if len({tensor.place for tensor in table.values()}) != len(table):
        raise ValueError(f"two tensors of its {name} share their numbers")
    return table


def _inside(settings: Any, *path: str) -> Any:
    """Return an entry of nested settings, or None: dictionaries, or omegaconf's objects."""
    for key in (*path, ""):
        if isinstance(settings, Inert) and isinstance(settings.state, dict):
            settings = settings.state.get("_content", settings.state.get("_val"))
        if key:
            settings = settings.get(key) if isinstance(settings, dict) else None
    return settings


def _is_said(value: Any) -> bool:
    """Return whether a setting is a number or a text, and not the expression `${…}` of one."""
    return isinstance(value, str | int | float) and not str(value).startswith("${")
