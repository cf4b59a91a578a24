"""Files of published networks, as they are and changed.

`data/published` holds random weights of one small size, written by the field's own classes, with
the logits that those classes computed in float32.
"""

import json
import struct
import zipfile
from pathlib import Path
from pickle import dumps

import numpy as np
from safetensors.numpy import load_file, save_file

from minuddm import network

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


def settings(**config):
    """A change of a pickle: other settings, and not objects of a library but dictionaries."""

    def change(pickle):
        said = dumps({"config": config}, 2)[2:-1]
        pickle = renamed("hyper_parameters", "others")(pickle)
        return pickle.replace(text("epoch"), text("hyper_parameters") + said + text("epoch"), 1)

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
