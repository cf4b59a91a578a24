"""What chains give away: copies of what is stored or was trained on, and the samples that takes.

Chains have N equal steps from noise [T31]; those of both processes are treated alike.

    copied     which samples of an ideal are exact copies, or allowed by the rules of its source
    examine    of a network and of the perfect memory of its training set: copies, and the chances
               of training and of unseen sequences, by the exact last step, by paths and given their
               first half, beside what their bounds promise [T32]
    rows       the same as rows of a table; pooled, of all seeds
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.random import Generator
from numpy.typing import NDArray

from experiments.kit.data import hierarchy
from experiments.kit.draws import generator
from experiments.kit.grid import Grid
from experiments.kit.intervals import columns, headers, over_seeds
from experiments.kit.settings import PROCESSES, SCHEDULE, SPLITS
from minuddm import DatasetIdeal, Denoiser, generate
from minuddm.checks import Tokens
from minuddm.probes import (
    Interval,
    bootstrap_mean,
    chance_at_least,
    copies,
    even_grid,
    held_out_nelbo,
    path_weights,
    sampled,
    samples_needed,
)
from minuddm.probes.intervals import DRAWS, percentile_interval

RANDOM, TREE, V, L, STORED = "random", "hierarchy", 28, 32, 16
LONG, SHORT, PREFIXED = 64, 8, 32  # steps: of the exact last step, of paths, after a prefix
NEAR, FAR = 0.1, 1e3  # nats per token: bounds that count as the same; that never do
TENTH = 0.9
SHARES = ("copies", "D1", "prefix")
ALIKE = ("part", "data", "process", "model", "P", "split", "steps")  # but for the seed
BOUNDS = 64  # draws of a sequence's bound
COLUMNS = ["part", "data", "process", "model", "P", "seed", "split", "steps", "n",
           *headers(["value"]), "trained_for", "finished"]  # fmt: skip
"""A value is a share (copies), a chance (D1, prefix) or a number of samples: that of the median
sequence, or of the 90th percentile. `trained_for` are steps of training; `finished` says whether
learning was over (`kit/course.py`)."""

Rows = list[dict[str, Any]]
Floats = NDArray[np.float64]


class Size(NamedTuple):
    """How much is drawn: samples of each N, and of a last step; sequences, paths, prefixed ones."""

    copies: int
    samples: int
    sequences: int
    paths: int
    prefixed: int


def chain(denoiser: Denoiser, V: int, L: int, process: str, N: int, n: int, seed: int) -> Tokens:
    """Return n samples of a chain of N equal steps."""
    of, chance = PROCESSES[process](V), generator(seed, f"chain {process} {N}")
    return generate(denoiser, n, L, V, SCHEDULE, N, chance, process=of, grid=even_grid)


def copied(data: str, process: str, N: int, n: int, seed: int) -> NDArray[np.bool_]:
    """Return which samples (n,) are copies of the random sequences that a perfect memory holds.

    Of the ideal generaliser of a hierarchy: which the rules allow.
    """
    if data == RANDOM:
        stored = generator(seed, "random sequences").integers(V, size=(STORED, L))
        memory = DatasetIdeal(stored, V, PROCESSES[process](V))
        return copies(chain(memory, V, L, process, N, n, seed), stored, 0.0)
    known = hierarchy(2, seed, n=10, process=PROCESSES[process])
    return known.source.contains(chain(known.ideal, 8, 16, process, N, n, seed))


def examine(
    found: Grid, size: str, P: int, seed: int, how: Size, steps: tuple[int, ...]
) -> dict[str, Floats]:
    """Return what one network gives away, one value a sample or a sequence."""
    process, V = found.settings.process, found.data.corpus.V
    of, (training, test) = PROCESSES[process](V), found.parts[seed]
    own, L = training[:P], test.shape[1]
    network, memory = found.network(size, P, seed), DatasetIdeal(own, V, of)
    result: dict[str, Floats] = {}
    for N in steps:
        for model, denoiser in (("network", network), ("dataset_ideal", memory)):
            x = chain(denoiser, V, L, process, N, how.copies, seed)
            result[f"{model} {N}"] = copies(x, own, 0.0).astype(float)
    chance, half = generator(seed, f"extracted {P}"), np.arange(L) < L // 2
    few, fewer = ([own[:n], test[:n]] for n in (how.sequences, how.prefixed))
    z, told = np.concatenate(few), np.concatenate(fewer)
    landing = sampled(network, z, V, SCHEDULE, LONG, chance, how.samples, process=of)
    paths = path_weights(network, z, V, SCHEDULE, SHORT, chance, how.paths, process=of)
    after = sampled(network, told, V, SCHEDULE, PREFIXED, chance, how.paths, process=of, known=half)
    bound = held_out_nelbo(network, z, V, SCHEDULE, chance, draws=BOUNDS, process=of)
    for name, values, (first, _) in (
        ("chance", landing.last_step.chance, few),
        ("paths", paths.chance, few),
        ("bound", bound, few),
        ("prefix", after.last_step.chance, fewer),
    ):
        for split, part in zip(SPLITS, np.split(values, [len(first)]), strict=True):
            result[f"{split} {name}"] = part
    return result


def needed(chance: Floats, samples: int) -> Floats:
    """Return the samples (n,) that hold a sequence with chance ½; ∞ where those drawn tell too few.

    A chance below 1/samples is the mean of a few rare values, and mostly far too small.
    """
    return samples_needed(np.where(chance * samples < 1, 0.0, chance))


def rows(
    found: Grid,
    size: str,
    P: int,
    seed: int,
    seen: dict[str, Floats],
    how: Size,
    steps: tuple[int, ...],
) -> Rows:
    """Return the rows of one network and of its perfect memory."""
    memory = {"data": found.name, "process": found.settings.process, "P": P, "seed": seed,
              "model": "dataset_ideal"}  # fmt: skip
    cell, chance = found.cells[size, P, seed], generator(seed, f"extracted rows {P}")
    network = memory | {"model": "network", "trained_for": int(cell["course steps"][-1]),
                        "finished": bool(cell["course finished"])}  # fmt: skip
    table: Rows = []
    for N in steps:
        for about in (network, memory):
            hits = seen[f"{about['model']} {N}"]
            table.append(about | share(hits, chance) | {"split": "train", "steps": N})

    def add(part: str, split: str, steps: int, values: Floats, q: float = 0.5) -> None:
        row = {"part": part, "split": split, "steps": steps, "n": len(values)}
        table.append(network | row | columns("value", quantile(values, q, chance)))

    length = found.data.corpus.tokens.shape[1]
    near = dict(zip(SPLITS, pairs(seen["train bound"], seen["test bound"]), strict=True))
    for split in SPLITS:
        by_samples = needed(seen[f"{split} chance"], how.samples)
        by_paths = samples_needed(seen[f"{split} paths"])
        promised = samples_needed(chance_at_least(seen[f"{split} bound"], length))
        add("needed", split, LONG, by_samples)
        add("needed, 90th percentile", split, LONG, by_samples, TENTH)
        add("needed, by paths", split, SHORT, by_paths)
        add("promised by the bound", split, LONG, promised)
        add("prefix", split, PREFIXED, seen[f"{split} prefix"])
        if len(near[split]):
            add("paired, by paths", split, SHORT, by_paths[near[split]])
    return table


def pooled(table: Sequence[Mapping[str, Any]]) -> Rows:
    """Return one row for those that differ by seed alone; numbers of samples by their logarithm."""
    each: dict[tuple[str, ...], Rows] = {}
    for row in table:
        same = tuple(str(row.get(k, "")) for k in ALIKE)
        each.setdefault(same, []).append(dict(row))
    return [of[0] | columns("value", _over_seeds(of)) for of in each.values()]


def _over_seeds(rows: Rows) -> Interval:
    if rows[0]["part"] not in SHARES:
        return over_seeds(rows, "value", log=True)
    return Interval(*np.clip(over_seeds(rows, "value"), 0, 1).tolist())


def share(hits: NDArray[Any], chance: Generator) -> dict[str, Any]:
    """Return the entries of a share of samples, given as hits (n,)."""
    return {"part": "copies", "n": len(hits), **columns("value", bootstrap_mean(hits, chance))}


def quantile(values: Floats, q: float, rng: Generator) -> Interval:
    """Return a quantile of one value a sequence (n,), and its bootstrap interval; ∞ may occur."""
    again = np.quantile(rng.choice(values, (DRAWS, len(values))), q, axis=1, method="nearest")
    return percentile_interval(float(np.quantile(values, q, method="nearest")), again, "nearest")


def pairs(one: Floats, other: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return bounds of `one` and as many of `other`, paired one to one, each near its partner."""
    apart = np.abs(one[:, None] - other)
    which, partner = scipy.optimize.linear_sum_assignment(np.where(apart <= NEAR, apart, FAR))
    near = apart[which, partner] <= NEAR
    return which[near], partner[near]
