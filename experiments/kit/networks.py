"""A grid of networks has cells: train on P sequences, and measure what was trained beside ideals.

The *same corrupted sequences*, from the training set and unseen, are restored by

    network            the reverse chain with the trained conditionals [T26]
    pseudolikelihood   the same with conditionals linear in the other tokens [T21], [T22]
    dataset_ideal      the reverse chain with the ideal memoriser of the P sequences [T14]
    token_memory       energy descent in the dense associative memory of the P sequences [T19]
    source_ideal       the reverse chain with the ideal generaliser, where the source is known [T15]

With the masked process [T37] all this is of masks; token memory and pseudo-likelihood know of none.

Networks learn by one recipe (RECIPE, COND), until learning is over (`kit/course.py`) or to a cap on
their steps. One that is interrupted goes on from its checkpoint, which lies beside the cell's file.
"""

import dataclasses
import time
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from experiments.kit.cells import path
from experiments.kit.course import follow, over
from experiments.kit.draws import generator
from experiments.kit.experiment import Run
from experiments.kit.measures import at_noise, look, of_the_clean, own
from experiments.kit.settings import LBFGS_STEPS, Arrays, Cell
from hopfield import TokenPseudoLikelihood
from minuddm import DatasetIdeal, Denoiser, Transformer

Key = TypeVar("Key", bound=Hashable)


def compute(
    cells: Mapping[Key, Cell], folder: Path, run: Run
) -> tuple[dict[Key, Arrays], dict[Key, Path]]:
    """Measure the cells that are not done yet, the largest first; return all, and checkpoints."""
    files = {key: path(measure, cell, folder) for key, cell in cells.items()}
    checkpoints = {key: file.with_suffix(".safetensors") for key, file in files.items()}

    def cost(key: Key) -> tuple[int, int]:
        s = cells[key].settings
        return s.width * s.blocks, len(cells[key].training)

    order = sorted(cells, key=cost)
    tasks = [
        dataclasses.replace(cells[key], checkpoint=checkpoints[key], bar=1 + k % run.args.jobs)
        for k, key in enumerate(order)
    ]
    found = run.each(measure, tasks, _tiny(tasks[0]), folder)
    of = dict(zip(order, found, strict=True))
    return {key: of[key] for key in cells}, checkpoints


def by_seeds(cells: Sequence[Arrays]) -> Arrays:
    """Return what the cells of several seeds measured, a row (S, …) a seed."""
    names = [name for name in cells[0] if not name.startswith("course ")]
    found = {name: np.stack([cell[name] for cell in cells]) for name in names}
    if "course steps" in cells[0]:
        found["steps"] = np.array([cell["course steps"][-1] for cell in cells])
        found["finished"] = np.array([cell["course finished"] for cell in cells])
    return found


def measure(cell: Cell) -> Arrays:
    """Train, measure everything, and return one value a sequence for each model, split and t."""
    s, started, kept = cell.settings, time.perf_counter(), cell.checkpoint is not None
    denoisers: dict[str, Denoiser] = {}
    arrays: Arrays = {}
    if "network" in s.models:
        size = s.model(cell.vocab, cell.training.shape[1])
        trained, seen = follow(
            Transformer.init(size, generator(s.seed, "weights")),
            cell.training,
            s.training(),
            partial(look, cell),
            over=partial(over, slack=s.slack),
            process=cell.process,
            checkpoint=cell.checkpoint,
            about={"alphabet": cell.alphabet, "cell": cell.checkpoint.stem if kept else ""},
            progress=kept,
            bar=cell.bar,
        )
        denoisers["network"] = trained.average
        arrays |= {f"course {name}": values for name, values in seen.items()}
    if "pseudolikelihood" in s.models:
        denoisers["pseudolikelihood"] = TokenPseudoLikelihood.fit_lbfgs(
            cell.training, cell.vocab, decay=0.0, steps=LBFGS_STEPS
        )
    seconds = time.perf_counter() - started
    if "dataset_ideal" in s.models:
        denoisers["dataset_ideal"] = DatasetIdeal(cell.training, cell.vocab, cell.process)
    if "source_ideal" in s.models and cell.ideal is not None:
        denoisers["source_ideal"] = cell.ideal
    for split, x in (("train", cell.training[: s.sequences]), ("test", cell.test)):
        for t in s.times:
            arrays |= at_noise(cell, denoisers, split, x, t)
        for model, denoiser in denoisers.items():
            arrays |= of_the_clean(cell, model, denoiser, split, x)
    if s.samples:
        arrays |= own(cell, denoisers)
    arrays["seconds"] = np.array([seconds, time.perf_counter() - started - seconds])
    return arrays


def _tiny(cell: Cell) -> Cell:
    """Return a cell of a second that compiles all that a cell needs."""
    s = cell.settings
    small = dataclasses.replace(s, steps=1, sequences=2, grid=2, batch=2, samples=min(2, s.samples))
    return dataclasses.replace(
        cell, training=cell.training[:2], test=cell.test[:2], settings=small, checkpoint=None
    )
