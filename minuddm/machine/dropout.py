"""Inverted dropout: y = x ⊙ m / (1 - dropout), m = 0 where a uniform lies below `dropout`.

The uniforms are drawn outside and kept; the backward is the same line with dy for x.
"""

from minuddm.checks import Floats
from minuddm.machine.jit import jit_reassoc


@jit_reassoc
def drop(x: Floats, uniforms: Floats, dropout: float) -> None:
    """Apply the mask to x (N, D) in place; serves as forward and as backward."""
    kept = x.dtype.type(1 / (1 - dropout))
    for n in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[n, j] *= kept if uniforms[n, j] >= dropout else x.dtype.type(0)
