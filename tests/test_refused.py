"""What is no published network of ours is refused in a line that says why, and so is damage."""

import shutil
import zipfile

import numpy as np
import pytest

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
    setting,
    settings,
)
from tests.test_damage import mutated


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
        (settings(diffusion="absorbing_state", parameterization="ar"), "causal"),
        (settings(diffusion="absorbing_state", parameterization="sedd"), "log-scores"),
        (settings(diffusion="absorbing_state", parameterization="d3pm"), "masked, and of another"),
        (settings(diffusion="uniform", time_conditioning=False), "without time conditioning"),
        (settings(diffusion="gaussian"), "family 'gaussian'"),
        (settings(algo={"name": "duo"}), "give length="),
        (settings(algo={"name": "duo"}, model={"length": "${.size}"}), "give length="),
        (lambda data: data.replace(b"FloatStorage", b"DoubleStorage"), "bytes, not"),
        (lambda data: data.replace(b"K\x10K\x01\x86", b"K\x01K\x1c\x86", 1), "row after row"),
        (lambda data: data.replace(b"QK\x00K\x1c", b"QK\x01K\x1c", 1), "row after row"),
        (lambda data: data.replace(b"QK\x00K\x1c", b"QK\x00K\x1b", 1), "row after row"),
        (renamed("9", "6"), "two tensors of its state_dict share"),
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
