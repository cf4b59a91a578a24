"""Inverted dropout: y = x ⊙ m / (1 - rate), with m = 1 where a uniform lies above the rate.

The uniforms are drawn outside and kept; the backward is the same line with dy for x.
"""

import numpy as np

from minuddm.seams import Floats


def dropout(x: Floats, uniforms: Floats, rate: float) -> None:
    """Apply the mask to x (N, D) in place; serves as forward and as backward."""
    np.multiply(x, (uniforms >= rate) * x.dtype.type(1 / (1 - rate)), out=x)
