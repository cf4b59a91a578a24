"""Seconds of training steps and of restoring, here and in PyTorch, the sides in turn."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from experiments.bench.roof import flops, roof
from experiments.bench.rows import OURS, Rows, Seconds, row, timed
from minuddm import LogLinear, ModelConfig, TrainConfig, Transformer, restore
from minuddm.train import train

SIDES = (OURS, "PyTorch eager", "PyTorch compiled")
ALONE, ROOF = "minuddm on one thread", "BLAS"  # in turn with the others
TURN = 4  # steps a side takes before the other's turn; the first of them is not counted


@dataclass(frozen=True)
class Size:
    """A network and the batch it is trained with."""

    name: str
    config: ModelConfig
    batch: int


@dataclass(frozen=True)
class Plan:
    """How long to measure: turns and seconds at least; with compiled PyTorch or without."""

    rounds: int
    seconds: float
    compiled: bool


FULL = (
    Size("64 x 2", ModelConfig(28, 32, 64, 2, 4), 64),
    Size("128 x 4", ModelConfig(28, 32, 128, 4, 4), 64),
    Size("256 x 8", ModelConfig(28, 64, 256, 8, 8), 32),
    Size("128 x 4, V = 8192", ModelConfig(8192, 64, 128, 4, 4), 16),
)
QUICK = (Size("16 x 1", ModelConfig(28, 16, 16, 1, 2), 8),)


def steps(size: Size, threads: int, plan: Plan) -> dict[str, Seconds]:
    """Return the seconds of single training steps of every side, taken in turn."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(size.config.vocab, size=(1000, size.config.length)).astype(np.int32)
    model = Transformer.init(size.config, rng)
    sides: dict[str, Callable[[], list[float]]] = {}

    def ours(threads: int) -> list[float]:
        at: list[float] = []
        train(model, tokens, TrainConfig(steps=TURN + 1, batch=size.batch), threads=threads,
              probe=lambda k, network: at.append(time.perf_counter()),
              probe_at=range(TURN + 2))  # fmt: skip
        return np.diff(at).tolist()

    sides[OURS] = lambda: ours(threads)
    if threads > 1:
        sides[ALONE] = lambda: ours(1)
    shards = TrainConfig().shards
    sides[ROOF] = lambda: 2 * [roof(size.config, size.batch, shards, repeats=1)]
    if find_spec("torch") is not None:
        import torch

        from experiments.bench.twin import Training, Twin

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        torch.compiler.reset()
        for side in SIDES[1 : 3 if plan.compiled else 2]:
            theirs = Training(
                Twin(size.config).take(model.weights), tokens, size.batch, "compiled" in side
            )
            sides[side] = lambda theirs=theirs: [timed(theirs.step) for _ in range(TURN)]
    taken: dict[str, list[float]] = {side: [] for side in sides}
    turn, started = 0, 0.0
    while turn <= plan.rounds or time.perf_counter() - started < plan.seconds:
        for side, work in sides.items():
            found = work()
            if turn > 0:  # the first turn compiles
                taken[side] += found[1:]
        started = started or time.perf_counter()
        turn += 1
    return {side: np.array(values) for side, values in taken.items()}


def restorings(n: int, grid: int, threads: int, rounds: int, compiled: bool) -> dict[str, Seconds]:
    """Return the seconds that n sequences take from noise to data, by side, in turn."""
    config, rng = ModelConfig(28, 32, 64, 2, 4), np.random.default_rng(0)
    model = Transformer.init(config, rng)
    model.weights.flat += (0.05 * rng.normal(size=model.weights.flat.size)).astype(np.float32)
    noise = rng.integers(28, size=(n, 32)).astype(np.int32)
    schedule = LogLinear()
    sides: dict[str, Callable[[], object]] = {
        OURS: lambda: restore(model, noise, 1.0, schedule, grid, rng, threads=threads)
    }
    if find_spec("torch") is not None:
        import torch

        from experiments.bench.twin import Restoring, Twin

        torch.set_num_threads(threads)
        torch.compiler.reset()
        twin = Twin(config).take(model.weights)
        for side in SIDES[1 : 3 if compiled else 2]:
            theirs = Restoring(twin, "compiled" in side)
            theirs.restore(noise, 1)
            sides[side] = lambda theirs=theirs: theirs.restore(noise, grid)
    restore(model, noise[:8], 1.0, schedule, 1, rng)
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for _, (side, work) in itertools.product(range(rounds), sides.items()):
        taken[side].append(timed(work))
    return {side: np.array(values) for side, values in taken.items()}


def step_rows(sizes: Sequence[Size], plan: Plan) -> Rows:
    """Measure the steps of all sizes on one thread and on two."""
    found: Rows = []
    for size, threads in itertools.product(sizes, (1, 2)):
        taken = steps(size, threads, plan)
        own, alone = (float(np.median(taken[side])) for side in (OURS, ROOF))
        for side, values in taken.items():
            middle = float(np.median(values))
            found.append(row(
                "roof" if side == ROOF else "step", side, values, size=size.name, threads=threads,
                gflops=flops(size.config, size.batch) / middle / 1e9, ratio=middle / own,
                share_of_roof=alone / middle if threads == 1 else float("nan"),
            ))  # fmt: skip
    return found


def restore_rows(n: int, grid: int, rounds: int, compiled: bool) -> Rows:
    """Measure the reverse chain on one thread and on two."""
    found: Rows = []
    for threads in (1, 2):
        taken = restorings(n, grid, threads, rounds, compiled)
        own = float(np.median(taken[OURS]))
        found += [row("restore", side, values, size="64 x 2", threads=threads,
                      ratio=float(np.median(values)) / own)
                  for side, values in taken.items()]  # fmt: skip
    return found
