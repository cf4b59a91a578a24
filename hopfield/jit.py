"""How the energy side compiles: without the GIL, kept on disk (`machine_code.py`).

`jit_strict` keeps operations in their written order. `jit_reassoc` lets LLVM regroup the sums of a
loop that only sums, so that they become SIMD; such a loop writes nothing, or LLVM would compile two
of it, and which of them ran, and the last bit with it, would depend on where its arrays lie.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from machine_code import compiled

Function = TypeVar("Function", bound=Callable[..., Any])


def jit_strict(function: Function) -> Function:
    """Compile a walk over sites or patterns."""
    return compiled(function)


def jit_reassoc(function: Function) -> Function:
    """Compile a sum whose order may change."""
    return compiled(function, fastmath={"contract", "reassoc", "nsz"})
