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

Both decorators release the GIL, so that shards of a batch run on Python threads, and cache machine
code on disk. Numba invalidates a cached function when its own file changes, not when the file of a
function that it calls changes, whose code it holds as well. So the cache has a folder for every
state of the sources; those of old states may be deleted.

With `NUMBA_DISABLE_JIT=1` both return the function as it is: the same code as plain Python.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_REGROUP = {"contract", "reassoc", "nsz", "arcp"}
_settings: Any = numba.config

COMPILES = not _settings.DISABLE_JIT


def _cache() -> str:
    """Return the folder of machine code for the sources as they are, of this package."""
    here = Path(__file__).parents[1]
    state = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        state.update(path.read_bytes())
    return str(Path(_settings.CACHE_DIR or here / "__pycache__") / state.hexdigest()[:16])


_CACHE = _cache()


def _compiled(function: Function, **options: Any) -> Function:
    usual = _settings.CACHE_DIR
    _settings.CACHE_DIR = _CACHE
    try:
        compiled = numba.njit(nogil=True, cache=True, error_model="numpy", **options)
        return cast(Function, compiled(function))
    finally:
        _settings.CACHE_DIR = usual


def jit_reassoc(function: Function) -> Function:
    """Compile real arithmetic: sums may be regrouped, NaN and infinity keep their meaning."""
    return _compiled(function, fastmath=_REGROUP, forceinline=True)


def jit_strict(function: Function) -> Function:
    """Compile a loop over tokens or layers: every operation in the order it is written."""
    return _compiled(function)
