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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.kit.cells import path
from experiments.kit.commandline import InputError
from experiments.kit.course import follow
from experiments.kit.draws import generator
from experiments.kit.experiment import Run
from experiments.kit.means import mean_known, mean_where
from experiments.kit.settings import LBFGS_STEPS, SCHEDULE, SURE, TRAINED, Settings
from hopfield import TokenMemory, TokenPseudoLikelihood
from minuddm import (
    DatasetIdeal,
    Denoiser,
    Process,
    Transformer,
    generate,
    inverse_temperature,
    restore,
)
from minuddm.probes import conditional_entropy, divergence, held_out_nelbo, recovery
from minuddm.reverse import T_END

_BATCH = 256  # sequences whose conditionals are held at a time
LOOKED_AT = 100  # sequences of each split that are looked at while a network learns

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Cell:
    """P training sequences and the common test sequences; what is not compared names no cell."""

    alphabet: str
    training: NDArray[np.int32]
    test: NDArray[np.int32]
    settings: Settings
    pad: int | None = None
    """The token that fills lines up."""
    ideal: Denoiser | None = field(default=None, compare=False)
    """Of the source, where it is known: the sequences tell it from others."""
    checkpoint: Path | None = field(default=None, compare=False)
    bar: int = field(default=0, compare=False)
    """The line of the terminal that shows how far training is."""

    @property
    def vocab(self) -> int:
        """Return V."""
        return len(self.alphabet)

    @property
    def process(self) -> Process:
        """Return what corrupts the tokens."""
        return self.settings.of_tokens(self.vocab)

    @property
    def label(self) -> str:
        """Return the readable part of the file's name."""
        s = self.settings
        return f"{s.width}x{s.blocks}-P={len(self.training):06d}-seed={s.seed}"


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
    try:
        found = run.each(measure, tasks, _tiny(tasks[0]), folder)
    except (ValueError, FloatingPointError) as error:  # a damaged checkpoint, a loss that diverged
        raise InputError(str(error)) from error
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
            arrays |= _at_noise(cell, denoisers, split, x, t)
        for model, denoiser in denoisers.items():
            arrays |= _of_the_clean(cell, model, denoiser, split, x)
    if s.samples:
        arrays |= _samples(cell, denoisers[s.subject])
    arrays["seconds"] = np.array([seconds, time.perf_counter() - started - seconds])
    return arrays


def look(cell: Cell, network: Transformer) -> Arrays:
    """Return what is measured while a network learns, one value a sequence: recovery and bound."""
    s, V, of, t = cell.settings, cell.vocab, cell.process, cell.settings.times[0]
    found: Arrays = {}
    for split, x in (("train", cell.training), ("test", cell.test)):
        x0 = np.resize(x, (min(LOOKED_AT, s.sequences), x.shape[1]))
        xt = of.corrupt(x0, float(SCHEDULE.alpha(t)), generator(s.seed, f"look {split}"))
        chance = generator(s.seed, f"look back {split}")
        back = restore(network, xt, t, SCHEDULE, s.grid, chance, process=of)
        found[f"{split} recovery"] = recovery(x0, xt, back).recovery
        chance = generator(s.seed, f"look bound {split}")
        found[f"{split} bound"] = held_out_nelbo(network, x0, V, SCHEDULE, chance, process=of)
    return found


def _at_noise(
    cell: Cell, denoisers: dict[str, Denoiser], split: str, x: NDArray[np.int32], t: float
) -> Arrays:
    """Corrupt to time t; restore and measure the same corrupted sequences with every model.

    One value per sequence: where there are fewer sequences than asked for, each is corrupted
    several times and its values are averaged.
    """
    s, V, of, alpha = cell.settings, cell.vocab, cell.process, float(SCHEDULE.alpha(t))
    repeats = max(1, s.sequences // len(x))
    x0 = np.repeat(x, repeats, axis=0)
    xt = of.corrupt(x0, alpha, generator(s.seed, f"corrupt {split} {t}"))
    arrays: Arrays = {}

    def keep(model: str, name: str, values: NDArray[Any]) -> None:
        each = np.asarray(values, dtype=float).reshape(len(x), repeats)
        arrays[f"{model} {split} {t} {name}"] = mean_known(each)

    restored = {}
    if "token_memory" in s.models:
        memory = TokenMemory(cell.training, V, float(inverse_temperature(alpha, V)))
        restored["token_memory"] = memory.recall(xt).state
    for model, denoiser in denoisers.items():
        chance = generator(s.seed, f"restore {split} {t}")
        restored[model] = restore(denoiser, xt, t, SCHEDULE, s.grid, chance, process=of)
        for kind, H in conditional_entropy(denoiser, xt, alpha, process=of)._asdict().items():
            if cell.pad is not None:
                keep(model, f"entropy_{kind}_characters", mean_where(x0 != cell.pad, H))
            keep(model, f"entropy_{kind}", H.mean(axis=1))
            keep(model, f"entropy_{kind}_median", np.median(H, axis=1))
            keep(model, f"entropy_{kind}_above", (H > SURE).mean(axis=1))
    for (ideal, model), apart in _distances(denoisers, xt, alpha, of).items():
        keep(model, f"kl_{ideal}", apart)
    for model, back in restored.items():
        for name, values in recovery(x0, xt, back)._asdict().items():
            keep(model, name, values)
        if cell.pad is not None:
            changed = (xt != x0) & (x0 != cell.pad)
            keep(model, "recovery_characters", mean_where(changed, back == x0))
    return arrays


def _distances(
    denoisers: dict[str, Denoiser], xt: NDArray[np.int32], alpha: float, of: Process
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Mean KL(ideal ‖ trained) of each sequence's conditionals, in nats per token, (B,).

    In this direction it is finite: the ideals exclude values, what is trained excludes none.
    """
    trained = [model for model in denoisers if model in TRAINED]
    ideals = [model for model in denoisers if model not in TRAINED]
    apart = {(ideal, model): np.empty(len(xt)) for ideal in ideals for model in trained}
    for start in range(0, len(xt), _BATCH):
        part = xt[start : start + _BATCH]
        at = np.full(len(part), alpha)
        log = {name: of.leave_one_out(known, part, at) for name, known in denoisers.items()}
        for (ideal, model), values in apart.items():
            near = divergence(log[ideal], log[model])
            values[start : start + _BATCH] = near.mean(axis=1)
    return apart


def _of_the_clean(
    cell: Cell, model: str, denoiser: Denoiser, split: str, x: NDArray[np.int32]
) -> Arrays:
    """Entropies of the clean sequences at t = 1e-5, and the bound; one value per sequence."""
    of, alpha = cell.process, float(SCHEDULE.alpha(T_END))
    entropies = conditional_entropy(denoiser, x, alpha, process=of)
    chance = generator(cell.settings.seed, f"bound {split}")
    bound = held_out_nelbo(denoiser, x, cell.vocab, SCHEDULE, chance, process=of)
    return {
        f"{model} {split} clean_entropy_loo": entropies.loo.mean(axis=1),
        f"{model} {split} clean_entropy_posterior": entropies.posterior.mean(axis=1),
        f"{model} {split} nelbo": bound,
    }


def _samples(cell: Cell, denoiser: Denoiser) -> Arrays:
    """Generate two independent sets of sequences; entropies of the first at t = 1e-5 [T28]."""
    s, of, size = cell.settings, cell.process, (cell.training.shape[1], cell.vocab)
    chance = generator(s.seed, "samples")
    both = generate(denoiser, 2 * s.samples, *size, SCHEDULE, s.grid, chance, process=of)
    first, second = np.split(both, 2)
    alpha = float(SCHEDULE.alpha(T_END))
    entropies = conditional_entropy(denoiser, first, alpha, process=of)
    return {
        "samples": first,
        "second samples": second,
        "samples entropy_loo": entropies.loo.mean(axis=1),
        "samples entropy_posterior": entropies.posterior.mean(axis=1),
    }


def _tiny(cell: Cell) -> Cell:
    """Return a cell of a second that compiles all that a cell needs."""
    s = cell.settings
    small = dataclasses.replace(s, steps=1, sequences=2, grid=2, batch=2, samples=min(2, s.samples))
    return dataclasses.replace(
        cell, training=cell.training[:2], test=cell.test[:2], settings=small, checkpoint=None
    )
