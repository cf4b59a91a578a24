"""What the laws quantify over: vocabularies, alphas, distributions, patterns, tokens."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

vocabularies = st.integers(2, 9)
lengths = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)
alphas = st.one_of(st.sampled_from([0.0, 1e-6, 0.5, 1 - 1e-6, 1.0]), st.floats(0, 1))
inner_alphas = st.one_of(st.sampled_from([1e-6, 1e-3, 0.5, 1 - 1e-6]), st.floats(1e-6, 1 - 1e-6))
"""Strictly between pure noise and no noise."""


@st.composite
def two_alphas(draw: st.DrawFn) -> tuple[float, float]:
    """(alpha_s, alpha_t) of two times s ≤ t."""
    a, b = draw(alphas, label="alpha"), draw(alphas, label="alpha")
    return max(a, b), min(a, b)


@st.composite
def distributions(draw: st.DrawFn, V: int) -> NDArray[np.float64]:
    """A distribution over V values: spread, concentrated, or one-hot."""
    rng = np.random.default_rng(draw(seeds, label="seed"))
    kind = draw(st.sampled_from(["spread", "concentrated", "one-hot"]), label="kind")
    if kind == "one-hot":
        return np.eye(V)[rng.integers(V)]
    return rng.dirichlet(np.full(V, 1.0 if kind == "spread" else 0.05) + 1e-3)


@st.composite
def patterns_and_query(
    draw: st.DrawFn, most: int = 12
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Patterns (P, L), repeated ones included, a state (L,), and V."""
    V, L = draw(vocabularies, label="V"), draw(lengths, label="L")
    P = draw(st.integers(1, most), label="P")
    rng = np.random.default_rng(draw(seeds, label="seed"))
    patterns = rng.integers(V, size=(P, L))
    if draw(st.booleans(), label="repeated"):
        patterns[: P // 2] = patterns[P - P // 2 :]
    near = draw(st.booleans(), label="near a pattern")
    state = patterns[0].copy() if near else rng.integers(V, size=L)
    return patterns, state, V
