"""How this repository compiles: two decorators, used on every loop.

`jit_reassoc` is for arithmetic on real numbers. It lets the compiler contract `a*b + c` and regroup
sums, so that reductions become SIMD, and keeps NaN and infinity meaningful (plain `fastmath=True`
would make `isnan` lie). `error_model="numpy"` drops the zero-division check of every `/`, which
alone keeps a loop from vectorising. `jit_strict` is for walks, over tokens or over layers, where
the order of additions is part of the result (a cumulative sum searched with a uniform) or there is
nothing to add, so nothing is regrouped.

A regrouped sum has the order that the compiler likes, and two laws see to it that it likes the
same one every time. A layer is compiled into whoever calls it: were it a function of its own,
each caller would bring a copy, in an order of its own, and which copy runs would depend on what
the process had loaded before. And a loop that sums writes nothing: where it does, the compiler
makes two loops of it, one for arrays that lie next to each other in memory, and the last bit of
the sum depends on where they happen to lie.

Both decorators drop the GIL, so that shards of a batch run on Python threads, and cache their
machine code on disk. Numba asks of a cached function whether its own file has changed, not whether
those have that it calls, whose code it holds as well. So the cache has a folder for every state of
the sources; those of old states may be deleted.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

_REGROUP = {"contract", "reassoc", "nsz", "arcp"}
_settings: Any = numba.config


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
        compile_ = numba.njit(nogil=True, cache=True, error_model="numpy", **options)
        return cast(Function, compile_(function))
    finally:
        _settings.CACHE_DIR = usual


def jit_reassoc(function: Function) -> Function:
    """Compile real arithmetic: sums may be regrouped, NaN and infinity keep their meaning."""
    return _compiled(function, fastmath=_REGROUP, forceinline=True)


def jit_strict(function: Function) -> Function:
    """Compile a walk over tokens or layers: every operation in the order it is written."""
    return _compiled(function)
