"""Seconds of the memories: here, as one writes them in NumPy and PyTorch, and as memory is read.

The sides take turns. A memory has to read its patterns once for each batch of queries at least: so
many bytes, at the rate at which this machine reads, are the time that no memory can beat. For the
step of a continuous memory it is the time of its two matrix products.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from experiments.bench.memory_twins import AttentionTwin, IdealTwin, RecallTwin
from experiments.bench.rows import OURS, Rows, Seconds, row, timed
from hopfield import BinaryMemory, ContinuousMemory, Exponential, Power, TokenMemory
from hopfield.landscape import change
from minuddm import DatasetIdeal
from minuddm.transition import inverse_temperature

READ, PRODUCTS, NUMPY, PYTORCH = "reading", "its products", "NumPy", "PyTorch eager"
_SPINS = np.array([-1, 1], np.int8)
_TILE = 512  # patterns of a product at a time: as in a step

Sides = dict[str, Callable[[], object]]


def read_rate(rounds: int) -> float:
    """Return the bytes a second at which one thread reads memory, by the largest of 2²⁸ bytes."""
    x = np.ones(2**28, np.uint8)
    x.max()
    return x.nbytes / float(np.median([timed(x.max) for _ in range(rounds)]))


def libraries() -> dict[str, Any]:
    """Return what twins are written in, by the name of their side."""
    found: dict[str, Any] = {NUMPY: np}
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
        found[PYTORCH] = torch
    return found


def in_turn(sides: Sides, rounds: int) -> dict[str, Seconds]:
    """Return the seconds of every side, taken in turn after one turn that does not count."""
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):
        for side, work in sides.items():
            seconds = timed(work)
            if turn > 0:
                taken[side].append(seconds)
    return {side: np.array(values) for side, values in taken.items()}


def tokens(P: int, L: int, V: int, B: int) -> dict[str, Sides]:
    """Return the sides of the ideal memoriser and of recall: B states, a quarter drawn anew."""
    rng = np.random.default_rng(P)
    patterns = rng.integers(V, size=(P, L)).astype(np.int32)
    noisy = patterns[rng.integers(P, size=B)]
    noisy[:, : L // 4] = rng.integers(V, size=(B, L // 4))
    ideal, memory = DatasetIdeal(patterns, V), TokenMemory(patterns, V, beta=3.0)
    conditionals: Sides = {OURS: lambda: ideal(noisy, 0.75)}
    recalls: Sides = {OURS: lambda: memory.recall(noisy)}
    beta = float(inverse_temperature(0.75, V))
    for side, xp in libraries().items():
        if P * L * V <= 2**24:  # one-hot patterns of 128 MiB
            asked, recalled = IdealTwin(xp, patterns, V), RecallTwin(xp, patterns, V)
            conditionals[side] = lambda twin=asked: twin(noisy, beta)
            recalls[side] = lambda twin=recalled: twin(noisy, 3.0)
    return {"ideal memoriser": conditionals, "token memory": recalls}


def spins(P: int, L: int, B: int) -> dict[str, Sides]:
    """Return the sides of recall from B states, a tenth of their spins flipped."""
    rng = np.random.default_rng(P)
    patterns = rng.choice(_SPINS, size=(P, L))
    states = change(patterns[rng.integers(P, size=B)], L // 10, _SPINS, rng)
    cubic, steep = BinaryMemory(patterns, Power(3)), BinaryMemory(patterns, Exponential())
    return {
        "spins, n = 3": {OURS: lambda: cubic.recall(states)},
        "spins, exponential": {OURS: lambda: steep.recall(states)},
    }


def attention(P: int, D: int, B: int) -> Sides:
    """Return the sides of a step of a continuous memory, its two products alone among them."""
    rng = np.random.default_rng(P)
    patterns = rng.normal(size=(P, D))
    states = patterns[rng.integers(P, size=B)] + 0.3 * rng.normal(size=(B, D))
    memory, room = ContinuousMemory(patterns, 0.5), np.empty(B * _TILE)

    def products() -> None:
        for start in range(0, P, _TILE):
            tile = patterns[start : start + _TILE]
            z = room[: B * len(tile)].reshape(B, len(tile))
            np.matmul(states, tile.T, out=z)
            z @ tile

    sides: Sides = {OURS: lambda: memory.step(states), PRODUCTS: products}
    for side, xp in libraries().items():
        twin = AttentionTwin(xp, patterns, 0.5)
        sides[side] = lambda twin=twin: twin(states)
    return sides


def memory_rows(quick: bool, rounds: int) -> Rows:
    """Measure all memories on one thread; `share_of_roof` is that of the time nothing can beat."""
    rate = read_rate(rounds)
    V, small, large, wide = 28, (10_000, 32, 16), (1_000_000, 64, 16), (10_000, 1000, 10)
    if quick:
        small, large, wide = (300, 8, 4), (1000, 8, 4), (300, 30, 4)
    found: Rows = []

    def add(what: str, P: int, L: int, B: int, sides: Sides) -> None:
        taken = in_turn(sides, rounds)
        own = float(np.median(taken[OURS]))
        least = float(np.median(taken[PRODUCTS])) if PRODUCTS in taken else P * L / rate
        if PRODUCTS not in taken:
            taken[READ] = np.array([least])
        found.extend(
            row("memory", side, values, size=f"{what}, {B} states", threads=1, P=P, L=L,
                ratio=float(np.median(values)) / own,
                share_of_roof=least / own if side == OURS else float("nan"))
            for side, values in taken.items()
        )  # fmt: skip

    for P, L, B in (small, large):
        for what, sides in tokens(P, L, V, B).items():
            add(what, P, L, B, sides)
    for what, sides in spins(*wide).items():
        add(what, *wide, sides)
    P, D, B = (1000, 8, 4) if quick else (100_000, 64, 256)
    add("attention", P, D, B, attention(P, D, B))
    return found
