import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minuddm.machine import passes
from minuddm.machine.arrays import _TENSORS, Conditioning, Tensors, Tile, sequences_of_tile
from minuddm.machine.attention import padded
from minuddm.nelbo import nelbo_grad
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig, Weights, initialise, shapes
from tests.gradient import worst_error

CONFIG = ModelConfig(vocab=7, length=5, width=16, blocks=2, heads=2, cond=12)


def network(dtype=np.float64, config=CONFIG):
    """A network with every tensor away from zero, so that no gradient vanishes by construction."""
    rng = np.random.default_rng(0)
    model = Transformer.init(config, rng, dtype)
    model.weights.flat += rng.normal(size=model.weights.flat.size) * 0.3
    return model


def batch(B=6, config=CONFIG):
    rng = np.random.default_rng(1)
    shape = (B, config.length)
    x0 = rng.integers(config.vocab, size=shape)
    xt = np.where(rng.random(shape) < 0.5, x0, rng.integers(config.vocab, size=shape))
    return x0, xt, rng.uniform(0.05, 0.95, B)


@pytest.mark.parametrize("blocks", [1, 3])
def test_every_tensor_has_its_gradient(blocks):
    config = ModelConfig(vocab=7, length=5, width=16, blocks=blocks, heads=2, cond=12)
    model, (x0, xt, alpha) = network(config=config), batch()
    gradient = model.loss_and_grad(x0, xt, alpha, -1.0, shards=2)[1].copy()
    error = worst_error(
        lambda: model.loss_and_grad(x0, xt, alpha, -1.0)[0],
        model.weights,
        gradient,
        np.random.default_rng(2),
    )
    assert set(error) == set(shapes(config))
    assert max(error.values()) < 1e-6, error


def test_the_loss_is_the_mean_bound_and_the_bias_hears_of_every_token():
    config = ModelConfig(vocab=50, length=9, width=16, blocks=1, heads=2, cond=12)
    model, (x0, xt, alpha) = network(config=config), batch(5, config)
    loss, gradient = model.loss_and_grad(x0, xt, alpha, -1.0)
    rates, slopes = nelbo_grad(model(xt, alpha), x0, xt, alpha, -1.0)
    assert loss == pytest.approx(rates.mean(), rel=1e-12)
    bias = gradient["final.linear.bias"]
    np.testing.assert_allclose(bias, slopes.sum((0, 1)) / xt.size, rtol=1e-9, atol=1e-14)


def test_dropout_has_its_gradient_and_leaves_the_denoiser_alone():
    config = ModelConfig(vocab=7, length=5, width=16, blocks=1, heads=2, cond=12, dropout=0.4)
    model, (x0, xt, alpha) = network(config=config), batch()

    def loss():
        return model.loss_and_grad(x0, xt, alpha, -1.0, rng=np.random.default_rng(3))[0]

    loss()
    gradient = model.engine._gradients[0][0].copy()
    error = worst_error(loss, model.weights, gradient, np.random.default_rng(4))
    assert max(error.values()) < 1e-6, error
    np.testing.assert_array_equal(model(xt, alpha), model(xt, alpha))
    with pytest.raises(ValueError, match="dropout needs rng"):
        model.loss_and_grad(x0, xt, alpha, -1.0)


def test_a_fresh_network_knows_nothing():
    model, (_, xt, alpha) = Transformer.init(CONFIG, np.random.default_rng(0)), batch()
    np.testing.assert_allclose(model(xt, alpha), -np.log(7), rtol=1e-6)


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_threads_change_no_bit(shards):
    model, (x0, xt, alpha) = network(np.float32), batch(13)
    loss, gradient = model.loss_and_grad(x0, xt, alpha, -1.0, shards=shards)
    alone = gradient.flat.copy()
    with ThreadPoolExecutor(3) as pool:
        again, gradient = model.loss_and_grad(x0, xt, alpha, -1.0, shards=shards, pool=pool)
    assert loss == again
    np.testing.assert_array_equal(alone, gradient.flat)


def test_shards_change_rounding_only():
    model, (x0, xt, alpha) = network(), batch(7)
    one = model.loss_and_grad(x0, xt, alpha, -1.0)[1].flat.copy()
    three = model.loss_and_grad(x0, xt, alpha, -1.0, shards=3)[1].flat
    np.testing.assert_allclose(three, one, rtol=1e-9, atol=1e-12)


def test_a_long_batch_is_computed_in_chunks_to_the_same_answer():
    model, (_, xt, alpha) = network(), batch(150)
    whole = model(xt, alpha)
    np.testing.assert_allclose(whole[100:103], model(xt[100:103], alpha[100:103]), atol=1e-12)


def test_one_noise_level_for_all_is_that_level_for_each():
    model, (_, xt, alpha) = network(), batch()
    mixed = np.append(alpha[:1], alpha)
    for k, a in enumerate(alpha):
        together = model(xt, a)
        apart = model(np.append(xt[k : k + 1], xt, axis=0), np.append(a, mixed[1:]))
        alone = model(xt[k : k + 1], a)  # fewer tokens than values: without the first table
        np.testing.assert_allclose(together[k], apart[0], atol=1e-12)
        np.testing.assert_allclose(together[k], alone[0], atol=1e-12)


@pytest.mark.parametrize(
    ("vocab", "length", "width", "blocks", "heads"),
    [(28, 32, 64, 2, 4), (28, 32, 128, 4, 4), (28, 64, 256, 8, 8), (8192, 64, 128, 4, 4)],
)
def test_a_tile_holds_little_more_than_its_backward_pass_reads(vocab, length, width, blocks, heads):
    config = ModelConfig(vocab, length, width, blocks, heads)
    held = sum(array.nbytes for array in Tile.new(config, np.dtype(np.float32), keep=True))
    N, scores = sequences_of_tile(config) * length, heads * padded(length)
    needed = 4 * N * (blocks * (18 * width + scores) + 2 * width + vocab)
    assert needed < held < 1.1 * needed


def test_no_step_allocates_what_another_keeps():
    model, (x0, xt, alpha) = network(np.float32), batch(4)
    tile, conditioning = model.engine._tile, model.engine._conditioning
    with tile(True), tile(True), conditioning(2, True), conditioning(2, True):
        pass  # what two shards at a time need, whether or not they ever meet below
    with ThreadPoolExecutor(2) as pool:

        def steps(count):
            for _ in range(count):
                model.loss_and_grad(x0, xt, alpha, -1.0, shards=2, pool=pool)
                model(xt, alpha)

        steps(5000)  # Python's lists of free small objects, 2,000 of a kind at most, are full now
        tracemalloc.start()
        try:
            held = []
            for _ in range(4):
                steps(100)
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert np.diff(held).min() < 100 * 64  # not a number a step


def test_a_position_sees_all_others_in_both_directions():
    model, (_, xt, alpha) = network(), batch(1)
    base = model(xt, alpha)
    for i in (0, CONFIG.length - 1):
        changed = xt.copy()
        changed[0, i] = (changed[0, i] + 1) % 7
        moved = np.abs(model(changed, alpha) - base).max(axis=-1)[0]
        assert (np.delete(moved, i) > 1e-6).all()


def test_pure_noise_is_a_valid_input():
    model, (_, xt, _) = network(), batch()
    assert np.isfinite(model(xt, 0.0)).all()


def test_a_pickled_network_is_the_same_network():
    model, (_, xt, alpha) = network(np.float32), batch()
    model(xt, alpha)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(xt, alpha), model(xt, alpha))


def test_the_table_is_the_memory():
    weights = Weights(shapes(CONFIG), np.float64)
    weights["final.linear.bias"][:] = 3
    np.testing.assert_array_equal(weights.flat[-7:], 3)
    assert sum(v.size for v in weights.values()) == weights.flat.size
    views = Tensors.of(weights)
    assert sum(view.size for view in views) == weights.flat.size
    for field, name in _TENSORS.items():
        if name.startswith("blocks."):
            stack = getattr(views, field)
            assert len(stack) == CONFIG.blocks
            for k, tensor in enumerate(stack):
                own = weights[name.replace("blocks.0.", f"blocks.{k}.")]
                assert (tensor.ctypes.data, tensor.shape) == (own.ctypes.data, own.shape)


def test_all_modulations_are_one_linear():
    weights = Weights(shapes(CONFIG), np.float64)
    weights.flat[:] = np.arange(weights.flat.size)
    parts = ("blocks.0", "blocks.1", "final")
    views = Tensors.of(weights)
    for kind, whole in (("weight", views.modulation), ("bias", views.modulation_bias)):
        np.testing.assert_array_equal(
            whole, np.concatenate([weights[f"{part}.modulation.{kind}"] for part in parts])
        )
        assert np.shares_memory(whole, weights.flat)
    names = list(shapes(CONFIG))
    apart = Weights({name: shapes(CONFIG)[name] for name in [*names[1:], *names[:1]]})
    assert Tensors.of(apart).embedding is not None
    block = [name for name in names if name.startswith("blocks.0")]
    apart = Weights({name: shapes(CONFIG)[name] for name in dict.fromkeys([*block, *names])})
    with pytest.raises(ValueError, match=r"'modulation' are not neighbours"):
        Tensors.of(apart)


def test_read_only_arrays_need_no_machine_code_of_their_own():
    model, (x0, xt, alpha) = network(np.float32), batch()
    loss, log_p = model.loss_and_grad(x0, xt, alpha, -1.0)[0], model(xt, alpha)
    compiled = len(passes.loss_and_grad.signatures), len(passes.log_probs.signatures)
    for array in (x0, xt, flat := model.weights.flat.copy()):
        array.flags.writeable = False
    again = Transformer(CONFIG, Weights(shapes(CONFIG), flat=flat))
    assert again.loss_and_grad(x0, xt, alpha, -1.0)[0] == loss
    np.testing.assert_array_equal(again(xt, alpha), log_p)
    assert compiled == (
        len(passes.loss_and_grad.signatures), len(passes.log_probs.signatures)
    )  # fmt: skip


def test_threads_may_share_a_network():
    model, (_, xt, alpha) = network(np.float32), batch(130)
    alone = model(xt, alpha)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda _: model(xt, alpha), range(8)):
            np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab": 1}, "V must be at least 2"),
        ({"width": 15}, r"multiple of 2 \* heads = 4, got 15"),
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\)"),
        ({"length": 2.5}, "length must be an integer"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    good = {"vocab": 7, "length": 5, "width": 16, "heads": 2}
    with pytest.raises((ValueError, TypeError), match=message):
        ModelConfig(**(good | changes))


@pytest.mark.parametrize(
    ("tokens", "alpha", "message"),
    [
        ([[0, 1, 2]], 0.5, "length 5, got 3"),
        ([[0, 1, 2, 3, 7]], 0.5, "0 … 6, got 7"),
        ([[0, 1, 2, 3, 4]], 1.5, "alpha"),
        ([[0, 1, 2, 3, 4]], [0.5, 0.5], "one value per sequence"),
    ],
)
def test_bad_input_gets_one_clear_line(tokens, alpha, message):
    with pytest.raises(ValueError, match=message):
        network()(tokens, alpha)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_working_arrays_begin_with_a_line_of_the_cache(dtype):
    config, dtype = ModelConfig(28, 32, 64, 2, 4), np.dtype(dtype)
    weights = initialise(config, np.random.default_rng(0), dtype)
    arrays = {f"weights {name}": tensor for name, tensor in weights.items()}
    arrays |= {f"a copy's {name}": tensor for name, tensor in weights.copy().items()}
    arrays |= Tile.new(config, dtype, keep=True)._asdict()
    arrays |= Conditioning.new(config, dtype, 64, keep=True)._asdict()
    with Transformer(config, weights).engine._transposed() as wT:
        arrays |= {f"transposed {name}": array for name, array in wT._asdict().items()}
    assert {name: array.ctypes.data % 64 for name, array in arrays.items()} == dict.fromkeys(
        arrays, 0
    )
