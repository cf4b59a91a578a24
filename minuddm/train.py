"""Training: minimise the integral of ℓ [T8] over time, in a run that can be interrupted.

Of the bound [T9] that is all but the prior, which knows no weights, and what lies below t_min. Step
k draws, from a Philox generator keyed by (seed, k): B sequences with replacement; B stratified
times t = u², denser near 0, with weights that make the mean of weight · ℓ an estimate of the
integral; the corruption; and dropout's masks. Nothing else is random. So a checkpoint needs no
state of a generator: weights, average, two moments, the losses so far and the step are all, and a
resumed run is bit for bit the run that was never interrupted. Unless `anneal`, the learning rate
stays after its warm-up: a run does not know its end, and goes on when more steps are asked for.
What is evaluated is the moving average of the weights; it does much of what a falling rate would.
"""

import contextlib
import math
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minuddm import checks
from minuddm.adamw import adamw_step, average_decay, global_norm, learning_rate
from minuddm.checkpoint import State, describe, load_about, load_model, resume, write
from minuddm.checks import Tokens
from minuddm.files import reserved
from minuddm.machine.shards import long_shards, run_on
from minuddm.nelbo.times import stratified_times
from minuddm.process import Process
from minuddm.schedule import LogLinear, Schedule
from minuddm.transformer import Transformer

__all__ = ["TrainConfig", "Trained", "load_about", "load_model", "train"]

_LARGEST_RATE = 1e6  # whatever is larger throws weights out of float32 in a few steps


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Every field is part of the result: two equal configurations give equal bits.

    batch, the sequences a step; lr, the learning rate after `warmup` steps, which falls to 0 at the
    end if `anneal`; clip, the largest gradient norm; average, the limit d_∞ of the average's decay
    (`minuddm.adamw`, as are beta1 and beta2); t_min, the smallest time; shards, the parts in which
    a batch is computed (threads share them out).
    """

    steps: int = 8000
    batch: int = 16
    lr: float = 1e-3
    warmup: int = 100
    anneal: bool = False
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
        for name, least in {"steps": 1, "batch": 1, "shards": 1, "warmup": 0, "seed": 0}.items():
            object.__setattr__(self, name, checks.count(getattr(self, name), name, least))
        if self.seed >= 2**64:
            raise ValueError(f"seed must be below 2^64, got {self.seed}")
        for name in ("lr", "clip"):
            object.__setattr__(self, name, checks.positive(getattr(self, name), name))
        for name in ("beta1", "beta2", "average", "t_min"):
            object.__setattr__(self, name, checks.fraction(getattr(self, name), name))
            if np.float32(getattr(self, name)) == 1:
                raise ValueError(f"{name} must be below 1 in float32, got {getattr(self, name)}")
        if self.lr > _LARGEST_RATE:
            raise ValueError(f"lr must be at most {_LARGEST_RATE:g}, got {self.lr}")
        if self.t_min == 0:
            raise ValueError("t_min must be positive: the NELBO integrand needs alpha < 1")
        decay = checks.not_negative(self.weight_decay, "weight_decay")
        object.__setattr__(self, "weight_decay", decay)


@dataclass(frozen=True)
class Trained:
    """The last weights, their average (to be evaluated), and each batch's loss, nats per token."""

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
    probe: Callable[[int, Transformer], bool | None] | None = None,
    probe_at: Collection[int] = (),
    watch: Callable[[int, float], bool | None] | None = None,
) -> Trained:
    """Train `model`, in place, on tokens (P, L); return it with its average and losses.

    The process that corrupts the tokens and whose bound is the loss is uniform if not given. With
    `checkpoint`, the state is written there every `every` steps and at the end, with `about` (say,
    the alphabet) in its header; if the file exists, the run goes on from it, also to more steps
    than it was begun for, unless its rate falls. `threads` changes nothing but the time. `progress`
    shows a bar on a terminal, on its line `bar`. `watch` is called after every step with its number
    and loss, `probe` after those of `probe_at` with number and average network, of which it must
    keep a copy if anything; either ends the run by returning True. No call is repeated on resuming.
    Raises `ValueError` for a checkpoint that is damaged, belongs to another run, or is in use by
    one, and `FloatingPointError` with the step's number if loss or gradient is not finite.
    """
    x = checks.tokens(tokens, model.config.vocab, "tokens", ndim=2)
    if len(x) == 0:
        raise ValueError("training needs at least one sequence")
    process = model.learnt(process)
    workers = min(checks.count(threads, "threads"), config.shards)
    checks.count(every, "every")
    header = describe(model.config, config, process, x, about or {})
    path = None if checkpoint is None else Path(checkpoint)
    shown = tqdm(
        total=config.steps, desc=f"P = {len(x)}", unit="step", position=bar, leave=False,
        disable=None if progress else True,  # None: quiet unless stderr is a terminal
    )  # fmt: skip
    with (
        reserved(path),
        threadpool_limits(1, user_api="blas"),  # the shards are the threads
        ThreadPoolExecutor(workers) if workers > 1 else contextlib.nullcontext() as pool,
        shown,
    ):
        state = resume(path, header, model) or State.start(model.weights, config.steps)
        shown.n = shown.initial = state.step
        over = False
        while state.step < config.steps and not over:
            loss = _step(model, x, config, process, state, pool)
            shown.update()
            shown.set_postfix(loss=f"{loss:.3f}", refresh=False)
            over = watch is not None and watch(state.step, loss) is True
            if probe is not None and state.step in probe_at:
                over = probe(state.step, model.with_weights(state.average)) is True or over
            if path is not None and (over or state.step % every == 0 or state.step == config.steps):
                write(path, state, header)
    return Trained(model, model.with_weights(state.average), state.losses[: state.step])


def _step(
    model: Transformer, x: Tokens, config: TrainConfig, process: Process, state: State,
    pool: ThreadPoolExecutor | None,
) -> float:  # fmt: skip
    """Take one step and return its loss."""
    k = state.step
    rng = Generator(Philox(key=np.array([config.seed, k], dtype=np.uint64)))
    x0 = x[rng.integers(len(x), size=config.batch)]
    t, weight = stratified_times(config.batch, config.t_min, rng)
    # The loss is linear in α', which therefore carries the weights of the times.
    alpha, dalpha = config.schedule.alpha(t), config.schedule.dalpha(t) * weight
    last = float(config.schedule.alpha(1.0))
    xt = process.corrupt(x0, process.conditioned(alpha, last), rng)  # alpha itself if uniform
    loss, gradient = model.loss_and_grad(
        x0, xt, alpha, dalpha, shards=config.shards, pool=pool, rng=rng, process=process
    )
    norm = global_norm(gradient.flat)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        what = f"the loss is {loss} and the gradient's norm {norm} at step {k}"
        raise FloatingPointError(f"{what}; try a smaller lr")

    def update(part: slice) -> None:
        w, average, m, v, g = (array[part] for array in (*state.arrays(), gradient.flat))
        adamw_step(
            w, average, m, v, g, norm, step=k, clip=config.clip, beta1=config.beta1,
            beta2=config.beta2, weight_decay=config.weight_decay,
            lr=learning_rate(k, config.warmup, config.lr, config.steps if config.anneal else None),
            decay=average_decay(k, config.average),
        )  # fmt: skip

    run_on(pool, update, long_shards(gradient.flat.size, config.shards))
    state.losses[k] = loss
    state.step += 1
    return loss
