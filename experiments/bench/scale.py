"""Seconds of the ideals against their sizes, of many jobs at once, and until the first step."""

import os
import subprocess
import sys
import tempfile

import numpy as np

from experiments.bench.rows import OURS, Rows, Seconds, row, timed
from experiments.kit.cells import ROOT
from experiments.kit.workers import Workers
from hopfield import TokenMemory
from minuddm import DatasetIdeal, ModelConfig, TrainConfig, Transformer
from minuddm.train import train

_QUERIES = 16


def ideals(P: int, L: int, V: int, repeats: int) -> dict[str, Seconds]:
    """Return the seconds of a query of sixteen, repeated: all conditionals, and its recall."""
    rng = np.random.default_rng(P + L + V)
    patterns = rng.integers(V, size=(P, L), dtype=np.int32)
    noisy = patterns[rng.integers(P, size=_QUERIES)]
    noisy[:, : L // 4] = rng.integers(V, size=(_QUERIES, L // 4))
    memoriser, memory = DatasetIdeal(patterns, V), TokenMemory(patterns, V, beta=3.0)
    work = {
        "ideal memoriser": lambda: memoriser(noisy, 0.75),
        "token memory": lambda: memory.recall(noisy),
    }
    for query in work.values():
        query()
    return {
        name: np.array([timed(query) / _QUERIES for _ in range(repeats)])
        for name, query in work.items()
    }


def scale_rows(quick: bool) -> Rows:
    """Measure the ideals along P, L and V."""
    P0, L0, V0 = (1000, 16, 28) if quick else (100_000, 64, 28)
    grid = {
        "P": (300, 1000, 3000) if quick else (10_000, 100_000, 1_000_000),
        "L": (8, 16, 32) if quick else (16, 32, 64),
        "V": (28, 280) if quick else (28, 280, 2800),
    }
    plan = {(P0, L0, V0)}
    plan |= {(P, L0, V0) for P in grid["P"]} | {(P0, L, V0) for L in grid["L"]}
    plan |= {(P0, L0, V) for V in grid["V"]}
    return [
        row("scale", name, taken, threads=1, P=P, L=L, V=V)
        for P, L, V in sorted(plan)
        for name, taken in ideals(P, L, V, 3).items()
    ]


def short_training(seed: int, count: int) -> float:
    """Train a small network; return its last loss."""
    rng = np.random.default_rng(seed)
    model = Transformer.init(ModelConfig(28, 32, 64, 2, 4), rng)
    tokens = rng.integers(28, size=(64, 32)).astype(np.int32)
    return float(train(model, tokens, TrainConfig(steps=count, batch=16)).losses[-1])


def grid_rows(count: int, jobs: int, length: int) -> Rows:
    """Measure `count` short trainings, one at a time and `jobs` at a time, workers started."""
    found: Rows = []
    for n in sorted({1, jobs}):
        workers = Workers(n)
        list(workers.do(short_training, [(k, 1) for k in range(n)]))
        tasks = [(k, length) for k in range(count)]
        taken = timed(lambda workers=workers, tasks=tasks: list(workers.do(short_training, tasks)))
        found.append(row("grid", OURS, np.array([taken]), size="64 x 2", threads=n))
    return found


_FIRST_STEP = """
import numpy as np
from minuddm import ModelConfig, TrainConfig, Transformer
from minuddm.train import train
model = Transformer.init(ModelConfig(28, 32, 64, 2, 4), np.random.default_rng(0))
train(model, np.zeros((4, 32), np.int32), TrainConfig(steps=1, batch=16))
"""


def start_rows(repeats: int, cold: bool = True) -> Rows:
    """Measure the time until a process has taken its first step: nothing compiled, and later.

    The former, half a minute, only if it is to be `cold`.
    """
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | ({"NUMBA_CACHE_DIR": cache} if cold else {})

        def first() -> None:
            subprocess.run(
                [sys.executable, "-c", _FIRST_STEP], check=True, env=environment,
                cwd=ROOT,
            )  # fmt: skip

        before = [row("start", "nothing compiled", np.array([timed(first)]), threads=1)] * cold
        warm = np.array([timed(first) for _ in range(repeats)])
    return [*before, row("start", "later", warm, threads=1)]
