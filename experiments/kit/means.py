"""Means of what is known: NaN is left out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def mean_where(counted: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over the last axis of what is counted; NaN where nothing is."""
    return mean_known(np.where(counted, values, np.nan))
