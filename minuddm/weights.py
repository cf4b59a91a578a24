"""The weights of the network, once, as a table over one flat buffer.

`shapes(config)` below is the only place that lists the learnable tensors. Its order is the layout
in memory, the layout of gradients, of optimiser moments and of averages, and the order in a file;
so the optimiser and the checkpoint see flat arrays, and a layer sees a view with a name. Matrices
are (out, in), q, k, v and the modulation rows packed in the order of the published networks, so
that their tensors map one to one onto these. Tensors of one kind lie behind one another, block
after block: compiled code takes them as one array, and all modulations are one linear of the noise
level.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from minuddm import checks
from minuddm.checks import Floats
from minuddm.machine.intrinsics import aligned
from minuddm.machine.modulation import FEATURES

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class ModelConfig:
    """The size of the network.

    vocab V, length L, width D, blocks, heads H (width must be a multiple of 2·heads: rotary
    pairs), cond C the width of the noise conditioning, dropout a rate in [0, 1) used in training
    only.
    """

    vocab: int
    length: int
    width: int = 64
    blocks: int = 2
    heads: int = 4
    cond: int = 128
    dropout: float = 0.0

    def __post_init__(self) -> None:
        checks.vocabulary(self.vocab)
        for name in ("length", "width", "blocks", "heads", "cond"):
            checks.count(getattr(self, name), name)
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2 * heads = {2 * self.heads}, got {self.width}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")


def shapes(config: ModelConfig) -> Shapes:
    """Return every learnable tensor's name and shape, in the order of memory."""
    V, D, C = config.vocab, config.width, config.cond
    blocks = [f"blocks.{k}" for k in range(config.blocks)]
    rows = dict.fromkeys(blocks, 6 * D) | {"final": 2 * D}  # of the modulation
    table: Shapes = {
        "embedding": (V, D),
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


class Tensors(NamedTuple):
    """All tables, as compiled code takes them: those of the blocks as one, whose first axis K is.

    Views of a `Weights`: of weights to be read, or of gradients to be added to.
    """

    embedding: Floats  # (V, D)
    cond_in: Floats  # (C, FEATURES)
    cond_in_bias: Floats  # (C,)
    cond_out: Floats  # (C, C)
    cond_out_bias: Floats  # (C,)
    modulation: Floats  # ((6 K + 2) D, C)
    modulation_bias: Floats  # ((6 K + 2) D,)
    norm1: Floats  # (K, D)
    qkv: Floats  # (K, 3D, D)
    out: Floats  # (K, D, D)
    norm2: Floats  # (K, D)
    mlp_in: Floats  # (K, 4D, D)
    mlp_in_bias: Floats  # (K, 4D)
    mlp_out: Floats  # (K, D, 4D)
    mlp_out_bias: Floats  # (K, D)
    final_norm: Floats  # (D,)
    final: Floats  # (V, D)
    final_bias: Floats  # (V,)


_STACKS = {
    "norm1": "norm1.gain",
    "qkv": "attention.qkv.weight",
    "out": "attention.out.weight",
    "norm2": "norm2.gain",
    "mlp_in": "mlp.in.weight",
    "mlp_in_bias": "mlp.in.bias",
    "mlp_out": "mlp.out.weight",
    "mlp_out_bias": "mlp.out.bias",
}


class Weights(Mapping[str, Floats]):
    """Named views of one flat buffer; `weights.flat` is the buffer, `weights[name]` a view."""

    def __init__(self, shapes: Shapes, dtype: Any = np.float32, flat: Floats | None = None) -> None:
        self.shapes = shapes
        size = sum(math.prod(shape) for shape in shapes.values())
        self.flat: Floats = aligned((size,), dtype) if flat is None else checks.writeable(flat)
        self._views: dict[str, Floats] = {}
        self._tensors: Tensors | None = None
        self._stacks: dict[str, Floats] = {}  # found by `stacked`
        start = 0
        for name, shape in shapes.items():
            stop = start + math.prod(shape)
            self._views[name] = self.flat[start:stop].reshape(shape)
            start = stop

    def __getitem__(self, name: str) -> Floats:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def stacked(self, suffix: str) -> Floats:
        """Return the tensors named `….suffix`, neighbours in memory, as one: rows below rows."""
        if suffix not in self._stacks:
            names = list(self.shapes)
            stack = [k for k, name in enumerate(names) if name.endswith(f".{suffix}")]
            if stack != list(range(stack[0], stack[-1] + 1)):
                raise ValueError(f"the tensors named {suffix!r} are not neighbours in memory")
            sizes = [math.prod(shape) for shape in self.shapes.values()]
            start, stop = sum(sizes[: stack[0]]), sum(sizes[: stack[-1] + 1])
            self._stacks[suffix] = self.flat[start:stop].reshape(
                -1, *self.shapes[names[stack[0]]][1:]
            )
        return self._stacks[suffix]

    @property
    def tensors(self) -> Tensors:
        """The tensors behind all names, the blocks' upon one another."""
        if self._tensors is None:
            stacks = {
                field: self.stacked(name).reshape(-1, *self.shapes[f"blocks.0.{name}"])
                for field, name in _STACKS.items()
            }
            self._tensors = Tensors(
                embedding=self["embedding"],
                cond_in=self["conditioning.in.weight"],
                cond_in_bias=self["conditioning.in.bias"],
                cond_out=self["conditioning.out.weight"],
                cond_out_bias=self["conditioning.out.bias"],
                modulation=self.stacked("modulation.weight"),
                modulation_bias=self.stacked("modulation.bias"),
                final_norm=self["final.norm.gain"],
                final=self["final.linear.weight"],
                final_bias=self["final.linear.bias"],
                **stacks,
            )
        return self._tensors

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
    weights = Weights(shapes(config), dtype)
    for name, tensor in weights.items():
        if name.endswith("gain"):
            tensor[:] = 1
        elif tensor.ndim == 2 and "modulation" not in name and name != "final.linear.weight":
            bound = 1 / math.sqrt(tensor.shape[1])
            tensor[:] = rng.uniform(-bound, bound, tensor.shape)
    return weights
