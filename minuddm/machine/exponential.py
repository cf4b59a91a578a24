"""exp and δ - log(1 + δ), in a form that LLVM vectorises.

The `exp` and `log` of the C library are scalar calls inside a compiled loop, about 20 ns an
element. In float32 each function below is a polynomial on a small interval, plus the exponent
bits moved by hand:

    exp x            = 2ⁿ e^r,               n = round(x / log 2),  |r| ≤ ½ log 2
    δ - log(1 + δ)   = δ - e log 2 - log m,   1 + δ = 2ᵉ m,  m ∈ [√½, √2)

A polynomial is the interpolant at the Chebyshev points of its interval, where it errs little more
than the best one of its degree: no more than a float32 is apart from the next. Whole numbers that
meet are 64 bits wide to Numba, and a register holds half as many; where they are bits of a float32,
every step is therefore cast back to 32.

In float64, used to check gradients, `exp` is the library's. The type of the argument chooses, at
compile time.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from minuddm.machine.jit import jit_reassoc

_LOW, _HIGH = np.float32(-87.3), np.float32(88.3)  # e^x stays a normal float32
_LOG2E = np.float32(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # sum = log 2
# e^r = 1 + r + r² (C2 + C3 r + …), within 1.1e-8 of itself
_C2, _C3, _C4, _C5, _C6 = (
    np.float32(c) for c in (0.5, 0.16666576, 0.041666556, 0.008363179, 0.0013926184)
)
# x - log(1 + x) = x² (½ + x (S0 + S1 x + …)), within 1.1e-7 of itself
_S0, _S1, _S2, _S3 = (np.float32(c) for c in (-0.3333333, 0.25000307, -0.20001045, 0.16641282))
_S4, _S5, _S6, _S7 = (np.float32(c) for c in (-0.14214496, 0.12998183, -0.1262232, 0.07902744))
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_LN2 = math.log(2)
_LN2_32 = np.float32(_LN2)
_SQRT_HALF_BITS_32 = np.int32(0x3F3504F3)  # the float √½, read as an integer
_SQRT_HALF_BITS_64 = np.int64(0x3FE6A09E667F3BCD)
_MANTISSA = np.int32(23)  # its bits in a float32, below those of the exponent


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
    poly = _ONE + r * (_ONE + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6)))))
    bits = np.float32(poly).view(np.int32)
    return np.int32(bits + np.int32(np.int32(n) << _MANTISSA)).view(np.float32)


def _exp64(x: Any) -> Any:
    return math.exp(x)


@jit_reassoc
def largest(row: Any) -> Any:
    """Return the largest number of a row (n,), n ≥ 1."""
    peak = row[0]
    for j in range(row.shape[0]):
        peak = max(peak, row[j])
    return peak


def x_minus_log1p(delta: Any, rho: Any) -> Any:
    """Return δ - log(1 + δ) ≥ 0, given δ > -1 and ρ = 1 + δ; no cancellation near δ = 0.

    The caller passes both, each formed without rounding away the other's digits: δ decides near 0,
    ρ near -1. Where ρ ∈ [√½, √2), a polynomial gives the difference itself; elsewhere the same
    polynomial serves log m, and nothing is small.
    """
    return delta - np.log(rho)


@overload(x_minus_log1p, inline="never")
def _x_minus_log1p(delta: Any, rho: Any) -> Any:
    return _x_minus_log1p32 if rho == types.float32 else _x_minus_log1p64


def _x_minus_log1p32(delta: Any, rho: Any) -> Any:
    bits = np.float32(rho).view(np.int32)
    e = np.int32(np.int32(bits - _SQRT_HALF_BITS_32) >> _MANTISSA)
    m = np.int32(bits - np.int32(e << _MANTISSA)).view(np.float32)
    near = e == 0
    x = delta if near else m - _ONE
    series = _S4 + x * (_S5 + x * (_S6 + x * _S7))
    series = _S0 + x * (_S1 + x * (_S2 + x * (_S3 + x * series)))
    # zero where near, and said so: a caller's sum, regrouped, would part δ from -x and lose digits
    rest = _ZERO if near else (delta - x) - np.float32(e) * _LN2_32
    return rest + x * x * (_HALF + x * series)


def _x_minus_log1p64(delta: Any, rho: Any) -> Any:
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


@jit_reassoc
def exp_of(out: Any, x: Any) -> None:
    """Write eˣ of a flat array into `out` (the compiled `exp`, for tests)."""
    for i in range(x.shape[0]):
        out[i] = exp(x[i])


@jit_reassoc
def x_minus_log1p_of(out: Any, delta: Any, rho: Any) -> None:
    """Write δ - log(1 + δ) of flat arrays into `out` (the compiled `x_minus_log1p`, for tests)."""
    for i in range(delta.shape[0]):
        out[i] = x_minus_log1p(delta[i], rho[i])
