"""Masked diffusion remembers more sequences than uniform diffusion, and keeps every visible error.

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
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.cells import Found
from experiments.kit.data import SOURCES, Data, describe, read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import NAME, both, subplots
from experiments.kit.grid import variant
from experiments.kit.intervals import crossed, earlier, headers, no_loss, recorded, show
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

TIMES = (0.1, 0.25, 0.5)  # the first is the one drawn
V, ALPHA, AGAIN = 28, 0.75, 4  # of the random patterns; simulations of each length
LENGTHS = (8, 16, 32, 64, 128, 256)
AREA, NEAR, APART = 0.05, 0.02, 0.01  # let pass: errors of an area, a capacity (shares), a recovery
COLOUR = dict(zip(WAYS, ("#0072B2", "#D55E00", "#E69F00"), strict=True))
LOOK: dict[str, dict[str, Any]] = {
    "network": {"lw": 1.8},
    "dataset_ideal": {"lw": 0.9, "marker": "o", "ms": 3.5},
    "source_ideal": {"lw": 0.9, "marker": "s", "ms": 3.5},
}


class Plan(NamedTuple):
    """What is run: a pair of networks for each P and seed."""

    data: Data
    settings: Settings
    pairs: list[Pair]


def transition(found: dict[int, list[Found]], way: str, settings: Settings) -> dict[str, Interval]:
    """Return where the network's training recovery leaves .95, and where it meets the unseen."""

    def of(split: str) -> list[NDArray[np.float64]]:
        name = f"{way} network {split} {settings.times[0]} recovery"
        return [np.stack([x[name] for x in several]) for several in found.values()]

    curve, rng = Curve(list(found), of("train"), of("test")), generator(settings.seed, way)
    return {"leaves": plateau_left(curve, rng), "meet": curves_meet(curve, rng)}


def draw(table: list[dict[str, Any]], half: dict[str, dict[int, Interval]], t: float) -> Figure:
    """Draw what is measured at the first t against P, and the capacity against L."""
    figure, axes = subplots(2, 3, (13, 8.2))
    models, both_at_t = list(dict.fromkeys(row["model"] for row in table)), WAYS[:2]
    share = "changed tokens recovered (share)"
    panels = [
        ("recovery", both_at_t, f"The same tokens, from t = {t:g}", share),
        ("recovery", WAYS[::2], "The same tokens, at equal capacity", share),
        ("repaired", both_at_t, "Wrong tokens in clean sequences", "repaired (share)"),
        ("entropy", both_at_t, f"Conditional entropy at t = {t:g}", "nats per token"),
        ("area", both_at_t, "Area under the entropy", "nats per sequence"),
    ]
    handles: dict[str, Any] = {}
    for at, (name, shown, title, unit) in zip(axes.flat, panels, strict=False):
        for way, model in itertools.product(shown, models):
            line = [r for r in table if (r["way"], r["model"], r["t"]) == (way, model, t)]
            both(at, line, "P", name, f"{way}: {NAME[model]}", color=COLOUR[way], **LOOK[model])
        at.set(xscale="log", xlabel="training sequences P", ylabel=unit)
        at.set_title(title)
        handles |= dict(zip(*reversed(at.get_legend_handles_labels()), strict=True))
    for at in axes[0]:
        at.set_ylim(-0.03, 1.05)
    P, random = np.array(sorted({row["P"] for row in table})), axes[1, 2]
    (handles["log P"],) = axes[1, 1].plot(P, np.log(P), color="0.3", ls=":", lw=2.4)
    for kind, found in half.items():
        value, low, high = np.transpose(list(found.values()))
        ends, theory = (value - low, high - value), channel_capacity(PROCESSES[kind](V), ALPHA)
        random.errorbar(list(found), value, ends, fmt="o", color=COLOUR[kind], label=kind)
        random.axhline(theory, color=COLOUR[kind], lw=1.2, label=f"capacity of its channel, {kind}")
    random.set(xscale="log", xlabel="length L", ylabel="log P / L at half recall (nats)")
    random.set_title(f"Random patterns, V = {V}, α = {ALPHA:g}")
    for at, ticks in zip(axes.flat, [P.tolist()] * len(panels) + [LENGTHS], strict=True):
        at.set_xticks(ticks, [str(n) for n in ticks])
        at.minorticks_off()
    random.legend(fontsize=8.5)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8.5)
    return figure


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole = commandline.whole
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--subsets", type=whole(2), nargs="+", metavar="P",
                   help="training sets (default: 16 64 256 1024 4096; --quick: 8 64)")  # fmt: skip
    p.add_argument("--seeds", type=whole(1), help="pairs for each P (default: 3; --quick: 1)")
    p.add_argument("--steps", type=whole(1), help="of training (default: 4000; --quick: 500)")


def plan(args: Namespace) -> Plan:
    """Return what is run."""
    quick, known = args.quick, args.data in SOURCES
    data = {
        name: read(args.data, None, lines=False, vocab=256, rules=2, seed=args.seed, process=make)
        for name, make in PROCESSES.items()
    }
    corpus, ideals = data[WAYS[0]].corpus, {name: d.ideal for name, d in data.items() if d.ideal}
    settings = Settings(
        times=TIMES, sequences=50 if quick else 200,
        grid=64, steps=args.steps or (500 if quick else 4000), batch=RECIPE["batch"],
        lr=RECIPE["lr"], width=64, blocks=2, heads=4, dropout=0.0, seed=args.seed,
        models=("network", "dataset_ideal", *(["source_ideal"] if known else [])),
    )  # fmt: skip
    settings.describe(corpus.V, corpus.tokens.shape[1])  # refuses what cannot be built
    subsets = sorted(set(args.subsets or ([8, 64] if quick else [16, 64, 256, 1024, 4096])))
    pairs = []
    for seed in range(args.seed, args.seed + (args.seeds or (1 if quick else 3))):
        training, test = corpus.split(max(1, min(settings.sequences, len(corpus) // 5)), seed)
        for P in subsets:
            own = replace(settings, seed=seed)
            pairs.append(Pair(training.subset(P).tokens, test.tokens, corpus.V, own, ideals))
    return Plan(data[WAYS[0]], settings, pairs)


def measure(plan: Plan, run: Run) -> Findings:
    """Train and restore by both processes, and simulate the perfect memory."""
    settings, corpus, t = plan.settings, plan.data.corpus, plan.settings.times[0]
    pairs = sorted(plan.pairs, key=lambda pair: len(pair.training))  # the last ones start first
    short = replace(settings, steps=1, sequences=2, grid=2, batch=2)
    tiny = replace(pairs[0], training=corpus.tokens[:2], test=corpus.tokens[:2], settings=short)
    found: dict[int, list[Found]] = {}
    for pair, piece in zip(pairs, run.each(compare, pairs, tiny), strict=True):
        found.setdefault(len(pair.training), []).append(piece)
    lengths = LENGTHS[:2] if run.args.quick else LENGTHS
    keys = list(itertools.product(PROCESSES, lengths))
    asked = [(PROCESSES[kind](V), ALPHA, L, settings.seed + k) for kind, L in keys
             for k in range(AGAIN)]  # fmt: skip
    drawn = dict(zip(keys, np.reshape(run.spread(half_recall, asked), (-1, AGAIN)), strict=True))
    half = {kind: {L: student_interval(drawn[kind, L]) for L in lengths} for kind in PROCESSES}
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
            "intervals": "95 %, over seeds (Student's) or, of one seed, by bootstrap of sequences",
        },
    )


def paragraph(table: list[dict[str, Any]], t: float, later: float) -> str:
    """Say what comes back at the smallest and the largest P, and what is repaired."""
    sizes = sorted({row["P"] for row in table})
    of = {
        (r["way"], r["P"], r["split"]): r for r in table if (r["model"], r["t"]) == ("network", t)
    }

    def said(name: str, way: str) -> str:
        return " and ".join(
            "/".join(f"{of[way, P, split][name]:.2f}" for split in SPLITS) + f" at P = {P}"
            for P in dict.fromkeys((sizes[0], sizes[-1]))
        )

    uniform, masked, equal = WAYS
    return (
        f"Of the tokens changed at t = {t:g} a network recovers (training/unseen sequences) "
        f"{said('recovery', uniform)}; of masks in their place {said('recovery', masked)}, at "
        f"equal capacity (t = {later:.2f}) {said('recovery', equal)}. Of {WRONG} wrong tokens in a "
        f"clean sequence uniform diffusion repairs {said('repaired', uniform)}, masked none. "
        f"Beside wrong tokens it recovers {said('misled', uniform)}, masked "
        f"{said('misled', masked)}."
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge each claim on the rows of the table, or on the headline."""
    data, t = record.content["data"]["name"], record.headline["t"]
    about = "" if data == "pydoc" else f"{data}: "

    def numbers(name: str, **wanted: Any) -> list[float]:
        return [float(row[name]) for row in record.rows(**wanted) if row[name]]

    exact = [{"model": "dataset_ideal", "split": "train"}, {"model": "source_ideal"}]
    found = []
    for who, several in (("exact denoisers", exact), ("networks", [{"model": "network"}])):
        value, low, high = (
            [x for wanted in several for x in numbers(name, way=WAYS[1], **wanted)]
            for name in headers(["gain"])
        )
        equal = [x for wanted in several for x in numbers("gain", way=WAYS[2], **wanted)]
        least, most = (round(x, 3) + 0.0 for x in (min(value), max(value)))
        found.append(
            Verdict(
                f"{about}{who} recover masks no worse than wrong tokens in the same places",
                f"better by {least:.3f} to {most:.3f} over all P and t",
                (no_loss(low, high) if most > least else None,),
            )
        )
        near, far = (np.abs(x).mean() for x in (equal, value))
        if most > APART:
            found.append(
                Verdict(
                    f"{about}{who}: at equal capacity the processes come closer than at equal t",
                    f"recoveries apart by {near:.3f} on average, at equal t by {far:.3f}",
                    (near < far,),
                )
            )
    sizes = sorted({int(row["P"]) for row in record.table})
    read_off = {
        way: {name: recorded(entry) for name, entry in entries.items()}
        for way, entries in record.headline["transition"].items()
    }
    left = [read_off[way]["leaves"] for way in WAYS[:2]]
    seen = all(crossed(x, sizes[0]) for x in left)
    ideal = {"model": "dataset_ideal", "split": "train", "t": t}
    off = {
        way: np.abs(numbers("area", way=way, **ideal) / np.log(sizes) - 1).tolist()
        for way in WAYS[:2]
    }
    memory = numbers("repaired", way=WAYS[0], **ideal)
    repaired = {way: numbers("repaired", way=way, model="network", t=t) for way in WAYS[:2]}
    half, C = record.headline["half_recall"], record.headline["capacity"]
    L = max(half[WAYS[0]], key=int)
    last = {kind: of[L]["value"] / C[kind] for kind, of in half.items()}
    return [
        *found,
        Verdict(
            f"{about}a masked network remembers more: training recovery leaves 0.95 at larger P",
            "; ".join(
                f"{way}: leaves at P = {show(x['leaves'], sizes[0])}, meets unseen at "
                f"{show(x['meet'], sizes[0])}"
                for way, x in read_off.items()
            ),
            (earlier(*left) if seen else None,),
        ),
        Verdict(
            f"{about}the area under a masked memoriser's entropy is log P, a uniform one's is not",
            f"off by at most {max(off[WAYS[1]]):.1%}, and by up to {max(off[WAYS[0]]):.0%}",
            (max(off[WAYS[1]]) < AREA, max(off[WAYS[0]]) > AREA),
        ),
        Verdict(
            f"{about}uniform diffusion repairs visibly wrong tokens, masked diffusion none",
            f"the memoriser {min(memory):.2f} at least, networks {min(repaired[WAYS[0]]):.2f} to "
            f"{max(repaired[WAYS[0]]):.2f}, masked ones {max(repaired[WAYS[1]]):.2f}",
            (min(memory) > 0.95, min(repaired[WAYS[0]]) > 0.5, max(repaired[WAYS[1]]) == 0),
        ),
        Verdict(
            "a perfect memory of random patterns fails at the capacity of its channel",
            f"at L = {L} half of what is restored is right at {last[WAYS[0]]:.3f} (uniform) and "
            f"{last[WAYS[1]]:.3f} (masked) of it",
            tuple(abs(x - 1) < NEAR for x in last.values()),
        ),
    ]


EXPERIMENT = Experiment(
    "two_processes", __doc__, COLUMNS, measure, verdicts, plan, options, variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
