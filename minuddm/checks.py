"""Argument checks: what public functions of the diffusion side ask, and names of array types.

Those that both packages share are in `argument_checks`, and have their names here too. Compiled
loops check nothing; the functions in front of them call these checks once, and each raises
`ValueError` or `TypeError` with one line that names the value and the allowed range.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from argument_checks import (
    Sealed,
    columns,
    count,
    finite,
    generator,
    not_negative,
    number,
    positive,
    read_only,
    real,
    stored,
    tokens,
    vocabulary,
    within_memory,
    writeable,
)
from minuddm.machine.jit import jit_reassoc

__all__ = [
    "Floats",
    "Sealed",
    "Tokens",
    "against",
    "alphas",
    "booleans",
    "columns",
    "count",
    "distributions",
    "finite",
    "fraction",
    "generator",
    "log_probabilities",
    "logits",
    "not_negative",
    "number",
    "per_token",
    "positive",
    "read_only",
    "real",
    "slopes",
    "stored",
    "tokens",
    "two_alphas",
    "uniforms",
    "vocabulary",
    "within_memory",
    "writeable",
]

Tokens: TypeAlias = NDArray[np.int32]
"""Token values, one sequence a row: integers 0 … V - 1."""
Floats: TypeAlias = NDArray[Any]
"""Real numbers, float32 for work or float64 for checking."""
ROUNDING = 1e-3  # of a log-probability, and of a sum of probabilities


def alphas(alpha: ArrayLike, batch: int | None = None, name: str = "alpha") -> NDArray[np.float64]:
    """Return chances in [0, 1] as float64: a scalar array, or one per sequence.

    With `batch` given, a scalar is repeated to shape (batch,).
    """
    array = real(alpha, name).astype(np.float64, copy=False)
    if array.ndim > 1:
        raise ValueError(f"{name} must be a number or one number per sequence, got {array.shape}")
    wrong = ~((array >= 0) & (array <= 1))
    if wrong.any():
        raise ValueError(f"{name} must lie in [0, 1], got {array[wrong].flat[0]:g}")
    if batch is None:
        return array
    if array.ndim == 1 and array.shape != (batch,):
        raise ValueError(f"{name} must have one value per sequence ({batch}), got {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, (batch,)))


def against(alpha: NDArray[np.float64], x: NDArray[Any]) -> NDArray[np.float64]:
    """Give alpha () or (B,) the trailing axes that let it broadcast against x (B, ...)."""
    if alpha.ndim and (x.ndim == 0 or alpha.shape[0] != x.shape[0]):
        raise ValueError(f"one alpha per sequence needs {alpha.shape} sequences, got {x.shape}")
    return alpha.reshape(alpha.shape + (1,) * (x.ndim - alpha.ndim))


def per_token(alpha: ArrayLike, x: NDArray[Any], name: str = "alpha") -> NDArray[np.float64]:
    """Return chances in [0, 1] in the shape of tokens x, given one, one a sequence, or one each."""
    array = real(alpha, name).astype(np.float64, copy=False)
    if array.ndim == x.ndim == 2 and array.shape == x.shape:
        return alphas(array.ravel(), name=name).reshape(x.shape)
    return np.broadcast_to(against(alphas(array, name=name), x), x.shape)


def two_alphas(
    alpha_s: ArrayLike, alpha_t: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return α_s, α_t of two times s ≤ t, and α_ts = α_t / α_s, 1 where no time passes (0/0)."""
    a_s, a_t = alphas(alpha_s, name="alpha_s"), alphas(alpha_t, name="alpha_t")
    if a_s.ndim and a_t.ndim and a_s.shape != a_t.shape:
        raise ValueError(f"alpha_s and alpha_t must have one shape, got {a_s.shape}, {a_t.shape}")
    if (a_s < a_t).any():
        (worse,) = np.flatnonzero((a_s < a_t).ravel())[:1]
        s, t = (np.broadcast_to(a, np.broadcast(a_s, a_t).shape).flat[worse] for a in (a_s, a_t))
        raise ValueError(f"s > t: alpha_s must be at least alpha_t = {t:g}, got {s:g}")
    a_s, a_t = np.broadcast_arrays(a_s, a_t)
    return a_s, a_t, np.divide(a_t, a_s, out=np.ones_like(a_t), where=a_s > a_t)


def slopes(dalpha: ArrayLike, alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return derivatives of alphas (B,) in t, one or one each: finite and not positive."""
    array = real(dalpha, "dalpha").astype(np.float64, copy=False)
    if array.shape not in ((), alpha.shape):
        raise ValueError(f"dalpha must be a number or have shape {alpha.shape}, got {array.shape}")
    wrong = ~(np.isfinite(array) & (array <= 0))
    if wrong.any():
        raise ValueError(f"dalpha must be finite and at most 0, got {array[wrong].flat[0]:g}")
    return array


def fraction(value: float, name: str, *, whole: bool = False) -> float:
    """Return a number in [0, 1), or in [0, 1] if it may be the whole."""
    x = number(value, name)
    if not (0 <= x < 1 or (whole and x == 1)):
        raise ValueError(f"{name} must lie in [0, 1{']' if whole else ')'}, got {value}")
    return x


def booleans(mask: ArrayLike, shape: tuple[int, ...], name: str) -> NDArray[np.bool_]:
    """Return a mask in the shape of tokens (B, L), given one boolean, one a position, or all."""
    array = np.asarray(mask)
    if array.dtype != bool or array.shape not in ((), shape[1:], shape):
        raise ValueError(
            f"{name} must be booleans of shape {shape[1:]} or {shape}, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return np.broadcast_to(array, shape)


def uniforms(u: ArrayLike, shape: tuple[int, ...], name: str = "u") -> NDArray[np.float64]:
    """Return numbers in [0, 1) of the given shape, as float64."""
    array = real(u, name).astype(np.float64, copy=False)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    wrong = ~((array >= 0) & (array < 1))
    if wrong.any():
        raise ValueError(f"{name} must lie in [0, 1), got {array[wrong].flat[0]:g}")
    return array


def distributions(p: ArrayLike, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return laws (..., V) over tokens x (...) as float64: non-negative, each summing to one."""
    array = real(p, "p").astype(np.float64, copy=False)
    if array.shape[:-1] != x.shape:
        raise ValueError(f"p must have shape {x.shape} + (V,), got {array.shape}")
    if not ((array >= 0).all() and np.allclose(array.sum(axis=-1), 1, rtol=0, atol=ROUNDING)):
        raise ValueError("p must hold distributions: non-negative, each summing to one")
    return array


def log_probabilities(log_p: ArrayLike, x: NDArray[Any], name: str = "log_p") -> Floats:
    """Return log-probabilities (..., V) over tokens x (...); minus infinity may occur, +∞ not.

    Logits are none: where a value is above 0 by more than rounding, they are refused.
    """
    array = logits(log_p, x, name)
    if array.size and array.max() > ROUNDING:
        raise ValueError(f"{name} must hold log-probabilities, at most 0, got {array.max():g}")
    return array


def logits(log_p: ArrayLike, x: NDArray[Any], name: str = "logits") -> Floats:
    """Return logits (..., V) over tokens x (...); minus infinity may occur, +∞ not."""
    array = np.asarray(log_p)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got dtype {array.dtype}")
    if array.ndim != x.ndim + 1 or array.shape[:-1] != x.shape:
        raise ValueError(f"{name} must have shape {x.shape} + (V,), got {array.shape}")
    array = np.asarray(array, order="C")
    if array.size and not _finite_somewhere(array.reshape(-1, array.shape[-1])):
        raise ValueError(f"{name} must hold no NaN, no infinity, and a finite value for each token")
    return array


@jit_reassoc
def _finite_somewhere(rows: Floats) -> bool:
    """Return whether every row has a finite number, and what is not finite is minus infinity."""
    wrong = 0
    for n in range(rows.shape[0]):
        finite, other = 0, 0
        for v in range(rows.shape[1]):
            finite += -np.inf < rows[n, v] < np.inf
            other += not rows[n, v] < np.inf
        wrong += other > 0 or finite == 0
    return wrong == 0
