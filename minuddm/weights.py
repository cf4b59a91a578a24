"""The weights of the network, once, as a table over one flat buffer.

`shapes(config)` below is the only place that lists the learnable tensors. Its order is the layout
in memory, the layout of gradients, of optimiser moments and of averages, and the order in a file;
so the optimiser and the checkpoint see flat arrays, and a layer sees a view with a name. Matrices
are (out, in), q, k, v and the modulation rows packed in the order of the published networks, so
that their tensors map one to one onto these. Tensors of one kind are neighbours in memory, block
after block: compiled code takes them as one array (`minuddm.machine.arrays`), and all modulations
are one linear of the conditioning.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from minuddm import checks
from minuddm.checks import Floats
from minuddm.network import FEATURES

CACHE_LINE = 64  # bytes; those of the widest SIMD register, too

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelConfig:
    """The size of the network.

    vocab V, length L, width D, blocks, heads H (width must be a multiple of 2·heads: rotary
    pairs), cond C the width of the conditioning, dropout the chance in [0, 1) that a number of a
    branch is dropped, in training only. It answers V values and reads `states`, V if not given, V +
    1 where a token may be masked.
    """

    vocab: int
    length: int
    width: int = 64
    blocks: int = 2
    heads: int = 4
    cond: int = 128
    dropout: float = 0.0
    states: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocab", checks.vocabulary(self.vocab))
        for name in ("length", "width", "blocks", "heads", "cond"):
            object.__setattr__(self, name, checks.count(getattr(self, name), name))
        states = checks.count(self.states or self.vocab, "states", self.vocab)
        object.__setattr__(self, "states", states)
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2 * heads = {2 * self.heads}, got {self.width}"
            )
        object.__setattr__(self, "dropout", checks.fraction(self.dropout, "dropout"))


def described(config: ModelConfig) -> dict[str, Any]:
    """Return the fields of a configuration, `states` only where they are not the vocabulary."""
    fields = asdict(config)
    if config.states == config.vocab:
        del fields["states"]
    return fields


def shapes(config: ModelConfig) -> Shapes:
    """Return every learnable tensor's name and shape, in the order of memory."""
    V, D, C = config.vocab, config.width, config.cond
    blocks = [f"blocks.{k}" for k in range(config.blocks)]
    rows = dict.fromkeys(blocks, 6 * D) | {"final": 2 * D}  # of the modulation
    table: Shapes = {
        "embedding": (config.states, D),
        "conditioning.in.weight": (C, FEATURES),
        "conditioning.in.bias": (C,),
        "conditioning.out.weight": (C, C),
        "conditioning.out.bias": (C,),
        # shift, scale, gate of attention, then of the MLP; in the end shift, scale
        **{f"{part}.modulation.weight": (n, C) for part, n in rows.items()},
        **{f"{part}.modulation.bias": (n,) for part, n in rows.items()},
    }
    block: Shapes = {
        "norm1.gain": (D,),
        "attention.qkv.weight": (3 * D, D),
        "attention.out.weight": (D, D),
        "norm2.gain": (D,),
        "mlp.in.weight": (4 * D, D),
        "mlp.in.bias": (4 * D,),
        "mlp.out.weight": (D, 4 * D),
        "mlp.out.bias": (D,),
    }
    table |= {f"{part}.{name}": shape for name, shape in block.items() for part in blocks}
    return table | {
        "final.norm.gain": (D,),
        "final.linear.weight": (V, D),
        "final.linear.bias": (V,),
    }


def number_of_weights(config: ModelConfig) -> int:
    """Return how many numbers the tensors hold, without listing every block: all are alike."""
    one, two = (
        sum(math.prod(shape) for shape in shapes(replace(config, blocks=k)).values())
        for k in (1, 2)
    )
    return one + (config.blocks - 1) * (two - one)


def aligned(shape: tuple[int, ...], dtype: Any) -> Floats:
    """Return an array of zeros that begins with a cache line, as NumPy's do only by chance.

    A SIMD register that lies across two lines costs two reads; where the rows of an aligned array
    are whole registers, none does.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + CACHE_LINE, np.uint8)
    start = -room.ctypes.data % CACHE_LINE
    array: Floats = room[start : start + size].view(dtype).reshape(shape)
    return array


class Weights(checks.Sealed, Mapping[str, Floats]):
    """Named views of one flat buffer; `weights.flat` is the buffer, `weights[name]` a view."""

    def __init__(self, shapes: Shapes, dtype: Any = np.float32, flat: Floats | None = None) -> None:
        """Keep `flat`, or make a buffer; raise for one that compiled loops could not read."""
        self.shapes = dict(shapes)
        size = sum(math.prod(shape) for shape in shapes.values())
        given = np.dtype(dtype if flat is None else flat.dtype)
        if given not in (np.float32, np.float64) or not given.isnative:
            raise TypeError(f"weights must be float32 or float64 of this machine, got {given!r}")
        if flat is not None and (flat.shape != (size,) or not flat.flags.c_contiguous):
            raise ValueError(f"weights must lie side by side, ({size},), got shape {flat.shape}")
        self.flat: Floats = aligned((size,), dtype) if flat is None else checks.writeable(flat)
        self._views: dict[str, Floats] = {}
        start = 0
        for name, shape in shapes.items():
            stop = start + math.prod(shape)
            self._views[name] = self.flat[start:stop].reshape(shape)
            start = stop

    def __setattr__(self, name: str, value: object) -> None:
        if vars(self).get(name) is not value:  # it is for `weights.flat += 1`, done in place
            super().__setattr__(name, value)

    def __getitem__(self, name: str) -> Floats:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def copy(self, dtype: Any = None) -> "Weights":
        """Return an independent copy, in another dtype if one is given."""
        copy = Weights(self.shapes, dtype or self.flat.dtype)
        copy.flat[:] = self.flat
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        return Weights, (self.shapes, self.flat.dtype, self.flat)


def initialise(config: ModelConfig, rng: Generator, dtype: Any = np.float32) -> Weights:
    """Return fresh weights: uniform in ±1/√(fan-in), gains one, biases zero.

    The modulations and the last linear start at zero, so that every block is the identity and every
    conditional uniform before the first step.
    """
    checks.generator(rng)
    size = number_of_weights(config) * np.dtype(dtype).itemsize
    checks.within_memory(size, f"a network of {number_of_weights(config):,} weights")
    weights = Weights(shapes(config), dtype)
    for name, tensor in weights.items():
        if name.endswith("gain"):
            tensor[:] = 1
        elif tensor.ndim == 2 and "modulation" not in name and name != "final.linear.weight":
            bound = 1 / math.sqrt(tensor.shape[1])
            tensor[:] = rng.uniform(-bound, bound, tensor.shape)
    return weights
