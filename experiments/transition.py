"""Few sequences are remembered, many are generalised: the transition, on real text.

For each of several P, nested subsets of one corpus: train a network, then restore *the same
corrupted sequences*, from the training set and unseen, in three ways,

    network         the reverse chain with the trained conditionals [T26]
    dataset_ideal   the reverse chain with the ideal memoriser of the P sequences [T14]
    token_memory    energy descent in the dense associative memory of the P sequences [T19]

and measure recovery, conditional entropy of the same corrupted sequences, and the bound. The
transition is where the network's training recovery leaves 0.95, and where its training and test
recovery meet. Each P is a job of its own; what is finished stays in `cells/` under a name made of
all settings, and is not computed again.
"""

import dataclasses
import hashlib
import io
import itertools
import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.random import Generator, Philox
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments import commandline
from experiments.record import environment, write_record, write_table
from hopfield import TokenMemory
from minuddm import (
    Corpus,
    DatasetIdeal,
    Denoiser,
    LogLinear,
    ModelConfig,
    TrainConfig,
    Transformer,
    corrupt,
    inverse_temperature,
    load,
    restore,
)
from minuddm.files import write_atomically
from minuddm.probes import (
    Curve,
    Interval,
    bootstrap_mean,
    conditional_entropy,
    curves_meet,
    held_out_nelbo,
    plateau_left,
    recovery,
)
from minuddm.reverse import T_END
from minuddm.train import train

SCHEDULE = LogLinear()
SPLITS = ("train", "test")
MODELS = ("network", "dataset_ideal", "token_memory")
SURE = 0.1  # nats: a token above it is not remembered
COLUMNS = [
    *("data", "model", "P", "t", "split", "seed", "n"),
    *("recovery", "recovery_lo", "recovery_hi", "unstable", "exact"),
    *("entropy_loo", "entropy_loo_lo", "entropy_loo_hi", "entropy_loo_median"),
    *("entropy_loo_above", "entropy_posterior", "entropy_posterior_median"),
    *("entropy_posterior_above", "clean_entropy_loo", "clean_entropy_posterior"),
    *("nelbo", "nelbo_se"),
]
"""Entropies are those of the corrupted sequences at the row's t, `clean_` ones of the clean
sequences at t = 1e-5 [T28]; `above` is the share of tokens above 0.1 nat. The bound has no t."""

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


@dataclass(frozen=True)
class Cell:
    """One P: its training sequences, the common test sequences, and where its results go."""

    P: int
    alphabet: str
    training: NDArray[np.int32]
    test: NDArray[np.int32]
    settings: Settings
    folder: Path

    @property
    def vocab(self) -> int:
        """Return V."""
        return len(self.alphabet)

    @property
    def path(self) -> Path:
        """Return the file whose presence says that this cell is done."""
        return self.folder / f"P={self.P:06d}.npz"


def measure(cell: Cell, bar: int = 0) -> None:
    """Train one network, measure everything, and write the cell's file."""
    s, started = cell.settings, time.perf_counter()
    size = ModelConfig(
        cell.vocab, cell.training.shape[1], s.width, s.blocks, s.heads, dropout=s.dropout
    )
    config = TrainConfig(steps=s.steps, batch=s.batch, lr=s.lr, seed=s.seed, schedule=SCHEDULE)
    trained = train(
        Transformer.init(size, _rng(s.seed, "weights")),
        cell.training,
        config,
        checkpoint=cell.path.with_suffix(".safetensors"),
        about={"alphabet": cell.alphabet},
        progress=True,
        bar=bar,
    )
    seconds = time.perf_counter() - started
    denoisers: dict[str, Denoiser] = {
        "network": trained.average,
        "dataset_ideal": DatasetIdeal(cell.training, cell.vocab),
    }
    arrays: Arrays = {"losses": trained.losses}
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
    xt = corrupt(x0, alpha, V, _rng(s.seed, f"corrupt {split} {t}"))
    arrays: Arrays = {}

    def keep(model: str, name: str, values: NDArray[Any]) -> None:
        each = np.asarray(values, dtype=float).reshape(len(x), repeats)
        arrays[f"{model} {split} {t} {name}"] = _mean_known(each)

    memory = TokenMemory(cell.training, V, float(inverse_temperature(alpha, V)))
    restored = {"token_memory": memory.recall(xt).state}
    for model, denoiser in denoisers.items():
        chance = _rng(s.seed, f"restore {split} {t}")
        restored[model] = restore(denoiser, xt, t, SCHEDULE, s.grid, chance)
        for kind, H in conditional_entropy(denoiser, xt, alpha)._asdict().items():
            keep(model, f"entropy_{kind}", H.mean(axis=1))
            keep(model, f"entropy_{kind}_median", np.median(H, axis=1))
            keep(model, f"entropy_{kind}_above", (H > SURE).mean(axis=1))
    for model, back in restored.items():
        for name, values in recovery(x0, xt, back)._asdict().items():
            keep(model, name, values)
    return arrays


def _of_the_clean(
    cell: Cell, model: str, denoiser: Denoiser, split: str, x: NDArray[np.int32]
) -> Arrays:
    """Entropies of the clean sequences at t = 1e-5, and the bound; one value per sequence."""
    entropies = conditional_entropy(denoiser, x, float(SCHEDULE.alpha(T_END)))
    chance = _rng(cell.settings.seed, f"bound {split}")
    bound = held_out_nelbo(denoiser, x, cell.vocab, SCHEDULE, chance)
    return {
        f"{model} {split} clean_entropy_loo": entropies.loo.mean(axis=1),
        f"{model} {split} clean_entropy_posterior": entropies.posterior.mean(axis=1),
        f"{model} {split} nelbo": bound,
    }


def _rng(seed: int, purpose: str) -> Generator:
    """Return a generator of its own for each purpose: no draw depends on another."""
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return Generator(Philox(key=np.array([seed, word], dtype=np.uint64)))


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    total, number = np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1)
    return np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)


# ---- from cells to the table --------------------------------------------------------------------


def rows(data: str, cells: dict[int, Arrays], settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield the table's rows: model × P × t × split."""
    for P, arrays in cells.items():
        for model, split, t in itertools.product(MODELS, SPLITS, settings.times):
            rng = _rng(settings.seed, f"bootstrap {model} {P} {split} {t}")
            recovered = arrays[f"{model} {split} {t} recovery"]
            row = {"data": data, "model": model, "P": P, "t": t, "split": split}
            row |= {"seed": settings.seed, "n": len(recovered)}
            row |= _columns("recovery", bootstrap_mean(recovered, rng))
            loo = arrays.get(f"{model} {split} {t} entropy_loo")
            if loo is not None:  # the energy descent has no conditionals of its own
                row |= _columns("entropy_loo", bootstrap_mean(loo, rng))
            for name in COLUMNS:
                values = arrays.get(
                    f"{model} {split} {t} {name}", arrays.get(f"{model} {split} {name}")
                )
                if name not in row and values is not None:
                    row[name] = float(_mean_known(values))
                    if name == "nelbo" and np.isfinite(values).all():
                        row["nelbo_se"] = float(values.std() / np.sqrt(len(values)))
            yield row


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_lo": interval.low, f"{name}_hi": interval.high}


class Estimates(NamedTuple):
    """Three readings of the transition, in P: two need the training set, and so does the third."""

    leaves: Interval
    meets: Interval
    entropies_meet: Interval


def estimate(cells: dict[int, Arrays], settings: Settings, t: float) -> Estimates:
    """Return where the network's recovery leaves its plateau, and where the curves meet, at t."""

    def curve(name: str) -> Curve:
        training, test = (
            [arrays[f"network {split} {t} {name}"] for arrays in cells.values()] for split in SPLITS
        )
        return Curve(list(cells), training, test)

    rng = _rng(settings.seed, "transition")
    recovered = curve("recovery")
    return Estimates(
        plateau_left(recovered, rng),
        curves_meet(recovered, rng),
        curves_meet(curve("entropy_loo"), rng),
    )


def draw(out: Path, table: list[dict[str, Any]], found: Estimates, t: float) -> None:
    """Draw recovery and entropy against P."""
    from experiments.figures import plt, save

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.1))
    at_t = [row for row in table if row["t"] == t]
    _curves(left, at_t, "recovery", MODELS)
    left.set_ylim(-0.02, 1.08)
    left.set_ylabel("corrupted tokens recovered (share)")
    left.set_title(f"Recovery from t = {t:g}")
    _curves(right, at_t, "entropy_loo", MODELS[:2])
    right.set_ylim(bottom=-0.03)
    right.set_ylabel("leave-one-out entropy (nats per token)")
    right.set_title(f"Conditional entropy at t = {t:g}")
    for interval, word in ((found.leaves, " leaves .95"), (found.meets, " meet")):
        if not np.isnan(interval.value):
            for axes in (left, right):
                axes.axvline(interval.value, color="0.35", lw=1, ls=":")
            left.text(interval.value, 1.07, word, va="top", fontsize=8.5, color="0.3")
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9
    )
    save(out, figure)


def _curves(axes: Any, table: list[dict[str, Any]], name: str, models: Sequence[str]) -> None:
    """Draw one quantity of several models, training solid and test dashed, with intervals."""
    from experiments.figures import COLOUR, DASH, NAME

    for model in models:
        for split in SPLITS:
            line = [row for row in table if (row["model"], row["split"]) == (model, split)]
            P = [row["P"] for row in line]
            axes.plot(
                P,
                [row[name] for row in line],
                color=COLOUR[model],
                ls=DASH[split],
                lw=3.6 if model == "dataset_ideal" else 1.6,  # shows beneath a line on top of it
                label=f"{NAME[model]}, {split}",
            )
            low, high = ([row[f"{name}_{end}"] for row in line] for end in ("lo", "hi"))
            axes.fill_between(P, low, high, alpha=0.15, lw=0, color=COLOUR[model])
    axes.set_xscale("log")
    axes.set_xlabel("training sequences P")


def paragraph(table: list[dict[str, Any]], found: Estimates, t: float) -> str:
    """Say in one paragraph where memory turns into generalisation."""
    of = {(r["model"], r["P"], r["split"]): r for r in table if r["t"] == t}
    counts = sorted({P for _, P, _ in of})
    first, last = counts[0], counts[-1]

    def value(split: str, P: int, name: str = "recovery", model: str = "network") -> str:
        return f"{of[model, P, split][name]:.2f}"

    memoriser = min(of["dataset_ideal", P, "train"]["recovery"] for P in counts)
    return (
        f"At t = {t:g} a network trained on P = {first} sequences recovers {value('train', first)} "
        f"of the corrupted tokens of those and {value('test', first)} of unseen ones; trained on "
        f"P = {last} it recovers {value('train', last)} and {value('test', last)}. Training "
        f"recovery leaves 0.95 at P = {_show(found.leaves)}; training and test intervals first "
        f"overlap at P = {_show(found.meets)}: between the two, memory turns into generalisation. "
        f"The leave-one-out entropy of corrupted training sequences rises from "
        f"{value('train', first, 'entropy_loo')} to {value('train', last, 'entropy_loo')} nats per "
        f"token, that of unseen ones from {value('test', first, 'entropy_loo')} to "
        f"{value('test', last, 'entropy_loo')}, and the two first overlap at "
        f"P = {_show(found.entropies_meet)}. The ideal memoriser recovers at least "
        f"{memoriser:.3f} of its training tokens at every P, and "
        f"{value('test', last, model='dataset_ideal')} of unseen ones at P = {last}: forgetting "
        f"the training set is the network's doing, not the data's."
    )


def _show(interval: Interval) -> str:
    if np.isnan(interval.value):
        return "none of those measured"
    return f"{interval.value:.0f} (95 % interval {interval.low:.0f} to {interval.high:.0f})"


# ---- the command --------------------------------------------------------------------------------


def parser() -> commandline.CommandLine:
    """Return the command line of this experiment."""
    p = commandline.CommandLine("transition", (__doc__ or "").split("\n\n")[0])
    whole, some = commandline.whole, commandline.positive
    p.add_argument("--data", default="pydoc", help="pydoc, names, or a UTF-8 text file")
    p.add_argument("--lines", action="store_true", help="one sequence a line, not windows")
    p.add_argument("--length", type=whole(2, 1024), default=32, help="tokens per sequence, L")
    p.add_argument("--vocab", type=whole(2, 4096), default=256, help="largest alphabet, V")
    p.add_argument(
        "--subsets",
        type=whole(1),
        nargs="+",
        metavar="P",
        help="training set sizes (default: 8 from 16 to 10,000 or all there are; 4 if --quick)",
    )
    p.add_argument(
        "--times", type=commandline.time, nargs="+", metavar="t", default=[0.1, 0.25, 0.5],
        help="corruption times; the first is the one drawn",
    )  # fmt: skip
    p.add_argument("--sequences", type=whole(2), default=500, help="restored per split and time")
    p.add_argument("--grid", type=whole(1), default=64, help="steps of the reverse chain")
    p.add_argument(
        "--steps", type=whole(1), help="training steps (default: 12000; 1800 if --quick)"
    )
    p.add_argument("--batch", type=whole(1), default=16, help="sequences a step")
    p.add_argument("--lr", type=some, help="peak rate (default: 1e-3; 2e-3 if --quick)")
    p.add_argument("--width", type=whole(2), default=64, help="of the network, D")
    p.add_argument("--blocks", type=whole(1), default=2, help="of the network")
    p.add_argument("--heads", type=whole(1), default=4, help="of attention, H")
    p.add_argument("--dropout", type=float, default=0.0, help="rate in [0, 1)")
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = parser()
    args = p.parse_args(argv)
    started, made_by = time.perf_counter(), environment()
    try:
        corpus = load(args.data, args.length, lines=args.lines, vocab=args.vocab)
        settings = _settings(args)
        ModelConfig(
            corpus.V, args.length, args.width, args.blocks, args.heads, dropout=args.dropout
        )
        training, test = corpus.split(_test_size(settings.sequences, len(corpus)), args.seed)
        subsets = [training.subset(P) for P in args.subsets or _default_subsets(training, args)]
    except (ValueError, TypeError) as error:
        p.error(str(error))
    out = p.folder(args)
    _report(corpus, training, test)
    folder = out / "cells" / _fingerprint(settings, corpus)
    folder.mkdir(parents=True, exist_ok=True)
    cells = {
        len(s): Cell(len(s), corpus.alphabet, s.tokens, test.tokens, settings, folder)
        for s in sorted(subsets, key=len)
    }
    try:
        compute([cell for cell in cells.values() if not cell.path.exists()], args.jobs)
    except (ValueError, FloatingPointError) as error:
        p.error(str(error))
    arrays = {P: dict(np.load(cell.path)) for P, cell in cells.items()}
    data = Path(corpus.name).name
    table = list(rows(data, arrays, settings))
    t = settings.times[0]
    found = estimate(arrays, settings, t)
    text = paragraph(table, found, t)
    write_table(out, COLUMNS, table)
    draw(out, table, found, t)
    write_record(
        out,
        {
            "experiment": "transition",
            "claim": (__doc__ or "").split("\n\n")[0],
            "command": "python -m experiments.transition " + " ".join(argv or sys.argv[1:]),
            "data": {
                "name": data,
                "sha256": corpus.sha256,
                "sequences": len(corpus),
                "V": corpus.V,
                "L": args.length,
                "training": len(training),
                "test": len(test),
                "unknown_characters": sum(corpus.unknown.values()),
                "dropped_lines": corpus.dropped,
            },
            "settings": dataclasses.asdict(settings),
            "evaluated_weights": "moving average, limit 0.999",
            "intervals": "95 %, percentile bootstrap over sequences, 1000 draws",
            "jobs": args.jobs,
            "threads_per_job": 1,
            "wall_seconds": time.perf_counter() - started,
            "cell_seconds": {P: a["seconds"].tolist() for P, a in arrays.items()},
            "headline": {
                "t": t,
                "leaves_0.95": found.leaves._asdict(),
                "recoveries_meet": found.meets._asdict(),
                "entropies_meet": found.entropies_meet._asdict(),
                "paragraph": text,
            },
            "environment": made_by,
        },
    )
    print(text)


def _settings(args: Namespace) -> Settings:
    return Settings(
        times=tuple(args.times),
        sequences=min(args.sequences, 200) if args.quick else args.sequences,
        grid=args.grid,
        steps=args.steps or (1800 if args.quick else 12_000),
        batch=args.batch,
        lr=args.lr or (2e-3 if args.quick else 1e-3),
        width=args.width,
        blocks=args.blocks,
        heads=args.heads,
        dropout=args.dropout,
        seed=args.seed,
    )


def _test_size(sequences: int, available: int) -> int:
    """Hold out as many as are restored, but never more than a fifth of a small corpus."""
    return max(1, min(sequences, available // 5))


def _default_subsets(training: Corpus, args: Namespace) -> list[int]:
    most = min(len(training), 1024 if args.quick else 10_000)
    if most <= 16:
        return [most]
    return sorted({round(P) for P in np.geomspace(16, most, 4 if args.quick else 8)})


def _fingerprint(settings: Settings, corpus: Corpus) -> str:
    """Name the settings and the sequences, so that only equal cells are ever taken for done."""
    content = json.dumps(dataclasses.asdict(settings)).encode() + corpus.tokens.tobytes()
    return hashlib.sha256(content).hexdigest()[:12]


def _report(corpus: Corpus, training: Corpus, test: Corpus) -> None:
    """Say on stderr what was read."""
    notes = [f"{len(training)} training and {len(test)} test sequences, V = {corpus.V}"]
    if corpus.unknown:
        kinds, total = len(corpus.unknown), sum(corpus.unknown.values())
        notes.append(f"{total} unknown characters of {kinds} kinds left out")
    if corpus.dropped:
        notes.append(f"{corpus.dropped} lines too long, left out")
    print(f"{corpus.name}: {'; '.join(notes)}", file=sys.stderr)


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


if __name__ == "__main__":
    commandline.run(main)
