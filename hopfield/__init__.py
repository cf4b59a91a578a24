"""hopfield: associative memories, whose basins of attraction are formed by an energy.

A memory stores patterns as minima of an energy and recalls by going downhill. `TokenMemory` keeps
sequences of tokens; its `energy`, `conditionals` and `recall` are the energy-side twins of what
`minuddm` calls marginal likelihood, denoiser and reverse chain. The two packages do not import
each other; that they are one theory is proved in `tests/test_keystone.py` [T16].
"""

from hopfield.recall import Recall
from hopfield.token import TokenMemory

__all__ = ["Recall", "TokenMemory"]
