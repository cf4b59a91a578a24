"""Each layer alone: forward against its definition, backward against differences, in float64."""

import math

import numpy as np
import pytest

from minuddm.layers.attention import attention_backward, attention_forward, rotary_table
from minuddm.layers.dropout import dropout
from minuddm.layers.embedding import embedding_backward, embedding_forward
from minuddm.layers.layernorm import modulated_norm_backward, modulated_norm_forward
from minuddm.layers.linear import linear_backward, linear_forward
from minuddm.layers.mlp import gelu_backward, gelu_forward
from minuddm.layers.modulation import (
    gated_residual_backward,
    gated_residual_forward,
    noise_features,
    silu_backward,
    silu_forward,
)
from minuddm.layers.softmax import log_softmax
from tests.gradient import worst_error

B, L, D, H = 3, 4, 8, 2
N = B * L


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def check(forward, inputs, gradients, out_shape):
    """Compare `gradients(dy)` with differences of Σ dy ⊙ forward()."""
    dy = normal(*out_shape, seed=99)

    def loss():
        return float((dy * forward()).sum())

    loss()  # what the backward reads is saved by a forward at the unperturbed point
    error = worst_error(loss, inputs, gradients(dy), np.random.default_rng(1))
    assert max(error.values()) < 1e-6, error


def test_linear():
    x, W, b, y = normal(N, D), normal(5, D), normal(5), np.empty((N, 5))

    def forward():
        linear_forward(y, x, W, b)
        return y

    def gradients(dy):
        dx, dW, db = np.empty_like(x), np.empty_like(W), np.empty_like(b)
        linear_backward(dx, dW, db, dy, x, W)
        return {"x": dx, "W": dW, "b": db}

    np.testing.assert_allclose(forward(), x @ W.T + b)
    check(forward, {"x": x, "W": W, "b": b}, gradients, y.shape)


def test_the_gradient_of_a_linear_may_take_the_memory_of_its_input():
    x, W, dy = normal(N, D), normal(5, D), normal(N, 5)
    apart, dW, db = np.empty_like(x), np.empty_like(W), np.empty(5)
    linear_backward(apart, dW, db, dy, x, W)
    again, shared = np.empty_like(W), x.copy()
    linear_backward(shared, again, db, dy, shared, W)
    np.testing.assert_array_equal(shared, apart)
    np.testing.assert_array_equal(again, dW)


def test_embedding_gathers_and_its_backward_scatters():
    E, tokens, x = normal(5, D), np.array([0, 4, 4, 1], np.int32), np.empty((4, D))
    embedding_forward(x, tokens, E)
    np.testing.assert_array_equal(x, E[tokens])
    dE = np.full_like(E, 7.0)
    embedding_backward(dE, x, tokens)
    np.testing.assert_allclose(dE[4], 2 * E[4])
    np.testing.assert_array_equal(dE[2:4], 0)


def test_modulated_norm():
    x, gain, mod, k = normal(N, D), normal(D), normal(B, 4, D), 1
    y, mean, rstd = np.empty((N, D)), np.empty(N), np.empty(N)

    def forward():
        modulated_norm_forward(y, mean, rstd, x, gain, mod, k, L)
        return y

    def gradients(dy):
        dx, dgain, dmod = np.zeros_like(x), np.empty_like(gain), np.zeros_like(mod)
        modulated_norm_backward(dx, dgain, dmod, dy, mean, rstd, x, gain, mod, k, L)
        return {"x": dx, "gain": dgain, "mod": dmod}

    shift, scale = mod[:, k], mod[:, k + 1]
    centred = x - x.mean(1, keepdims=True)
    plain = centred / np.sqrt(x.var(1, keepdims=True) + 1e-5) * gain
    wanted = plain * (1 + np.repeat(scale, L, 0)) + np.repeat(shift, L, 0)
    np.testing.assert_allclose(forward(), wanted, atol=1e-12)
    check(forward, {"x": x, "gain": gain, "mod": mod}, gradients, y.shape)


def test_a_layer_leaves_the_rows_of_others_alone():
    x, gain, mod = normal(N, D), normal(D), normal(B, 6, D)
    y, mean, rstd = np.empty((N, D)), np.empty(N), np.empty(N)
    modulated_norm_forward(y, mean, rstd, x, gain, mod, 3, L)
    dmod = np.full_like(mod, 7.0)
    modulated_norm_backward(np.zeros_like(x), gain.copy(), dmod, y, mean, rstd, x, gain, mod, 3, L)
    np.testing.assert_array_equal(dmod[:, [0, 1, 2, 5]], 7)
    gated_residual_backward(y, dmod, x, mod, 5, x, L)
    np.testing.assert_array_equal(dmod[:, :3], 7)


def test_the_norms_backward_adds_to_the_residual_stream():
    x, gain, zero = normal(N, D), normal(D), np.zeros((B, 2, D))
    y, mean, rstd = np.empty((N, D)), np.empty(N), np.empty(N)
    modulated_norm_forward(y, mean, rstd, x, gain, zero, 0, L)
    once, twice = np.zeros((N, D)), np.zeros((N, D))
    rest = np.empty(D), np.empty((B, 2, D))
    for dx, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            modulated_norm_backward(dx, *rest, y, mean, rstd, x, gain, zero, 0, L)
    np.testing.assert_allclose(twice, 2 * once)


def test_attention():
    shape, rotary = (B, L, H, D // H), rotary_table(L, D // H, np.dtype(float))
    given, out = normal(N, 3 * D), np.empty((N, D))
    P = np.empty((B, H, L, L))
    turned = np.empty_like(given)

    def forward():
        turned[:] = given  # the forward turns its input in place
        attention_forward(out, P, turned, rotary, shape)
        return out

    def gradients(dy):
        dqkv = np.empty_like(given)
        attention_backward(dqkv, P.copy(), np.empty_like(P), dy, turned, rotary, shape)
        return {"qkv": dqkv}

    check(forward, {"qkv": given}, gradients, out.shape)
    np.testing.assert_allclose(P.sum(-1), 1)


def test_attention_scores_depend_on_the_distance_of_positions_only():
    length, d = 12, 8
    rotary = rotary_table(length, d, np.dtype(float))
    qkv = np.tile(normal(1, 3 * d), (length, 1))  # the same q and k at every position
    P = np.empty((1, 1, length, length))
    attention_forward(np.empty((length, d)), P, qkv, rotary, (1, length, 1, d))
    scores = np.log(P[0, 0])
    scores -= np.diagonal(scores)[:, None]  # what softmax took from each row
    for offset in range(-3, 4):
        np.testing.assert_allclose(np.ptp(np.diagonal(scores, offset)), 0, atol=1e-12)


def test_gelu():
    u, b, y = 3 * normal(N, D), normal(D), np.empty((N, D))

    def forward():
        gelu_forward(y, u, b)
        return y

    def gradients(dy):
        du = np.empty_like(u)
        gelu_backward(du, dy, u, b)
        return {"u": du, "b": du.sum(0)}

    z = u + b
    tanh = np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))
    np.testing.assert_allclose(forward(), 0.5 * z * (1 + tanh), atol=1e-14)
    check(forward, {"u": u, "b": b}, gradients, y.shape)


def test_gelu_is_the_identity_far_up_and_nothing_far_down_in_float32():
    u = np.array([[-1e4, -30.0, 0.0, 30.0, 1e4]], np.float32)
    y, b = np.empty_like(u), np.zeros(5, np.float32)
    gelu_forward(y, u, b)
    np.testing.assert_allclose(y, [[0, 0, 0, 30, 1e4]], atol=1e-30)
    gelu_backward(y, np.ones_like(u), u, b)
    np.testing.assert_allclose(y, [[0, 0, 0.5, 1, 1]], atol=1e-25)


def test_silu():
    x, y = 3 * normal(B, D), np.empty((B, D))

    def forward():
        silu_forward(y, x)
        return y

    def gradients(dy):
        dx = np.empty_like(x)
        silu_backward(dx, dy, x)
        return {"x": dx}

    np.testing.assert_allclose(forward(), x / (1 + np.exp(-x)))
    check(forward, {"x": x}, gradients, y.shape)


def test_gated_residual():
    x, mod, k, h, y = normal(N, D), normal(B, 4, D), 2, normal(N, D, seed=3), np.empty((N, D))

    def forward():
        gated_residual_forward(y, x, mod, k, h, L)
        return y

    def gradients(dy):
        dh, dmod = np.empty_like(h), np.zeros_like(mod)
        gated_residual_backward(dh, dmod, dy, mod, k, h, L)
        return {"x": dy, "mod": dmod, "h": dh}

    np.testing.assert_allclose(forward(), x + np.repeat(mod[:, k], L, 0) * h)
    check(forward, {"x": x, "mod": mod, "h": h}, gradients, y.shape)


def test_noise_features_are_cosines_then_sines_of_minus_log_alpha():
    features = noise_features(np.array([1.0, math.exp(-1.0), 0.0]), np.dtype(float))
    np.testing.assert_array_equal(features[0], [1.0] * 128 + [0.0] * 128)
    assert features[1, 0] == pytest.approx(math.cos(1))
    assert features[1, 128 + 64] == pytest.approx(math.sin(10_000**-0.5))
    assert np.isfinite(features).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_softmax_is_stable_for_logits_of_ten_thousand(dtype):
    x = np.array([[1e4, 1e4, -1e4], [-1e4, -1e4 + 2, -1e4 + 1]], dtype)
    y = np.empty_like(x)
    log_softmax(y, x)
    np.testing.assert_allclose(y[0], [-math.log(2), -math.log(2), -2e4 - math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(np.exp(y[1].astype(float)).sum(), 1, rtol=1e-6)


def test_dropout_keeps_the_mean_and_its_backward_is_itself():
    uniforms = np.random.default_rng(0).random((200, 500), dtype=np.float32)
    x = np.ones((200, 500))
    dropout(x, uniforms, 0.3)
    assert set(np.unique(x)) == {0.0, 1 / 0.7}
    assert x.mean() == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / x.size))  # 4 standard errors
