"""Training: maximise the conditional likelihoods, and lose nothing when interrupted.

Step k draws, from a Philox generator keyed by (seed, k): B sequences with replacement, B stratified
times in [t_min, 1] with their weights, the corruption, and dropout's masks. Nothing else is random.
A checkpoint therefore needs no state of a generator: weights, average, two moments and the step say
all, and a resumed run gives bit for bit the run that was never interrupted.

The moving average of the weights is what is evaluated; `Trained` holds both.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minuddm import checks
from minuddm.adamw import adamw_step, average_decay, global_norm, learning_rate
from minuddm.checks import Tokens
from minuddm.files import write_atomically
from minuddm.machine.shards import long_shards, run_on
from minuddm.process import Process, Uniform, given_or_uniform
from minuddm.schedule import LogLinear, Schedule, stratified_times
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig, Weights, shapes

_FORMAT = "minuddm-checkpoint-1"


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every field is part of the result: two equal configurations give equal bits.

    steps; batch, the sequences a step; lr, the peak learning rate; warmup, in steps (cut to a
    tenth of a short run); clip, the largest gradient norm; average, the limit κ_∞ of the moving
    average; t_min, the smallest time; shards, the parts a batch is computed in (threads share
    them out).
    """

    steps: int = 8000
    batch: int = 16
    lr: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.0
    clip: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.99
    average: float = 0.999
    t_min: float = 1e-5
    shards: int = 2
    seed: int = 0
    schedule: Schedule = field(default_factory=LogLinear)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "shards"):
            checks.count(getattr(self, name), name)
        for name in ("warmup", "seed"):
            checks.count(getattr(self, name), name, least=0)
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        for name in ("beta1", "beta2", "average", "t_min"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        if self.t_min == 0:
            raise ValueError("t_min must be positive: the bound's rate needs alpha < 1")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay}")


@dataclass
class State:
    """A run after `step` steps: the weights, their average, Adam's moments, the losses so far."""

    weights: Weights
    average: Weights
    moment1: Weights
    moment2: Weights
    losses: NDArray[np.float64]
    step: int = 0

    @classmethod
    def start(cls, weights: Weights, steps: int) -> "State":
        """Return the state before the first step; `weights` is used, not copied."""
        first, second = (Weights(weights.shapes, weights.flat.dtype) for _ in range(2))
        return cls(weights, weights.copy(), first, second, np.zeros(steps))


@dataclass(frozen=True)
class Trained:
    """What training returns: the last weights, their average (to be evaluated), the losses.

    Losses are the bound's rate in nats per token, one batch each.
    """

    model: Transformer
    average: Transformer
    losses: NDArray[np.float64]


def train(
    model: Transformer,
    tokens: ArrayLike,
    config: TrainConfig,
    *,
    process: Process | None = None,
    checkpoint: str | Path | None = None,
    every: int = 500,
    threads: int = 1,
    about: Mapping[str, str] | None = None,
    progress: bool = False,
    bar: int = 0,
    probe: Callable[[int, Transformer], object] | None = None,
    probe_at: Collection[int] = (),
) -> Trained:
    """Train `model`, in place, on tokens (P, L); return it with its average and losses.

    The process that corrupts the tokens and whose bound is the loss is uniform if not given.
    With `checkpoint`, the state is written there every `every` steps and at the end, with `about`
    (say, the alphabet) in its header; if the file exists, the run goes on from it. `threads`
    changes nothing but the time. `probe` is shown the number of steps taken and the average
    network, not to be kept, after each of the steps `probe_at`; it changes nothing either, and a
    resumed run does not show again what is past. Raises `ValueError` for a checkpoint that is
    damaged, foreign or of another configuration or data set, and `FloatingPointError` with the
    step's number if the loss is not finite.
    """
    x = checks.tokens(tokens, model.config.vocab, "tokens", ndim=2)
    if len(x) == 0:
        raise ValueError("training needs at least one sequence")
    workers = min(checks.count(threads, "threads"), config.shards)
    process = given_or_uniform(process, model.config.vocab)
    header = _header(model.config, config, process, x, about or {})
    path = None if checkpoint is None else _usable(Path(checkpoint))
    if path is not None and path.exists():
        state = _resume(path, header, model)
    else:
        state = State.start(model.weights, config.steps)
    checks.count(every, "every")
    with (
        threadpool_limits(1, user_api="blas"),  # the shards are the threads
        ThreadPoolExecutor(workers) if workers > 1 else contextlib.nullcontext() as pool,
        tqdm(
            total=config.steps,
            initial=state.step,
            desc=f"P = {len(x)}",
            unit="step",
            disable=None if progress else True,  # None: quiet unless a terminal watches
            position=bar,
            leave=False,
        ) as shown,
    ):
        while state.step < config.steps:
            loss = _step(model, x, config, process, state, pool)
            shown.update()
            if probe is not None and state.step in probe_at:
                probe(state.step, model.with_weights(state.average))
            if state.step % 50 == 0:
                shown.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if path is not None and (state.step % every == 0 or state.step == config.steps):
                write_atomically(path, _serialise(state, header))
    return Trained(model, model.with_weights(state.average), state.losses)


def _step(
    model: Transformer,
    x: Tokens,
    config: TrainConfig,
    process: Process,
    state: State,
    pool: ThreadPoolExecutor | None,
) -> float:
    """Take one step and return its loss."""
    rng = Generator(Philox(key=np.array([config.seed, state.step], dtype=np.uint64)))
    x0 = x[rng.integers(len(x), size=config.batch)]
    t, weight = stratified_times(config.batch, config.t_min, rng)
    alpha, dalpha = config.schedule.alpha(t), config.schedule.dalpha(t) * weight
    xt = process.corrupt(x0, alpha, rng)
    loss, gradient = model.loss_and_grad(
        x0, xt, alpha, dalpha, shards=config.shards, pool=pool, rng=rng, process=process
    )
    norm = global_norm(gradient.flat)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise FloatingPointError(
            f"the loss is {loss} and its gradient's norm {norm} at step {state.step}; "
            "try a smaller lr"
        )

    def update(part: slice) -> None:
        adamw_step(
            state.weights.flat[part],
            state.average.flat[part],
            state.moment1.flat[part],
            state.moment2.flat[part],
            gradient.flat[part],
            norm,
            step=state.step,
            lr=learning_rate(
                state.step, config.steps, min(config.warmup, config.steps // 10), config.lr
            ),
            clip=config.clip,
            beta1=config.beta1,
            beta2=config.beta2,
            weight_decay=config.weight_decay,
            kappa=average_decay(state.step, config.average),
        )

    run_on(pool, update, long_shards(gradient.flat.size, config.shards))
    state.losses[state.step] = loss
    state.step += 1
    return loss


def load_model(path: str | Path, *, average: bool = True) -> Transformer:
    """Return the network of a checkpoint: the average of its weights, or the last ones.

    Raises `ValueError` for a file that is damaged or no checkpoint of this project.
    """
    tensors, header = _read(Path(path))
    try:
        config = ModelConfig(**json.loads(header["model"]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} does not describe its network") from None
    weights = _table(tensors, "average" if average else "weights", config, Path(path))
    return Transformer(config, weights)


def load_about(path: str | Path) -> dict[str, str]:
    """Return what a checkpoint says of itself: configuration, step, and its `about` (alphabet)."""
    return _read(Path(path))[1]


def _usable(path: Path) -> Path:
    if not path.parent.is_dir():
        raise ValueError(f"the folder of the checkpoint {path} does not exist")
    return path


def _header(
    model: ModelConfig,
    config: TrainConfig,
    process: Process,
    x: Tokens,
    about: Mapping[str, str],
) -> dict[str, str]:
    """Return what a resumed run must agree with, and what the caller says about it.

    The uniform process is not named: checkpoints were written before there was another.
    """
    if any(not isinstance(text, str) for pair in about.items() for text in pair):
        raise TypeError("about must map names to strings")
    training = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    named = {} if process == Uniform(model.vocab) else {"process": repr(process)}
    return (
        dict(about)
        | named
        | {
            "format": _FORMAT,
            "model": json.dumps(dataclasses.asdict(model)),
            "training": json.dumps(training, default=repr),
            "tokens_sha256": hashlib.sha256(x.tobytes()).hexdigest(),
        }
    )


_PARTS = ("weights", "average", "moment1", "moment2")


def _serialise(state: State, header: dict[str, str]) -> bytes:
    tensors = {
        f"{part}/{name}": tensor for part in _PARTS for name, tensor in getattr(state, part).items()
    }
    return bytes(
        save(tensors | {"losses": state.losses}, metadata=header | {"step": str(state.step)})
    )


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    content = path.read_bytes()
    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged or not a checkpoint ({error})") from None
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of minuddm")
    return tensors, header


def _table(tensors: dict[str, NDArray[Any]], part: str, config: ModelConfig, path: Path) -> Weights:
    layout = shapes(config)
    names = [f"{part}/{name}" for name in layout]
    if any(n not in tensors or tensors[n].shape != layout[n[len(part) + 1 :]] for n in names):
        raise ValueError(f"{path} lacks tensors of its own configuration")
    return Weights(layout, flat=np.concatenate([tensors[n].ravel() for n in names]))


def _resume(path: Path, wanted: dict[str, str], model: Transformer) -> State:
    """Read a state into the model's own weights, if it belongs to this run."""
    tensors, header = _read(path)
    for key in ("model", "training"):
        there, here = json.loads(header.get(key, "{}")), json.loads(wanted[key])
        for name in here:
            if there.get(name) != here[name]:
                raise ValueError(
                    f"{path} is of another configuration: "
                    f"{name} is {there.get(name)} there and {here[name]} here"
                )
    for key in (wanted.keys() | {"process"}) - {"model", "training"}:
        if header.get(key) != wanted.get(key):
            what = "other sequences" if key == "tokens_sha256" else f"another {key}"
            raise ValueError(f"{path} was trained on {what}")
    weights, average, first, second = (_table(tensors, part, model.config, path) for part in _PARTS)
    if weights.flat.dtype != model.weights.flat.dtype:
        raise ValueError(f"{path} holds {weights.flat.dtype}, not {model.weights.flat.dtype}")
    model.weights.flat[:] = weights.flat
    losses = np.array(tensors["losses"])
    return State(model.weights, average, first, second, losses, int(header["step"]))
