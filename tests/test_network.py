"""The network as it is defined, in plain NumPy: its gradient is its slope, and it stands alone."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

from minuddm import network
from minuddm.nelbo import nelbo_grad
from minuddm.weights import ModelConfig, initialise
from tests.gradient import worst_error

ROOT = Path(__file__).parents[1]


def case(config, dtype=np.float64, batch=3):
    """Weights away from their start, where modulations and the last linear are zero; a batch."""
    rng = np.random.default_rng(0)
    w = initialise(config, rng, dtype)
    for tensor in w.values():
        tensor += 0.1 * rng.normal(size=tensor.shape).astype(dtype)
    x0, xt = rng.integers(config.vocab, size=(2, batch, config.length))
    return w, x0, xt, rng.uniform(0.1, 0.9, batch)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_every_gradient_is_the_slope_of_the_loss(dropout):
    config = ModelConfig(5, 6, width=8, blocks=2, heads=2, cond=6)
    w, x0, xt, alpha = case(config)
    rng = np.random.default_rng(1)
    kept = rng.random((2, 2, 3, 6, 8)) >= dropout
    masks = kept / (1 - dropout)

    def integrand(logits):
        return nelbo_grad(logits, x0, xt, alpha, -1.0)

    _, g = network.loss_and_grad(w, xt, alpha, 2, integrand, masks)
    assert g.keys() == w.keys()
    assert all(g[name].shape == tensor.shape for name, tensor in w.items())

    def loss():
        return network.loss_and_grad(w, xt, alpha, 2, integrand, masks)[0].sum()

    errors = worst_error(loss, w, g, rng)
    assert max(errors.values()) < 1e-6, errors


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_weights_decide_the_arithmetic(dtype):
    config = ModelConfig(5, 6, width=8, blocks=1, heads=2, cond=6)
    w, x0, xt, alpha = case(config, dtype)
    loss, g = network.loss_and_grad(
        w, xt, alpha, 2, lambda logits: nelbo_grad(logits, x0, xt, alpha, -1.0)
    )
    log_p = network.log_probs(w, xt, alpha, 2)
    assert {loss.dtype, log_p.dtype, *(d.dtype for d in g.values())} == {np.dtype(dtype)}
    np.testing.assert_allclose(np.exp(log_p).sum(axis=-1), 1, rtol=5 * 2 * np.finfo(dtype).eps)


def test_features_are_cosines_then_sines_of_minus_log_alpha():
    features = network.features(np.array([1.0, math.exp(-1.0), 0.0]), np.float64)
    np.testing.assert_array_equal(features[0], [1.0] * 128 + [0.0] * 128)
    assert features[1, 0] == pytest.approx(math.cos(1))
    assert features[1, 128 + 64] == pytest.approx(math.sin(10_000**-0.5))
    assert np.isfinite(features).all()


def test_it_needs_numpy_and_scipy_only():
    tree = ast.parse((ROOT / "minuddm" / "network.py").read_text())
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert {name.split(".")[0] for name in names} == {
        "collections", "math", "numpy", "scipy", "typing"
    }  # fmt: skip
