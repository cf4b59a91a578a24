"""Masks where the process is handed in: memory, chain, probes, training; and where none can be."""

import pickle

import numpy as np
import pytest

from minuddm import Absorbing, DatasetIdeal, Linear, LogLinear, ModelConfig, Transformer, Uniform
from minuddm.denoiser import posterior, score_ratios
from minuddm.probes import conditional_entropy, fixed_points, held_out_nelbo, recovery
from minuddm.reverse import generate, restore
from minuddm.train import TrainConfig, train
from tests import oracle

RNG = np.random.default_rng(1)
PATTERNS = RNG.integers(5, size=(6, 8)).astype(np.int32)
PROCESS = Absorbing(5)
MEMORY = DatasetIdeal(PATTERNS, 5, PROCESS)
SIZE = ModelConfig(5, 8, 16, 1, 2, states=6)


def test_what_is_visible_is_certain_and_where_masked_posterior_and_leave_one_out_are_one():
    xt = np.where(RNG.random(PATTERNS.shape) < 0.5, 5, PATTERNS)
    log_p = MEMORY(xt, 0.5)
    after = posterior(log_p, xt, 0.5, PROCESS)
    np.testing.assert_allclose(after[xt == 5], log_p[xt == 5], atol=1e-14)
    np.testing.assert_array_equal(np.exp(after[xt < 5]), np.eye(5)[xt[xt < 5]])
    wanted = oracle.dataset_law(PATTERNS, 5).reshape((5,) * 8)
    for axis in range(8):  # p_t over (V + 1)^L, one kernel per position
        wanted = np.moveaxis(
            np.tensordot(wanted, PROCESS.kernel(0.5)[:5], axes=(axis, 0)), -1, axis
        )
    ratios = score_ratios(log_p[:1], xt[:1], 0.5, PROCESS)[0]
    for i in range(8):
        line = wanted[tuple(slice(None) if k == i else xt[0, k] for k in range(8))]
        np.testing.assert_allclose(ratios[i], line / line[xt[0, i]], rtol=1e-9)


def test_a_memory_restores_and_samples_what_it_stores():
    rng = np.random.default_rng(2)
    x = np.repeat(PATTERNS, 20, axis=0)
    xt = PROCESS.corrupt(x, 0.5, rng)
    back = restore(MEMORY, xt, 0.5, Linear(), 64, rng, process=PROCESS)
    found = recovery(x, xt, back)
    np.testing.assert_array_equal(back[xt < 5], x[xt < 5])
    assert np.nanmean(found.recovery) > 0.9
    assert fixed_points(MEMORY, PATTERNS, 0.5, Linear(), 8, PROCESS).all()
    drawn = generate(MEMORY, 50, 8, 5, LogLinear(), 256, rng, process=PROCESS)
    assert (drawn < 5).all()
    copies = (drawn[:, None] == PATTERNS).all(axis=2).any(axis=1)
    assert copies.mean() > 0.7


def test_a_denoiser_is_asked_for_visible_tokens_by_masking_them():
    """A network answers by its masked tokens alone: here, nonsense wherever a token is visible."""

    def of_masked(tokens, alpha):
        return np.where((tokens == 5)[..., None], MEMORY(tokens, alpha), -np.log(5))

    xt = np.where(RNG.random(PATTERNS.shape) < 0.3, 5, PATTERNS)
    found = PROCESS.leave_one_out(of_masked, xt, np.full(len(xt), 0.7))
    np.testing.assert_allclose(np.exp(found), np.exp(MEMORY(xt, 0.7)), atol=1e-12)
    entropies = conditional_entropy(of_masked, xt, 0.7, process=PROCESS)
    wanted = conditional_entropy(MEMORY, xt, 0.7, process=PROCESS)
    np.testing.assert_allclose(entropies.loo, wanted.loo, atol=1e-12)
    assert (entropies.posterior[xt < 5] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_held_out_bound_is_unbiased_wherever_the_schedule_ends(seed):
    """Of a perfect memory log P / L: five seeds at 5 standard errors, 3e-6 false alarms in all.

    A bound over α in [α_1, 1] instead of [0, 1] would be .20 nats a token too small.
    """
    x = np.repeat(PATTERNS, 50, axis=0)
    rng = np.random.default_rng([3, seed])
    bound = held_out_nelbo(MEMORY, x, 5, LogLinear(0.3), rng, draws=8, process=PROCESS)
    error = bound.std(ddof=1) / np.sqrt(len(x))
    assert error < 0.02
    assert abs(bound.mean() - np.log(6) / 8) < 5 * error


def test_training_learns_what_is_masked_and_a_run_goes_on_bit_for_bit(tmp_path):
    path, config = tmp_path / "run.safetensors", TrainConfig(steps=300, batch=16, lr=5e-3)

    def fresh():
        return Transformer.init(SIZE, np.random.default_rng(0))

    whole = train(fresh(), PATTERNS, config, process=PROCESS)
    assert whole.losses[-100:].mean() < 0.85 * np.log(5)

    def stop(step, network):
        raise KeyboardInterrupt

    again = {"process": PROCESS, "checkpoint": path, "every": 50}
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), PATTERNS, config, **again, probe=stop, probe_at=[120])
    resumed = train(fresh(), PATTERNS, config, **again)
    np.testing.assert_array_equal(resumed.losses, whole.losses)


def test_a_process_is_its_size_and_nothing_else():
    process = Absorbing(5)
    assert process == Absorbing(np.int64(5)) != Absorbing(6)
    assert process != Uniform(5)
    assert pickle.loads(pickle.dumps(process)) == process
    assert repr(process) == "Absorbing(V=5)"
    assert (process.V, process.states) == (5, 6)


X, NETWORK = PATTERNS[:1], Transformer.init(SIZE, np.random.default_rng(0), engine="numpy")
UNMASKED = Transformer.init(ModelConfig(5, 8, 16, 1, 2), np.random.default_rng(0), engine="numpy")
MASKED = np.full((1, 8), 5)
OF_SIX = np.zeros((1, 8, 6)) - np.log(6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PROCESS.corrupt(MASKED, 0.5, RNG), "x0 must lie in 0 … 4, got 5"),
        (lambda: PROCESS.change(MASKED, RNG), "x0 must lie in 0 … 4, got 5"),
        (lambda: PROCESS.marginal(MASKED, 0.5), "x0 must lie in 0 … 4, got 5"),
        (lambda: DatasetIdeal(MASKED, 5, PROCESS), "patterns must lie in 0 … 4, got 5"),
        (lambda: train(NETWORK, MASKED, TrainConfig(steps=1), process=PROCESS), "in 0 … 4, got 5"),
        (lambda: NETWORK.loss_and_grad(MASKED, X, 0.5, -1, process=PROCESS), "x0 must lie in"),
        (lambda: NETWORK(MASKED + 1, 0.5), "tokens must lie in 0 … 5, got 6"),
        (lambda: UNMASKED(MASKED, 0.5), "tokens must lie in 0 … 4, got 5"),
        (lambda: DatasetIdeal(X, 5)(MASKED, 0.5), "tokens must lie in 0 … 4, got 5"),
        (lambda: Uniform(5).nelbo(OF_SIX[..., :5], X, MASKED, 0.5, -1), "xt must lie in 0 … 4"),
        (lambda: restore(MEMORY, MASKED, 0.5, Linear(), 4, RNG), "xt must lie in 0 … 4, got 5"),
        (lambda: PROCESS.nelbo(OF_SIX, X, X, 0.5, -1), r"V = 5 values and never MASK.*\(1, 8, 6\)"),
        (lambda: PROCESS.bridge(MASKED, np.exp(OF_SIX), 0.9, 0.5), "never MASK"),
        (lambda: PROCESS.mode_of_bridge(MASKED, OF_SIX, 0.9, 0.5), "never MASK"),
        (lambda: PROCESS.bridge_quantile(MASKED, OF_SIX, 0.9, 0.5, MASKED * 0.0), "never MASK"),
        (lambda: PROCESS.propagate(np.ones(4), 0.5), r"V = 5 values, or with MASK 6, got .*\(4,\)"),
        (lambda: PROCESS.nelbo(OF_SIX[..., :5], X, X, 1.0, -1), r"needs alpha in \[0, 1\)"),
        (lambda: PROCESS.conditioned(0.1, 0.5), "and be the least alpha"),
        (lambda: train(UNMASKED, X, TrainConfig(steps=1), process=PROCESS), "states=6"),
        (lambda: train(NETWORK, X, TrainConfig(steps=1)), "shows 5 values, the network reads 6"),
        (lambda: ModelConfig(5, 8, states=4), "states must be at least 5, got 4"),
        (lambda: MEMORY(MASKED, np.ones((2, 8))), "one number per sequence"),
    ],
)  # fmt: skip
def test_a_mask_where_none_can_be_gets_one_clear_line(call, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        call()
    assert "\n" not in str(error.value)
