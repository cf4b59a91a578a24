"""Undoing masks and undoing wrong tokens form the same memory, but only the latter proofreads.

For every P and seed the same network sees equally many of the same sequences, once corrupted by the
uniform process [T1] and once by the masked one [T37]. Network, ideal memoriser [T14] and, where the
source is known, ideal generaliser [T15] restore the same sequences (`kit/pairs.py`):

    recovery    of the tokens that the uniform noise changed, here redrawn and there masked [T42],
                from the same t and at equal capacity
    repaired    some tokens of a clean sequence are replaced by wrong ones: the share of these that
                comes back. A masked chain keeps what is visible, so it repairs none
    misled      recovery once more, with wrong tokens among the visible ones
    area        under the entropy over α [T40]: of a masked memoriser it is log P

*A memory as good as its channel.* A perfect memory of random patterns is simulated beside: log P/L
at which half of what it restores is right, against the capacity of the channel [T42]. Overlaps are
drawn in place of patterns, whose number is e^(2.5 L).
"""

import itertools
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.cells import Found
from experiments.kit.data import SOURCES, Data, describe, label, read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import both, subplots
from experiments.kit.intervals import crossed, recorded, show
from experiments.kit.overlaps import half_recall
from experiments.kit.pairs import COLUMNS, WAYS, WRONG, Pair, compare, rows, ways
from experiments.kit.record import Record
from experiments.kit.settings import PROCESSES, RECIPE, SPLITS, Settings
from minuddm.probes import (
    Curve,
    Interval,
    channel_capacity,
    curves_meet,
    plateau_left,
    student_interval,
)

V, ALPHA, AGAIN = 28, 0.75, 4  # of the random patterns; simulations of each length
LENGTHS = (8, 16, 32, 64, 128, 256)
AREA, NEAR = 0.05, 0.02  # relative errors that are let pass: of an area, of a capacity
COLOUR = dict(zip(WAYS, ("#0072B2", "#D55E00", "#E69F00"), strict=True))
LOOK: dict[str, dict[str, Any]] = {
    "network": {"lw": 1.8},
    "dataset_ideal": {"lw": 0.9, "marker": "o", "ms": 3.5},
    "source_ideal": {"lw": 0.9, "marker": "s", "ms": 3.5},
}
SAID = {"network": "network", "dataset_ideal": "memoriser", "source_ideal": "generaliser"}


class Plan(NamedTuple):
    """What is run: a pair of networks for each P and seed."""

    data: Data
    settings: Settings
    pairs: dict[tuple[int, int], Pair]


def transition(found: dict[int, list[Found]], way: str, settings: Settings) -> dict[str, Interval]:
    """Return where the network's training recovery leaves .95, and where it meets the unseen."""

    def of(split: str) -> list[NDArray[np.float64]]:
        name = f"{way} network {split} {settings.times[0]} recovery"
        return [np.stack([x[name] for x in several]) for several in found.values()]

    curve, rng = Curve(list(found), of("train"), of("test")), generator(settings.seed, way)
    return {"leaves": plateau_left(curve, rng), "meet": curves_meet(curve, rng)}


# ---- the figure ---------------------------------------------------------------------------------


def draw(table: list[dict[str, Any]], half: dict[str, dict[int, Interval]], t: float) -> Figure:
    """Draw what is measured at the first t against P, and the capacity against L."""
    figure, axes = subplots(2, 3, (13, 8.2))
    models = list(dict.fromkeys(row["model"] for row in table))

    def panel(at: Any, name: str, shown: Sequence[str], title: str, label: str) -> None:
        for way, model in itertools.product(shown, models):
            line = [r for r in table if (r["way"], r["model"], r["t"]) == (way, model, t)]
            both(at, line, "P", name, f"{way}: {SAID[model]}", color=COLOUR[way], **LOOK[model])
        at.set(xscale="log", xlabel="training sequences P", ylabel=label)
        at.set_title(title)

    share = "changed tokens recovered (share)"
    panel(axes[0, 0], "recovery", WAYS[:2], f"The same tokens, from t = {t:g}", share)
    panel(axes[0, 1], "recovery", (WAYS[0], WAYS[2]), "The same tokens, at equal capacity", share)
    panel(axes[0, 2], "repaired", WAYS[:2], "Wrong tokens of clean sequences", "repaired (share)")
    for at in axes[0]:
        at.set_ylim(-0.03, 1.05)
    panel(axes[1, 0], "entropy", WAYS[:2], f"Conditional entropy at t = {t:g}", "nats per token")
    panel(axes[1, 1], "area", WAYS[:2], "Area under the entropy", "nats per sequence")
    P = sorted({row["P"] for row in table})
    axes[1, 1].plot(P, np.log(P), color="0.3", ls=":", lw=2.4, label="log P")
    axes[1, 1].set_ylim(0, 1.25 * max(r["area"] for r in table if "area" in r and r["P"] == P[-1]))
    for kind, found in half.items():
        value, low, high = np.transpose(list(found.values()))
        axes[1, 2].errorbar(list(found), value, (value - low, high - value), fmt="o", ms=5,
                            color=COLOUR[kind], label=f"{kind}: simulated")  # fmt: skip
        theory = channel_capacity(PROCESSES[kind](V), ALPHA)
        axes[1, 2].axhline(theory, color=COLOUR[kind], lw=1.2, label=f"{kind}: capacity C")
    axes[1, 2].set(xscale="log", xlabel="length L", ylabel="log P / L at half recall (nats)")
    axes[1, 2].set_title(f"Random patterns: V = {V}, α = {ALPHA:g}")
    axes[1, 2].set_xticks(LENGTHS, [str(L) for L in LENGTHS])
    axes[1, 2].minorticks_off()
    axes[1, 2].legend(fontsize=8.5)
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    handles |= dict(zip(*reversed(axes[0, 1].get_legend_handles_labels()), strict=True))
    handles |= dict(zip(*reversed(axes[1, 1].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8.5)
    return figure


# ---- from options to findings -------------------------------------------------------------------


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole = commandline.whole
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--subsets", type=whole(2), nargs="+", metavar="P",
                   help="training sets (default: 16 64 256 1024 4096; --quick: 8 64)")  # fmt: skip
    p.add_argument("--times", type=commandline.time, nargs="+", metavar="t",
                   default=[0.1, 0.25, 0.5],
                   help="corruption times; the first is the one drawn")  # fmt: skip
    p.add_argument("--seeds", type=whole(1), help="pairs for each P (default: 3; --quick: 1)")
    p.add_argument("--steps", type=whole(1), help="of training (default: 4000; --quick: 500)")
    p.add_argument("--sequences", type=whole(2), help="restored (default: 200; --quick: 50)")


def plan(args: Namespace) -> Plan:
    """Return what is run."""
    quick, known = args.quick, args.data in SOURCES
    data = {
        name: read(args.data, None, lines=False, vocab=256, rules=2, seed=args.seed, process=make)
        for name, make in PROCESSES.items()
    }
    corpus, ideals = data[WAYS[0]].corpus, {name: d.ideal for name, d in data.items() if d.ideal}
    settings = Settings(
        times=tuple(dict.fromkeys(args.times)), sequences=args.sequences or (50 if quick else 200),
        grid=64, steps=args.steps or (500 if quick else 4000), batch=RECIPE["batch"],
        lr=RECIPE["lr"], width=64, blocks=2, heads=4, dropout=0.0, seed=args.seed,
        models=("network", "dataset_ideal", *(["source_ideal"] if known else [])),
    )  # fmt: skip
    settings.describe(corpus.V, corpus.tokens.shape[1])  # refuses what cannot be built
    subsets = sorted(set(args.subsets or ([8, 64] if quick else [16, 64, 256, 1024, 4096])))
    pairs = {}
    for seed in range(args.seed, args.seed + (args.seeds or (1 if quick else 3))):
        training, test = corpus.split(max(1, min(settings.sequences, len(corpus) // 5)), seed)
        for P in subsets:
            own = replace(settings, seed=seed)
            pairs[P, seed] = Pair(training.subset(P).tokens, test.tokens, corpus.V, own, ideals)
    return Plan(data[WAYS[0]], settings, pairs)


def measure(plan: Plan, run: Run) -> Findings:
    """Train and restore by both processes, and simulate the perfect memory."""
    settings, corpus, t = plan.settings, plan.data.corpus, plan.settings.times[0]
    pairs = sorted(plan.pairs.values(), key=lambda pair: len(pair.training))
    first = pairs[0]
    tiny = replace(
        first, training=first.training[:2], test=first.test[:2],
        settings=replace(settings, steps=1, sequences=2, grid=2, batch=2),
    )  # fmt: skip
    found: dict[int, list[Found]] = {}
    for pair, piece in zip(pairs, run.each(compare, pairs, tiny), strict=True):
        found.setdefault(len(pair.training), []).append(piece)
    lengths = LENGTHS[:3] if run.args.quick else LENGTHS
    keys = list(itertools.product(PROCESSES, lengths, range(AGAIN)))
    simulated = run.spread(
        half_recall, [(PROCESSES[kind](V), ALPHA, L, settings.seed + k) for kind, L, k in keys]
    )
    of = dict(zip(keys, simulated, strict=True))
    half = {
        kind: {L: student_interval([of[kind, L, k] for k in range(AGAIN)]) for L in lengths}
        for kind in PROCESSES
    }
    table = rows(describe(plan.data)["name"], found, settings)
    times = {t: ways(corpus.V, t)[WAYS[2]][1] for t in settings.times}
    return Findings(
        table,
        {
            "t": t,
            "transition": {way: transition(found, way, settings) for way in WAYS[:2]},
            "equal_capacity": times,
            "half_recall": half,
            "capacity": {kind: channel_capacity(PROCESSES[kind](V), ALPHA) for kind in PROCESSES},
        },
        paragraph(table, t, times[t]),
        draw(table, half, t),
        settings.describe(corpus.V, corpus.tokens.shape[1]) | {"wrong": WRONG},
        {
            "data": describe(plan.data),
            "evaluated_weights": "moving average",
            "intervals": "95 %, over seeds (Student's) or, of one seed, by bootstrap of sequences",
            "jobs": run.args.jobs,
        },
    )


def paragraph(table: list[dict[str, Any]], t: float, later: float) -> str:
    """Say what comes back at the smallest and the largest P, and what is repaired."""
    of = {(r["way"], r["model"], r["P"], r["split"]): r for r in table if r["t"] == t}
    sizes = sorted({r["P"] for r in table})

    def both(way: str, P: int, name: str, model: str = "network") -> str:
        return "/".join(f"{of[way, model, P, split][name]:.2f}" for split in SPLITS)

    said = [
        f"Of the tokens changed at t = {t:g} a network recovers (training/unseen)",
        *(
            f"{both(WAYS[0], P, 'recovery')} after P = {P}, of masks in their place "
            f"{both(WAYS[1], P, 'recovery')}, at equal capacity (t = {later:.2f}) "
            f"{both(WAYS[2], P, 'recovery')}{';' if sizes[-1] > P else '.'}"
            for P in dict.fromkeys((sizes[0], sizes[-1]))
        ),
        f"Of {WRONG} wrong tokens in a clean sequence uniform diffusion repairs "
        f"{both(WAYS[0], sizes[0], 'repaired')} and {both(WAYS[0], sizes[-1], 'repaired')}, masked "
        f"{both(WAYS[1], sizes[0], 'repaired')} and {both(WAYS[1], sizes[-1], 'repaired')}; beside "
        f"them recovery is {both(WAYS[0], sizes[0], 'misled')} and "
        f"{both(WAYS[0], sizes[-1], 'misled')}, masked {both(WAYS[1], sizes[0], 'misled')} and "
        f"{both(WAYS[1], sizes[-1], 'misled')}.",
    ]
    return " ".join(said)


def verdicts(record: Record) -> list[Verdict]:
    """Judge each claim on the rows of the table, or on the headline."""
    data, t = record.content["data"]["name"], record.headline["t"]
    about = "" if data == "pydoc" else f"{data}: "

    def numbers(name: str, **wanted: Any) -> list[float]:
        return [float(row[name]) for row in record.rows(**wanted) if row[name]]

    exact = [{"model": "dataset_ideal", "split": "train"}, {"model": "source_ideal"}]
    found = []
    for who, several in (("exact denoisers", exact), ("networks", [{"model": "network"}])):
        value, high = (
            [x for wanted in several for x in numbers(name, way=WAYS[1], **wanted)]
            for name in ("gain", "gain_hi")
        )
        equal = [x for wanted in several for x in numbers("gain", way=WAYS[2], **wanted)]
        found += [
            Verdict(
                f"{about}{who} recover masks no worse than wrong tokens in the same places",
                f"better by {min(value):.3f} to {max(value):.3f} over all P and t",
                (min(high) >= 0,),
            ),
            Verdict(
                f"{about}{who}: at equal capacity the two processes come closer than at equal t",
                f"recoveries apart by {np.abs(equal).mean():.3f} on average, at equal t by "
                f"{np.abs(value).mean():.3f}",
                (np.abs(equal).mean() < np.abs(value).mean(),),
            ),
        ]
    sizes = sorted({int(row["P"]) for row in record.table})
    read_off = {
        way: {name: recorded(entry) for name, entry in entries.items()}
        for way, entries in record.headline["transition"].items()
    }
    one, other = (read_off[way]["leaves"] for way in WAYS[:2])
    seen = crossed(one, sizes[0]) and crossed(other, sizes[0])
    found.append(
        Verdict(
            f"{about}a masked network remembers more: training recovery leaves 0.95 at larger P",
            "; ".join(
                f"{way}: leaves at P = {show(x['leaves'], sizes[0])}, meets unseen at "
                f"{show(x['meet'], sizes[0])}"
                for way, x in read_off.items()
            ),
            ((other.value > one.value if seen else None),),
        )
    )
    ideal = {"model": "dataset_ideal", "split": "train", "t": t}
    off = {
        way: np.abs(numbers("area", way=way, **ideal) / np.log(sizes) - 1).tolist()
        for way in WAYS[:2]
    }
    network = numbers("repaired", way=WAYS[0], model="network", t=t)
    memory = numbers("repaired", way=WAYS[0], **ideal)
    half, C = record.headline["half_recall"], record.headline["capacity"]
    last = {kind: list(of.values())[-1]["value"] / C[kind] for kind, of in half.items()}
    return [
        *found,
        Verdict(
            f"{about}the area under a masked memoriser's entropy is log P, a uniform one's is not",
            f"off by at most {max(off[WAYS[1]]):.1%}, and by up to {max(off[WAYS[0]]):.0%}",
            (max(off[WAYS[1]]) < AREA, max(off[WAYS[0]]) > AREA),
        ),
        Verdict(
            f"{about}uniform diffusion repairs visibly wrong tokens, masked diffusion none",
            f"the memoriser {min(memory):.2f} or more, networks {min(network):.2f} to "
            f"{max(network):.2f}, masked {max(numbers('repaired', way=WAYS[1], t=t)):.2f}",
            (min(memory) > 0.95, max(numbers("repaired", way=WAYS[1], t=t)) == 0),
        ),
        Verdict(
            "a perfect memory of random patterns fails at the capacity of its channel",
            f"at L = {list(half[WAYS[0]])[-1]} half of what is restored is right at "
            + ", ".join(f"{x:.3f} ({kind})" for kind, x in last.items())
            + " of it",
            tuple(abs(x - 1) < NEAR for x in last.values()),
        ),
    ]


def variant(args: Namespace) -> str:
    """Name the output folder after data that are not the default."""
    return label(args.data)


EXPERIMENT = Experiment(
    "two_processes", __doc__, COLUMNS, measure, verdicts, plan, options, variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
