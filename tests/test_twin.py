"""The hand-written network and the same network in PyTorch are one: values and every gradient."""

import numpy as np
import pytest

from minuddm import ModelConfig, Transformer
from minuddm.transition import bridge

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `bench`)")
from experiments.bench.twin import Restoring, Training, Twin  # noqa: E402

CONFIG = ModelConfig(vocab=11, length=12, width=32, blocks=2, heads=4, cond=24)


def both(dtype):
    """The same network twice, every tensor away from zero, and a batch."""
    rng = np.random.default_rng(0)
    ours = Transformer.init(CONFIG, rng, dtype)
    ours.weights.flat += (0.1 * rng.normal(size=ours.weights.flat.size)).astype(dtype)
    theirs = Twin(CONFIG, getattr(torch, np.dtype(dtype).name)).take(ours.weights)
    x0 = rng.integers(CONFIG.vocab, size=(8, CONFIG.length))
    xt = np.where(rng.random(x0.shape) < 0.5, x0, rng.integers(CONFIG.vocab, size=x0.shape))
    return ours, theirs, x0, xt, rng.uniform(0.1, 0.9, 8).astype(dtype)


def distance(one, other):
    """Of two arrays, relative to the norm."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.parametrize(("dtype", "allowed"), [(np.float32, 2e-5), (np.float64, 1e-10)])
def test_logits_loss_and_every_gradient_agree(dtype, allowed):
    ours, theirs, x0, xt, alpha = both(dtype)
    tensors = [torch.from_numpy(x) for x in (x0, xt, alpha, -np.ones_like(alpha))]
    log_p = theirs(tensors[1], tensors[2]).log_softmax(dim=2)
    assert distance(ours(xt, alpha), log_p.detach().numpy()) < allowed

    loss, gradient = ours.loss_and_grad(x0, xt, alpha, -1.0, shards=2)
    wanted = theirs.bound(*tensors)
    wanted.backward()
    assert loss == pytest.approx(float(wanted.detach()), rel=allowed)
    named = theirs.named()
    assert named.keys() == gradient.keys()
    far = {name: distance(gradient[name], named[name].grad.numpy()) for name in gradient}
    assert max(far.values()) < allowed, far


def test_the_twin_refuses_the_weights_of_another_network():
    with pytest.raises(ValueError, match=r"tensors differ: \['blocks.2"):
        Twin(CONFIG).take(
            Transformer.init(
                ModelConfig(vocab=11, length=12, width=32, blocks=3, heads=4, cond=24),
                np.random.default_rng(0),
            ).weights
        )


def test_the_twin_learns():
    pattern = np.arange(CONFIG.length, dtype=np.int32)[None] % CONFIG.vocab
    torch.manual_seed(0)
    training = Training(Twin(CONFIG), pattern, 16, compiled=False)
    losses = [training.step() for _ in range(400)]
    assert np.mean(losses[-50:]) < 0.5 * np.mean(losses[:50])


def test_a_step_of_the_twins_chain_is_the_bridge():
    """Equally spaced uniforms turn the draw into its law, up to one of them at each of V edges."""
    ours, theirs, _, xt, _ = both(np.float32)
    one, n = xt[:1].astype(np.int32), 2000
    a_s, a_t = 0.6, 0.4
    u = torch.linspace(0.5 / n, 1 - 0.5 / n, n)[:, None].expand(n, CONFIG.length)
    step = Restoring(theirs, compiled=False).one
    many = torch.from_numpy(np.repeat(one, n, axis=0).astype(np.int64))
    with torch.inference_mode():
        drawn = step(many, u, torch.tensor(a_s), torch.tensor(a_t)).numpy()
    share = (drawn[..., None] == np.arange(CONFIG.vocab)).mean(axis=0)
    wanted = bridge(one, np.exp(ours(one, a_t)), a_s, a_t)[0]
    np.testing.assert_allclose(share, wanted, atol=1.5 / n)
    out = Restoring(theirs, compiled=False).restore(one, 4)
    assert out.shape == one.shape
    assert (out >= 0).all() and (out < CONFIG.vocab).all()
