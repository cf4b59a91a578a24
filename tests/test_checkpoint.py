"""Checkpoints: they give back what was written, and refuse what does not belong to a run."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minuddm import load_about
from minuddm.checkpoint import checkpoint_metadata, load_model
from minuddm.files import reserved
from minuddm.schedule import Linear
from minuddm.train import train
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig
from tests.test_process import HURRIED
from tests.test_train import CONFIG, SIZE, TOKENS, fresh, run

FORMER = Path(__file__).parent / "data" / "checkpoint-1.safetensors"
"""Written by an earlier state of this code, after 5 of 12 steps; rates always fell then."""
OF_FORMER = replace(CONFIG, anneal=True)


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
        (replace(CONFIG, lr=0.02), "lr is 0.01 there and 0.02 here"),
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
    whole = train(fresh(size), TOKENS, OF_FORMER)
    resumed = train(fresh(size), TOKENS, OF_FORMER, checkpoint=path, about={"alphabet": "abcde"})
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


# ---- nothing on disk is believed unread ----------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "run.safetensors"
    run(checkpoint=path, about={"alphabet": "abcde"})
    return path


def refused(path, message):
    """Whoever reads the file gets one line; nobody gets numbers."""
    for call in (
        lambda: checkpoint_metadata(path),
        lambda: load_model(path),
        lambda: run(checkpoint=path, about={"alphabet": "abcde"}),
    ):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


def test_no_single_flipped_bit_goes_unnoticed(written, tmp_path):
    """Where it is noticed depends on where it falls; a space of the header's padding may be one."""
    content, path = written.read_bytes(), tmp_path / "run.safetensors"
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.integers(header, size=60), rng.integers(len(content), size=60)])
    for place in places.tolist():
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        refused(path, "damaged|not a checkpoint|holds")


def test_bytes_of_any_kind_are_refused_in_one_line(written, tmp_path):
    content, path = written.read_bytes(), tmp_path / "run.safetensors"
    rng = np.random.default_rng(1)
    for _ in range(40):
        start, stop = np.sort(rng.integers(len(content), size=2)).tolist()
        noise = rng.bytes(stop - start)
        for mutated in (
            content[:start] + noise + content[stop:],
            content[:start] + content[stop:],
            content[:stop] + content[start:],
            noise,
        ):
            if mutated != content:
                path.write_bytes(mutated)
                refused(path, "damaged|not a checkpoint|holds")


def rewritten(path, header=None, **tensors):
    """A file of format 1, which has no digest, with some of its contents replaced."""
    said = checkpoint_metadata(FORMER) | (header or {})
    found = load_file(FORMER) | tensors
    save_file({name: t for name, t in found.items() if t is not None}, path, metadata=said)
    return path


SIZE_OF_FORMER = replace(SIZE, cond=2)
SOME = "moment2/blocks.0.norm1.gain"


@pytest.mark.parametrize(
    ("header", "tensors", "message"),
    [
        ({"step": "13"}, {}, "damaged: step '13' of 12"),
        ({"step": "1000000"}, {}, "damaged: step"),
        ({"step": "-1"}, {}, "damaged: step"),
        ({"step": "five"}, {}, "damaged: step"),
        ({"step": "٥"}, {}, "damaged: step"),
        ({"training": "[1]"}, {}, "damaged: its training cannot be read"),
        ({"training": "[" * 100_000}, {}, "damaged: its training cannot be read"),
        ({"model": "{"}, {}, "damaged: its model cannot be read"),
        ({}, {"losses": np.zeros(3)}, "losses of 12 steps"),
        ({}, {"losses": None}, "losses of 12 steps"),
        ({}, {"losses": np.full(12, np.nan)}, "no run has such losses"),
        ({}, {SOME: np.full(8, -1, np.float32)}, "no run has such losses or second moments"),
        ({}, {SOME: np.full(8, np.inf, np.float32)}, "its moment2 are not finite"),
        ({}, {SOME: np.zeros(8)}, "the dtypes of its moment2 differ"),
        ({}, {SOME: np.zeros(9, np.float32)}, "lacks tensors of its own configuration"),
        ({}, {SOME: None}, "lacks tensors of its own configuration"),
        ({}, {SOME: np.zeros(8, np.float16)}, "holds F16; checkpoints hold F32 or F64"),
        ({}, {SOME: np.zeros(8, np.int64)}, "holds I64; checkpoints hold F32 or F64"),
    ],
)
def test_a_run_is_not_resumed_from_what_it_cannot_have_written(tmp_path, header, tensors, message):
    path = rewritten(tmp_path / "run.safetensors", header, **tensors)
    model = fresh(SIZE_OF_FORMER)
    before = model.weights.flat.copy()
    with pytest.raises(ValueError, match=message):
        train(model, TOKENS, OF_FORMER, checkpoint=path, about={"alphabet": "abcde"})
    np.testing.assert_array_equal(model.weights.flat, before)


def test_a_network_larger_than_its_file_is_not_built(tmp_path):
    """184 bytes that promise a thousand million blocks."""
    model = json.dumps({"vocab": 5, "length": 6, "width": 8, "blocks": 10**9, "heads": 2})
    path = tmp_path / "huge.safetensors"
    save_file({"x": np.zeros(1)}, path, metadata={"format": "minuddm-checkpoint-1", "model": model})
    with pytest.raises(ValueError, match="lacks tensors of its own configuration"):
        load_model(path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Transformer.init(ModelConfig(5, 6, 8, 10**9, 2), np.random.default_rng(0)), "GiB"),
        (lambda: Transformer.init(ModelConfig(5, 6, 2**40, 1, 2), np.random.default_rng(0)), "GiB"),
        (lambda: run(replace(CONFIG, steps=10**12)), r"for 1,000,000,000,000 steps .* GiB"),
    ],
)
def test_what_no_memory_holds_is_refused_with_its_size(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_numbers_counted_by_numpy_are_numbers(tmp_path):
    """A vocabulary is often max + 1 of an array; the header says the same as for an int."""
    path, size = tmp_path / "run.safetensors", replace(SIZE, vocab=TOKENS.max() + np.int64(1))
    config = replace(CONFIG, steps=np.int64(12), seed=np.uint8(3))
    train(fresh(size), TOKENS, config, checkpoint=path)
    run(checkpoint=path)
    assert load_model(path).config == SIZE


def test_a_second_run_of_a_checkpoint_is_refused_while_the_first_is_at_it(tmp_path):
    path = tmp_path / "run.safetensors"
    with reserved(path), pytest.raises(ValueError, match=r"another run is writing .*run\.safetens"):
        run(checkpoint=path)
    run(checkpoint=path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_folder_that_cannot_be_written_is_known_before_the_first_step(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="folder of the checkpoint"):
        run(checkpoint=path / "run.safetensors")
    with pytest.raises(ValueError, match="damaged or not a checkpoint"):
        run(checkpoint=tmp_path)
