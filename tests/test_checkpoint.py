"""Checkpoints: they give back what was written, and refuse what does not belong to a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minuddm import load_about
from minuddm.checkpoint import checkpoint_metadata, load_model
from minuddm.schedule import Linear
from minuddm.train import train
from minuddm.weights import ModelConfig
from tests.test_process import HURRIED
from tests.test_train import CONFIG, SIZE, TOKENS, fresh, run

FORMER = Path(__file__).parent / "data" / "checkpoint-1.safetensors"
"""Written by an earlier state of this code, after 5 of 12 steps."""


def test_a_checkpoint_gives_back_the_average_or_the_last_weights(tmp_path):
    path = tmp_path / "run.safetensors"
    trained = run(checkpoint=path, about={"alphabet": "abcde"})
    for average, network in ((True, trained.average), (False, trained.model)):
        loaded = load_model(path, average=average)
        assert loaded.config == SIZE
        np.testing.assert_array_equal(loaded.weights.flat, network.weights.flat)
    assert checkpoint_metadata(path)["alphabet"] == "abcde"
    assert checkpoint_metadata(str(path))["step"] == "12"
    with pytest.raises(ValueError, match="another alphabet"):
        run(checkpoint=path, about={"alphabet": "edcba"})


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path, keep):
    path = tmp_path / "run.safetensors"
    run(checkpoint=path)
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    for call in (lambda: run(checkpoint=path), lambda: load_model(path)):
        with pytest.raises(ValueError, match="damaged or not a checkpoint") as error:
            call()
        assert "\n" not in str(error.value)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a checkpoint of minuddm"):
        load_model(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(CONFIG, steps=13), "steps is 12 there and 13 here"),
        (replace(CONFIG, schedule=Linear()), "schedule is LogLinear"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, config, message):
    path = tmp_path / "run.safetensors"
    run(checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        run(config, checkpoint=path)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_network_dtype_or_data_set_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    run(checkpoint=path)
    with pytest.raises(ValueError, match="width is 8 there and 16 here"):
        train(fresh(replace(SIZE, width=16)), TOKENS, CONFIG, checkpoint=path)
    with pytest.raises(ValueError, match="holds float32, not float64"):
        train(fresh(dtype=np.float64), TOKENS, CONFIG, checkpoint=path)
    with pytest.raises(ValueError, match="other sequences"):
        train(fresh(), TOKENS[:2], CONFIG, checkpoint=path)


def test_a_checkpoint_without_its_network_is_refused(tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({"x": np.zeros(3)}, path, metadata={"format": "minuddm-checkpoint-1"})
    with pytest.raises(ValueError, match="does not describe its network"):
        load_model(path)
    with pytest.raises(ValueError, match="another configuration"):
        run(checkpoint=path)


def test_a_checkpoint_written_before_processes_had_names_loads_and_resumes(tmp_path):
    size, path = replace(SIZE, cond=2), tmp_path / "run.safetensors"
    assert load_model(FORMER).config == size
    assert checkpoint_metadata(FORMER)["step"] == "5"
    assert load_about(FORMER)["alphabet"] == "abcde"
    path.write_bytes(FORMER.read_bytes())
    whole = train(fresh(size), TOKENS, CONFIG)
    resumed = train(fresh(size), TOKENS, CONFIG, checkpoint=path, about={"alphabet": "abcde"})
    assert (resumed.losses[:5] > 0).all()
    # another processor may have written it: float32, twelve steps
    np.testing.assert_allclose(resumed.losses, whole.losses, rtol=1e-4)
    np.testing.assert_allclose(
        resumed.average.weights.flat, whole.average.weights.flat, rtol=1e-3, atol=1e-5
    )


def test_only_a_process_that_is_not_uniform_is_named(tmp_path):
    size, x = ModelConfig(3, 4, 8, 1, 2, cond=8), TOKENS[:, :4] % 3
    plain, other = tmp_path / "plain.safetensors", tmp_path / "other.safetensors"
    for path, process in ((plain, None), (other, HURRIED)):
        train(fresh(size), x, CONFIG, process=process, checkpoint=path)
    assert "process" not in checkpoint_metadata(plain)
    assert checkpoint_metadata(other)["process"] == "Hurried(V=3)"
    for path, process in ((plain, HURRIED), (other, None)):
        with pytest.raises(ValueError, match="another process"):
            train(fresh(size), x, CONFIG, process=process, checkpoint=path)
