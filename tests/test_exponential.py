import math
import platform
import re

import llvmlite.binding
import numba
import numpy as np
import pytest

from minuddm import adamw
from minuddm.machine import attention, exponential
from minuddm.machine.exponential import exp_of, x_minus_log1p_of
from minuddm.machine.layernorm import modulated_norm_backward, modulated_norm_forward
from minuddm.machine.mlp import gelu, gelu_backward, gelu_forward
from minuddm.machine.modulation import gated_residual_backward, gated_residual_forward
from minuddm.machine.product import small_product
from minuddm.machine.softmax import log_softmax
from minuddm.nelbo.integrand import Coefficients, _integrand


def every_float32(low: float, high: float, step: int) -> np.ndarray:
    """Every `step`-th float32 of one sign between two numbers, by their bits."""
    ends = np.sort(np.array([low, high], np.float32).view(np.int32))
    return np.arange(ends[0], ends[1] + 1, step, dtype=np.int64).astype(np.int32).view(np.float32)


def run(function, *arrays):
    out = np.empty_like(arrays[0])
    function(out, *arrays)
    return out


@pytest.mark.parametrize("sign", [-1, 1])
def test_exp_is_right_to_seven_digits_over_the_whole_float32_range(sign):
    x = every_float32(sign * 1e-38, sign * 87.0, 977)
    error = np.abs(run(exp_of, x) / np.exp(x.astype(float)) - 1)
    # polynomial of degree 6: 1e-8; x - n log 2 regrouped and rounded: 87 · 2⁻²⁴ / 16 + a few 2⁻²⁴
    assert error.max() < 4e-7


def test_the_polynomials_are_as_near_as_they_say():
    r = np.linspace(-0.5, 0.5, 20_001) * math.log(2)
    curve = np.polynomial.Polynomial([1, 1, *(getattr(exponential, f"_C{k}") for k in range(2, 7))])
    assert np.abs(curve(r) / np.exp(r) - 1).max() < 1.1e-8
    x = np.linspace(math.sqrt(0.5) - 1, math.sqrt(2) - 1, 20_001).astype(np.longdouble)
    x = x[np.abs(x) > 1e-3]  # nearer, the difference on the right has too few digits left
    series = np.polynomial.Polynomial([0.5, *(getattr(exponential, f"_S{k}") for k in range(8))])
    assert np.abs(x**2 * series(x) / (x - np.log1p(x)) - 1).max() < 1.1e-7


def test_exp_saturates_and_lets_nan_through():
    x = np.array([-np.inf, -1e4, 0.0, 1e4, np.inf, np.nan], np.float32)
    y = run(exp_of, x)
    assert (y[:2] >= 0).all()
    assert (y[:2] < 2e-38).all()
    assert y[2] == 1
    assert (y[3:5] > 1e38).all()
    assert np.isnan(y[5])


def test_a_softmax_with_nan_is_nan():
    logits = np.array([[0.0, np.nan, 1.0], [0.0, -np.nan, 1.0]], np.float32)
    y = np.empty_like(logits)
    log_softmax(y, logits)
    assert np.isnan(y).any(axis=1).all()


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 3e-6), (np.float64, 1e-14)])
def test_x_minus_log1p_keeps_its_digits_near_zero_near_minus_one_and_far_out(dtype, bound):
    small = np.geomspace(1e-7, 0.9, 20_001)
    delta = np.concatenate([small, -small, np.geomspace(1, 1e20, 2_001)]).astype(dtype)
    d = delta.astype(np.longdouble)
    series = sum((-1) ** k * d**k / k for k in range(2, 12))
    wanted = np.where(np.abs(d) < 1e-2, series, d - np.log1p(d))
    error = np.abs(run(x_minus_log1p_of, delta, (1 + d).astype(dtype)) / wanted - 1)
    assert error.max() < bound


def test_x_minus_log1p_is_finite_where_one_plus_delta_rounds_to_zero():
    rho = np.array([1e-30, 1e-12], np.float32)
    got = run(x_minus_log1p_of, np.full(2, -1, np.float32), rho)
    np.testing.assert_allclose(got, -1 - np.log(rho.astype(float)), rtol=1e-6)


ROW, ROWS, SQUARE, MOD = (
    np.ones(shape, np.float32) for shape in (64, (4, 64), (16, 16), (2, 6, 64))
)
TOKENS, COEFFICIENTS = np.zeros(4, np.int32), Coefficients(*np.ones((3, 4)))
LOOPS = [
    (exp_of, ROW, ROW),
    (x_minus_log1p_of, ROW, ROW, ROW),
    (gelu_forward, ROWS, ROWS, ROW),
    (gelu, ROWS, ROW),
    (gelu_backward, ROWS, ROWS),
    (modulated_norm_forward, ROWS, ROW, ROW, ROWS, ROW, MOD, 0, 2),
    (modulated_norm_backward, ROWS, ROW, MOD, ROWS, ROW, ROW, ROWS, ROW, MOD, 0, 2),
    (gated_residual_forward, ROWS, ROWS, MOD, 2, ROWS, 2),
    (gated_residual_backward, ROWS, MOD, ROWS, MOD, 2, 2),
    (attention._softmax_forward, SQUARE, 16, 0.5),
    (attention._softmax_backward, SQUARE, SQUARE, 16, 0.5),
    (small_product, SQUARE, SQUARE, SQUARE, False),
    (log_softmax, ROWS, ROWS),
    (_integrand, ROW, ROWS, TOKENS, TOKENS, COEFFICIENTS, 0, 1),
    (adamw._update, *[ROW] * 5, *[np.float32(0.5)] * 8),
]


@pytest.mark.parametrize("call", LOOPS, ids=lambda call: call[0].__name__)
def test_float32_loops_are_vectorised(call):
    function, *arguments = call
    fresh = numba.njit(error_model="numpy", fastmath=function.targetoptions.get("fastmath", False))(
        function.py_func  # what comes from the cache cannot be inspected
    )
    fresh(*arguments)
    machine_code = next(iter(fresh.inspect_asm().values()))
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the names of vector registers are known to this test on x86-64 only")
    features = llvmlite.binding.get_host_cpu_features()
    if not (features.get("avx2") or features.get("avx512f")):
        pytest.skip("this processor has neither ymm nor zmm registers to multiply in")
    assert re.search(r"v(mulps|fn?madd\w*ps|pmaxs[dq])\s.*%[yz]mm", machine_code)
    # bits of a float32 that have become 64 bits wide: half a register's work, at twice the price
    assert not re.search(r"v(pmovsxdq|pmovqd|cvtqq2ps)\s.*%[yz]mm", machine_code)
