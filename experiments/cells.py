"""One cell of a sweep: train on P sequences, and measure what was trained beside the ideals.

The *same corrupted sequences*, from the training set and unseen, are restored by

    network            the reverse chain with the trained conditionals [T26]
    pseudolikelihood   the same with conditionals linear in the other tokens [T21], [T22]
    dataset_ideal      the reverse chain with the ideal memoriser of the P sequences [T14]
    token_memory       energy descent in the dense associative memory of the P sequences [T19]
    source_ideal       the reverse chain with the ideal generaliser, where the source is known [T15]

A cell is a job of its own, in a process of its own with one thread. What it measured is a file
whose name is made of all settings, written whole or not at all, so what is finished is never
computed again.
"""

import dataclasses
import hashlib
import io
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments.jobs import generator
from hopfield import TokenMemory, TokenPseudoLikelihood
from minuddm import (
    DatasetIdeal,
    Denoiser,
    LogLinear,
    ModelConfig,
    TrainConfig,
    Transformer,
    corrupt,
    inverse_temperature,
    restore,
)
from minuddm.files import write_atomically
from minuddm.probes import conditional_entropy, divergence, held_out_nelbo, recovery
from minuddm.reverse import T_END
from minuddm.train import train

SCHEDULE = LogLinear()
SPLITS = ("train", "test")
TRAINED = ("network", "pseudolikelihood")
MODELS = (*TRAINED, "dataset_ideal", "token_memory", "source_ideal")
SURE = 0.1  # nats: a token above it is not remembered
FORMAT = 2  # of a cell's file: to be raised when what a cell measures changes
COUPLED = 2500  # largest L V of the pseudo-likelihood, whose couplings are (L V)²
LBFGS_STEPS = 50
_BATCH = 256  # sequences whose conditionals are held at a time

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Settings:
    """All that a cell's numbers depend on, besides its sequences."""

    times: tuple[float, ...]
    sequences: int  # restored per split and time
    grid: int  # steps of the reverse chain over [0, 1]
    steps: int
    batch: int
    lr: float
    width: int
    blocks: int
    heads: int
    dropout: float
    seed: int
    models: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Return the trained model named first, whose transition is sought."""
        return next(model for model in self.models if model in TRAINED)

    def model(self, V: int, L: int) -> ModelConfig:
        """Return the network's size."""
        return ModelConfig(V, L, self.width, self.blocks, self.heads, dropout=self.dropout)

    def training(self) -> TrainConfig:
        """Return how it is trained."""
        return TrainConfig(
            steps=self.steps, batch=self.batch, lr=self.lr, seed=self.seed, schedule=SCHEDULE
        )

    def describe(self, V: int, L: int) -> dict[str, Any]:
        """Return everything a result depends on, defaults included, for records and file names.

        Raises `ValueError` for what cannot be built.
        """
        unknown = [model for model in self.models if model not in MODELS]
        if unknown:
            raise ValueError(f"models are {', '.join(MODELS)}; got {unknown[0]!r}")
        if not set(self.models) & set(TRAINED):
            raise ValueError(f"models must hold one that is trained: {' or '.join(TRAINED)}")
        if "pseudolikelihood" in self.models and L * V > COUPLED:
            raise ValueError(f"pseudolikelihood needs L V of at most {COUPLED}, got {L} * {V}")
        return {
            "lbfgs_steps": LBFGS_STEPS,
            "cell_format": FORMAT,
            "measured": dataclasses.asdict(self),
            "model": dataclasses.asdict(self.model(V, L)),
            "training": {k: v for k, v in vars(self.training()).items() if k != "schedule"},
            "schedule": repr(SCHEDULE),
        }

    def fingerprint(self, tokens: NDArray[np.int32], V: int) -> str:
        """Name the settings and the sequences: only equal cells are ever taken for done."""
        content = json.dumps(self.describe(V, tokens.shape[1])).encode() + tokens.tobytes()
        return hashlib.sha256(content).hexdigest()[:12]


@dataclass(frozen=True)
class Cell:
    """One P: its training sequences, the common test sequences, and where its results go."""

    P: int
    alphabet: str
    training: NDArray[np.int32]
    test: NDArray[np.int32]
    settings: Settings
    folder: Path
    ideal: Denoiser | None = None

    @property
    def vocab(self) -> int:
        """Return V."""
        return len(self.alphabet)

    @property
    def path(self) -> Path:
        """Return the file whose presence says that this cell is done."""
        return self.folder / f"P={self.P:06d}.npz"


def measure(cell: Cell, bar: int = 0) -> None:
    """Train, measure everything, and write the cell's file."""
    s, started = cell.settings, time.perf_counter()
    denoisers: dict[str, Denoiser] = {}
    arrays: Arrays = {}
    if "network" in s.models:
        size = s.model(cell.vocab, cell.training.shape[1])
        trained = train(
            Transformer.init(size, generator(s.seed, "weights")),
            cell.training,
            s.training(),
            checkpoint=cell.path.with_suffix(".safetensors"),
            about={"alphabet": cell.alphabet},
            progress=True,
            bar=bar,
        )
        denoisers["network"], arrays["losses"] = trained.average, trained.losses
    if "pseudolikelihood" in s.models:
        denoisers["pseudolikelihood"] = TokenPseudoLikelihood.fit_lbfgs(
            cell.training, cell.vocab, decay=0.0, steps=LBFGS_STEPS
        )
    seconds = time.perf_counter() - started
    if "dataset_ideal" in s.models:
        denoisers["dataset_ideal"] = DatasetIdeal(cell.training, cell.vocab)
    if "source_ideal" in s.models and cell.ideal is not None:
        denoisers["source_ideal"] = cell.ideal
    for split, x in (("train", cell.training[: s.sequences]), ("test", cell.test)):
        for t in s.times:
            arrays |= _at_noise(cell, denoisers, split, x, t)
        for model, denoiser in denoisers.items():
            arrays |= _of_the_clean(cell, model, denoiser, split, x)
    arrays["seconds"] = np.array([seconds, time.perf_counter() - started - seconds])
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    write_atomically(cell.path, content.getvalue())


def _at_noise(
    cell: Cell, denoisers: dict[str, Denoiser], split: str, x: NDArray[np.int32], t: float
) -> Arrays:
    """Corrupt to time t; restore and measure the same corrupted sequences with every model.

    One value per sequence: where there are fewer sequences than asked for, each is corrupted
    several times and its values are averaged.
    """
    s, V, alpha = cell.settings, cell.vocab, float(SCHEDULE.alpha(t))
    repeats = max(1, s.sequences // len(x))
    x0 = np.repeat(x, repeats, axis=0)
    xt = corrupt(x0, alpha, V, generator(s.seed, f"corrupt {split} {t}"))
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
        restored[model] = restore(denoiser, xt, t, SCHEDULE, s.grid, chance)
        for kind, H in conditional_entropy(denoiser, xt, alpha)._asdict().items():
            keep(model, f"entropy_{kind}", H.mean(axis=1))
            keep(model, f"entropy_{kind}_median", np.median(H, axis=1))
            keep(model, f"entropy_{kind}_above", (H > SURE).mean(axis=1))
    for (ideal, model), apart in _distances(denoisers, xt, alpha).items():
        keep(model, f"kl_{ideal}", apart)
    for model, back in restored.items():
        for name, values in recovery(x0, xt, back)._asdict().items():
            keep(model, name, values)
    return arrays


def _distances(
    denoisers: dict[str, Denoiser], xt: NDArray[np.int32], alpha: float
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Mean KL(ideal ‖ trained) of each sequence's conditionals, in nats per token, (B,).

    In this direction it is finite: the ideals exclude values, what is trained excludes none.
    """
    trained = [model for model in denoisers if model in TRAINED]
    ideals = [model for model in denoisers if model not in TRAINED]
    apart = {(ideal, model): np.empty(len(xt)) for ideal in ideals for model in trained}
    for start in range(0, len(xt), _BATCH):
        part = xt[start : start + _BATCH]
        log = {name: known(part, np.full(len(part), alpha)) for name, known in denoisers.items()}
        for (ideal, model), values in apart.items():
            near = divergence(log[ideal], log[model])
            values[start : start + _BATCH] = near.mean(axis=1)
    return apart


def _of_the_clean(
    cell: Cell, model: str, denoiser: Denoiser, split: str, x: NDArray[np.int32]
) -> Arrays:
    """Entropies of the clean sequences at t = 1e-5, and the bound; one value per sequence."""
    entropies = conditional_entropy(denoiser, x, float(SCHEDULE.alpha(T_END)))
    chance = generator(cell.settings.seed, f"bound {split}")
    bound = held_out_nelbo(denoiser, x, cell.vocab, SCHEDULE, chance)
    return {
        f"{model} {split} clean_entropy_loo": entropies.loo.mean(axis=1),
        f"{model} {split} clean_entropy_posterior": entropies.posterior.mean(axis=1),
        f"{model} {split} nelbo": bound,
    }


def mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


def compute(cells: list[Cell], jobs: int) -> None:
    """Measure the cells, the largest P first, each in a process of its own with one thread."""
    if not cells:
        return
    _compile(cells[0])
    order = sorted(cells, key=lambda cell: -cell.P)
    work = Parallel(n_jobs=min(jobs, len(order)), return_as="generator_unordered")(
        delayed(_measure_alone)(cell, 1 + k % jobs) for k, cell in enumerate(order)
    )
    for _ in tqdm(work, total=len(order), desc="cells", unit="cell", disable=None):
        pass


def _measure_alone(cell: Cell, bar: int) -> None:
    with threadpool_limits(1):
        measure(cell, bar)


def _compile(cell: Cell) -> None:
    """Measure a tiny cell first: compiled code is cached, and no worker has to compile again."""
    small = dataclasses.replace(cell.settings, steps=1, sequences=2, grid=2, batch=2)
    with tempfile.TemporaryDirectory() as folder:
        measure(
            dataclasses.replace(
                cell, training=cell.training[:2], test=cell.test[:2], settings=small,
                folder=Path(folder),
            )
        )  # fmt: skip
