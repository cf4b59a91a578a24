import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import i0e

from hopfield import ContinuousMemory, DensityMemory, LogSumExp, LogSumReLU
from tests import oracle, strategies

TAUS = st.sampled_from([0.1, 0.5, 1.0])


@st.composite
def points(draw):
    """Patterns (P, D) and states (5, D): repeated ones, P = 1, many, far and near."""
    rng = np.random.default_rng(draw(strategies.seeds, label="seed"))
    P, D = draw(st.sampled_from([1, 2, 5, 40])), draw(st.integers(1, 5))
    patterns = rng.normal(size=(P, D))
    if draw(st.booleans(), label="repeated"):
        patterns[: P // 2] = patterns[P - P // 2 :]
    states = patterns[rng.integers(P, size=5)] + rng.normal(size=(5, D)) * rng.choice([0.1, 3.0])
    return patterns, states


@st.composite
def memories(draw, patterns):
    beta = draw(strategies.betas, label="beta")
    kind = draw(st.sampled_from(["dot", "gauss", "epanechnikov"]), label="kind")
    if kind == "dot":
        return ContinuousMemory(patterns, beta)
    return DensityMemory(patterns, (LogSumExp if kind == "gauss" else LogSumReLU)(beta))


def energy(memory, x):
    """Every memory from its definition: distances or products, in extended precision."""
    d2 = ((memory.patterns - x) ** 2).sum(axis=1)
    if isinstance(memory, ContinuousMemory):
        return 0.5 * (x @ x) - oracle.potential(memory.F, memory.patterns @ x)
    return -oracle.potential(memory.F, -0.5 * d2)


def rounding(memory, states):
    """Overlaps are right to an ulp of the largest square; the logarithm adds P roundings / β."""
    size = 1 + max((states**2).sum(axis=1).max(), (memory.patterns**2).sum(axis=1).max())
    D = states.shape[1]
    slack = 1e-15 * (8 + D) * size + 1e-15 * (len(memory.patterns) + 8) / memory.F.beta
    if isinstance(memory.F, LogSumReLU):  # 1 + βz cancels next to the edge of a pattern
        total = max(1e-12, np.exp(-memory.F.beta * np.nanmax(memory.energy(states))))
        slack += 1e-14 * size * len(memory.patterns) / total + 1e-14 / total / memory.F.beta
    return slack


@given(data=st.data(), case=points())
def test_the_energy_is_its_definition(data, case):
    patterns, states = case
    memory = data.draw(memories(patterns))
    got = memory.energy(states)
    wanted = np.array([energy(memory, x) for x in states])
    near = np.isfinite(wanted) & np.isfinite(got) & (wanted * memory.F.beta < 20)
    for g, w, x in zip(got[near], wanted[near], states[near], strict=True):
        assert abs(g - w) <= rounding(memory, x[None])
    assert ((wanted[~near] > 0) | (got[~near] > 0)).all()


@given(data=st.data(), case=points(), tau=TAUS)
def test_the_energy_never_rises(data, case, tau):
    """From any state, along the concave-convex step and any part of the way to it."""
    patterns, states = case
    memory = data.draw(memories(patterns))
    path = memory.flow(states, 5, tau)
    trace = np.stack([memory.energy(x) for x in path])
    for before, after, x in zip(trace[:-1], trace[1:], path[1:], strict=True):
        finite = np.isfinite(after)
        assert np.isposinf(before[~finite]).all()  # ∞ only where nothing is near
        if finite.any():
            slack = rounding(memory, x[finite])
            assert (after[finite] <= before[finite] + slack).all()


@given(data=st.data(), case=points())
def test_recall_ends_where_the_gradient_vanishes(data, case):
    patterns, states = case
    memory = data.draw(memories(patterns))
    found = memory.recall(states, max_steps=3000, tolerance=1e-11)
    moved = memory.step(found.state) - found.state
    limit = 1e-11 * max(1e-300, np.abs(patterns).max())
    assert (np.abs(moved[found.converged]) <= limit).all()
    assert found.energies.shape[1] == found.steps.max() + 1


@given(data=st.data(), case=points())
def test_the_gradient_is_the_derivative_of_the_energy(data, case):
    patterns, states = case
    memory = data.draw(memories(patterns))
    if memory.F.beta > 5 or np.isinf(memory.energy(states)).any():
        return
    if isinstance(memory.F, LogSumReLU):
        d2 = ((patterns[None] - states[:, None]) ** 2).sum(axis=2)
        inside = 1 - 0.5 * memory.F.beta * d2
        if np.abs(inside).min() < 0.05 or np.maximum(inside, 0).sum(axis=1).min() < 0.05:
            return  # at a corner
    h = 1e-3
    for k in range(states.shape[1]):
        e = np.eye(states.shape[1])[k] * h
        m2, m1, p1, p2 = (memory.energy(states + s * e) for s in (-2, -1, 1, 2))
        slope = (m2 - 8 * m1 + 8 * p1 - p2) / (12 * h)
        np.testing.assert_allclose(memory.gradient(states)[:, k], slope, rtol=1e-6, atol=1e-6)


@given(case=points(), beta=strategies.betas)
def test_one_step_is_attention(case, beta):
    """ξ̄(x) = Ξᵀ softmax(β Ξ x), Ramsauer et al. 2020."""
    patterns, states = case
    scores = beta * states @ patterns.T
    weight = np.exp(scores - scores.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    # scores are right to β ulps of a product
    slack = 1e-13 * (1 + beta) * (1 + (patterns**2).sum(axis=1).max() + (states**2).sum())
    np.testing.assert_allclose(
        ContinuousMemory(patterns, beta).step(states), weight @ patterns, rtol=0, atol=slack
    )


def test_patterns_of_one_norm_make_the_two_memories_one():
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(6, 4))
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    x = rng.normal(size=(10, 4))
    dot, gauss = ContinuousMemory(patterns, 3.0), DensityMemory(patterns, LogSumExp(3.0))
    np.testing.assert_allclose(dot.step(x), gauss.step(x), atol=1e-13)
    np.testing.assert_allclose(dot.energy(x) + 0.5, gauss.energy(x), atol=1e-13)


def test_energies_of_many_points_on_a_circle_follow_bessels_curve():
    """[T20]: E(R) = R² + 1 - (1/β) log I₀(2βR) to 1e-6, in units where e^{-β d²} is the kernel.

    The mean over P equally spaced angles is the trapezoid rule of a periodic function: for P ≫ 2βR
    its error is below rounding. β d² = (2β) d²/2, so the memory stands at 2β and has half that E.
    """
    P, beta = 1000, 5.0
    angle = 2 * np.pi * np.arange(P) / P
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    memory = DensityMemory(circle, LogSumExp(2 * beta))
    R = np.linspace(0, 3, 61)
    states = np.stack([R * np.cos(0.3), R * np.sin(0.3)], axis=1)
    got = 2 * memory.energy(states) + np.log(P) / beta
    wanted = R**2 + 1 - (np.log(i0e(2 * beta * R)) + 2 * beta * R) / beta
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_two_near_epanechnikov_patterns_have_a_third_minimum_between_them():
    """The emergent memory of [T18]: the centroid of overlapping patterns, exactly."""
    patterns = np.array([[-0.6], [0.6]])
    memory = DensityMemory(patterns, LogSumReLU(2.0))  # each reaches as far as 1
    found = memory.recall([[0.05], [-0.9], [0.9]])
    np.testing.assert_allclose(found.state, [[0.0], [-0.6], [0.6]], atol=1e-15)
    assert found.converged.all()
    gauss = DensityMemory(patterns, LogSumExp(2.0)).recall([[0.05], [-0.9], [0.9]])
    np.testing.assert_allclose(gauss.state, 0.0, atol=1e-2)  # merged, no third kind of place


def test_far_from_every_epanechnikov_pattern_nothing_pulls():
    memory = DensityMemory([[0.0, 0.0]], LogSumReLU(2.0))
    assert np.isposinf(memory.energy([[5.0, 0.0]])[0])
    found = memory.recall([[5.0, 0.0]])
    np.testing.assert_array_equal(found.state, [[5.0, 0.0]])
    assert found.converged.all()


def test_a_cold_memory_returns_its_patterns_and_a_hot_one_their_mean():
    rng = np.random.default_rng(1)
    patterns = rng.normal(size=(20, 30))
    noisy = patterns + 0.3 * rng.normal(size=patterns.shape)
    cold = ContinuousMemory(patterns, 10.0).recall(noisy)
    np.testing.assert_allclose(cold.state, patterns, atol=1e-6)
    hot = DensityMemory(patterns, LogSumExp(1e-6)).recall(noisy)
    np.testing.assert_allclose(hot.state, np.tile(patterns.mean(axis=0), (20, 1)), atol=1e-3)


def test_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(2)
    memory = DensityMemory(rng.normal(size=(30, 3)), LogSumExp(2.0))
    x = rng.normal(size=(50, 3))
    whole = memory.energy(x), memory.gradient(x), memory.recall(x).state
    for name, size in (("_BLOCK", 70), ("_STATES", 7), ("_TILE", 4)):
        monkeypatch.setattr(f"hopfield.continuous.{name}", size)
    parts = memory.energy(x), memory.gradient(x), memory.recall(x).state
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_a_recall_cut_short_says_so():
    memory = DensityMemory([[-1.0], [1.0]], LogSumExp(1.0))  # just where two minima merge
    found = memory.recall([[0.5]], max_steps=10)
    assert not found.converged[0]
    assert found.steps[0] == 10
    assert found.energies.shape == (1, 11)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ContinuousMemory([[1.0]], 0), "beta must be positive and finite, got 0"),
        (lambda: ContinuousMemory([[np.nan]]), "patterns must be finite, got nan"),
        (lambda: ContinuousMemory([["a"]]), "real numbers"),
        (lambda: ContinuousMemory(np.zeros((0, 2))), "empty"),
        (lambda: ContinuousMemory([[1.0]]).energy([[1.0, 2.0]]), "length 1, got 2"),
        (lambda: ContinuousMemory([[1.0]]).energy([[np.inf]]), "states must be finite, got inf"),
        (lambda: ContinuousMemory([[1.0]]).recall([[1.0]], max_steps=0), "max_steps"),
        (lambda: ContinuousMemory([[1.0]]).recall([[1.0]], tolerance=0), "tolerance"),
        (lambda: ContinuousMemory([[1.0]]).flow([[1.0]], 3, 1.5), r"tau must lie in \(0, 1\]"),
        (lambda: ContinuousMemory([[1.0]]).flow([[1.0]], 0), "steps"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
