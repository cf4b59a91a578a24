"""What the laws quantify over: vocabularies, alphas, distributions, patterns, tokens."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from hopfield import Exponential, LogSumExp, LogSumReLU, Power, Separation
from minuddm import Denoiser, Process
from minuddm.ideal import DatasetIdeal, HierarchyIdeal, MarkovIdeal
from minuddm.nelbo import enumerate_law
from minuddm.sources import MarkovChain, RandomHierarchy
from tests import oracle

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


@st.composite
def spins_and_states(draw: st.DrawFn) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Patterns (P, L) of ±1, and states (4, L): below capacity and far above, repeated, P = 1."""
    L = draw(st.integers(1, 12), label="L")
    P = draw(st.sampled_from([1, 2, 3, 8, 60]), label="P")
    rng = np.random.default_rng(draw(seeds, label="seed"))
    patterns = rng.choice(np.array([-1, 1], np.int8), size=(P, L))
    if draw(st.booleans(), label="repeated"):
        patterns[: P // 2] = patterns[P - P // 2 :]
    states = rng.choice(np.array([-1, 1], np.int8), size=(4, L))
    states[0] = patterns[0]
    return patterns, states


betas = st.one_of(st.sampled_from([1e-2, 1.0, 1e3]), st.floats(1e-2, 1e3))


@st.composite
def separations(draw: st.DrawFn, origin: float = 0.0) -> Separation:
    """Every separation function, β from 1e-2 to 1e3, n up to 50."""
    kind = draw(st.sampled_from([Power, LogSumExp, Exponential, LogSumReLU]), label="kind")
    if kind is Power:
        n = draw(st.one_of(st.integers(2, 6), st.just(50)), label="n")
        return Power(n, rectified=draw(st.booleans(), label="rectified"))
    if kind is LogSumExp:
        return LogSumExp(draw(betas, label="beta"))
    return Exponential() if kind is Exponential else LogSumReLU(draw(betas, label="beta"), origin)


def ideals(process: Process, seed: int) -> list[tuple[Denoiser, NDArray[np.float64]]]:
    """The ideals of a data set, a chain and a hierarchy, each with its law, a table over L axes."""
    rng, V = np.random.default_rng(seed), process.V
    patterns, L = rng.integers(V, size=(rng.integers(1, 7), 3)), int(rng.integers(1, 5))
    chain, tree = MarkovChain.random(V, rng, 0.5), RandomHierarchy.random(V, 2, 2, 2, rng)
    return [
        (DatasetIdeal(patterns, V, process), oracle.dataset_law(patterns, V).reshape((V,) * 3)),
        (MarkovIdeal(chain, process), enumerate_law(chain, V, L)),
        (HierarchyIdeal(tree, process), enumerate_law(tree, V, 4)),
    ]
