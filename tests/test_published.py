"""Networks that others have trained answer here as they did there."""

import json
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import log_softmax

from minuddm import Absorbing, network
from minuddm.published import load_published
from tests.published import (
    CHECKPOINT,
    HUB,
    SAME,
    edited,
    entries,
    expected,
    hub,
    logits,
    pack,
    renamed,
    settings,
)

# ---- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [HUB, HUB / "model.safetensors", str(HUB)])
def test_a_network_of_the_hub_answers_as_it_did(path):
    tokens, alpha, right = expected("duo-hf")
    loaded = load_published(path)
    assert np.abs(logits(loaded, tokens, alpha) - right).max() < SAME
    assert np.abs(loaded(tokens, alpha) - log_softmax(right, axis=-1)).max() < SAME


@pytest.mark.parametrize(("average", "name"), [(False, "logits_raw"), (True, "logits_ema")])
def test_a_checkpoint_of_lightning_answers_as_it_did(average, name):
    tokens, alpha, right = expected("lightning", name)
    loaded = load_published(CHECKPOINT, average=average)
    assert np.abs(logits(loaded, tokens, alpha) - right).max() < SAME
    assert np.abs(loaded(tokens, alpha) - log_softmax(right, axis=-1)).max() < SAME


def test_names_may_begin_with_backbone_or_not(tmp_path):
    table = load_file(HUB / "model.safetensors")
    bare = {name.removeprefix("backbone."): tensor for name, tensor in table.items()}
    loaded = load_published(hub(tmp_path, dict.fromkeys(table) | bare))
    np.testing.assert_array_equal(loaded.weights.flat, load_published(HUB).weights.flat)


def test_the_length_is_that_of_the_configuration_or_the_one_given(tmp_path):
    assert load_published(HUB).config.length == 12
    assert load_published(HUB, length=7).config.length == 7
    assert load_published(hub(tmp_path, model_length=None), length=3).config.length == 3
    tokens, alpha, _ = expected("duo-hf")
    loaded = load_published(HUB, length=5)
    right = network.log_probs(loaded.weights, tokens[:, :5], alpha, 2)
    np.testing.assert_allclose(loaded(tokens[:, :5], alpha), right, atol=SAME)


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_narrow_numbers_are_widened_exactly(tmp_path, kind):
    """The file is written by hand, as NumPy has no bfloat16: the upper half of a float32."""
    header, data, wide = {}, b"", {}
    for name, tensor in load_file(HUB / "model.safetensors").items():
        bits = np.ascontiguousarray(tensor).view(np.uint32)
        half = tensor.astype(np.float16) if kind == "F16" else (bits >> 16).astype(np.uint16)
        wide[name] = half.astype(np.float32) if kind == "F16" else (bits >> 16 << 16).view("f")
        end = len(data) + half.nbytes
        header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": [len(data), end]}
        data += half.tobytes()
    wide["backbone.rotary_emb.inv_freq"] = 10_000 ** (-np.arange(4, dtype="f") / 4)
    right = load_published(hub(tmp_path, wide))
    said = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(said)) + said + data)
    np.testing.assert_array_equal(load_published(tmp_path).weights.flat, right.weights.flat)


def test_settings_of_the_repositories_before_duo_are_known_too(tmp_path):
    said = {"parameterization": "d3pm", "time_conditioning": True, "model": {"length": 9}}
    loaded = load_published(edited(tmp_path / "a.ckpt", settings(diffusion="uniform", **said)))
    assert loaded.config.length == 9
    np.testing.assert_array_equal(loaded.weights.flat, load_published(CHECKPOINT).weights.flat)
    said |= {"parameterization": "subs", "diffusion": "absorbing_state"}
    masked = load_published(edited(tmp_path / "b.ckpt", settings(**said)), mask=27)
    assert (masked.config.vocab, masked.config.states) == (27, 28)


def test_narrow_storages_of_lightning_are_widened_exactly(tmp_path):
    content = entries()
    for name, data in content.items():
        if name.startswith("archive/data/"):
            content[name] = (np.frombuffer(data, "<u4") >> 16).astype("<u2").tobytes()
    pickle = content["archive/data.pkl"]
    content["archive/data.pkl"] = pickle.replace(b"FloatStorage", b"BFloat16Storage")
    loaded = load_published(pack(tmp_path / "narrow.ckpt", content)).weights.flat
    whole = load_published(CHECKPOINT).weights.flat
    np.testing.assert_array_equal(loaded.view(np.uint32), whole.view(np.uint32) >> 16 << 16)


def test_what_is_not_asked_for_is_not_read(tmp_path):
    """Moments of Adam, twice the weights, cost nothing: here one of them is damaged."""
    data = bytearray(CHECKPOINT.read_bytes())
    with zipfile.ZipFile(CHECKPOINT) as archive:
        at = archive.getinfo("archive/data/35").header_offset + 5000
    data[at] ^= 255
    (tmp_path / "damaged.ckpt").write_bytes(data)
    assert zipfile.ZipFile(tmp_path / "damaged.ckpt").testzip() == "archive/data/35"
    loaded = load_published(tmp_path / "damaged.ckpt")
    np.testing.assert_array_equal(loaded.weights.flat, load_published(CHECKPOINT).weights.flat)


# ---- masked ones --------------------------------------------------------------------------------


def test_a_masked_network_answers_with_chances_of_what_is_not_masked(tmp_path):
    """The configuration alone tells; of the logits that of MASK is left out, as adding -∞ does."""
    tokens, alpha, right = expected("duo-hf")
    loaded = load_published(hub(tmp_path, model_type="mdlm", time_conditioning=True), mask=27)
    assert loaded.learnt(Absorbing(27)) == Absorbing(27)
    assert (tokens == 27).any()
    right = log_softmax(right[..., :27], axis=-1)
    assert np.abs(loaded(tokens, alpha) - right).max() < SAME


def test_a_masked_network_without_time_conditioning_reads_no_noise(tmp_path):
    tokens, alpha, _ = expected("duo-hf")
    loaded = load_published(hub(tmp_path, model_type="mdlm", time_conditioning=False), mask=27)
    right = logits(load_published(HUB), tokens, np.ones(4))[..., :27]
    assert np.abs(loaded(tokens, alpha) - log_softmax(right, axis=-1)).max() < SAME


def test_a_masked_checkpoint_of_lightning_is_read_alike(tmp_path):
    path = edited(tmp_path / "masked.ckpt", lambda data: renamed("duo_base", "mdlm")(
        renamed("mean", "subs")(data)))  # fmt: skip
    tokens, alpha, right = expected("lightning", "logits_raw")
    right = log_softmax(right[..., :27], axis=-1)
    assert np.abs(load_published(path, mask=27)(tokens, alpha) - right).max() < SAME
