"""How the energy side compiles: without the GIL, cached.

`jit_strict` keeps operations in their written order. `jit_reassoc` lets LLVM regroup the sums of a
loop that only sums, so that they become SIMD; such a loop writes nothing, or LLVM would compile two
of it, and which of them ran, and the last bit with it, would depend on where its arrays lie.

Numba's cache watches the file of a compiled function and no other, so a walk calls only walks of
its own file, and constants of other files come as arguments.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def jit_strict(function: Function) -> Function:
    """Compile a walk over sites or patterns."""
    compile_ = numba.njit(nogil=True, cache=True, error_model="numpy")
    return cast(Function, compile_(function))


def jit_reassoc(function: Function) -> Function:
    """Compile a sum whose order may change."""
    compile_ = numba.njit(
        nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"}
    )
    return cast(Function, compile_(function))
