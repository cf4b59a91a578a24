"""Inverted dropout: y = x ⊙ m / (1 - rate), with m = 1 where a uniform lies above the rate.

The uniforms are drawn outside and kept; the backward is the same line with dy for x.
"""

from minuddm.checks import Floats
from minuddm.machine.jit import jit_reassoc


@jit_reassoc
def dropout(x: Floats, uniforms: Floats, rate: float) -> None:
    """Apply the mask to x (N, D) in place; serves as forward and as backward."""
    kept = x.dtype.type(1 / (1 - rate))
    for n in range(x.shape[0]):
        for d in range(x.shape[1]):
            x[n, d] *= kept if uniforms[n, d] >= rate else x.dtype.type(0)
