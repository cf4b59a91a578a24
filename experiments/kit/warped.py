"""Another density of the times of training: a schedule of another time, whose bound is the same."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minuddm import Schedule


@dataclass(frozen=True)
class Warped:
    """α(t^p) of another schedule: where times are u² (`minuddm/nelbo/times.py`), it has u^(2p)."""

    of: Schedule
    power: float

    def alpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return α(t^p)."""
        return self.of.alpha(np.power(t, self.power))

    def dalpha(self, t: ArrayLike) -> NDArray[np.float64]:
        """Return p t^(p - 1) α'(t^p)."""
        inner = self.of.dalpha(np.power(t, self.power))
        return np.asarray(self.power * np.power(t, self.power - 1) * inner)

    def time(self, alpha: ArrayLike) -> NDArray[np.float64]:
        """Return the time at which α(t^p) = alpha."""
        return np.asarray(self.of.time(alpha) ** (1 / self.power))
