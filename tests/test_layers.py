"""Each layer alone: forward against its definition, backward against differences, in float64."""

import math

import numpy as np
import pytest
from scipy.special import softmax

from minuddm.machine.attention import (
    attention_backward,
    attention_forward,
    padded,
    rotary_table,
)
from minuddm.machine.dropout import drop
from minuddm.machine.embedding import embedding_backward, embedding_forward
from minuddm.machine.layernorm import modulated_norm_backward, modulated_norm_forward
from minuddm.machine.linear import (
    linear_backward,
    linear_forward,
    transpose_all,
    wide_linear_backward,
)
from minuddm.machine.mlp import gelu, gelu_backward, gelu_forward
from minuddm.machine.modulation import (
    gated_residual_backward,
    gated_residual_forward,
    silu_backward,
    silu_forward,
)
from minuddm.machine.softmax import log_softmax
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
        linear_forward(y, x, W.T, b)
        return y

    def gradients(dy):
        dx, dW, db = np.empty_like(x), np.zeros_like(W), np.zeros_like(b)
        linear_backward(dx, dW, db, dy, x, W)
        return {"x": dx, "W": dW, "b": db}

    np.testing.assert_allclose(forward(), x @ W.T + b)
    check(forward, {"x": x, "W": W, "b": b}, gradients, y.shape)


def test_the_gradient_of_a_linear_may_take_the_memory_of_its_input():
    x, W, dy = normal(N, D), normal(5, D), normal(N, 5)
    apart, dW, db = np.empty_like(x), np.zeros_like(W), np.zeros(5)
    linear_backward(apart, dW, db, dy, x, W)
    again, shared = np.zeros_like(W), x.copy()
    linear_backward(shared, again, db, dy, shared, W)
    np.testing.assert_array_equal(shared, apart)
    np.testing.assert_array_equal(again, dW)
    np.testing.assert_allclose(db, 2 * dy.sum(0))  # twice added


def test_the_backward_of_a_wide_linear_is_that_of_a_linear():
    x, W, dy = normal(N, D), normal(2500, D), normal(N, 2500)
    dx, dW, db = np.full_like(x, np.nan), np.ones_like(W), np.ones(2500)
    wide_linear_backward(dx, dW, db, dy, x, W)
    np.testing.assert_allclose(dx, dy @ W, atol=1e-11)
    np.testing.assert_allclose(dW, 1 + dy.T @ x, atol=1e-11)
    np.testing.assert_allclose(db, 1 + dy.sum(0), atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 16, 16), (1, 33, 70), (3, 28, 64)])
def test_a_transposed_matrix_is_the_transpose(dtype, shape):
    W = normal(*shape).astype(dtype)
    WT = np.empty((shape[0], shape[2], shape[1]), dtype)
    transpose_all(WT, W)
    np.testing.assert_array_equal(WT, W.swapaxes(1, 2))


def test_embedding_gathers_and_its_backward_scatters():
    E, tokens, x = normal(5, D), np.array([0, 4, 4, 1], np.int32), np.empty((4, D))
    embedding_forward(x, tokens, E)
    np.testing.assert_array_equal(x, E[tokens])
    dE = np.full_like(E, 7.0)
    embedding_backward(dE, x, tokens)
    np.testing.assert_allclose(dE[4], 7 + 2 * E[4])
    np.testing.assert_array_equal(dE[2:4], 7)


def test_modulated_norm():
    x, gain, mod, k = normal(N, D), normal(D), normal(B, 4, D), 1
    y, mean, rstd = np.empty((N, D)), np.empty(N), np.empty(N)

    def forward():
        modulated_norm_forward(y, mean, rstd, x, gain, mod, k, L)
        return y

    def gradients(dy):
        dx, dgain, dmod = np.zeros_like(x), np.zeros_like(gain), np.zeros_like(mod)
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
    gated_residual_backward(y, dmod, x, mod, 5, L)
    np.testing.assert_array_equal(dmod[:, :3], 7)


def test_the_norms_backward_adds_to_the_residual_stream():
    x, gain, zero = normal(N, D), normal(D), np.zeros((B, 2, D))
    y, mean, rstd = np.empty((N, D)), np.empty(N), np.empty(N)
    modulated_norm_forward(y, mean, rstd, x, gain, zero, 0, L)
    once, twice = np.zeros((N, D)), np.zeros((N, D))
    rest = np.zeros(D), np.empty((B, 2, D))
    for dx, times in ((once, 1), (twice, 2)):
        for _ in range(times):
            modulated_norm_backward(dx, *rest, y, mean, rstd, x, gain, zero, 0, L)
    np.testing.assert_allclose(twice, 2 * once)


def test_attention():
    d, S = D // H, padded(L)
    rotary = rotary_table(L, d)
    qkv, out, A = normal(N, 3 * D), np.empty((N, D)), np.empty((B, H, S, S))

    def forward():
        attention_forward(out, A, qkv, rotary)
        return out

    def gradients(dy):
        dqkv = qkv.copy()
        attention_backward(dqkv, A.copy(), dy, rotary)
        return {"qkv": dqkv}

    check(forward, {"qkv": qkv}, gradients, out.shape)
    np.testing.assert_allclose(A[..., :L, :L].sum(-1), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("length", "d"), [(1, 2), (16, 16), (17, 6), (32, 32), (40, 34)])
def test_attention_is_its_definition_at_any_length_and_width(dtype, length, d):
    rotary = rotary_table(length, d).astype(dtype)
    qkv, S = normal(2 * length, 3 * 2 * d).astype(dtype), padded(length)
    out, A = np.empty((2 * length, 2 * d), dtype), np.full((2, 2, S, S), np.nan, dtype)
    attention_forward(out, A, qkv, rotary)
    (cos, sin), half = rotary.astype(float)[:, :, None], d // 2
    q, k, v = qkv.astype(float).reshape(2, length, 3, 2, d).transpose(2, 0, 1, 3, 4)

    def rotated(x):
        x1, x2 = x[..., :half], x[..., half:]
        return np.concatenate([x1 * cos - x2 * sin, x2 * cos + x1 * sin], axis=-1)

    scores = np.einsum("bihk,bjhk->bhij", rotated(q), rotated(k)) / math.sqrt(d)
    weights = softmax(scores, axis=-1)
    wanted = np.einsum("bhij,bjhk->bihk", weights, v).reshape(out.shape)
    close = {"rtol": 0, "atol": 5e-6 if dtype == np.float32 else 1e-13}  # sums of 40 numbers ~ 1
    np.testing.assert_allclose(A[..., :length, :length], weights, **close)
    np.testing.assert_allclose(out, wanted, **close)


def test_a_score_that_is_no_number_is_not_hidden():
    qkv = normal(L, 3 * D).astype(np.float32)
    qkv[2, 0] = np.nan
    out, A = np.empty((L, D), np.float32), np.empty((1, H, 16, 16), np.float32)
    attention_forward(out, A, qkv, rotary_table(L, D // H).astype(np.float32))
    assert np.isnan(out[2]).any()


def test_attention_scores_depend_on_the_distance_of_positions_only():
    length, d = 12, 8
    rotary = rotary_table(length, d)
    qkv = np.tile(normal(1, 3 * d), (length, 1))  # the same q and k at every position
    A = np.empty((1, 1, padded(length), padded(length)))
    attention_forward(np.empty((length, d)), A, qkv, rotary)
    scores = np.log(A[0, 0, :length, :length])
    scores -= np.diagonal(scores)[:, None]  # what softmax took from each row
    for offset in range(-3, 4):
        np.testing.assert_allclose(np.ptp(np.diagonal(scores, offset)), 0, atol=1e-12)


def test_gelu():
    u, b, y, slope = 3 * normal(N, D), normal(D), np.empty((N, D)), np.empty((N, D))

    def forward():
        slope[:] = u  # the forward overwrites its input with the slope
        gelu_forward(y, slope, b)
        return y

    def gradients(dy):
        du = slope.copy()
        gelu_backward(du, dy)
        return {"u": du, "b": du.sum(0)}

    z = u + b
    tanh = np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))
    np.testing.assert_allclose(forward(), 0.5 * z * (1 + tanh), atol=1e-14)
    alone = u.copy()
    gelu(alone, b)
    np.testing.assert_allclose(alone, y, atol=1e-14)
    check(forward, {"u": u, "b": b}, gradients, y.shape)


def test_gelu_is_the_identity_far_up_and_nothing_far_down_in_float32():
    u = np.array([[-1e4, -30.0, 0.0, 30.0, 1e4]], np.float32)
    y, b, alone = np.empty_like(u), np.zeros(5, np.float32), u.copy()
    gelu_forward(y, u, b)
    gelu(alone, b)
    np.testing.assert_allclose(alone, [[0, 0, 0, 30, 1e4]], atol=1e-30)
    np.testing.assert_allclose(y, [[0, 0, 0, 30, 1e4]], atol=1e-30)
    np.testing.assert_allclose(u, [[0, 0, 0.5, 1, 1]], atol=1e-25)


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
        dh, dmod = h.copy(), np.zeros_like(mod)
        gated_residual_backward(dh, dmod, dy, mod, k, L)
        return {"x": dy, "mod": dmod, "h": dh}

    np.testing.assert_allclose(forward(), x + np.repeat(mod[:, k], L, 0) * h)
    check(forward, {"x": x, "mod": mod, "h": h}, gradients, y.shape)


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
    drop(x, uniforms, 0.3)
    assert set(np.unique(x)) == {0.0, 1 / 0.7}
    assert x.mean() == pytest.approx(1, abs=4 * math.sqrt(0.3 / 0.7 / x.size))  # 4 standard errors
