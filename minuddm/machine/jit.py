"""How this repository compiles: two decorators, used on every loop.

`jit_reassoc` is for arithmetic on real numbers. It lets the compiler contract `a*b + c` and regroup
sums, so that reductions become SIMD, and keeps NaN and infinity meaningful (plain `fastmath=True`
would make `isnan` useless). `error_model="numpy"` drops the zero-division check of every `/`, which
alone keeps a loop from vectorising. `jit_strict` is for loops over tokens or over layers, where
the order of additions is part of the result (a cumulative sum searched with a uniform) or there is
nothing to add, so nothing is regrouped.

LLVM chooses the order of a regrouped sum, and two rules make it choose the same one every time. A
`jit_reassoc` function is inlined into its callers: as a function of its own it would exist once
more in each caller's code, in another order, and which copy runs would depend on what the process
had loaded before. And a loop that sums writes nothing: where it does, LLVM compiles two versions of
it, one for arrays that are near each other in memory, and the last bit of the sum depends on where
they are.

Machine code is kept on disk (`machine_code.py`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from machine_code import COMPILES, compiled

__all__ = ["COMPILES", "jit_reassoc", "jit_strict"]

Function = TypeVar("Function", bound=Callable[..., Any])

_REGROUP = {"contract", "reassoc", "nsz", "arcp"}


def jit_reassoc(function: Function) -> Function:
    """Compile real arithmetic: sums may be regrouped, NaN and infinity keep their meaning."""
    return compiled(function, fastmath=_REGROUP, forceinline=True)


def jit_strict(function: Function) -> Function:
    """Compile a loop over tokens or layers: every operation in the order it is written."""
    return compiled(function)
