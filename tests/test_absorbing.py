"""The masked process: its kernel, the way back, the bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from minuddm import Absorbing, Uniform
from tests import strategies
from tests.gradient import worst_error

ALARM = 1e-6  # chance of a false alarm of a chi-square


# ---- forwards -----------------------------------------------------------------------------------


def kernel(alpha, V):
    """[T37], entry by entry: row x_s, column x_t, MASK last."""
    Q = np.diag(np.append(np.full(V, alpha), 1.0))
    Q[:V, V] = 1 - alpha
    return Q


@given(V=strategies.vocabularies, alpha=strategies.alphas)
def test_a_token_is_kept_or_masked_and_a_mask_stays(V, alpha):
    np.testing.assert_allclose(Absorbing(V).kernel(alpha), kernel(alpha, V), rtol=0, atol=1e-15)


@given(V=strategies.vocabularies, seed=strategies.seeds)
def test_the_same_uniforms_mask_what_the_uniform_process_draws_anew(V, seed):
    """Chi-square of the number of masked tokens, at a false-alarm rate of 1e-6 an example."""
    x = np.random.default_rng(seed).integers(V, size=(50, 40))
    masked, redrawn = (
        process(V).corrupt(x, 0.3, np.random.default_rng([seed, 1]))
        for process in (Absorbing, Uniform)
    )
    assert ((masked == x) | (masked == V)).all()
    assert (redrawn == x)[masked == x].all()
    visible = (masked < V).sum()
    assert chisquare([visible, 2000 - visible], [600, 1400]).pvalue > ALARM
    rng = np.random.default_rng(0)
    assert (Absorbing(V).change(x, rng) == V).all()
    assert (Absorbing(V).noise((2, 3), rng) == V).all()
    np.testing.assert_array_equal(Absorbing(V).corrupt(x, 1.0, rng), x)


# ---- backwards ----------------------------------------------------------------------------------


@given(data=st.data(), V=strategies.vocabularies, times=strategies.two_alphas())
def test_uniforms_select_from_the_bridge_and_the_mode_is_its_largest(data, V, times):
    """On a grid of N uniforms each value is selected as often as its chance says, to one."""
    process, p, N = Absorbing(V), data.draw(strategies.distributions(V)), 4001
    with np.errstate(divide="ignore"):
        log_p = np.broadcast_to(np.log(p), (1, N, V))
    u = (np.arange(N) + 0.5)[None] / N
    for z in (V, 0):
        q = process.bridge(z, p, *times)
        drawn = process.bridge_quantile(np.full((1, N), z), log_p, *times, u)
        count = np.bincount(drawn[0], minlength=V + 1)
        assert (np.abs(count - N * q) <= 1 + 1e-9 * N).all()
        assert (count[q == 0] == 0).all()
        mode = process.mode_of_bridge([[z]], log_p[:, :1], *times)[0, 0]
        assert q[mode] == pytest.approx(q.max(), rel=1e-12)
    largest = np.nextafter(1, 0)
    last = process.bridge_quantile([[V]], log_p[:, :1], 1.0, 0.0, [[largest]])[0, 0]
    assert p[last] > 0


@given(V=strategies.vocabularies, times=strategies.two_alphas(), last=st.floats(0, 0.9))
def test_a_schedule_that_ends_early_has_the_same_way_back(V, times, last):
    """α → (α - α_1)/(1 - α_1) changes neither a reveal nor α'/(1 - α), and has no prior."""
    process = Absorbing(V)
    alpha_s, alpha_t = (last + (1 - last) * a for a in times)
    own = [float(process.conditioned(min(a, 1.0), last)) for a in (alpha_s, alpha_t)]
    p = np.full(V, 1 / V)
    one = process.bridge(V, p, min(alpha_s, 1.0), min(alpha_t, 1.0))
    np.testing.assert_allclose(process.bridge(V, p, *own), one, atol=1e-9)
    assert process.conditioned(last, last) == 0
    assert process.prior(last) == 0
    log_p = np.log(p)[None, None]
    losses = [
        process.nelbo(log_p, [[0]], [[V]], a, slope)
        for a, slope in ((0.5 + last / 2, last - 1), (0.5, -1.0))
    ]
    np.testing.assert_allclose(*losses, rtol=1e-12)


# ---- the bound ----------------------------------------------------------------------------------


@given(V=strategies.vocabularies, alpha=strategies.inner_alphas, seed=strategies.seeds)
def test_the_gradient_is_that_of_the_integrand(V, alpha, seed):
    process, rng = Absorbing(V), np.random.default_rng(seed)
    logits, x0 = 3 * rng.normal(size=(2, 4, V)), rng.integers(V, size=(2, 4))
    xt = np.where(rng.random((2, 4)) < 0.6, V, x0)

    def loss():
        return process.nelbo(logits, x0, xt, alpha, -0.7).sum()

    value, gradient = process.nelbo_grad(logits, x0, xt, alpha, -0.7)
    assert worst_error(loss, {"": logits}, {"": gradient}, rng)[""] < 1e-6
    assert (gradient[xt < V] == 0).all()
    assert (value[xt < V] == 0).all()
    small, rough = process.nelbo_grad(logits.astype(np.float32), x0, xt, alpha, -0.7)
    assert small.dtype == rough.dtype == np.float32
    scale = 0.7 / (1 - alpha)  # eight units of rounding of logits of size 12, and of p ≤ 1
    np.testing.assert_allclose(small, value, rtol=1e-6, atol=8 * 12 * 6e-8 * scale)
    np.testing.assert_allclose(rough, gradient, rtol=1e-5, atol=1e-6 * scale)


def test_certainty_costs_next_to_nothing_and_no_digit_of_it_is_lost():
    logits = np.array([[[30.0, 0.0, 0.0]]], np.float32)
    loss, gradient = Absorbing(3).nelbo_grad(logits, [[0]], [[3]], 0.0, -1.0)
    wanted = 2 * np.exp(-30.0)
    np.testing.assert_allclose(loss, [[wanted]], rtol=1e-6)
    np.testing.assert_allclose(gradient[0, 0], wanted * np.array([-1, 0.5, 0.5]), rtol=1e-6)
