import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minuddm.train import TrainConfig, train
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig

SIZE = ModelConfig(vocab=5, length=6, width=8, blocks=1, heads=2, cond=8)
CONFIG = TrainConfig(steps=12, batch=6, lr=0.01, warmup=2, seed=3)
TOKENS = np.random.default_rng(0).integers(5, size=(4, 6))
ROOT = Path(__file__).parents[1]


def fresh(size=SIZE, dtype=np.float32):
    return Transformer.init(size, np.random.default_rng(1), dtype)


def run(config=CONFIG, **options):
    return train(fresh(), TOKENS, config, **options)


def same(one, two):
    np.testing.assert_array_equal(one.model.weights.flat, two.model.weights.flat)
    np.testing.assert_array_equal(one.average.weights.flat, two.average.weights.flat)
    np.testing.assert_array_equal(one.losses, two.losses)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    same(run(), run())
    assert (run().losses != run(replace(CONFIG, seed=4)).losses).any()


def test_threads_change_no_bit():
    same(run(), run(threads=2))


def test_a_probe_sees_the_average_after_its_steps_and_changes_no_bit():
    seen = {}

    def probe(step, network):
        seen[step] = network.weights.flat.copy()

    probed = run(probe=probe, probe_at=(1, 7, CONFIG.steps, CONFIG.steps + 5))
    assert list(seen) == [1, 7, CONFIG.steps]
    same(probed, run())
    np.testing.assert_array_equal(seen[CONFIG.steps], probed.average.weights.flat)
    assert (seen[1] != seen[7]).any()


def test_a_run_goes_on_when_more_steps_are_asked_for(tmp_path):
    path = tmp_path / "run.safetensors"
    whole = run()
    run(replace(CONFIG, steps=5), checkpoint=path)
    same(run(checkpoint=path), whole)
    same(run(checkpoint=path), whole)  # there is nothing left to do
    with pytest.raises(ValueError, match="has gone further: 12 steps there, 5 asked for"):
        run(replace(CONFIG, steps=5), checkpoint=path)


def test_a_probe_may_end_the_run(tmp_path):
    path = tmp_path / "run.safetensors"
    ended = run(checkpoint=path, probe=lambda step, _: step == 7, probe_at=(3, 7, 9))
    same(ended, run(replace(CONFIG, steps=7)))
    same(run(checkpoint=path), run())  # and it goes on from where it ended


def test_every_step_is_watched_and_a_watch_may_end_the_run_which_goes_on_to_the_same_bits(tmp_path):
    path, seen = tmp_path / "run.safetensors", []

    def watch(step, loss):
        seen.append((step, loss))
        return step == 3 and len(seen) == 3

    assert len(run(checkpoint=path, watch=watch).losses) == 3
    whole = run(checkpoint=path, watch=watch)
    same(whole, run())
    assert seen == list(enumerate(whole.losses, 1))


def test_an_annealed_run_has_an_end(tmp_path):
    path, config = tmp_path / "run.safetensors", replace(CONFIG, anneal=True)
    run(config, checkpoint=path)
    with pytest.raises(ValueError, match="steps is 12 there and 13 here"):
        run(replace(config, steps=13), checkpoint=path)
    assert (run(config).losses[1:] != run().losses[1:]).all()


def test_training_remembers_a_few_sequences():
    model = fresh(replace(SIZE, width=32, cond=32))
    trained = train(model, TOKENS, replace(CONFIG, steps=600, batch=32, lr=3e-3, anneal=True))
    p = np.exp(trained.average(TOKENS, 1 - 1e-5))
    assert np.take_along_axis(p, TOKENS[..., None], -1).mean() > 0.8  # chance: 0.2
    # four different sequences cost log 4 / 6 = 0.23 nats per token to tell apart, ignorance log 5
    assert trained.losses[-100:].mean() < 0.5 * math.log(5)


def test_the_first_loss_is_that_of_knowing_nothing():
    """A fresh network is uniform, whose bound is log V for every law, up to its ends."""
    losses = [
        train(fresh(), TOKENS, replace(CONFIG, steps=1, batch=256, seed=seed)).losses[0]
        for seed in range(20)
    ]
    error = np.std(losses) / math.sqrt(len(losses))
    assert abs(np.mean(losses) - math.log(5)) < 4 * error + 1e-3  # the prior's 1e-3


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path):
    path = tmp_path / "run.safetensors"
    whole = run()

    model, seen = fresh(), []
    original = model.loss_and_grad

    def until_seven(*args, **options):
        seen.append(0)
        if len(seen) > 7:
            raise KeyboardInterrupt
        return original(*args, **options)

    model.loss_and_grad = until_seven
    with pytest.raises(KeyboardInterrupt):
        train(model, TOKENS, CONFIG, checkpoint=path, every=5)
    resumed = run(checkpoint=path, every=5)
    same(whole, resumed)
    same(whole, run(checkpoint=path))  # a finished run is read, not repeated


def test_a_run_killed_at_any_moment_resumes_to_the_same_bits(tmp_path):
    path = tmp_path / "run.safetensors"
    config = replace(CONFIG, steps=3000)
    program = (
        "from tests.test_train import *\n"
        "train(fresh(), TOKENS, replace(CONFIG, steps=3000), "
        f"checkpoint=Path({str(path)!r}), every=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # killed, not finished
    same(run(config), run(config, checkpoint=path, every=1000))


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step():
    model, seen = fresh(), []
    original = model.loss_and_grad

    def until_four(*args, **options):
        seen.append(0)
        loss, gradient = original(*args, **options)
        return (math.nan if len(seen) == 5 else loss), gradient

    model.loss_and_grad = until_four
    with pytest.raises(FloatingPointError, match=r"the loss is nan .* at step 4"):
        train(model, TOKENS, CONFIG)


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_reaches_the_weights():
    model = fresh()
    original = model.loss_and_grad

    def poisoned(*args, **options):
        loss, gradient = original(*args, **options)
        gradient.flat[3] = math.inf
        return loss, gradient

    model.loss_and_grad = poisoned
    with pytest.raises(FloatingPointError, match="norm inf at step 0"):
        train(model, TOKENS, CONFIG)
    assert np.isfinite(model.weights.flat).all()


def test_dropout_is_reproducible_too():
    size = replace(SIZE, dropout=0.2)
    one, two = (train(fresh(size), TOKENS, CONFIG, threads=k) for k in (1, 2))
    same(one, two)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"lr": -1.0}, "lr must be positive and finite, got -1.0"),
        ({"lr": math.inf}, "lr"),
        ({"average": 1.0}, r"average must lie in \[0, 1\)"),
        ({"t_min": 0.0}, "t_min must be positive"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"weight_decay": -0.1}, "weight_decay"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"checkpoint": "no/such/folder/run.safetensors"}, "folder of the checkpoint .* not exist"),
        ({"about": {"n": 3}}, "about must map names to strings"),
    ],
)
def test_unusable_options_are_refused_before_the_first_step(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(**options)


def test_training_needs_sequences():
    with pytest.raises(ValueError, match="at least one sequence"):
        train(fresh(), TOKENS[:0], CONFIG)
