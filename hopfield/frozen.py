"""What a memory keeps is its own: attributes are set once, and arrays become private copies.

Compiled walks check nothing, so nobody may change what they index with after it was checked: not
the caller through the array that it handed in, and not by `memory.W[0, 1] = 5` or `memory.V = 3`.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Frozen:
    """A class whose attributes are set once; an array is kept as a read-only copy in C order."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            raise AttributeError(f"{type(self).__name__}.{name} is fixed: build another one")
        super().__setattr__(name, private(value) if isinstance(value, np.ndarray) else value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():  # an unpickled array is writeable
            setattr(self, name, value)


def private(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Return a read-only copy in C order."""
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy
