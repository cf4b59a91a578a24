"""Products in compiled code, and the register intrinsics, against NumPy."""

import platform

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minuddm.machine import intrinsics
from minuddm.machine.product import _prefetch_piece, product, small_product

sides = st.integers(1, 300)


def matrix(rng, m, n, dtype, transposed):
    """Return a matrix (m, n) of whole numbers that lies by rows or by columns."""
    shape = (n, m) if transposed else (m, n)
    numbers = rng.integers(-8, 9, size=shape).astype(dtype)
    return numbers.T if transposed else numbers


@given(sides, sides, st.integers(1, 1000), st.booleans(), st.booleans(), st.booleans(),
       st.sampled_from([np.float32, np.float64]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_product_cut_into_pieces_is_the_product(m, n, k, first, second, add, dtype):
    # whole numbers below 2²⁴: every order of summation gives the same bits
    rng = np.random.default_rng([m, n, k])
    A, B = matrix(rng, m, k, dtype, first), matrix(rng, k, n, dtype, second)
    C = rng.integers(-8, 9, size=(m, n)).astype(dtype)
    wanted = A @ B + (C if add else 0)
    product(C, A, B, add)
    np.testing.assert_array_equal(C, wanted)


def test_a_product_may_write_into_a_part_of_an_array():
    rng = np.random.default_rng(0)
    whole, A, B = np.zeros((9, 11)), rng.normal(size=(5, 4)), rng.normal(size=(4, 6))
    product(whole[2:7, 3:9], A, B, False)
    np.testing.assert_allclose(whole[2:7, 3:9], A @ B)
    whole[2:7, 3:9] = 0
    assert not whole.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("m", "n", "k"), [(4, 16, 1), (16, 32, 7), (32, 48, 33), (64, 80, 64)])
@pytest.mark.parametrize("multiply", [small_product, product])
def test_a_small_product_is_the_product(multiply, dtype, transposed, m, n, k):
    rng = np.random.default_rng([m, n, k])
    A, B = matrix(rng, m, k, dtype, transposed), matrix(rng, k, n, dtype, False)
    whole = np.full((m + 1, n + 16), np.nan, dtype)
    C = whole[:m, :n]
    multiply(C, A, B, False)
    np.testing.assert_array_equal(C, A @ B)
    multiply(C, A, B, True)
    np.testing.assert_array_equal(C, 2 * (A @ B))
    assert np.isnan(whole[m]).all() and np.isnan(whole[:, n:]).all()


@numba.njit
def every_intrinsic(out, numbers, A, i, j, n):
    """Use every intrinsic; rows of `out` take the registers, `numbers` what is one number."""
    intrinsics.prefetch(A, i, j)
    x, y = intrinsics.load(A, i, j), intrinsics.masked_load(A, i, j, n)
    intrinsics.store(out, 0, 0, x)
    intrinsics.store(out, 1, 0, y)
    intrinsics.masked_store(out, 2, 0, n, x)
    intrinsics.store(out, 3, 0, intrinsics.splat(A[i, j]))
    intrinsics.store(out, 4, 0, intrinsics.multiply_add(x, y, x))
    intrinsics.store(out, 5, 0, intrinsics.maximum(x, y))
    intrinsics.store(out, 6, 0, (x + y) * x - y)
    numbers[0], numbers[1] = intrinsics.reduce_add(x), intrinsics.reduce_max(y)
    numbers[2] = intrinsics.lanes(A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 5, 8, 16, 40])
def test_every_intrinsic_means_in_machine_code_what_it_means_in_numpy(dtype, n):
    A = np.random.default_rng(0).normal(size=(3, 30)).astype(dtype)
    results = []
    for run in (every_intrinsic, every_intrinsic.py_func):
        out, numbers = np.zeros((7, 16), dtype), np.zeros(3, dtype)
        run(out, numbers, A, 1, 9, n)
        results.append((out, numbers))
    eps = np.finfo(dtype).eps  # one instruction rounds a b + c once, NumPy twice; |numbers| < 4
    for compiled, meant in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, meant, rtol=0, atol=64 * eps)


@pytest.mark.parametrize("transposed", [False, True])
def test_prefetching_a_piece_changes_nothing_and_reaches_the_machine_code(transposed):
    fresh = numba.njit(_prefetch_piece.py_func)  # what comes from the cache cannot be inspected
    A = matrix(np.random.default_rng(0), 64, 48, np.float32, transposed)
    before = A.copy()
    fresh(A)
    np.testing.assert_array_equal(A, before)
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the name of the instruction is known to this test on x86-64 only")
    assert "prefetcht1" in next(iter(fresh.inspect_asm().values()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_square_is_transposed_in_registers(dtype):
    A = np.arange(3 * 16 * 40, dtype=dtype).reshape(48, 40)
    side = intrinsics.lanes(A)
    B = np.zeros((40, 48), dtype)
    transpose = numba.njit(lambda B, A: intrinsics.transpose(B, A, 16, 8))
    transpose(B, A)
    wanted = np.zeros_like(B)
    intrinsics.transpose(wanted, A, 16, 8)
    np.testing.assert_array_equal(B, wanted)
    np.testing.assert_array_equal(
        B[8 : 8 + side, 16 : 16 + side], A[16 : 16 + side, 8 : 8 + side].T
    )


def test_what_lies_beyond_the_lanes_loaded_is_not_read():
    A = np.full((1, 40), np.nan)
    A[0, :3] = 1, 2, 3
    out, numbers = np.zeros((7, 16)), np.zeros(3)
    every_intrinsic(out, numbers, A, 0, 0, 3)
    np.testing.assert_array_equal(out[1, :8], [1, 2, 3, 0, 0, 0, 0, 0])
    assert numbers[1] == 3
