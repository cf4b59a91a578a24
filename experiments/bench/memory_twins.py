"""Memories as one writes them in NumPy and in PyTorch: a measure of speed and of truth.

Matches by comparing all patterns with all queries at once, softmax, products with one-hot patterns.
The same lines serve both libraries, which agree on names here; `xp` is the library. The one-hot
patterns are made once, before the clock runs. In float64 the answers are those of `minuddm` and
`hopfield`, as long as nothing underflows.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = Any  # of either library


class Twin:
    """Patterns (P, L) over V values, in the library `xp`: numpy or torch."""

    def __init__(self, xp: Any, patterns: NDArray[Any], V: int) -> None:
        self.xp, self.V = xp, V
        self.patterns = self.own(patterns)
        self.one_hot = self.own(np.eye(V)[patterns])  # (P, L, V)

    def own(self, x: NDArray[Any]) -> Tensor:
        """Return an array as the library's own."""
        return self.xp.asarray(x)

    def matches(self, x: Tensor) -> Tensor:
        """States (B, L) → matches with each pattern (B, P)."""
        return (x[:, None] == self.patterns).sum(-1, dtype=self.xp.float64)


class IdealTwin(Twin):
    """The ideal memoriser [T14]."""

    def __call__(self, z: NDArray[Any], beta: float) -> Tensor:
        """States z (B, L) → leave-one-out conditionals (B, L, V)."""
        x, (P, L, V) = self.own(z), self.one_hot.shape
        e = self.xp.exp(beta * (self.matches(x) - L))
        W = (e @ self.one_hot.reshape(P, L * V)).reshape(len(z), L, V)
        shown = x[..., None] == self.own(np.arange(V))
        p = self.xp.where(shown, W * math.exp(-beta), W)
        return p / p.sum(-1)[..., None]


class RecallTwin(Twin):
    """Descent in a dense memory of tokens, all queries at a time, site by site [T19]."""

    def __call__(self, z: NDArray[Any], beta: float) -> Tensor:
        """States z (B, L) → where descent ends (B, L)."""
        xp, x = self.xp, self.own(z.copy())
        m, moving = self.matches(x), True
        while moving:
            moving = False
            for i in range(x.shape[1]):
                column, before = self.patterns[:, i], x[:, i] + 0
                elsewhere = m - 1.0 * (column == before[:, None])
                h = xp.exp(beta * (elsewhere - x.shape[1])) @ self.one_hot[:, i]
                best = h.argmax(-1)
                rows = self.own(np.arange(len(z)))
                after = xp.where(h[rows, best] > (1 + 1e-12) * h[rows, before], best, before)
                m = elsewhere + 1.0 * (column == after[:, None])
                x[:, i] = after
                moving = moving or bool((after != before).any())
        return x


class AttentionTwin:
    """One step of a continuous memory: Ξᵀ softmax(β Ξ x) [T18]."""

    def __init__(self, xp: Any, patterns: NDArray[np.float64], beta: float) -> None:
        self.xp, self.beta = xp, beta
        self.patterns = xp.asarray(patterns)

    def __call__(self, x: NDArray[np.float64]) -> Tensor:
        """States (B, D) → the next (B, D)."""
        z = self.beta * (self.xp.asarray(x) @ self.patterns.T)
        e = self.xp.exp(z - self.xp.amax(z, 1)[:, None])
        return (e @ self.patterns) / e.sum(1)[:, None]
