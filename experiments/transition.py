"""Few sequences are remembered, many are generalised: the transition, on text or on a toy source.

For each of several P, nested subsets of one corpus: train a network, then restore *the same
corrupted sequences*, from the training set and unseen, by the network, by the ideal memoriser
[T14], by energy descent in the token memory [T19] and, where the source is known, by the ideal
generaliser [T15]; measure recovery, conditional entropy and the bound (`experiments/cells.py`).

The transition is where the network's training recovery leaves 0.95, and where its training and test
recovery meet. On a known source there is a third reading, which needs no recovery at all: where the
network's conditionals come closer to the ideal generaliser's than to the ideal memoriser's.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import commandline
from experiments.cells import MODELS, SPLITS, TRAINED, Arrays, Cell, Settings, compute
from experiments.data import SOURCES, Data, describe, read
from experiments.jobs import generator
from experiments.record import environment, write_record, write_table
from experiments.table import COLUMNS, gaps, rows
from minuddm import Corpus
from minuddm.probes import Curve, Interval, curves_cross, curves_meet, plateau_left


class Estimates(NamedTuple):
    """Readings of the transition, in P; the last one where the source is known."""

    leaves: Interval
    recoveries_meet: Interval
    entropies_meet: Interval
    ideals_cross: Interval | None


def estimate(cells: dict[int, Arrays], settings: Settings, t: float) -> Estimates:
    """Return where recovery leaves its plateau, curves meet, and one ideal takes over, at t."""

    def measured(split: str, name: str) -> list[Any]:
        model = settings.subject
        return [arrays.get(f"{model} {split} {t} {name}") for arrays in cells.values()]

    def curve(name: str) -> Curve:
        return Curve(list(cells), measured("train", name), measured("test", name))

    rng = generator(settings.seed, "transition")
    recovered = curve("recovery")
    leaves, meets = plateau_left(recovered, rng), curves_meet(recovered, rng)
    entropies_meet = curves_meet(curve("entropy_loo"), rng)
    generaliser, memoriser = (measured("train", f"kl_{x}_ideal") for x in ("source", "dataset"))
    cross = None
    if generaliser[0] is not None and memoriser[0] is not None:
        cross = curves_cross(list(cells), generaliser, memoriser, rng)
    return Estimates(leaves, meets, entropies_meet, cross)


def draw(out: Path, table: list[dict[str, Any]], found: Estimates, t: float, model: str) -> None:
    """Draw recovery and entropy against P and, for a known source, the distance to the ideals."""
    from experiments.figures import NAME, plt, save

    models = list(dict.fromkeys(row["model"] for row in table))
    with_conditionals = [model for model in models if model != "token_memory"]
    at_t = [row for row in table if row["t"] == t]
    panels = 2 if found.ideals_cross is None else 3
    figure, (left, right, *rest) = plt.subplots(1, panels, figsize=(5 * panels, 4.1))
    _curves(left, at_t, "recovery", models)
    left.set_ylim(-0.02, 1.08)
    left.set_ylabel("corrupted tokens recovered (share)")
    left.set_title(f"Recovery from t = {t:g}")
    _curves(right, at_t, "entropy_loo", with_conditionals)
    right.set_ylim(bottom=-0.03)
    right.set_ylabel("leave-one-out entropy (nats per token)")
    right.set_title(f"Conditional entropy at t = {t:g}")
    for axes in rest:
        subject = [row for row in at_t if row["model"] == model]
        for ideal in ("dataset_ideal", "source_ideal"):
            _curves(axes, [row | {"model": ideal} for row in subject], f"kl_{ideal}", [ideal])
        axes.set_yscale("log")
        axes.set_ylabel("KL(ideal ‖ model) (nats per token)")
        axes.set_title(f"Distance of the {NAME[model]} to the ideals")
    marks = [(found.leaves, " leaves .95", left), (found.recoveries_meet, " meet", left)]
    if found.ideals_cross is not None:
        marks.append((found.ideals_cross, " ideals cross", rest[0]))
    for interval, word, where in marks:
        if not np.isnan(interval.value):
            for axes in (left, right, *rest):
                axes.axvline(interval.value, color="0.35", lw=1, ls=":")
            place = where.get_xaxis_transform()  # x in data, y in the height of the panel
            where.text(interval.value, 0.99, word, va="top", size=8.5, color="0.3", transform=place)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=len(models), fontsize=9
    )
    save(out, figure)


def _curves(axes: Any, table: list[dict[str, Any]], name: str, models: Sequence[str]) -> None:
    """Draw one quantity of several models, training solid and test dashed, with intervals."""
    from experiments.figures import COLOUR, DASH, NAME, band

    for model in models:
        for split in SPLITS:
            line = [row for row in table if (row["model"], row["split"]) == (model, split)]
            band(axes, line, "P", name, color=COLOUR[model], ls=DASH[split],
                 lw=3.6 if model == "dataset_ideal" else 1.6,  # shows beneath a line on top of it
                 label=f"{NAME[model]}, {split}")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("training sequences P")


def paragraph(table: list[dict[str, Any]], found: Estimates, t: float, subject: str) -> str:
    """Say in one paragraph where the memory of the subject turns into generalisation."""
    of = {(r["model"], r["P"], r["split"]): r for r in table if r["t"] == t}
    counts = sorted({P for _, P, _ in of})
    first, last = counts[0], counts[-1]

    def value(split: str, P: int, name: str = "recovery", model: str = subject) -> str:
        return f"{of[model, P, split][name]:.2f}"

    kind = "network" if subject == "network" else "linear network of the pseudo-likelihood"
    said = [
        f"At t = {t:g} a {kind} trained on P = {first} sequences recovers {value('train', first)} "
        f"of the corrupted tokens of those and {value('test', first)} of unseen ones, with a "
        f"leave-one-out entropy of {value('train', first, 'entropy_loo')} and "
        f"{value('test', first, 'entropy_loo')} nats per token."
    ]
    if first < last:
        said.append(
            f"Trained on P = {last} it recovers {value('train', last)} and {value('test', last)}, "
            f"with entropies of {value('train', last, 'entropy_loo')} and "
            f"{value('test', last, 'entropy_loo')}. Training recovery leaves 0.95 at "
            f"P = {_show(found.leaves, first)}; training and test intervals first overlap at "
            f"P = {_show(found.recoveries_meet, first)}, those of the entropies at "
            f"P = {_show(found.entropies_meet, first)}"
            + (
                ": between leaving and meeting, memory turns into generalisation."
                if first < found.leaves.value < found.recoveries_meet.value
                else "."
            )
        )
    if ("dataset_ideal", last, "train") in of:
        memoriser = min(of["dataset_ideal", P, "train"]["recovery"] for P in counts)
        said.append(
            f"The ideal memoriser recovers at least {memoriser:.3f} of its training tokens at "
            f"every P, and {value('test', last, model='dataset_ideal')} of unseen ones at P = "
            f"{last}."
        )
    if found.ideals_cross is not None:
        if first < last:
            said.append(
                "The network's conditionals come closer to the ideal generaliser's than to the "
                f"memoriser's at P = {_show(found.ideals_cross, first)}."
            )
        row = of[subject, last, "test"]
        said.append(
            f"At P = {last} its bound on unseen sequences is {row['excess']:.4f} "
            f"± {2 * row['excess_se']:.4f} nats per token above the source's entropy, and it "
            f"recovers {value('test', last)} where the ideal generaliser recovers "
            f"{value('test', last, model='source_ideal')}."
        )
    return " ".join(said)


def _show(interval: Interval, least: int) -> str:
    """Say where a crossing is, or that it lies outside what was measured."""
    if np.isnan(interval.value):
        return "none of those measured"
    if interval.value <= least:
        return f"{least} or below"
    return f"{interval.value:.0f} (95 % interval {interval.low:.0f} to {interval.high:.0f})"


# ---- the command --------------------------------------------------------------------------------


def parser() -> commandline.CommandLine:
    """Return the command line of this experiment."""
    p = commandline.CommandLine("transition", (__doc__ or "").split("\n\n")[0])
    whole, some = commandline.whole, commandline.positive
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--rules", type=whole(1, 8), default=2, help="per symbol of the hierarchy")
    p.add_argument("--lines", action="store_true", help="one sequence a line, not windows")
    p.add_argument(
        "--length",
        type=whole(2, 1024),
        help="tokens per sequence, L (default: 32, or the longest line; hierarchy: 16)",
    )
    p.add_argument("--vocab", type=whole(2, 4096), default=256, help="largest alphabet, V")
    p.add_argument(
        "--models",
        help=f"what restores, with commas: {', '.join(MODELS)} (default: all but the second; the "
        "last on a source only). The transition is that of the trained one named first",
    )
    p.add_argument(
        "--subsets",
        type=whole(1),
        nargs="+",
        metavar="P",
        help="training set sizes (default: 8 from 16 to 10,000, on a source 65,536; --quick: 4)",
    )
    p.add_argument(
        "--times", type=commandline.time, nargs="+", metavar="t", default=[0.1, 0.25, 0.5],
        help="corruption times; the first is the one drawn",
    )  # fmt: skip
    p.add_argument(
        "--sequences",
        type=whole(2),
        help="restored per split and time (default: 500; --quick: 200)",
    )
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
        data, settings = _data(args), _settings(args)
        corpus = data.corpus
        length = corpus.tokens.shape[1]
        described = settings.describe(corpus.V, length)  # refuses what cannot be built
        training, test = corpus.split(_test_size(settings.sequences, len(corpus)), args.seed)
        subsets = [training.subset(P) for P in args.subsets or _default_subsets(training, args)]
    except (ValueError, TypeError) as error:
        p.error(str(error))
    out = p.folder(args, variant=_variant(args))
    _report(corpus, training, test)
    folder = out / "cells" / settings.fingerprint(corpus.tokens, corpus.V)
    folder.mkdir(parents=True, exist_ok=True)
    cells = {
        len(s): Cell(len(s), corpus.alphabet, s.tokens, test.tokens, settings, folder, data.ideal)
        for s in sorted(subsets, key=len)
    }
    try:
        compute([cell for cell in cells.values() if not cell.path.exists()], args.workers)
    except (ValueError, FloatingPointError) as error:
        p.error(str(error))
    arrays = {P: dict(np.load(cell.path)) for P, cell in cells.items()}
    table = list(rows(Path(corpus.name).name, arrays, settings, data.entropy))
    t = settings.times[0]
    found = estimate(arrays, settings, t)
    text = paragraph(table, found, t, settings.subject)
    write_table(out, COLUMNS, table)
    draw(out, table, found, t, settings.subject)
    write_record(
        out,
        {
            "experiment": "transition",
            "claim": (__doc__ or "").split("\n\n")[0],
            "command": "python -m experiments.transition " + " ".join(argv or sys.argv[1:]),
            "data": describe(data) | {"training": len(training), "test": len(test)},
            "settings": described,
            "evaluated_weights": "moving average",
            "intervals": "95 %, percentile bootstrap over sequences, 1000 draws; one training seed",
            "jobs": args.jobs,
            "threads_per_job": 1,
            "wall_seconds": time.perf_counter() - started,
            "cell_seconds": {P: a["seconds"].tolist() for P, a in arrays.items()},
            "headline": {
                "t": t,
                **{name: x and x._asdict() for name, x in found._asdict().items()},
                "paragraph": text,
            },
            "environment": made_by,
        },
    )
    if found.ideals_cross is not None:
        print(gaps(table, t, settings.subject))
    print(text)


def _variant(args: Namespace) -> str:
    """Name the output folder after data and trained models that are not the default."""
    parts = [] if args.data == "pydoc" else [Path(args.data).stem]
    if args.data == "hierarchy" and args.rules != 2:
        parts.append(f"{args.rules}-rules")
    trained = [model for model in _models(args) if model in TRAINED]
    if trained != ["network"]:
        parts += trained
    return "-".join(parts)


def _data(args: Namespace) -> Data:
    return read(
        args.data,
        args.length,
        lines=args.lines,
        vocab=args.vocab,
        rules=args.rules,
        seed=args.seed,
    )


def _settings(args: Namespace) -> Settings:
    return Settings(
        times=tuple(dict.fromkeys(args.times)),
        sequences=args.sequences or (200 if args.quick else 500),
        grid=args.grid,
        steps=args.steps or (1800 if args.quick else 12_000),
        batch=args.batch,
        lr=args.lr or (2e-3 if args.quick else 1e-3),
        width=args.width,
        blocks=args.blocks,
        heads=args.heads,
        dropout=args.dropout,
        seed=args.seed,
        models=_models(args),
    )


def _models(args: Namespace) -> tuple[str, ...]:
    """Return the models asked for, each once, or the default ones."""
    if args.models is None:
        return tuple(
            model
            for model in MODELS
            if model != "pseudolikelihood" and (model != "source_ideal" or args.data in SOURCES)
        )
    models = tuple(dict.fromkeys(word.strip() for word in args.models.split(",")))
    if "source_ideal" in models and args.data not in SOURCES:
        raise ValueError(f"source_ideal needs a known source: {' or '.join(SOURCES)}")
    return models


def _test_size(sequences: int, available: int) -> int:
    """Hold out as many as are restored, but never more than a fifth of a small corpus."""
    return max(1, min(sequences, available // 5))


def _default_subsets(training: Corpus, args: Namespace) -> list[int]:
    plenty = 65_536 if args.data in SOURCES else 10_000
    most = min(len(training), 1024 if args.quick else plenty)
    if most <= 16:
        return [most]
    return sorted({round(P) for P in np.geomspace(16, most, 4 if args.quick else 8)})


def _report(corpus: Corpus, training: Corpus, test: Corpus) -> None:
    """Say on stderr what was read."""
    notes = [f"{len(training)} training and {len(test)} test sequences, V = {corpus.V}"]
    if corpus.unknown:
        kinds, total = len(corpus.unknown), sum(corpus.unknown.values())
        notes.append(f"{total} unknown characters of {kinds} kinds left out")
    if corpus.dropped:
        notes.append(f"{corpus.dropped} lines too long, left out")
    print(f"{corpus.name}: {'; '.join(notes)}", file=sys.stderr)


if __name__ == "__main__":
    commandline.run(main)
