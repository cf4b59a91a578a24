"""Networks that others have trained: the published uniform-state checkpoints of the field.

They are this network [`minuddm.network`], tensor by tensor, under other names (k is a block):

    embedding                      vocab_embed.embedding
    conditioning.in, .out          sigma_map.mlp.0, .2
    blocks.k.norm1.gain, norm2     blocks.k.norm1.weight, norm2
    blocks.k.attention.qkv, .out   blocks.k.attn_qkv, attn_out
    blocks.k.mlp.in, .out          blocks.k.mlp.0, .2
    ….modulation                   ….adaLN_modulation
    final.norm.gain, .linear       output_layer.norm_final.weight, .linear
    heads = width / (2 · number)   rotary_emb.inv_freq: 10000^(-2k/d), and these are looked at

all of which may begin with `backbone.`. So everything but the length follows from shapes, and what
a configuration says of them must agree. It alone tells what was trained: networks that answer with
something else have the same tensors, and are refused by name.

A masked network reads V + 1 values and never answers MASK [T37]: given that MASK is its last token,
its last row of logits is left out, which is what its authors do by adding -∞. If it does without
time conditioning, it always reads σ = 0, a constant that becomes part of the first bias.

DUO: Sahoo et al. 2025, arXiv 2506.10892; UDLM: [Schiff 2024]; MDLM: [Sahoo 2024].
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from minuddm import checks
from minuddm.network import features
from minuddm.published.files import Found, Said, hub, lightning
from minuddm.published.pickles import Tensor
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig, Weights, number_of_weights, shapes

_FAMILIES = {
    "duo": "uniform", "duo_base": "uniform", "distillation": "uniform", "udlm": "uniform",
    "uniform": "uniform", "mdlm": "masked", "absorbing_state": "masked",
}  # fmt: skip
_ANSWERS = {"uniform": {None, "mean", "d3pm"}, "masked": {None, "subs"}}  # log p of clean tokens
_THEIRS = (
    ("embedding", "vocab_embed.embedding"), ("conditioning.", "sigma_map.mlp."),
    ("attention.", "attn_"), (".in.", ".0."), (".out.", ".2."), ("modulation", "adaLN_modulation"),
    ("final.", "output_layer."), ("layer.norm.", "layer.norm_final."), (".gain", ".weight"),
)  # fmt: skip
_OF_ZIPFILE = (BadZipFile, RuntimeError, EOFError, OverflowError, MemoryError)
_ROTARY = "rotary_emb.inv_freq"
_DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_ROUNDING = {"F32": 2.0**-20, "F16": 2.0**-10, "BF16": 2.0**-7}  # of a frequency, relative


def load_published(
    path: str | Path, *, average: bool = False, length: int | None = None, mask: int | None = None
) -> Transformer:
    """Return the network of a published checkpoint, in float32; narrower numbers are widened.

    path: a folder with `model.safetensors` and `config.json`, that safetensors file, or a `.ckpt`
    of Lightning, which is read without running anything. average: of a `.ckpt`, the average of the
    weights (`ema.shadow_params`) and not the last ones; other files hold one of them. length: L, if
    not that of the configuration; positions are relative, so any will do. mask: the token that a
    masked network reads as MASK, its last one; without it such a network is not read.

    Raises `ValueError` with one line for what is no such network, or damaged.
    """
    if length is not None:
        checks.count(length, "length")
    if mask is not None:
        checks.count(mask, "mask", 0)
    path = Path(path)
    try:
        opened = hub if path.is_dir() or path.suffix == ".safetensors" else lightning
        with opened(path, average) as (said, found):
            return _network(said, found, length, mask)
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} does not exist") from None
    except (ValueError, OSError, SafetensorError, *_OF_ZIPFILE) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not read: {reason}") from None


def _network(said: Said, found: Found, length: int | None, mask: int | None) -> Transformer:
    """Return the network of tensors and a configuration, if it is one of ours."""
    if all(name.startswith("backbone.") for name in found):
        found = {name.removeprefix("backbone."): tensor for name, tensor in found.items()}
    masked = _masked(said, found, mask)
    stored = _sizes(said, found, length)
    names = {name: _named_there(name) for name in shapes(stored)}
    _complete(found, {names[name]: shape for name, shape in shapes(stored).items()})
    config = stored
    if masked:
        if mask != stored.vocab - 1:
            raise ValueError(f"MASK must be its last token, {stored.vocab - 1}, got {mask}")
        config = replace(stored, vocab=stored.vocab - 1, states=stored.vocab)
    size = 4 * number_of_weights(config)
    checks.within_memory(size, f"a network of {number_of_weights(config):,} weights")
    weights = Weights(shapes(config), np.float32)
    for name, tensor in weights.items():
        tensor[:] = _numbers(found[names[name]], names[name])[: len(tensor)]  # no row of MASK
    if not said.get("conditioned", True):
        _forget_time(weights)
    return Transformer(config, weights)


def _masked(said: Said, found: Found, mask: int | None) -> bool:
    """Return whether it is a masked network; refuse what is neither that nor uniform."""
    family, answer = said.get("family"), said.get("answer")
    kind = _FAMILIES.get(family) if isinstance(family, str) else None
    conditioned = said.get("conditioned", kind == "uniform" or None)
    if any(name.startswith("cond_map.") for name in found) or said.get("guided", False):
        raise ValueError("it is trained for classifier-free guidance (cond_map)")
    if said.get("causal", False) or "ar" in (family, answer):
        raise ValueError("it is causal: a token sees only those before it")
    if family == "sedd" or answer in ("score", "sedd"):
        raise ValueError("it answers with log-scores, not with chances of clean tokens")
    if kind is None:
        known = ", ".join(sorted(_FAMILIES))
        raise ValueError(f"its configuration is of the family {family!r:.80}, and not {known}")
    if answer not in _ANSWERS[kind]:
        raise ValueError(f"it is {kind}, and of another parameterization: {answer!r:.80}")
    if not isinstance(conditioned, bool):
        raise ValueError(f"its time_conditioning must be true or false, not {conditioned!r:.80}")
    if kind == "uniform" and not conditioned:
        raise ValueError("it does without time conditioning")
    if kind == "uniform" and mask is not None:
        raise ValueError("it is of the uniform process and has no MASK")
    if kind == "masked" and mask is None:
        raise ValueError("it is masked: give mask=, the token that it reads as MASK")
    return kind == "masked"


def _sizes(said: Said, found: Found, length: int | None) -> ModelConfig:
    """Return the sizes that the shapes say, if the configuration does not say otherwise."""
    V, D = _shape(found, "vocab_embed.embedding", 2)
    C, _ = _shape(found, "sigma_map.mlp.2.weight", 2)
    (half,) = _shape(found, _ROTARY, 1)
    blocks = sum(name.startswith("blocks.") and name.endswith(".norm1.weight") for name in found)
    if half == 0 or D % (2 * half):
        raise ValueError(f"{half} rotary frequencies do not divide a width of {D}")
    if length is None:
        length = said.get("length")
        if type(length) is not int:
            raise ValueError("its configuration does not say how long sequences are: give length=")
    sizes = {"vocab": V, "width": D, "blocks": blocks, "heads": D // (2 * half), "cond": C}
    for name, size in sizes.items():
        if said.get(name, size) != size:
            raise ValueError(f"its configuration says {name} = {said[name]!r:.80}, shapes {size}")
    frequencies = _numbers(found[_ROTARY], _ROTARY)
    ours = 10_000.0 ** (-np.arange(half) / half)
    if (np.abs(frequencies - ours) > _ROUNDING[found[_ROTARY].kind] * ours).any():
        raise ValueError(f"{_ROTARY} holds other frequencies than 10000^(-2k/d)")
    return ModelConfig(length=length, **sizes)


def _complete(found: Found, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `ValueError` that names a tensor which is missing, unknown or misshapen."""
    for name, shape in wanted.items():
        if _shape(found, name, len(shape)) != shape:
            raise ValueError(f"its tensor {name} has shape {found[name].shape}, not {shape}")
    if unknown := found.keys() - wanted.keys() - {_ROTARY}:
        raise ValueError(f"it holds an unknown tensor, {min(unknown)[:80]!r}")


def _shape(found: Found, name: str, ndim: int) -> tuple[int, ...]:
    if name not in found:
        raise ValueError(f"it lacks the tensor {name}")
    if len(found[name].shape) != ndim:
        raise ValueError(f"its tensor {name} has shape {found[name].shape}, not {ndim} axes")
    return found[name].shape


def _named_there(name: str) -> str:
    """Return what they call one of our tensors."""
    for ours, theirs in _THEIRS:
        name = name.replace(ours, theirs)
    return name


def _numbers(tensor: Tensor, name: str) -> NDArray[np.float32]:
    """Return the numbers of a tensor in its shape; 16 bits are widened exactly."""
    if tensor.kind not in _DTYPES:
        raise ValueError(
            f"its tensor {name} holds {tensor.kind:.80}, not one of {', '.join(_DTYPES)}"
        )
    numbers = np.frombuffer(tensor.read(), _DTYPES[tensor.kind])
    if tensor.kind == "BF16":  # the upper half of a float32
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError(f"its tensor {name} is not finite")
    return numbers.astype(np.float32, copy=False).reshape(tensor.shape)


def _forget_time(weights: Weights) -> None:
    """Let the conditioning be that of σ = 0 at any alpha."""
    constant = features(np.ones(1), np.float64)[0]
    into = weights["conditioning.in.weight"]
    weights["conditioning.in.bias"][:] += into.astype(np.float64) @ constant
    into[:] = 0
