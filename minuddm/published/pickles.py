"""Lightning's checkpoints as plain data: a zip with a pickle, of which nothing is executed.

A pickle is a program for a small stack machine; some of its instructions import and call what the
file names. Here is that machine without these two. What can be on its stack is

    numbers, texts, None; tuples, lists, dictionaries of these      made by the machine itself
    `Global`      a name of the file, and no more than that name
    `Tensor`      what `torch._utils._rebuild_tensor_v2` was to make, read when asked for
    `Inert`       any other object: the name of its class and the state pickled with it

so no instruction has anything to run. A name outside `_known` is refused when it is read, as is an
instruction that these files do not need: those of protocols 0 and 1, extensions, buffers. Memory is
bounded by the number of instructions, each of which keeps at most one small object; dictionary
keys are short, because hashing a deeply nested one would exhaust the stack of the interpreter.

The zip entries `data/0`, `data/1`, … hold the numbers, stored as they are; `zipfile` checks the
CRC-32 of each entry that is read. Pickle's instructions: Python's `pickletools`.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile

_LARGEST, _MOST = 2**25, 2**21  # bytes of a pickle, and instructions: 200 MB of objects at most
_LIBRARIES = {"omegaconf", "tokenizers", "transformers", "typing"}  # of settings and tokenizers
_BUILTINS = {"bool", "dict", "float", "frozenset", "int", "list", "long", "set", "str", "tuple"}
_DICTIONARIES = {"collections OrderedDict", "collections defaultdict"}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_STORAGES = {
    f"torch {name}Storage": kind
    for name, kind in {
        "Float": "F32", "Half": "F16", "BFloat16": "BF16", "Double": "F64", "Long": "I64",
        "Int": "I32", "Short": "I16", "Char": "I8", "Byte": "U8", "Bool": "U8",
    }.items()
}  # fmt: skip
_CONSTANTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
}  # fmt: skip
_VALUES: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_SET": list, "EMPTY_DICT": dict,
}  # fmt: skip


class Global(NamedTuple):
    """The name of a class or function, "module name"."""

    name: str


class Tensor(NamedTuple):
    """A tensor in a file: shape, kind of numbers as safetensors call it, the bytes and where."""

    shape: tuple[int, ...]
    kind: str
    read: Callable[[], bytes]
    place: str


class _Storage(NamedTuple):
    kind: str
    size: int
    read: Callable[[], bytes]
    place: str


@dataclass(eq=False, slots=True)
class Inert:
    """An object of a class that is only named here, and the state that was pickled with it."""

    name: str
    state: Any = None


def unpickled(archive: ZipFile) -> Any:
    """Return what the pickle of a checkpoint holds; tensors are read as long as it is open.

    Raises `ValueError` for whatever is not as such files are, and what `zipfile` raises.
    """
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.split("/")[1:] == ["data.pkl"]]
    if len(pickles) != 1 or len(entries) != len(archive.infolist()):
        raise ValueError("its entries are not those of a checkpoint")
    folder = pickles[0].removesuffix("data.pkl")

    def stored(name: str, size: int | None = None) -> Callable[[], bytes]:
        entry = entries.get(folder + name)
        if entry is None:
            raise ValueError(f"it lacks the entry {(folder + name)[:80]!r}")
        if entry.compress_type != ZIP_STORED:
            raise ValueError(f"its entry {entry.filename[:80]!r} is compressed")
        if size not in (None, entry.file_size):
            found = f"{entry.file_size:,} bytes, not {size:,}"
            raise ValueError(f"its entry {entry.filename[:80]!r} has {found}")
        return lambda: archive.read(entry)

    if folder + "byteorder" in entries and stored("byteorder", 6)() != b"little":
        raise ValueError("its numbers are not little-endian")
    if entries[pickles[0]].file_size > _LARGEST:
        raise ValueError(f"its pickle is larger than {_LARGEST:,} bytes")

    def storage(identity: Any) -> _Storage:
        match identity:
            case ("storage", Global(name), str(key), str(), int(size)) if (
                name in _STORAGES and 0 <= size < 2**48
            ):
                kind = _STORAGES[name]
                width = int("".join(c for c in kind if c.isdigit())) // 8
                return _Storage(kind, size, stored(f"data/{key}", size * width), key)
        raise ValueError("its pickle refers to a storage in another way")

    return interpreted(stored("data.pkl")(), storage)


def interpreted(pickle: bytes, storage: Callable[[Any], Any]) -> Any:
    """Return what a pickle describes; `storage` answers to the identities that it refers to."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def popped(n: int) -> list[Any]:
        if len(stack) - n < (marks[-1] if marks else 0):
            raise ValueError("its pickle takes more from the stack than is there")
        items = stack[len(stack) - n :]
        del stack[len(stack) - n :]
        return items

    def top() -> Any:
        (item,) = popped(1)
        stack.append(item)
        return item

    def since_mark() -> list[Any]:
        if not marks:
            raise ValueError("its pickle lacks a mark")
        start = marks.pop()
        return popped(len(stack) - start)

    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
        if number > _MOST:
            raise ValueError(f"its pickle has more than {_MOST:,} instructions")
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case name if name in _CONSTANTS:
                stack.append(argument)
            case name if name in _VALUES:
                stack.append(_VALUES[name]())
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack.append(tuple(popped(int(name[-1]))))
            case "APPEND" | "SETITEM" as name:
                _fill(popped(1 if name == "APPEND" else 2), top())
            case "APPENDS" | "SETITEMS" | "ADDITEMS":
                _fill(since_mark(), top())
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = top()
            case "MEMOIZE":
                memo[len(memo)] = top()
            case "BINGET" | "LONG_BINGET":
                if argument not in memo:
                    raise ValueError("its pickle refers to what it has not described")
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_known(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_known(*popped(2)))
            case "REDUCE" | "NEWOBJ":
                stack.append(_described(*popped(2)))
            case "BUILD":
                (state,) = popped(1)
                if isinstance(top(), Inert):
                    top().state = state
                elif not isinstance(top(), dict):  # whose attributes are left out
                    raise ValueError("its pickle gives a state to what has none")
            case "BINPERSID":
                stack.append(storage(*popped(1)))
            case "STOP":
                return popped(1)[0]
            case name:
                raise ValueError(f"its pickle uses {name}, which no such checkpoint needs")
    raise ValueError("its pickle has no end")


def _known(module: Any, name: Any = "") -> Global:
    """Return a name that checkpoints of the field are known to hold."""
    full = f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else ""
    if not (
        full in _DICTIONARIES | _STORAGES.keys() | {_REBUILD}
        or (module in ("builtins", "__builtin__") and name in _BUILTINS)
        or (full and module.split(".")[0] in _LIBRARIES)
    ):
        raise ValueError(f"its pickle calls for {full[:80]!r}, and nothing is called here")
    return Global(full)


def _described(what: Any, arguments: Any) -> Any:
    """Return the object that a call would have made: a tensor, a dictionary, or an inert one."""
    match what, arguments:
        case Global(name), tuple() if name in _DICTIONARIES:
            return {}
        case Global(name), (storage, offset, shape, strides, *_) if name == _REBUILD:
            return _tensor(storage, offset, shape, strides)
        case Global(name), tuple() if name not in _STORAGES.keys() | {_REBUILD}:
            return Inert(name)
    raise ValueError("its pickle makes an object of what is no class")


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """Return a tensor that is the whole of a storage, row after row."""
    if not (
        isinstance(storage, _Storage)
        and (type(offset), type(shape), type(strides)) == (int, tuple, tuple)
        and len(shape) == len(strides) <= 8
        and all(type(n) is int and 0 <= n < 2**48 for n in (*shape, *strides))
    ):
        raise ValueError("its pickle describes a tensor in another way")
    rows = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    whole = offset == 0 and math.prod(shape) == storage.size
    if not whole or any(s != r and n > 1 for n, s, r in zip(shape, strides, rows, strict=True)):
        raise ValueError("one of its tensors is not the whole of its storage, row after row")
    return Tensor(shape, storage.kind, storage.read, storage.place)


def _fill(items: list[Any], target: Any) -> None:
    """Put items into a list, or keys and values in turn into a dictionary; others stay inert."""
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = value
    elif not isinstance(target, Inert):
        raise ValueError("its pickle puts items into what holds none")


def _key(key: Any) -> Any:
    """Return a key of a dictionary: a number, a text, None, or a pair of texts."""
    pair = type(key) is tuple and len(key) <= 2 and all(type(part) is str for part in key)
    if not (pair or key is None or isinstance(key, str | int | float)):
        raise ValueError("its pickle has a key that is neither a number nor a text")
    return key
