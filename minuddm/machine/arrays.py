"""The arrays that the compiled passes work on, derived from two tables.

    weights.shapes   Tensors        the weights, or their gradients; those of all blocks as one
                     Transposed     of these, the matrices that tokens pass through, as (in, out)
    working_arrays   Conditioning   of a shard: conditioning, modulations and their gradients
                     Tile           of a tile: everything that is computed for its tokens
                     Block          of a tile, the arrays of one block

Nothing else lists them: a tensor is one line of `shapes`, a working array one line of
`working_arrays`, and compiled code finds either by its name. Working arrays are allocated once and
begin with a cache line. Each class has its name in this module, by which machine code on disk
refers to it.
"""

import re
from collections import namedtuple
from collections.abc import Collection, Iterable
from itertools import groupby
from typing import Any, NamedTuple

from numba.extending import overload

from minuddm.checks import Floats
from minuddm.machine.attention import padded, rotary_table
from minuddm.machine.linear import transpose_all
from minuddm.weights import ModelConfig, Weights, aligned, shapes

_ANY_SIZE = ModelConfig(vocab=2, length=1, width=2, blocks=1, heads=1, cond=1)  # names are the same


def _arrays(fields: Iterable[str]) -> Any:
    """Return a named tuple with an array in each field: the base of the classes below."""
    return namedtuple("_Arrays", fields)


def _field(name: str) -> str:
    """Return the field of a tensor: `blocks.0.mlp.in.weight` is in `mlp_in`, its bias in …`_bias`.

    The final modulation is the last rows of `modulation`.
    """
    kind = re.sub(r"^(blocks\.\d+|final(?=\.modulation))\.", "", name)
    return re.sub(r"\.(weight|gain)$", "", kind).replace(".", "_")


_TENSORS = {_field(name): name for name in shapes(_ANY_SIZE)}
_MATRICES = [
    field
    for field, name in _TENSORS.items()
    if name.endswith(".weight") and not re.search("conditioning|modulation", name)
]


class Tensors(_arrays(_TENSORS)):  # type: ignore[misc]
    """Views of all tensors of a `Weights`: of weights to be read, or of gradients to be added to.

    Those of the blocks are one array, whose first axis is the block; of all modulations, (rows, C).
    """

    __slots__ = ()

    @classmethod
    def of(cls, weights: Weights) -> "Tensors":
        """Return the views. Tensors of one field must be neighbours in memory."""
        views: dict[str, Floats] = {}
        start = 0
        for field, names in groupby(weights, key=_field):
            if field in views:
                raise ValueError(f"the tensors of {field!r} are not neighbours in memory")
            tensors = [weights[name] for name in names]
            stop, shape = start + sum(t.size for t in tensors), tensors[0].shape
            if len({t.shape for t in tensors}) > 1:
                shape = (-1, *shape[1:])  # rows below rows
            elif _TENSORS[field].startswith("blocks."):
                shape = (-1, *shape)
            views[field], start = weights.flat[start:stop].reshape(shape), stop
        return cls(**views)


class Transposed(_arrays(_MATRICES)):  # type: ignore[misc]
    """The matrices (out, in) of the linears that tokens pass through, as (in, out)."""

    __slots__ = ()

    @classmethod
    def like(cls, w: Tensors) -> "Transposed":
        """Return arrays of their shapes."""
        matrices = {field: getattr(w, field).swapaxes(-1, -2) for field in cls._fields}
        return cls(**{field: aligned(m.shape, m.dtype) for field, m in matrices.items()})

    def update(self, w: Tensors) -> None:
        """Write today's matrices."""
        for field in self._fields:
            WT, W = getattr(self, field), getattr(w, field)
            transpose_all(WT.reshape(-1, *WT.shape[-2:]), W.reshape(-1, *W.shape[-2:]))


CONSTANT, LEVEL, SEQUENCE, TOKEN = "constant", "level", "sequence", "token"
ONCE, BLOCKS, BLOCKS_AND_END = "once", "blocks", "blocks and end"


class Working(NamedTuple):
    """A working array: how many numbers, for each of what, and how many times.

    each: there is a row of the numbers for each noise LEVEL of a shard (one a sequence, or one for
    all), for each SEQUENCE of a tile, or for each TOKEN of it; a CONSTANT has no rows.
    times: ONCE; one for each of the BLOCKS; or BLOCKS_AND_END, one more. Where no backward pass
    follows, all blocks share one.
    backward: only a backward pass needs it; it has no rows where none follows.
    """

    each: str
    numbers: tuple[int, ...]
    times: str = ONCE
    backward: bool = False


def working_arrays(config: ModelConfig) -> dict[str, Working]:
    """Return every working array's name and size: the one table of them.

    A gradient that is not listed overwrites what it belongs to.
    """
    V, D, C, H = config.vocab, config.width, config.cond, config.heads
    L, L_pad, half = config.length, padded(config.length), D // H // 2
    rows = 6 * config.blocks + 2  # of the modulations
    return {
        # of a shard
        "u1": Working(LEVEL, (C,)),
        "a1": Working(LEVEL, (C,)),
        "u2": Working(LEVEL, (C,)),
        "c": Working(LEVEL, (C,)),
        "mod": Working(LEVEL, (rows, D)),
        "dmod": Working(LEVEL, (rows, D), backward=True),
        "dc": Working(LEVEL, (C,), backward=True),
        "du2": Working(LEVEL, (C,), backward=True),
        "da1": Working(LEVEL, (C,), backward=True),
        "du1": Working(LEVEL, (C,), backward=True),
        # of a tile, block by block
        "x": Working(TOKEN, (D,), BLOCKS_AND_END),
        "mean1": Working(TOKEN, (), BLOCKS),
        "rstd1": Working(TOKEN, (), BLOCKS),
        "h1": Working(TOKEN, (D,), BLOCKS),
        "qkv": Working(TOKEN, (3 * D,), BLOCKS),
        "probs": Working(SEQUENCE, (H, L_pad, L_pad), BLOCKS),
        "heads": Working(TOKEN, (D,), BLOCKS),
        "attention": Working(TOKEN, (D,), BLOCKS),
        "x_mid": Working(TOKEN, (D,), BLOCKS),
        "mean2": Working(TOKEN, (), BLOCKS),
        "rstd2": Working(TOKEN, (), BLOCKS),
        "h2": Working(TOKEN, (D,), BLOCKS),
        "u": Working(TOKEN, (4 * D,), BLOCKS),
        "act": Working(TOKEN, (4 * D,), BLOCKS, backward=True),  # else in the place of u
        "mlp": Working(TOKEN, (D,), BLOCKS),
        # of a tile, once
        "rotary": Working(CONSTANT, (2, L, half)),
        "mean": Working(TOKEN, ()),
        "rstd": Working(TOKEN, ()),
        "h": Working(TOKEN, (D,)),
        "logits": Working(TOKEN, (V,)),
        "dh": Working(TOKEN, (D,), backward=True),
        "dx": Working(TOKEN, (D,), backward=True),
    }


_WORKING = working_arrays(_ANY_SIZE)
_OF_SHARD = [name for name, array in _WORKING.items() if array.each == LEVEL]
_OF_TILE = [name for name, array in _WORKING.items() if array.each != LEVEL]
_OF_BLOCK = [name for name, array in _WORKING.items() if array.times != ONCE]


class Conditioning(_arrays(_OF_SHARD)):  # type: ignore[misc]
    """The working arrays of the conditioning of a shard, a row a noise level."""

    __slots__ = ()

    @classmethod
    def new(cls, config: ModelConfig, dtype: Any, levels: int, keep: bool) -> "Conditioning":
        """Return the arrays, with those of a backward pass if asked to `keep`."""
        return cls(**_allocated(cls._fields, config, dtype, {LEVEL: levels}, keep))


class Tile(_arrays(_OF_TILE)):  # type: ignore[misc]
    """The working arrays of a pass over the sequences of a tile."""

    __slots__ = ()

    @classmethod
    def new(cls, config: ModelConfig, dtype: Any, keep: bool) -> "Tile":
        """Return the arrays, with those of a backward pass if asked to `keep`."""
        B = sequences_of_tile(config)
        rows = {SEQUENCE: B, TOKEN: B * config.length}
        tile = cls(**_allocated(cls._fields, config, dtype, rows, keep))
        tile.rotary[:] = rotary_table(config.length, config.width // config.heads)
        return tile


class Block(_arrays([*_OF_BLOCK, "x_out"])):  # type: ignore[misc]
    """The arrays of one block of a tile, as long as the tokens at hand; x_out is the next x."""

    __slots__ = ()


def sequences_of_tile(config: ModelConfig) -> int:
    """Return the sequences of a tile: 2D tokens or a little fewer, one sequence at least.

    Fewer would read the weights too often, more would not find their own numbers in the cache.
    """
    return max(1, 2 * config.width // config.length)


def _allocated(
    names: Collection[str], config: ModelConfig, dtype: Any, rows: dict[str, int], keep: bool
) -> dict[str, Floats]:
    """Return the named working arrays, with so many rows of each kind."""
    K = config.blocks if keep else 1
    axes = {ONCE: (), BLOCKS: (K,), BLOCKS_AND_END: (K + 1 if keep else 1,)}
    found = {}
    for name, array in working_arrays(config).items():
        if name in names:
            each = () if array.each == CONSTANT else (rows[array.each],)
            if array.backward and not keep:
                each = (0,)
            found[name] = aligned((*axes[array.times], *each, *array.numbers), dtype)
    return found


def block_of(tile: Tile, k: int, N: int) -> Block:
    """Return the arrays of block k, as long as the N tokens at hand."""
    rows = {TOKEN: N, SEQUENCE: N // tile.rotary.shape[1]}

    def array(name: str, k: int) -> Floats:
        blocks: Floats = getattr(tile, name)
        array: Floats = blocks[k % len(blocks)][: rows[_WORKING[name].each]]
        return array

    return Block(*[array(name, k) for name in _OF_BLOCK], array("x", k + 1))


@overload(block_of, strict=False)
def _compiled_block_of(tile: Any, k: Any, N: Any) -> Any:
    """Write the function above out, field by field: compiled code has no `getattr` by name."""
    rows = {TOKEN: "N", SEQUENCE: "N // tile.rotary.shape[1]"}

    def array(name: str, k: str) -> str:
        return f"tile.{name}[{k} % tile.{name}.shape[0]][: {rows[_WORKING[name].each]}]"

    fields = ", ".join([*(array(name, "k") for name in _OF_BLOCK), array("x", "(k + 1)")])
    scope: dict[str, Any] = {"Block": Block}
    exec(f"def block_of(tile, k, N): return Block({fields})", scope)
    return scope["block_of"]
