"""How this repository compiles: two decorators, used on every loop.

`layer` is for arithmetic on real numbers. It lets the compiler contract `a*b + c` and regroup
sums, so that reductions become SIMD, and keeps NaN and infinity meaningful (plain `fastmath=True`
would make `isnan` lie). `error_model="numpy"` drops the zero-division check of every `/`, which
alone keeps a loop from vectorising. `sweep` is for walks over tokens, where the order of
additions is part of the result (a cumulative sum searched with a uniform), so nothing is
regrouped.

Both drop the GIL, so that shards of a batch run on Python threads, and cache their machine code on
disk. Numba keys that cache on the file that holds the function, not on the files it calls: after
editing `layers/exponential.py`, delete the `__pycache__` folders.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_REGROUP = {"contract", "reassoc", "nsz", "arcp"}


def layer(function: Function) -> Function:
    """Compile real arithmetic: sums may be regrouped, NaN and infinity keep their meaning."""
    compile_ = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_REGROUP)
    return cast(Function, compile_(function))


def sweep(function: Function) -> Function:
    """Compile a walk over tokens: every operation in the order it is written."""
    compile_ = numba.njit(nogil=True, cache=True, error_model="numpy")
    return cast(Function, compile_(function))
