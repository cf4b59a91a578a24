"""What public functions ask of their arguments, for both packages.

`minuddm` and `hopfield` never import each other; the checks that tell no theory live here, once.
Compiled loops check nothing: the functions in front of them call these, once an argument, and each
raises `TypeError` (a wrong kind) or `ValueError` (a wrong value or shape) with one line that names
the argument, its value, and the allowed range.
"""

import math
import os
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

LARGEST_VOCABULARY = 2**31 - 1  # tokens are int32
_BLOCK = 1024  # patterns that are transposed in the cache


def count(value: int, name: str, least: int = 1) -> int:
    """Return an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def vocabulary(V: int) -> int:
    """Return V, an integer of at least 2: one value says nothing."""
    if isinstance(V, bool) or not isinstance(V, int | np.integer):
        raise TypeError(f"the vocabulary size V must be an integer, got {V!r}")
    if not 2 <= V <= LARGEST_VOCABULARY:
        allowed = "at least 2" if V < 2 else f"at most {LARGEST_VOCABULARY}"
        raise ValueError(f"the vocabulary size V must be {allowed}, got {V}")
    return int(V)


def number(value: Any, name: str) -> float:
    """Return a real number as a float: one too large for it as ∞, a truth value as NaN."""
    if isinstance(value, bool | np.bool_):
        return math.nan
    kind = np.asarray(value).dtype.kind if np.ndim(value) == 0 else ""
    if not isinstance(value, int) and kind not in ("i", "u", "f"):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def positive(value: float, name: str) -> float:
    """Return a positive finite number."""
    if not (math.isfinite(x := number(value, name)) and x > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return x


def not_negative(value: float, name: str) -> float:
    """Return a finite number of at least 0."""
    if not (math.isfinite(x := number(value, name)) and x >= 0):
        raise ValueError(f"{name} must be at least 0 and finite, got {value}")
    return x


def finite(value: float, name: str) -> float:
    """Return a finite number."""
    if not math.isfinite(x := number(value, name)):
        raise ValueError(f"{name} must be finite, got {value}")
    return x


def real(x: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array of real numbers: texts, objects and complex numbers are refused."""
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    return array


def generator(rng: Generator) -> Generator:
    """Return a `numpy.random.Generator`; seeds and legacy states are refused."""
    if not isinstance(rng, Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
    return rng


def within_memory(size: int, what: str) -> None:
    """Refuse arrays of `size` bytes in all that this machine's memory cannot hold."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise ValueError(
            f"{what} would take {size / 2**30:,.1f} GiB, and this machine has "
            f"{memory / 2**30:,.1f} GiB of memory"
        )


def tokens(
    x: ArrayLike, V: int, name: str = "tokens", ndim: int | None = None, L: int | None = None
) -> NDArray[np.int32]:
    """Return integers 0 … V - 1 as a copy, contiguous int32; with L given, rows (B, L).

    Compiled loops index with tokens and check nothing. So what was checked must be what they read,
    whoever writes into x meanwhile or later: the copy is made first, and then checked.
    """
    array = _integers(x, name, ndim, L)
    return _inside(np.array(array, order="C"), V, name).astype(np.int32, copy=False)


def columns(x: ArrayLike, V: int, name: str = "patterns") -> NDArray[Any]:
    """Return a copy of patterns (P, L) of integers 0 … V - 1, to be stored site by site: (L, P).

    Its dtype is the smallest that holds V, for V < 256 a byte; it is checked as `tokens` are.
    """
    array = stored(_integers(x, name, 2, None), name)
    sites = np.empty(array.shape[::-1], np.min_scalar_type(V))
    for start in range(0, len(array), _BLOCK):
        block = np.array(array[start : start + _BLOCK], order="C")
        sites[:, start : start + _BLOCK] = _inside(block, V, name).T
    return sites


def spins(x: ArrayLike, name: str, L: int | None = None) -> NDArray[np.int8]:
    """Return rows of ±1, (B, L); where no length L is given, patterns to be stored."""
    array = real(x, name)
    _shape(array, name, 2, L)
    if L is None:
        stored(array, name)
    outside = array[(array != 1) & (array != -1)]
    if outside.size:
        raise ValueError(f"{name} must be -1 or 1, got {outside.flat[0]}")
    return np.ascontiguousarray(array, dtype=np.int8)


def points(x: ArrayLike, name: str, L: int | None = None) -> NDArray[np.float64]:
    """Return rows of finite numbers, (B, L); where no L is given, patterns to be stored."""
    given = real(x, name)
    if given.dtype == bool:
        raise TypeError(f"{name} must be real numbers, got dtype bool")
    _shape(given, name, 2, L)
    if L is None:
        stored(given, name)
    with np.errstate(over="ignore"):  # of numbers longer than float64
        array = np.ascontiguousarray(given, dtype=np.float64)
    bad = given[~np.isfinite(array)]
    if bad.size:
        raise ValueError(f"{name} must be finite, got {bad.flat[0]}")
    return array


def stored(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return patterns (P, L) that are to be kept: at least one, of at least one site."""
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    return array


class Sealed:
    """An object whose attributes are set once, by its constructor: what was checked stays.

    So it is after pickling and copying: arrays are read-only again where they were.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in vars(self) or isinstance(getattr(type(self), name, None), property):
            raise AttributeError(f"{name} of a {type(self).__name__} cannot be replaced")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} of a {type(self).__name__} cannot be deleted")

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        kept = vars(self).copy()
        return kept, {name: _writeable(value) for name, value in kept.items()}

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        kept, flags = state
        for name, value in kept.items():
            _seal(value, flags[name])
        vars(self).update(kept)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy to be shown that cannot be written into; what a loop reads is another array."""
    shown = array.copy()
    shown.flags.writeable = False
    return shown


def writeable(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, or a copy if it is read-only: to the compiler that is another type."""
    return array if array.flags.writeable else array.copy()


def _writeable(value: Any) -> Any:
    """Return which arrays of an attribute can be written into."""
    if isinstance(value, np.ndarray):
        return value.flags.writeable
    return [_writeable(part) for part in value] if isinstance(value, tuple | list) else True


def _seal(value: Any, flags: Any) -> None:
    """Make arrays of an attribute read-only where they were; pickles and copies are not."""
    if isinstance(value, np.ndarray):
        value.flags.writeable = flags
    elif isinstance(value, tuple | list):
        for part, flag in zip(value, flags, strict=True):
            _seal(part, flag)


def _integers(x: ArrayLike, name: str, ndim: int | None, L: int | None) -> NDArray[Any]:
    array = np.asarray(x)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    _shape(array, name, ndim, L)
    return array


def _inside(array: NDArray[Any], V: int, name: str) -> NDArray[Any]:
    if array.size and (array.min() < 0 or array.max() >= V):
        outside = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name} must lie in 0 … {V - 1}, got {outside}")
    return array


def _shape(array: NDArray[Any], name: str, ndim: int | None, L: int | None) -> None:
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    if L is not None and array.shape[-1] != L:
        raise ValueError(f"{name} must have length {L}, got {array.shape[-1]}")
    if array.ndim > 1 and array.shape[-1] == 0:
        raise ValueError(f"{name} must have at least one site a sequence, got {array.shape}")
