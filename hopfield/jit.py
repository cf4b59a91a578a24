"""How the energy side compiles: without the GIL, cached, operations in their written order.

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
