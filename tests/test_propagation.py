"""Energies of propagation [T49], [T50]: the law of descent, its equality cases, exact links."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from threadpoolctl import threadpool_limits

from experiments.propagation import COUNTED, LEFT_OUT, copies
from hopfield import ContinuousMemory, DensityMemory, LogSumExp, LogSumReLU, Propagation
from hopfield.propagation import ADVANCED, SIMPLE, advanced, gaussian, inverse, truncated
from minuddm import DatasetIdeal, inverse_temperature
from minuddm.denoiser import posterior
from tests import strategies

DISTANCES = {"gaussian": gaussian, "inverse": inverse, "truncated": truncated,
             "simple": lambda _: SIMPLE, "advanced": lambda _: ADVANCED}  # fmt: skip
TWO = [[0.0], [1.0]]


@st.composite
def scenes(draw):
    """A Propagation of any kind, and free nodes: one or more, repeated, near or far apart."""
    rng = np.random.default_rng(draw(strategies.seeds, label="seed"))
    N, D = draw(st.integers(1, 8), label="N"), draw(st.integers(1, 3), label="D")
    P = draw(st.sampled_from([0, 1, 4]), label="P")
    nodes = rng.normal(size=(N + P, D)) * draw(st.sampled_from([0.1, 1.0, 10.0]), label="spread")
    if draw(st.booleans(), label="repeated"):
        nodes[: N // 2] = nodes[N // 2 : 2 * (N // 2)]
    delta = DISTANCES[draw(st.sampled_from(sorted(DISTANCES)), label="delta")]
    lam = draw(st.one_of(st.sampled_from([0.0, 0.1, 1.0]), st.floats(1e-3, 1e3)), label="lam")
    return Propagation(
        delta(draw(st.floats(0.05, 20), label="beta")),
        lam,
        nodes[N:] if P else None,
        draw(st.booleans(), label="sees itself"),
    ), nodes[:N]


def rounding(scene, z):
    """Distances are right to (8 + D) ulps of the largest square; every pair has f ≤ 2 of them."""
    nodes = z if scene.clamped is None else np.concatenate([z, scene.clamped])
    square = 4 * (nodes**2).sum(axis=1).max()
    return 4e-16 * (8 + z.shape[1]) * square * (1 + 4 * scene.lam * len(nodes) ** 2)


def rise(scene, z, tau):
    """E after a step less E before it."""
    return scene.energy(scene.step(z, tau), z) - scene.energy(z)


# ---- the law ------------------------------------------------------------------------------------


@given(case=scenes(), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_no_step_up_to_the_bound_raises_the_energy(case, share):
    """[T49], the bound of d_min and the parabola's own end, which is never below it."""
    scene, z = case
    safe, largest = scene.safe_step(z), scene.largest_step(z)
    assert safe <= largest * (1 + 1e-9) or np.ptp(z, axis=0).max() < 1e-9
    for tau in (safe, min(largest, 1e3)):
        assert rise(scene, z, share * tau) <= rounding(scene, z) * (1 + tau) ** 2


@given(case=scenes(), tau=st.one_of(st.just(1.0), st.floats(0, 1)))
def test_the_sum_over_pairs_falls_up_to_a_whole_step(case, tau):
    scene, z = case
    assert scene.energy(scene.step(z, tau)) - scene.energy(z) <= rounding(scene, z)


@given(lam=st.floats(1e-3, 1e3), apart=st.floats(0.1, 0.9))
def test_two_nodes_that_see_only_each_other_attain_the_bound(lam, apart):
    """Equality: no larger step is safe for all nodes; a whole step swaps them, at no gain."""
    scene, z = Propagation(truncated(2.0), lam, sees_itself=False), np.array([[0.0], [apart]])
    tau = scene.safe_step(z)
    assert tau == pytest.approx(4 * lam / (1 + 4 * lam))
    assert scene.largest_step(z) == pytest.approx(tau)
    assert abs(rise(scene, z, tau)) <= 1e-13 * (1 + lam)
    assert rise(scene, z, 0.99 * tau) < 0 < rise(scene, z, 1.01 * tau)
    swapped = scene.step(z)
    np.testing.assert_allclose(swapped, z[::-1], atol=1e-15)
    assert scene.energy(swapped) == pytest.approx(scene.energy(z))


@pytest.mark.parametrize("sees_itself", [True, False])
@pytest.mark.parametrize("delta", DISTANCES)
def test_nodes_in_one_place_or_far_from_all_rest(delta, sees_itself):
    for z in ([[0.25, 1.0]] * 3, [[3.0]]):
        scene = Propagation(DISTANCES[delta](1.0), sees_itself=sees_itself)
        np.testing.assert_array_equal(scene.step(z), z)
        assert rise(scene, z, 1.0) == 0
        assert scene.energy(z) == 0
        assert scene.largest_step(z) == np.inf
    far = [[0.0], [10.0]]
    np.testing.assert_array_equal(Propagation(truncated(), sees_itself=sees_itself).step(far), far)


def test_without_the_pairs_no_step_is_safe():
    scene = Propagation(gaussian(), 0.0)
    assert scene.safe_step(TWO) == scene.largest_step(TWO) == 0
    assert rise(scene, np.array(TWO), 0.1) > 0


@pytest.mark.parametrize(
    ("lam", "bound", "parabola", "back", "whole"),
    [
        (0.1, 0.391214, 0.517146, 0.595916, 0.139505),
        (1.0, 0.865340, 1.875625, 1.977937, -1.170614),
    ],
)
def test_two_points_have_the_numbers_of_the_page(lam, bound, parabola, back, whole):
    """[T49]: the parabola is back at E(z) before E itself is."""
    scene, z = Propagation(gaussian(), lam), np.array(TWO)
    assert scene.safe_step(z) == pytest.approx(bound, abs=5e-7)
    assert scene.largest_step(z) == pytest.approx(parabola, abs=5e-7)
    assert brentq(lambda tau: rise(scene, z, tau), 0.01, 3) == pytest.approx(back, abs=5e-7)
    assert rise(scene, z, 1.0) == pytest.approx(whole, abs=5e-7)
    np.testing.assert_allclose(scene.step(z).ravel(), [0.377541, 0.622459], atol=5e-7)


def test_separate_queries_or_values_may_raise_the_energy():
    """[T49] needs symmetric pulls: on these nodes attention raises the sum over pairs."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(6, 2))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    scene = Propagation(ADVANCED)
    before = scene.energy(z)
    assert scene.energy(advanced(z, z, z)) < before
    assert scene.energy(advanced(z, z, 9 * z)) > before
    three = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    queries = np.array([[-60.0, 0.0], [60.0, 0.0], [60.0, 0.0], [-60.0, 0.0]])
    assert scene.energy(advanced(queries, three, three)) > scene.energy(three) + 0.1


# ---- δ, the energy and the step are their definitions -------------------------------------------


@given(kind=st.sampled_from(sorted(DISTANCES)), beta=strategies.betas, r=st.floats(1e-3, 50))
def test_the_slope_is_the_derivative_of_a_concave_rising_function(kind, beta, r):
    delta, slope = DISTANCES[kind](beta)
    h = 1e-5 * r
    x = np.array([0.0, r - h, r, r + h])
    zero, low, at, high = delta(x)
    assert zero == pytest.approx(0, abs=1e-15)
    assert slope(x)[1] >= slope(x)[2] >= slope(x)[3] >= 0
    size = 2e-15 * (1 + abs(at)) / h  # a few ulps of δ
    assert slope(x)[3] - size <= (high - at) / h <= slope(x)[2] + size
    assert slope(x)[2] - size <= (at - low) / h <= slope(x)[1] + size


@given(case=scenes(), tau=st.floats(0, 2))
def test_energy_and_step_are_their_definitions(case, tau):
    """Pair by pair, in plain loops."""
    scene, z = case
    nodes = [*z, *([] if scene.clamped is None else scene.clamped)]
    after, pairs, at_an_edge = np.empty_like(z), 0.0, False
    for i in range(len(nodes)):
        r = np.array([((nodes[i] - other) ** 2).sum() for other in nodes])
        pairs += sum(scene.delta.delta(r[j : j + 1])[0] for j in range(len(nodes))
                     if min(i, j) < len(z))  # fmt: skip
        if i < len(z):
            f, further = (scene.delta.slope(r * (1 + x)) for x in (0, 1e-12))
            at_an_edge |= bool((np.abs(f - further) > 0.5).any())  # of `truncated`
            f[i] *= scene.sees_itself
            mean = f @ nodes / f.sum() if f.sum() > 1e-280 else z[i]
            after[i] = (1 - tau) * z[i] + tau * mean
    slack = rounding(scene, z)
    assert scene.energy(z) == pytest.approx(scene.lam * pairs, abs=slack)
    moved = scene.step(z, tau)
    way = ((moved - z) ** 2).sum()
    assert scene.energy(z, moved) - scene.energy(z) == pytest.approx(way, rel=1e-9, abs=slack)
    if not at_an_edge:  # weights are right to β ulps of r
        np.testing.assert_allclose(moved, after, atol=1e-9 * (1 + np.abs(z).max()))


# ---- exact links --------------------------------------------------------------------------------


@given(seed=strategies.seeds, beta=st.floats(0.05, 5), P=st.integers(1, 6))
def test_one_free_node_among_patterns_takes_the_step_of_the_memory(seed, beta, P):
    """[T50]: Ramsauer's for patterns of one norm, the density memory's for all; and its energy."""
    rng = np.random.default_rng(seed)
    patterns, z = rng.normal(size=(P, 3)), rng.normal(size=(1, 3))
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)
    scene = Propagation(gaussian(beta), clamped=patterns, sees_itself=False)
    np.testing.assert_allclose(scene.step(z), ContinuousMemory(patterns, beta).step(z), atol=1e-12)
    apart = patterns * rng.uniform(0.2, 1.5, size=(P, 1))
    for delta, F in ((gaussian, LogSumExp), (truncated, LogSumReLU)):
        scene = Propagation(delta(beta), clamped=apart, sees_itself=False)
        memory = DensityMemory(apart, F(beta))
        np.testing.assert_allclose(scene.step(z), memory.step(z), atol=1e-12)
        density = np.exp(-beta * memory.energy(z)[0])
        assert scene.energy(z) == pytest.approx(4 / beta * (P - density), abs=1e-11 * P / beta)


@given(case=strategies.patterns_and_query(), alpha=st.floats(1e-3, 0.99))
def test_one_free_node_of_tokens_is_the_posterior_of_the_ideal_memoriser(case, alpha):
    """[T50]: E[x_0 | x_t]; with one position left out of every node, the conditional of [T14]."""
    patterns, x, V = case
    L, beta = len(x), float(inverse_temperature(alpha, V))

    def step(others):
        r = 2 * ((patterns != x) & others).sum(axis=1)
        f = gaussian(beta).slope(r.astype(float))
        return np.einsum("p,plv->lv", f / f.sum(), np.eye(V)[patterns])

    log_p = DatasetIdeal(patterns, V)(x[None], alpha)
    flat = np.eye(V)[patterns].reshape(len(patterns), -1)
    scene = Propagation(gaussian(beta), clamped=flat, sees_itself=False)
    got = scene.step(np.eye(V)[x].reshape(1, -1)).reshape(L, V)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.exp(posterior(log_p, x[None], alpha)[0]), got, atol=1e-9)
    for i in range(L):
        others = np.arange(L) != i
        np.testing.assert_allclose(np.exp(log_p[0, i]), step(others)[i], atol=1e-9)


@pytest.mark.parametrize("delta", ["gaussian", "inverse", "advanced"])
def test_free_nodes_rest_in_one_place_only(delta):
    """[T50]: where f > 0, S is irreducible and z = Sz is constant; E = 0 is the least there is."""
    z = np.random.default_rng(0).normal(size=(12, 2))
    for sees_itself in (True, False):
        scene, nodes = Propagation(DISTANCES[delta](2.0), sees_itself=sees_itself), z
        for _ in range(400):
            nodes = scene.step(nodes)
        assert np.ptp(nodes, axis=0).max() < 1e-9
        assert scene.energy(nodes) == pytest.approx(0, abs=1e-12)


def test_copies_end_in_one_place_and_one_step_without_themselves_recalls():
    """[T50], 12 draws of the noise, within 4 standard errors: of other seeds 1 % would fail."""

    def found(alpha, beta, kind, steps):
        with threadpool_limits(1):  # threads of a busy machine wait for each other
            return copies(alpha, beta, kind, steps, 12, 1)[:, -1]

    for alpha, beta, kind, steps, page in (
        (0.7, 0.7, COUNTED, 10, 0.376),
        (0.7, 1.25, COUNTED, 10, 0.96),
        (0.7, 0.7, LEFT_OUT, 1, 0.994),
        (0.5, 0.7, LEFT_OUT, 1, 0.87),
    ):
        recovered, _ = found(alpha, beta, kind, steps)
        assert abs(recovered.mean() - page) < 4 * recovered.std(ddof=1) / np.sqrt(12), (beta, kind)
    assert (found(0.7, 0.7, COUNTED, 10)[1] == 1).all()
    unmoved, places = found(0.7, 4.0, COUNTED, 10)
    assert unmoved.mean() < 0.02
    assert places.min() > 50  # of 100
    assert (found(0.7, 0.7, LEFT_OUT, 30)[1] == 1).all()
