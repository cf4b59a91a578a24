"""Inside passes and updates subnormal numbers are zero; outside, and in other threads, not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minuddm import Transformer
from minuddm.adamw import adamw_step
from minuddm.machine.jit import jit_strict
from minuddm.machine.subnormals import FLUSHES, flushed
from minuddm.weights import ModelConfig

pytestmark = pytest.mark.skipif(  # other processors, and plain Python, keep them: `subnormals.py`
    not FLUSHES, reason="subnormal numbers stay: compiled code on x86-64 alone drops them"
)
LEAST = float(np.finfo(np.float32).smallest_normal)


@jit_strict
def product(x, y):
    """Return x y."""
    return x * y


def results():
    """Return a product that is subnormal, and one of a subnormal operand that is not."""
    half, two_127 = np.float32(0.5), np.float32(2.0**127)
    return float(product(np.float32(LEAST), half)), float(product(np.float32(LEAST / 2), two_127))


def test_they_are_zero_inside_and_only_there():
    kept, zero = (LEAST / 2, 1.0), (0.0, 0.0)
    with ThreadPoolExecutor(1) as pool:
        assert results() == pool.submit(results).result() == kept
        with flushed():
            assert results() == zero
            with flushed():
                assert results() == zero
            assert results() == zero
            assert pool.submit(results).result() == kept  # a thread begun here would inherit
        assert results() == pool.submit(results).result() == kept


def test_they_come_back_after_an_error():
    with pytest.raises(IndexError), flushed():
        raise IndexError
    assert results() == (LEAST / 2, 1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_pass_reads_them_as_zero_and_leaves_the_thread_as_it_was(dtype):
    """A logit is a large number times a weight: of subnormal weights all are 0, and all alike."""
    largest, least = (float(getattr(np.finfo(dtype), x)) for x in ("max", "smallest_normal"))
    network = Transformer.init(ModelConfig(5, 4, 8, 1, 2, 8), np.random.default_rng(0), dtype)
    w = network.weights.copy()
    w["final.norm.gain"][:] = largest / 100
    w["final.linear.weight"][:] = 0
    w["final.linear.weight"][:, 0] = least / 8 * np.arange(5)
    tokens, alpha = np.arange(8).reshape(2, 4) % 5, np.full(2, 0.5)
    here, defined = (
        Transformer(network.config, w, engine)(tokens, alpha) for engine in ("compiled", "numpy")
    )
    assert np.ptp(here) == 0
    assert np.ptp(defined) > 1e-3
    assert results() == (LEAST / 2, 1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_without_a_gradient_fade_to_zero(dtype):
    """Rounded to the nearest, 0.9 times the smallest number is the smallest number again."""
    w, average, m, v, g = np.zeros((5, 3), dtype)
    least = np.finfo(dtype).smallest_subnormal
    assert np.multiply(least, 0.9, dtype=dtype) == least
    m[:], v[:] = least * np.array([1, 1000, -1]), least
    adamw_step(
        w, average, m, v, g, 0.0, step=0, lr=1e-3, clip=1.0, beta1=0.9, beta2=0.95,
        weight_decay=0.0, decay=0.5,
    )  # fmt: skip
    for array in (w, average, m, v):
        np.testing.assert_array_equal(array, 0)
