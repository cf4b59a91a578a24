"""Inside a pass and an update, a subnormal number is zero.

    0 < |x| < 2⁻¹²⁶ ≈ 1e-38 (float32)  →  0

A network that is sure makes many of them: attention that looks away, GELU far to the left, products
of small gradients; and moments of a weight that has no gradient fade until they are. To a sum they
are nothing, but some processors compute with each in microcode, a hundred times slower. On x86-64
two bits of each thread's control register, MXCSR, decide: DAZ reads subnormal operands as zero, FTZ
writes subnormal results as zero. `flushed` sets both and puts back what was there. Other processors
keep their subnormals, as does plain Python.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minuddm.machine.jit import COMPILES, jit_strict

FLUSHES = COMPILES and platform.machine() in ("x86_64", "AMD64")
_DAZ, _FTZ = 1 << 6, 1 << 15
_WORD = ir.IntType(32)


@contextmanager
def flushed() -> Iterator[None]:
    """Count subnormal numbers as zero in this thread, until the block ends or raises."""
    if not FLUSHES:
        yield
        return
    before = _control()
    _set_control(before | _DAZ | _FTZ)
    try:
        yield
    finally:
        _set_control(before)


@jit_strict
def _control() -> int:
    """Return this thread's MXCSR."""
    return _store_control()  # type: ignore[call-arg]


@jit_strict
def _set_control(value: int) -> None:
    """Set this thread's MXCSR."""
    _load_control(value)  # type: ignore[call-arg]


@intrinsic
def _store_control(context: Any) -> Any:
    """Return MXCSR, which one instruction stores to a word of memory."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = cgutils.alloca_once(builder, _WORD)
        _call(builder, "stmxcsr", place)
        return builder.zext(builder.load(place), ir.IntType(64))

    return types.int64(), generate


@intrinsic
def _load_control(context: Any, value: Any) -> Any:
    """Load MXCSR from a word of memory that holds the value."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = cgutils.alloca_once_value(builder, builder.trunc(values[0], _WORD))
        _call(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.int64), generate


def _call(builder: Any, name: str, place: Any) -> None:
    """Call the instruction that moves MXCSR to or from a word of memory."""
    kind = ir.FunctionType(ir.VoidType(), [place.type])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [place])
