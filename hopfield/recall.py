"""What a memory returns when it is asked to recall."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Recall(NamedTuple):
    """The outcome of descending from B queries.

    state (B, …) is where each query came to rest; energies (B, S + 1) its energy before the first
    sweep and after each, held at its last value once at rest; steps (B,) the sweeps that changed
    something; converged (B,) whether a whole sweep changed nothing.
    """

    state: NDArray[Any]
    energies: NDArray[np.float64]
    steps: NDArray[np.int64]
    converged: NDArray[np.bool_]
