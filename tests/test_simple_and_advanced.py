"""The two kernels of DIFFormer [T50]: their definitions, their cost, and what they are near."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from threadpoolctl import threadpool_limits

from hopfield import Propagation
from hopfield.propagation import ADVANCED, SIMPLE, advanced, simple
from tests import strategies

TWO = [[0.0], [1.0]]
MANY = np.zeros((10**6, 1))


@given(seed=strategies.seeds, N=st.integers(1, 6), M=st.integers(2, 7))
def test_the_papers_kernels_are_their_definitions(seed, N, M):
    rng = np.random.default_rng(seed)
    q, k, v = rng.normal(size=(N, 3)), rng.normal(size=(M, 3)), rng.normal(size=(M, 2))
    products = q @ k.T
    f = 1 + products / np.sqrt((q**2).sum() * (k**2).sum())
    np.testing.assert_allclose(simple(q, k, v), f @ v / f.sum(axis=1, keepdims=True), atol=1e-12)
    f = expit(products)
    np.testing.assert_allclose(advanced(q, k, v), f @ v / f.sum(axis=1, keepdims=True), atol=1e-12)


def test_on_unit_vectors_the_papers_kernels_are_slopes():
    """1 + z_i·z_j and sigmoid(z_i·z_j) with r = 2 - 2 z_i·z_j."""
    z = np.random.default_rng(0).normal(size=(7, 3))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    r = ((z[:, None] - z) ** 2).sum(axis=2)
    np.testing.assert_allclose(SIMPLE.slope(r), 1 + z @ z.T, atol=1e-14)
    np.testing.assert_allclose(ADVANCED.slope(r), expit(z @ z.T), atol=1e-14)
    np.testing.assert_allclose(Propagation(ADVANCED).step(z), advanced(z, z, z), atol=1e-14)


@pytest.mark.parametrize(("D", "page"), [(20, 0.09), (64, 0.05)])
def test_on_random_inputs_the_simple_kernel_is_nearly_uniform(D, page):
    """[T50]: rows are 1/√(2πD) / N from uniform in total variation: half a mean |normal|."""
    N = 1000
    q, k = np.random.default_rng(0).normal(size=(2, N, D))
    rows = simple(q, k, np.eye(N))
    far = N * 0.5 * np.abs(rows - 1 / N).sum(axis=1).mean()
    assert far == pytest.approx(1 / np.sqrt(2 * np.pi * D), rel=2 / D)
    assert far == pytest.approx(page, abs=0.005)


def test_the_simple_kernel_takes_a_hundred_thousand_nodes_in_a_second():
    q, k, v = np.random.default_rng(0).normal(size=(3, 100_000, 64))
    seconds = []
    with threadpool_limits(1):  # threads of a busy machine wait for each other
        for _ in range(3):
            start = time.perf_counter()
            simple(q, k, v)
            seconds.append(time.perf_counter() - start)
        tracemalloc.start()
        simple(q, k, v)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert min(seconds) < 1
    assert peak < 1.5 * v.nbytes  # the answer, and one number a node


def test_a_matrix_of_zeros_has_uniform_weights():
    v = np.array([[1.0], [2.0]])
    assert simple([[0.0]], [[0.0], [0.0]], v) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Propagation(np.exp), "delta must be a Distance"),
        (lambda: Propagation(SIMPLE, clamped=[[1.0]]).step([[1.0, 2.0]]), "length 1, got 2"),
        (lambda: Propagation(SIMPLE).step(np.zeros((0, 2))), "nodes must not be empty"),
        (lambda: simple([[1.0]], [[1.0]], [[1.0]]), "number of keys must be at least 2, got 1"),
        (lambda: simple([[1.0, 2.0]], TWO, TWO), "queries must have length 1, got 2"),
        (lambda: advanced(TWO, TWO, [[1.0]]), "values must be as many as keys, 2, got 1"),
        (lambda: advanced(MANY, MANY, MANY), "weights of all pairs would take"),
        (lambda: Propagation(SIMPLE).step(MANY), "pulls and distances of all pairs would take"),
    ],
)
def test_bad_arguments_get_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
