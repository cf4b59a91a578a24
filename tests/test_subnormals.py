"""Inside a pass subnormal numbers are zero; around it, and in other threads, they are not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minuddm import Transformer
from minuddm.machine.jit import COMPILES, jit_strict
from minuddm.machine.subnormals import X86, flushed
from minuddm.weights import ModelConfig

pytestmark = pytest.mark.skipif(not (COMPILES and X86), reason="subnormal numbers stay here")
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
