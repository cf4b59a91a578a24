"""exp, δ - log(1 + δ) and the maximum of a row, in a form the compiler turns into SIMD.

The `exp` and `log` of the C library are scalar calls inside a compiled loop, about 20 ns an
element. In float32 each function below is a polynomial on a small interval, plus the exponent
bits moved by hand:

    exp x        = 2ⁿ e^r,       n = round(x / log 2),  |r| ≤ ½ log 2
    log ρ        = e log 2 + 2 artanh s,   ρ = 2ᵉ m,  m ∈ [√½, √2),  s = (m - 1)/(m + 1)

A maximum of floats cannot be regrouped, because of NaN; one of integers can, and the bits of a
float32 are ordered as integers once those of negative numbers are turned round.

In float64, used to check gradients, `exp` and the maximum are the library's. The type of the
argument chooses, at compile time.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from minuddm.compiled import layer

_LOW, _HIGH = np.float32(-87.3), np.float32(88.3)  # e^x stays a normal float32
_LOG2E = np.float32(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # sum = log 2
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))
_ONE, _TWO = np.float32(1), np.float32(2)
_LN2 = math.log(2)
_LN2_32 = np.float32(_LN2)
_SQRT_HALF_BITS_32 = np.int32(0x3F3504F3)  # the float √½, read as an integer
_SQRT_HALF_BITS_64 = np.int64(0x3FE6A09E667F3BCD)
_LEAST, _WITHOUT_SIGN, _SIGN = np.int32(-(2**31)), np.int32(0x7FFFFFFF), np.int32(31)
_A3, _A5, _A7, _A9 = (np.float32(1 / k) for k in (3, 5, 7, 9))


def exp(x: Any) -> Any:
    """Return eˣ; in float32 with relative error below 4e-7, and x held inside [-87.3, 88.3]."""
    return np.exp(x)


@overload(exp, inline="never")
def _exp(x: Any) -> Any:
    return _exp32 if x == types.float32 else _exp64


def _exp32(x: Any) -> Any:
    x = _LOW if x < _LOW else x  # comparisons this way round let NaN through
    x = _HIGH if x > _HIGH else x
    n = np.rint(x * _LOG2E)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    poly = _C6 + r * _C7
    poly = _C5 + r * poly
    poly = _C4 + r * poly
    poly = _C3 + r * poly
    poly = _C2 + r * poly
    poly = _ONE + r * (_ONE + r * poly)
    return poly * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


def _exp64(x: Any) -> Any:
    return math.exp(x)


def largest(row: Any) -> Any:
    """Return the largest number of a row (n,), n ≥ 1; positive NaN is larger than all."""
    return np.max(row)


@overload(largest, inline="never")
def _largest(row: Any) -> Any:
    return _largest32 if row.dtype == types.float32 else _largest64


def _largest32(row: Any) -> Any:
    top = _LEAST
    for j in range(row.shape[0]):
        bits = np.float32(row[j]).view(np.int32)
        top = max(top, bits ^ ((bits >> _SIGN) & _WITHOUT_SIGN))
    return np.int32(top ^ ((top >> _SIGN) & _WITHOUT_SIGN)).view(np.float32)


def _largest64(row: Any) -> Any:
    top = row[0]
    for j in range(row.shape[0]):
        top = max(top, row[j])
    return top


def excess(delta: Any, rho: Any) -> Any:
    """Return δ - log(1 + δ) ≥ 0, given δ > -1 and ρ = 1 + δ; no cancellation near δ = 0.

    The caller passes both, each formed without rounding away the other's digits: δ decides near 0,
    ρ near -1. With s = δ/(2 + δ), log(1 + δ) = 2 artanh s and δ - 2 s = δ s, so that
    δ - log(1 + δ) = δ s - 2 (s³/3 + s⁵/5 + …), used where ρ ∈ [√½, √2).
    """
    return delta - np.log(rho)


@overload(excess, inline="never")
def _excess(delta: Any, rho: Any) -> Any:
    return _excess32 if rho == types.float32 else _excess64


def _excess32(delta: Any, rho: Any) -> Any:
    bits = np.float32(rho).view(np.int32)
    e = (bits - _SQRT_HALF_BITS_32) >> np.int32(23)
    m = np.int32(bits - (e << np.int32(23))).view(np.float32)
    near = e == 0
    s = (delta if near else m - _ONE) / (_TWO + delta if near else m + _ONE)
    s2 = s * s
    tail = _TWO * s * s2 * (_A3 + s2 * (_A5 + s2 * (_A7 + s2 * _A9)))
    return (delta * s if near else delta - _TWO * s - np.float32(e) * _LN2_32) - tail


def _excess64(delta: Any, rho: Any) -> Any:
    bits = np.float64(rho).view(np.int64)
    e = (bits - _SQRT_HALF_BITS_64) >> 52
    m = np.int64(bits - (e << 52)).view(np.float64)
    near = e == 0
    s = (delta if near else m - 1) / (2 + delta if near else m + 1)
    s2 = s * s
    series = 0.0
    for k in range(23, 1, -2):
        series = series * s2 + 1 / k
    tail = 2 * s * s2 * series
    return (delta * s if near else delta - 2 * s - e * _LN2) - tail


@layer
def exp_of(out: Any, x: Any) -> None:
    """Write eˣ of a flat array into `out` (the compiled `exp`, for tests)."""
    for i in range(x.shape[0]):
        out[i] = exp(x[i])


@layer
def largest_of(out: Any, x: Any) -> None:
    """Write the largest number of each row of x (N, n) into `out` (N,) (for tests)."""
    for i in range(x.shape[0]):
        out[i] = largest(x[i])


@layer
def excess_of(out: Any, delta: Any, rho: Any) -> None:
    """Write δ - log(1 + δ) of flat arrays into `out` (the compiled `excess`, for tests)."""
    for i in range(delta.shape[0]):
        out[i] = excess(delta[i], rho[i])
