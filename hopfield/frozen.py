"""What a memory keeps is its own: attributes are set once, and arrays become private copies.

Compiled walks check nothing, so nobody may change what they index with after it was checked: not
the caller through the array that it handed in, and not by `memory.W[0, 1] = 5` or `memory.V = 3`.
"""

from typing import Any

import numpy as np

import argument_checks as checks


class Frozen(checks.Sealed):
    """A class whose attributes are set once; an array is kept as a read-only copy."""

    def __setattr__(self, name: str, value: Any) -> None:
        own = checks.read_only(value) if isinstance(value, np.ndarray) else value
        super().__setattr__(name, own)
