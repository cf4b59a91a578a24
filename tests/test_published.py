"""Networks that others have trained: their logits, and all that is refused.

`data/published` holds random weights of one small size, written by the field's own classes, with
the logits that those classes computed in float32.
"""

import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.special import log_softmax

from minuddm import Absorbing, load_published, network
from tests.test_damage import mutated

DATA = Path(__file__).parent / "data" / "published"
HUB, CHECKPOINT = DATA / "duo-hf", DATA / "lightning" / "duo-base.ckpt"
SAME = 5e-6  # float32, the largest logit being 5
VAL = b"j\xf5\x03\x00\x00"  # how the checkpoint's pickle says `_val`, before the value of a setting


def expected(folder, name="logits"):
    with np.load(DATA / folder / "expected.npz") as file:
        return file["tokens"], file["alpha"], file[name]


def logits(loaded, tokens, alpha):
    return network.forward(loaded.weights, tokens, alpha, loaded.config.heads)[0]


def entries(path=CHECKPOINT):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def edited(path, change, compression=zipfile.ZIP_STORED):
    """The checkpoint with another pickle."""
    content = entries()
    content["archive/data.pkl"] = change(content["archive/data.pkl"])
    return pack(path, content, compression)


def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def renamed(old, new):
    """A change of a pickle: another text where one was."""

    def change(pickle):
        assert text(old) in pickle
        return pickle.replace(text(old), text(new))

    return change


def setting(name, value):
    """A change of a pickle: another value, an instruction of one byte, of a setting."""

    def change(pickle):
        at = pickle.index(VAL, pickle.index(text(name))) + len(VAL)
        assert pickle[at : at + 1] in (b"\x88", b"\x89")
        return pickle[:at] + value + pickle[at + 1 :]

    return change


def hub(folder, tensors=None, **settings):
    """The folder with some tensors and settings changed; None removes."""
    said = json.loads((HUB / "config.json").read_text()) | settings
    (folder / "config.json").write_text(
        json.dumps({k: v for k, v in said.items() if v is not None})
    )
    table = load_file(HUB / "model.safetensors") | (tensors or {})
    save_file({k: v for k, v in table.items() if v is not None}, folder / "model.safetensors")
    return folder


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


# ---- what is refused ----------------------------------------------------------------------------


def refused(path, message, **options):
    with pytest.raises(ValueError, match=message) as raised:
        load_published(path, **options)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


ROTARY, GAIN = "backbone.rotary_emb.inv_freq", "backbone.blocks.1.norm2.weight"


@pytest.mark.parametrize(
    ("tensors", "settings", "message"),
    [
        ({"backbone.cond_map.weight": np.ones((3, 12), np.float32)}, {}, "guidance"),
        ({}, {"cfg": True}, "guidance"),
        ({}, {"causal": True}, "causal"),
        ({}, {"time_conditioning": False}, "without time conditioning"),
        ({}, {"time_conditioning": "no"}, "true or false, not 'no'"),
        ({}, {"model_type": "mdlm", "time_conditioning": False}, "masked"),
        ({}, {"model_type": "sedd"}, "log-scores"),
        ({}, {"model_type": "bert"}, "family 'bert', and not absorbing_state, distillation, duo"),
        ({}, {"model_type": None}, "family None"),
        ({}, {"model_type": ["duo"]}, "family"),
        ({}, {"model_length": None}, "give length="),
        ({}, {"model_length": "12"}, "give length="),
        ({}, {"model_length": 0}, "length must be at least 1"),
        ({}, {"n_heads": 4}, "heads = 4, shapes 2"),
        ({}, {"vocab_size": 30522}, "vocab = 30522, shapes 28"),
        ({}, {"n_blocks": 3}, "blocks = 3, shapes 2"),
        ({GAIN: None}, {}, "lacks the tensor blocks.1.norm2.weight"),
        ({ROTARY: None}, {}, "lacks the tensor rotary_emb.inv_freq"),
        ({"backbone.teacher": np.ones(2)}, {}, "unknown tensor, 'teacher'"),
        ({"blocks.1.norm2.weight": np.ones(16)}, {}, "lacks the tensor vocab_embed"),
        ({GAIN: np.ones(15, np.float32)}, {}, r"norm2.weight has shape \(15,\), not \(16,\)"),
        ({GAIN: np.ones((16, 1), np.float32)}, {}, "not 1 axes"),
        ({GAIN: np.ones(16)}, {}, "norm2.weight holds F64"),
        ({GAIN: np.full(16, np.inf, np.float32)}, {}, "norm2.weight is not finite"),
        ({ROTARY: 500_000 ** (-np.arange(4) / 4)}, {}, "holds F64"),
        ({ROTARY: (5e5 ** (-np.arange(4) / 4)).astype("f")}, {}, "other frequencies"),
        ({ROTARY: np.ones(3, np.float32)}, {}, "do not divide a width of 16"),
        ({ROTARY: np.ones(0, np.float32)}, {}, "do not divide"),
    ],
)  # fmt: skip
def test_other_networks_of_the_hub_are_refused_by_name(tmp_path, tensors, settings, message):
    refused(hub(tmp_path, tensors, **settings), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed("duo_base", "mdlm"), "masked, and of another parameterization: 'mean'"),
        (renamed("duo_base", "sedd"), "log-scores"),
        (renamed("mean", "score"), "log-scores"),
        (renamed("mean", "noise"), "another parameterization: 'noise'"),
        (renamed("duo_base", "ar"), "causal"),
        (setting("causal_attention", b"\x88"), "causal"),
        (setting("time_conditioning", b"\x89"), "without time conditioning"),
        (renamed("duo_base", "a family"), "family 'a family'"),
        (renamed("duo_base", "${.name}"), "family None"),
        (renamed("hyper_parameters", "settings"), "family None"),
        (renamed("state_dict", "state"), "state_dict holds something else"),
        (renamed("backbone.rotary_emb.inv_freq", "backbone.cond_map.weight"), "guidance"),
        (renamed("backbone.blocks.1.norm1.weight", "x"), "lacks the tensor"),
        (lambda data: data.replace(b"FloatStorage", b"DoubleStorage"), "bytes, not"),
    ],
)
def test_other_checkpoints_of_lightning_are_refused_by_name(tmp_path, change, message):
    refused(edited(tmp_path / "other.ckpt", change), message)


def test_what_is_no_length_of_an_expression_must_be_given(tmp_path):
    path = edited(tmp_path / "other.ckpt", renamed("length", "long"))
    refused(path, "give length=")
    assert load_published(path, length=4).config.length == 4


def test_an_average_that_is_not_there_is_refused(tmp_path):
    refused(HUB, "no average beside it", average=True)
    path = edited(tmp_path / "other.ckpt", renamed("shadow_params", "parameters"))
    refused(path, "no average", average=True)
    refused(CHECKPOINT, "MASK", mask=27)
    refused(HUB, "MASK", mask=27)


def test_mask_must_be_the_last_token(tmp_path):
    refused(hub(tmp_path, model_type="mdlm", time_conditioning=False), "last token, 27", mask=3)
    with pytest.raises(TypeError, match="mask must be an integer"):
        load_published(HUB, mask="[MASK]")
    with pytest.raises(ValueError, match="length must be at least 1"):
        load_published(HUB, length=0)


def test_masked_networks_must_say_whether_time_conditions_them(tmp_path):
    refused(hub(tmp_path, model_type="mdlm"), "true or false, not None", mask=27)


def test_damaged_archives_are_refused(tmp_path):
    same = {"change": lambda data: data}
    refused(edited(tmp_path / "a.ckpt", **same, compression=zipfile.ZIP_DEFLATED), "compressed")
    whole = entries()
    for name, change in {
        "archive/data/7": whole["archive/data/7"][:-4],
        "archive/data/9": None,
        "archive/byteorder": b"big",
        "archive/data.pkl": None,
        "other/data.pkl": whole["archive/data.pkl"],
    }.items():
        content = {k: v for k, v in (whole | {name: change}).items() if v is not None}
        refused(pack(tmp_path / "b.ckpt", content), "entr|little-endian")
    (tmp_path / "c.ckpt").write_bytes(CHECKPOINT.read_bytes()[:-9])
    refused(tmp_path / "c.ckpt", "not a zip file")
    (tmp_path / "d.ckpt").write_bytes(b"")
    refused(tmp_path / "d.ckpt", "not a zip file")
    with pytest.raises(ValueError, match="does not exist"):
        load_published(tmp_path / "none.ckpt")


def test_a_folder_without_its_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config.json does not exist"):
        load_published(tmp_path)
    shutil.copy(HUB / "config.json", tmp_path)
    with pytest.raises(ValueError, match=r"model.safetensors does not exist"):
        load_published(tmp_path)
    (tmp_path / "model.safetensors").write_bytes((HUB / "model.safetensors").read_bytes()[:-1])
    refused(tmp_path, "is not read")
    hub(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    refused(tmp_path, "no JSON object")


# ---- fuzz ---------------------------------------------------------------------------------------


def outcome(path, folder, name):
    """Whether a file was refused, in a line; otherwise its logits must be the right ones."""
    tokens, alpha, right = expected(folder, name)
    try:
        loaded = load_published(path)
    except ValueError as error:
        assert "\n" not in str(error)
        assert path.name in str(error)
        return True
    if loaded.config.length == 12:  # the one thing that shapes do not check
        assert np.abs(logits(loaded, tokens, alpha) - right).max() < SAME
    return False


def test_a_mutated_checkpoint_is_refused_or_read_aright(tmp_path):
    """Any byte of the file, then any of a pickle that is packed anew with the right digest."""
    path, rng, told = tmp_path / "mutated.ckpt", np.random.default_rng(0), 0
    whole, content = CHECKPOINT.read_bytes(), entries()
    pickle = content["archive/data.pkl"]
    for trial in range(200):
        if trial < 100:
            path.write_bytes(mutated(whole, rng))
        else:
            pack(path, content | {"archive/data.pkl": mutated(pickle, rng)})
        told += outcome(path, "lightning", "logits_raw")
    assert 100 < told < 200  # settings, moments and averages are not looked at


def test_a_mutated_header_or_configuration_is_refused_or_read_aright(tmp_path):
    """The numbers of a safetensors file have no digest, so there it is the header that may err."""
    rng, told = np.random.default_rng(1), 0
    model, settings = (HUB / "model.safetensors").read_bytes(), (HUB / "config.json").read_bytes()
    size = 8 + int.from_bytes(model[:8], "little")
    for trial in range(100):
        header = mutated(model[:size], rng) if trial % 2 else model[:size]
        (tmp_path / "model.safetensors").write_bytes(header + model[size:])
        said = settings if trial % 2 else mutated(settings, rng)
        (tmp_path / "config.json").write_bytes(said)
        told += outcome(tmp_path, "duo-hf", "logits")
    assert told > 60
