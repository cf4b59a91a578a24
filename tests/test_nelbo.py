import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuddm.nelbo import nelbo, nelbo_grad
from minuddm.transition import marginal
from tests import oracle, strategies
from tests.gradient import worst_error


@st.composite
def cases(draw):
    V = draw(strategies.vocabularies, label="V")
    p = draw(strategies.distributions(V), label="p")
    x0, z = (draw(st.integers(0, V - 1), label=name) for name in ("x0", "z"))
    return V, p, x0, z, draw(strategies.inner_alphas, label="alpha")


@given(case=cases())
def test_the_bound_is_its_definition(case):
    V, p, x0, z, alpha = case
    with np.errstate(divide="ignore"):
        value = float(nelbo(np.log(p)[None, None], [[x0]], [[z]], alpha, -0.7)[0, 0])
    wanted = oracle.nelbo(p, x0, z, alpha, -0.7)
    # the oracle cancels: numbers as large as V/(1 - α) in extended precision, times the weight
    size = 0.7 / (V * alpha) * V / (1 - alpha)
    assert value == pytest.approx(wanted, rel=1e-9, abs=1e-18 * V * size / (1 - alpha) + 1e-15)


@given(case=cases(), dtype=st.sampled_from([np.float32, np.float64]))
def test_the_bound_is_never_negative_and_zero_for_the_truth(case, dtype):
    V, p, x0, z, alpha = case
    with np.errstate(divide="ignore"):
        log_p, log_truth = np.log(p).astype(dtype), np.log(np.eye(V)[x0]).astype(dtype)
    assert nelbo(log_p[None, None], [[x0]], [[z]], alpha, -1.0)[0, 0] >= 0
    assert nelbo(log_truth[None, None], [[x0]], [[z]], alpha, -1.0)[0, 0] == 0


@pytest.mark.parametrize(
    ("V", "L", "skip", "entropy", "of_posterior"),
    [(3, 2, False, 1.781973, 2.684000), (2, 3, True, 1.623300, 2.392370)],
)
def test_the_minimiser_is_the_leave_one_out_conditional_not_the_posterior(
    V, L, skip, entropy, of_posterior
):
    rng = np.random.default_rng(0)
    if skip:
        rng.dirichlet(np.ones(9))
    law = rng.dirichlet(np.ones(V**L))

    def plug(leave_out):
        return lambda z, alpha: oracle.conditionals(law, V, z, alpha, leave_out=leave_out)

    assert -(law * np.log(law)).sum() == pytest.approx(entropy, abs=1e-6)
    assert oracle.exact_bound(plug(True), law, V, L) == pytest.approx(entropy, abs=1e-6)
    assert oracle.exact_bound(plug(False), law, V, L) == pytest.approx(of_posterior, abs=1e-5)


@pytest.mark.parametrize("alpha", [1e-3, 0.3, 0.9, 0.999])
def test_the_gradient_is_that_of_the_bound(alpha):
    rng = np.random.default_rng(7)
    logits = rng.normal(size=(4, 3, 6)) * 2
    x0 = rng.integers(6, size=(4, 3))
    xt = np.where(rng.random((4, 3)) < 0.5, x0, rng.integers(6, size=(4, 3)))
    gradient = nelbo_grad(logits, x0, xt, alpha, -1.0)[1]
    error = worst_error(
        lambda: float(nelbo_grad(logits, x0, xt, alpha, -1.0)[0].sum()),
        {"logits": logits},
        {"logits": gradient},
        rng,
    )
    assert error["logits"] < 1e-6


@pytest.mark.parametrize("V", [2, 28, 50_000])
@pytest.mark.parametrize("alpha", [1e-6, 0.5, 1 - 1e-6])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_float32_stays_finite_and_right_at_the_extremes(V, alpha, size):
    rng = np.random.default_rng(8)
    logits = (rng.uniform(-1, 1, size=(3, 4, V)) * size).astype(np.float32)
    logits[0, 0] = -size
    logits[0, 0, 0] = size  # certain, and of a wrong value
    x0 = rng.integers(1, V, size=(3, 4))
    xt = np.where(rng.random((3, 4)) < 0.5, x0, rng.integers(V, size=(3, 4)))
    xt[0, 0] = 0
    loss, gradient = nelbo_grad(logits, x0, xt, alpha, -1.0)
    assert np.isfinite(loss).all()
    assert np.isfinite(gradient).all()
    assert (loss >= 0).all()
    exact, slope = nelbo_grad(logits.astype(float), x0, xt, alpha, -1.0)
    # float32: p, and so p_j - p_z, is right to a few 1e-7 of 1. It enters each term of the gradient
    # times weight · a g ≤ weight · (a/b)², or, shifted, as one of at most weight; the loss likewise
    a, b = V * alpha, 1 - alpha
    rounding = 1e-6 / a * min(1.0, (a / b) ** 2)
    np.testing.assert_allclose(loss, exact, rtol=1e-4, atol=rounding)
    scale = np.abs(slope).max(axis=-1, keepdims=True)
    assert (np.abs(gradient - slope) <= 1e-4 * scale + rounding).all()


def test_a_scalar_alpha_is_one_for_all_and_minus_infinity_is_welcome():
    log_p = np.log(np.array([[[1.0, 1e-300]], [[0.5, 0.5]]]))
    log_p[0, 0, 1] = -np.inf
    one = nelbo(log_p, [[0], [1]], [[0], [0]], 0.4, -1.0)
    many = nelbo(log_p, [[0], [1]], [[0], [0]], np.full(2, 0.4), np.full(2, -1.0))
    np.testing.assert_array_equal(one, many)
    assert one[0, 0] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 1.0}, r"alpha in \[1e-30, 1\)"),
        ({"alpha": 0.0}, r"alpha in \[1e-30, 1\)"),
        ({"dalpha": 1.0}, "dalpha"),
        ({"dalpha": np.nan}, "dalpha"),
        ({"x0": [[3]]}, "x0 must lie in 0 … 2, got 3"),
        ({"xt": [[0, 1]]}, "shape"),
        ({"log_p": np.zeros((1, 1, 1))}, "V must be at least 2"),
        ({"log_p": np.full((1, 1, 3), np.nan)}, "NaN"),
        ({"log_p": np.zeros((1, 1, 3), int)}, "float32 or float64"),
    ],
)
def test_bad_arguments_get_one_clear_line(changes, message):
    good = {"log_p": np.zeros((1, 1, 3)), "x0": [[0]], "xt": [[0]], "alpha": 0.5, "dalpha": -1.0}
    with pytest.raises((ValueError, TypeError), match=message):
        nelbo(**(good | changes))


def test_the_prior_of_pure_noise_is_uniform():
    np.testing.assert_allclose(marginal(1, 0.0, 4), 0.25)
