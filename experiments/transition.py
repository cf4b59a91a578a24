"""Few sequences are remembered, many are generalised: the transition, on text or on a toy source.

For each of several P, nested subsets of one corpus, and several seeds: train a network until
learning is over or to a cap (`kit/course.py`), then restore *the same corrupted sequences*, from
the training set and unseen, by the network, by the ideal memoriser [T14], by energy descent in the
token memory [T19] and, where the source is known, by the ideal generaliser [T15]; measure recovery,
conditional entropy and the bound (`kit/networks.py`). A seed is another shuffle of the corpus,
other weights and other draws.

The transition is where the network's training recovery leaves 0.95, and where its training and test
recovery meet. On a known source there is a third reading, which needs no recovery at all: where the
network's conditionals come closer to the ideal generaliser's than to the ideal memoriser's.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from experiments.kit import commandline
from experiments.kit.course import SLACK, told
from experiments.kit.data import SOURCES, Data, describe, label, read
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.intervals import crossed, earlier, same_place, show
from experiments.kit.near import half, near
from experiments.kit.networks import by_seeds, compute
from experiments.kit.readings import Estimates, draw, estimate
from experiments.kit.record import Record
from experiments.kit.settings import (
    MODELS,
    PROCESSES,
    RECIPE,
    SPLITS,
    TRAINED,
    Cell,
    Settings,
    chosen,
)
from experiments.kit.table import COLUMNS, gaps, rows
from minuddm import Corpus, TrainConfig

FINISHED = {"steps": 64_000, "width": 96}


def paragraph(table: list[dict[str, Any]], t: float, subject: str) -> str:
    """Say what the smallest and the largest P recover, beside the ideals."""
    of = {(r["model"], r["P"], r["split"]): r for r in table if r["t"] == t}
    counts = sorted({P for _, P, _ in of})
    first, last = counts[0], counts[-1]

    def both(P: int, name: str, model: str = subject) -> str:
        return " and ".join(f"{of[model, P, split][name]:.2f}" for split in SPLITS)

    kind = "network" if subject == "network" else "linear network of the pseudo-likelihood"
    said = [f"From t = {t:g} a {kind} recovers of the corrupted tokens of training and of unseen "
            "sequences"]  # fmt: skip
    said += [
        f"{both(P, 'recovery')} after P = {P}, with leave-one-out entropies of "
        f"{both(P, 'entropy_loo')} nats per token{';' if last > P else '.'}"
        for P in dict.fromkeys((first, last))
    ]
    if ("dataset_ideal", last, "train") in of:
        least = min(of["dataset_ideal", P, "train"]["recovery"] for P in counts)
        said.append(
            f"The ideal memoriser recovers at least {least:.3f} of its training tokens at every P, "
            f"and {of['dataset_ideal', last, 'test']['recovery']:.2f} of unseen ones at P = {last}."
        )
    if "recovery_characters" in of[subject, last, "test"]:
        said.append(
            "These numbers count the padding of lines. Of the characters alone "
            f"{both(last, 'recovery_characters')} come back after P = {last}, with entropies of "
            f"{both(last, 'entropy_loo_characters')} nats per character."
        )
    if ("source_ideal", last, "test") in of:
        row = of[subject, last, "test"]
        said.append(
            f"The ideal generaliser recovers {both(last, 'recovery', 'source_ideal')}; the bound "
            f"on unseen sequences lies {row['excess']:.4f} ± {half(row):.4f} nats per "
            "token above the source's entropy."
        )
    return " ".join(said)


def verdicts(record: Record) -> list[Verdict]:
    """Judge the transition where there are several P; at one P, how near the ideal it comes."""
    content, t = record.content, record.headline["t"]
    settings, data = content["settings"], content["data"]["name"]
    subject = next(row["model"] for row in record.table if row["model"] in TRAINED)
    sizes = sorted({int(row["P"]) for row in record.table})
    steps = f"{settings.get('training', {}).get('steps', 0):,} steps"
    kinds = {data: data != "pydoc", steps: "--finished" in record.command,
             "linear network": subject == "pseudolikelihood",
             "masked": settings.get("measured", {}).get("process") == "masked"}  # fmt: skip
    about = "".join(f"{kind}: " for kind, so in kinds.items() if so)
    if len(sizes) == 1:
        return near(record, about, subject, sizes[0])
    leaves, meet, entropies, cross = (record.interval(name) for name in Estimates._fields)
    train, test = (
        float(record.rows(model=subject, P=sizes[-1], t=t, split=split)[0]["recovery"])
        for split in SPLITS
    )
    left, met = (crossed(reading, sizes[0]) for reading in (leaves, meet))
    found = [
        Verdict(
            f"{about}training recovery leaves 0.95, then meets that of unseen sequences",
            f"leaves at P = {show(leaves, sizes[0])}, meets at P = {show(meet, sizes[0])}; "
            f"{train:.2f} and {test:.2f} at P = {sizes[-1]}",
            (earlier(leaves, meet) if left and met else None,),
        ),
        Verdict(
            f"{about}the entropies of the same sequences meet where the recoveries do",
            f"P = {show(entropies, sizes[0])}",
            (same_place(meet, entropies) if met else None,),
        ),
    ]
    if record.headline["ideals_cross"] is not None:
        text = "the ideal generaliser comes closer to the network than the memoriser"
        number = f"P = {show(cross, sizes[0])}"
        found.append(Verdict(about + text, number, (crossed(cross, sizes[0]),)))
    return found


# ---- from options to findings -------------------------------------------------------------------


class Plan(NamedTuple):
    """What is run: data, nested subsets, and one cell for each P and seed."""

    data: Data
    settings: Settings
    cells: dict[tuple[int, int], Cell]
    described: dict[str, Any]


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole, some = commandline.whole, commandline.positive
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--rules", type=whole(1, 8), default=2, help="per symbol of the hierarchy")
    p.add_argument("--lines", action="store_true", help="one sequence a line, not windows")
    p.add_argument("--length", type=whole(2, 1024), help="tokens per sequence, L (default: 32, of "
                   "lines the longest, but 32 at most; hierarchy: 16)")  # fmt: skip
    p.add_argument("--vocab", type=whole(2, 4096), default=256, help="largest alphabet, V")
    p.add_argument("--process", choices=PROCESSES, default="uniform", help="what corrupts tokens")
    p.add_argument("--models", help=f"what restores, with commas: {', '.join(MODELS)} (default: "
                   "all but the second; the last on a source only; masked: no token_memory). The "
                   "transition is that of the trained one named first")  # fmt: skip
    p.add_argument("--subsets", type=whole(1), nargs="+", metavar="P", help="training set sizes "
                   "(default: 6 from 16 to 10,000, on a source 65,536; --quick: 4)")  # fmt: skip
    p.add_argument("--times", type=commandline.time, nargs="+", metavar="t",
                   default=[0.1, 0.25, 0.5],
                   help="corruption times; the first is the one drawn")  # fmt: skip
    p.add_argument("--sequences", type=whole(2), help="restored per split and time (default: 200)")
    p.add_argument("--grid", type=whole(1), default=64, help="steps of the reverse chain")
    p.add_argument("--seeds", type=whole(1), help="networks for each P (default: 3; --quick: 1)")
    p.add_argument("--finished", action="store_true", help="train until learning is over: a cap "
                   f"of {FINISHED['steps']} steps, width {FINISHED['width']} (hours)")  # fmt: skip
    p.add_argument("--steps", type=whole(1), help="of training (default: 8000; --quick: 1800)")
    p.add_argument("--slack", type=some, default=SLACK, help="change below which learning is over")
    p.add_argument("--batch", type=whole(1), default=RECIPE["batch"], help="sequences a step")
    p.add_argument("--lr", type=some, default=RECIPE["lr"], help="learning rate")
    p.add_argument("--average", type=float, default=TrainConfig.average, help="limit of the decay "
                   "of the average of the weights, in [0, 1): what is evaluated")  # fmt: skip
    p.add_argument("--width", type=whole(2), help="of the network, D (default: 64)")
    p.add_argument("--blocks", type=whole(1), default=2, help="of the network")
    p.add_argument("--heads", type=whole(1), default=4, help="of attention, H")
    p.add_argument("--dropout", type=float, default=0.0, help="rate in [0, 1)")


def plan(args: Namespace) -> Plan:
    """Return what is run: one cell for each P and seed."""
    data = read(
        args.data, args.length, lines=args.lines, vocab=args.vocab, rules=args.rules,
        seed=args.seed, process=PROCESSES[args.process],
    )  # fmt: skip
    long = FINISHED if args.finished else {"steps": 1800 if args.quick else 8000, "width": 64}
    settings = Settings(
        times=tuple(dict.fromkeys(args.times)), sequences=args.sequences or 200, grid=args.grid,
        steps=args.steps or long["steps"], batch=args.batch, lr=args.lr, average=args.average,
        width=args.width or long["width"], blocks=args.blocks, heads=args.heads,
        dropout=args.dropout, seed=args.seed, models=_models(args), process=args.process,
        slack=args.slack,
    )  # fmt: skip
    corpus = data.corpus
    described = settings.describe(corpus.V, corpus.tokens.shape[1])  # refuses what cannot be built
    held_out = max(1, min(settings.sequences, len(corpus) // 5))  # a fifth of a small corpus
    seeds = tuple(args.seed + s for s in range(args.seeds or (1 if args.quick else 3)))
    cells = {}
    for seed in seeds:
        training, test = corpus.split(held_out, seed)
        for P in sorted(set(args.subsets or _sizes(len(training), args))):
            part, own = training.subset(P).tokens, replace(settings, seed=seed)
            cells[P, seed] = Cell(corpus.alphabet, part, test.tokens, own, corpus.pad, data.ideal)
    more = describe(data) | {"training": len(training), "test": len(test), "seeds": seeds}
    return Plan(data, settings, cells, {"data": more, "settings": described})


def _models(args: Namespace) -> tuple[str, ...]:
    return chosen(args.models, args.data in SOURCES, args.process)


def _sizes(available: int, args: Namespace) -> list[int]:
    """Return the default P, evenly in their logarithm."""
    plenty = 65_536 if args.data in SOURCES else 10_000
    most = min(available, 1024 if args.quick else plenty)
    if most <= 16:
        return [most]
    return sorted({round(P) for P in np.geomspace(16, most, 4 if args.quick else 6)})


def _report(data: Mapping[str, Any], corpus: Corpus) -> None:
    """Say on stderr what was read."""
    notes = [f"{data['training']} training and {data['test']} test sequences, V = {corpus.V}"]
    if corpus.unknown:
        kinds, total = len(corpus.unknown), data["unknown_characters"]
        notes.append(f"{total} unknown characters of {kinds} kinds left out")
    if corpus.padding:
        notes.append(f"{corpus.padding:.0%} of the tokens are padding")
    if corpus.dropped:
        notes.append(f"{corpus.dropped} lines too long, left out")
    print(f"{corpus.name}: {'; '.join(notes)}", file=sys.stderr)


def measure(plan: Plan, run: Run) -> Findings:
    """Train and restore at every P, and read the transition off the curves."""
    settings, t = plan.settings, plan.settings.times[0]
    _report(plan.described["data"], plan.data.corpus)
    measured, _ = compute(plan.cells, run.out / "cells", run)
    sizes = sorted({P for P, _ in measured})
    cells = {P: by_seeds([x for (n, _), x in measured.items() if n == P]) for P in sizes}
    table = list(rows(plan.described["data"]["name"], cells, settings, plan.data.entropy))
    found = estimate(cells, settings, t)
    trained = [arrays for arrays in cells.values() if "finished" in arrays]
    finished = {P: arrays["finished"].tolist() for P, arrays in cells.items() if trained}
    return Findings(
        table,
        {"t": t, **found._asdict(), "finished": finished},
        paragraph(table, t, settings.subject) + told(finished),
        draw(table, found, t, settings.subject),
        plan.described["settings"],
        {
            "data": plan.described["data"],
            "evaluated_weights": "moving average",
            "intervals": "95 %, over seeds (Student's) or, of one seed, by bootstrap of sequences",
            "cell_seconds": {P: arrays["seconds"].tolist() for P, arrays in cells.items()},
        },
        shown=gaps(table, t, settings.subject) if found.ideals_cross is not None else "",
    )


def variant(args: Namespace) -> str:
    """Name the output folder after data and trained models that are not the default."""
    rules = f"{args.rules}-rules" if args.data == "hierarchy" and args.rules != 2 else ""
    process = "" if args.process == "uniform" else args.process
    trained = [model for model in _models(args) if model in TRAINED]
    others = trained if trained != ["network"] else []
    finished = "finished" * args.finished
    return "-".join(filter(None, [label(args.data), finished, rules, process, *others]))


EXPERIMENT = Experiment("transition", __doc__, COLUMNS, measure, verdicts, plan, options, variant)

if __name__ == "__main__":
    EXPERIMENT.main()
