"""What public functions of the energy side accept; everything else is refused in one line."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def positive(value: float, name: str) -> float:
    """Return a positive finite number."""
    if isinstance(value, bool) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)


def decay(value: float) -> float:
    """Return a weight decay, finite and at least 0."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"decay must be at least 0 and finite, got {value}")
    return float(value)


def count(value: int, name: str, least: int = 1) -> int:
    """Return an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def spins(x: ArrayLike, name: str, L: int | None = None) -> NDArray[np.int8]:
    """Return rows of ±1, (B, L)."""
    array = np.asarray(x)
    if not (np.issubdtype(array.dtype, np.number) or array.size == 0):
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
    _rows(array, name, L)
    outside = array[(array != 1) & (array != -1)]
    if outside.size:
        raise ValueError(f"{name} must be -1 or 1, got {outside.flat[0]}")
    return np.ascontiguousarray(array, dtype=np.int8)


def tokens(x: ArrayLike, V: int, name: str, L: int | None = None) -> NDArray[np.int32]:
    """Return rows of values 0 … V - 1, (B, L)."""
    array = np.asarray(x)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    _rows(array, name, L)
    if array.size and (array.min() < 0 or array.max() >= V):
        outside = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name} must lie in 0 … {V - 1}, got {outside}")
    return np.ascontiguousarray(array, dtype=np.int32)


def points(x: ArrayLike, name: str, L: int | None = None) -> NDArray[np.float64]:
    """Return rows of finite numbers, (B, L)."""
    array = np.asarray(x)
    if not np.issubdtype(array.dtype, np.floating) and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    _rows(array, name, L)
    bad = array[~np.isfinite(array)]
    if bad.size:
        raise ValueError(f"{name} must be finite, got {bad.flat[0]}")
    return np.ascontiguousarray(array, dtype=np.float64)


def _rows(array: NDArray[np.generic], name: str, L: int | None) -> None:
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 axes, got shape {array.shape}")
    if L is None and array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if L is not None and array.shape[1] != L:
        raise ValueError(f"{name} must have length {L}, got {array.shape[1]}")
