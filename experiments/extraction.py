"""Uniform diffusion gives its training sequences away in a few steps, masked diffusion in many.

The chance to generate one given sequence [T31]-[T34] (Luo et al. 2026, for masked models), of both
processes, by chains of N equal steps from noise (`kit/extracted.py`):

    copies    share of samples that are exact copies, against N: of a perfect memory of 16 random
              sequences, of one of P sequences of text, and of networks trained on these; of the
              ideal generaliser of a hierarchy the share that its rules allow
    D1        the chance of one of three stored sequences of two bits, by enumeration
    needed    how many samples hold a sequence of text with chance ½, by the exact last step, at the
              median sequence and at the 90th percentile, beside what the bound promises [T32]
    paired    the same of training sequences beside unseen ones of the same bound
    prefix    the chance of the second half of a sequence, given the first
"""

import itertools
import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from experiments.kit import grid
from experiments.kit.data import read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.extracted import (
    COLUMNS,
    LONG,
    NEAR,
    RANDOM,
    STORED,
    TREE,
    Rows,
    Size,
    copied,
    examine,
    pooled,
    rows,
    share,
)
from experiments.kit.figures import COLOURS, band, subplots
from experiments.kit.intervals import below, larger, over_seeds, spread
from experiments.kit.record import Record
from experiments.kit.settings import PROCESSES, SPLITS
from experiments.kit.table import matching
from minuddm import DatasetIdeal, Linear
from minuddm.probes import Interval, generated_law

D1 = np.array([[0, 0], [0, 1], [1, 0]])
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
OF_TEXT = STEPS[:7]
FULL, QUICK = Size(400, 4000, 100, 64, 16), Size(50, 200, 20, 8, 2)
NEEDED = ("needed", "needed, 90th percentile", "needed, by paths")
PROMISED, PAIRED = "promised by the bound", "paired, by paths"
LITTLE = 0.05  # share of copies: where both processes have less, neither is judged
DASHED = (0, (4, 2))
MOST_SHOWN = 1e35  # samples: what takes more is above the panel


def two_bits(process: str) -> Rows:
    """Return the exact chance of 00 in D1 against N."""
    of = PROCESSES[process](2)
    ideal, same = DatasetIdeal(D1, 2, of), {"part": "D1", "data": "D1", "process": process}
    return [
        same | {"model": "dataset_ideal", "P": len(D1), "steps": N,
                "value": float(generated_law(ideal, 2, 2, Linear(), N, of)[0, 0])}
        for N in STEPS
    ]  # fmt: skip


class Plan(NamedTuple):
    """What is run: the same grid of networks for each process."""

    grids: dict[str, grid.Plan]
    how: Size


def plan(args: Namespace) -> Plan:
    """Return what is run."""
    first = grid.plan(args)
    ideals = {
        name: read(args.data, None, lines=False, vocab=256, rules=2, seed=args.seed, process=make)
        for name, make in PROCESSES.items()
    }
    grids = {name: grid.with_process(first, name, data.ideal) for name, data in ideals.items()}
    return Plan(grids, QUICK if args.quick else FULL)


def measure(plan: Plan, run: Run) -> Findings:
    """Train the networks of both processes, and draw from them and from the ideals."""
    seed, how = run.args.seed, plan.how
    asked = [(data, process, N, how.copies, seed)
             for data in (RANDOM, TREE) for process in PROCESSES for N in STEPS]  # fmt: skip
    table: Rows = []
    for (data, process, N, *_), hits in zip(asked, run.spread(copied, asked), strict=True):
        own = {"data": data, "process": process, "seed": seed, "steps": N}
        model = {"model": "source_ideal"}
        if data == RANDOM:
            model = {"model": "dataset_ideal", "P": STORED, "split": "train"}
        table.append(own | model | share(hits, generator(seed, f"copies {data} {process} {N}")))
    for process in PROCESSES:
        table += two_bits(process)
    grids = list(grid.together(plan.grids, run).values())
    networks = [network for found in grids for network in found.networks()]
    seen = run.spread(examine, [(*network, how, OF_TEXT) for network in networks])
    for network, piece in zip(networks, seen, strict=True):
        table += rows(*network, piece, how, OF_TEXT)
    one = pooled(table)
    found, seconds = grids[-1], sum(each.describe()["cell_seconds"] for each in grids)
    return Findings(
        table,
        {"subsets": found.subsets, "text": found.name},
        paragraph(one, found.name),
        draw(one, found.name),
        found.describe() | {"processes": list(PROCESSES), "drawn": how._asdict(), "steps": STEPS,
                            "near": NEAR, "cell_seconds": seconds},
        found.more("95 %: of a row, bootstrap over samples (copies) or over sequences; of several "
                   "seeds Student's over them"),
    )  # fmt: skip


# ---- what was found ------------------------------------------------------------------------------


def values(table: Sequence[Mapping[str, Any]], **wanted: Any) -> list[Interval]:
    """Return value, low and high of these rows; NaN where a row has no interval."""
    return [over_seeds([row], "value") for row in matching(table, **wanted)]


def sizes(table: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the P of the networks."""
    return sorted({int(row["P"]) for row in matching(table, model="network")})


def told(values: Sequence[float]) -> str:
    """Say a number of samples."""
    n = values[0]
    return "more than were drawn" if math.isinf(n) else f"{n:.0f}" if n < 1e4 else f"{n:.0e}"


def paragraph(table: Rows, name: str) -> str:
    """Say what is given away, by whom, and after how many samples."""
    memory = "; ".join(
        f"{process} " + ", ".join(
            f"{values(table, part='copies', data=RANDOM, process=process, steps=N)[0][0]:.2f} at "
            f"N = {N}" for N in (4, 8, 64, 256)
        )
        for process in PROCESSES
    )  # fmt: skip
    said = []
    for process, P in itertools.product(PROCESSES, sizes(table)):
        own = {"process": process, "P": P, "model": "network", "split": "train"}
        median, most = (values(table, part=part, **own)[0] for part in NEEDED[:2])
        [copied] = values(table, part="copies", steps=LONG, **own)
        said.append(f"{process}, P = {P}: {copied[0]:.2f} copies; samples at the median "
                    f"{told(median)}, at the 90th percentile {told(most)}")  # fmt: skip
    return (
        f"Of the samples of a perfect memory of {STORED} random sequences are exact copies: "
        f"{memory}. "
        f"Networks of {name} at N = {LONG}, and samples that hold a training sequence with chance "
        f"½: {'; '.join(said)}."
    )


def draw_needed(axes: Any, table: Rows, process: str) -> None:
    """Draw the samples needed against P; what is infinite is left out."""
    P, first = sizes(table), process == "uniform"
    for part, split, colour, what in (
        (NEEDED[0], "train", COLOURS[0], "training, median"),
        (NEEDED[1], "train", COLOURS[5], "training, 90th percentile"),
        (NEEDED[2], "train", COLOURS[2], "training, by paths"),
        (NEEDED[2], "test", COLOURS[1], "unseen, by paths"),
        (PROMISED, "train", "0.55", "training, promised by the bound"),
    ):
        line = [r for r in matching(table, part=part, split=split, model="network")
                if math.isfinite(r["value"])]  # fmt: skip
        axes.plot([r["P"] for r in line], [r["value"] for r in line], "o", color=colour, ms=3.5,
                  ls="-" if first else DASHED, label=what if first else None)  # fmt: skip
    axes.plot(P, np.log(2) * np.array(P), color="k", lw=0.8, ls=":",
              label="a perfect memory: P log 2" if first else None)  # fmt: skip
    axes.set(title="Samples that hold a sequence\nwith chance ½ (— uniform, - - masked)",
             xscale="log", yscale="log", ylabel="samples", ylim=(1, MOST_SHOWN),
             xlabel="training sequences P")  # fmt: skip
    axes.set_xticks(P, [str(n) for n in P])
    axes.tick_params(which="minor", bottom=False, labelbottom=False)


def draw(table: Rows, name: str) -> Figure:
    """Draw copies of ideals and of networks against N, the samples needed, and D1."""
    figure, ((a, b), (c, d)) = subplots(2, 2, (11.5, 8.2))
    dash = dict(zip(PROCESSES, ("-", DASHED), strict=True))
    shades = dict(zip(sizes(table), colormaps["viridis"](np.linspace(0, 0.85, len(sizes(table)))),
                      strict=True))  # fmt: skip
    for process, style in dash.items():
        for data, colour, what in (
            (RANDOM, COLOURS[0], "memory: exact copies"),
            (TREE, COLOURS[3], "generaliser: allowed"),
        ):
            line = matching(table, part="copies", data=data, process=process)
            band(a, line, "steps", "value", color=colour, ls=style, label=f"{what}, {process}")
        for P, shade in shades.items():
            same = {"part": "copies", "data": name, "process": process, "P": P}
            line = matching(table, model="network", **same)
            band(b, line, "steps", "value", color=shade, ls=style, label=f"P = {P}, {process}")
            memory = matching(table, model="dataset_ideal", **same)
            b.plot([r["steps"] for r in memory], [r["value"] for r in memory], color=shade,
                   ls=style, lw=0.7, alpha=0.7)  # fmt: skip
        line = matching(table, part="D1", process=process)
        d.plot([r["steps"] for r in line], [r["value"] for r in line], "o", ls=style, ms=3.5,
               color=COLOURS[0], label=process)  # fmt: skip
        draw_needed(c, [row for row in table if row.get("process") == process], process)
    d.axhline(1 / len(D1), color="k", lw=0.8, ls=":", label="1/P")
    a.set(title="Perfect memory of 16 random sequences, and ideal\ngeneraliser of a hierarchy",
          ylabel="share of samples")  # fmt: skip
    b.set(title=f"Networks of text (thin: perfect memories of the same),\n{name}",
          ylabel="share of samples that are exact copies")  # fmt: skip
    d.set(title="More steps extract less: two bits, 00 of the\nstored 00, 01, 10", ylabel="chance")
    for axes in (a, b, d):
        axes.set(xlabel="steps N")
        axes.set_xscale("log", base=2)
    for axes in (a, b, c, d):
        axes.legend(fontsize=8)
    return figure


def verdicts(record: Record) -> list[Verdict]:
    """Judge who copies in few steps, monotonicity, and what is known beyond the likelihood."""
    table, text = pooled(record.table), record.content["data"]["name"]
    about = "" if text == "pydoc" else f"{text}: "

    def shares(N: int, **wanted: Any) -> list[Interval]:
        return [values(table, part="copies", process=process, steps=N, **wanted)[0]
                for process in PROCESSES]  # fmt: skip

    (early, _), (_, late) = shares(8, data=RANDOM), shares(256, data=RANDOM)
    allowed = {N: shares(N, data=TREE) for N in (8, 16, 32)}
    own = {f"P = {P}, N = {N}": shares(N, data=text, model="network", P=P)
           for P, N in itertools.product(sizes(table), (8, LONG))}  # fmt: skip
    bits = [[value for value, *_ in values(table, part="D1", process=p)] for p in PROCESSES]
    paired = {f"{process}, P = {P}": share_of_samples(record.table, process=process, P=P)
              for process, P in itertools.product(PROCESSES, sizes(table))}  # fmt: skip
    paired = {key: x for key, x in paired.items() if not math.isnan(x.value)}
    return [
        Verdict(
            "a perfect memory gives away in 8 steps of uniform diffusion what 256 of masked do not",
            f"exact copies: uniform {spread(early)} at N = 8, masked {spread(late)} at N = 256",
            (larger(early, late),),
        ),
        Verdict(
            "an ideal generaliser obeys its rules after fewer steps of uniform diffusion",
            "; ".join(f"{u[0]:.2f} against {m[0]:.2f} at N = {N}" for N, (u, m) in allowed.items()),
            tuple(larger(u, m) for u, m in allowed.values()),
        ),
        Verdict(
            f"{about}uniform networks copy more of their training text in N steps than masked ones",
            "; ".join(f"{key}: {u[0]:.2f} against {m[0]:.2f}" for key, (u, m) in own.items()),
            tuple(larger(u, m) for u, m in own.values()
                  if max(u[0], m[0]) > LITTLE) or (None,),
        ),
        Verdict(
            "more steps extract a stored sequence more often",
            "; ".join(f"{process} {line[0]:.3f} at N = 1, {line[-1]:.3f} at 256, 00 of two bits"
                      for process, line in zip(PROCESSES, bits, strict=True)),
            tuple(bool((np.diff(line) >= 0).all()) for line in bits),
        ),
        Verdict(
            f"{about}training sequences take fewer samples than unseen ones of the same bound",
            "; ".join(f"{key}: {x.value:.2g} ({x.low:.2g} to {x.high:.2g}) of as many"
                      for key, x in paired.items())
            or f"no bounds within {NEAR} nats per token",
            tuple(below(x, 1) for x in paired.values()) or (None,),
        ),
    ]  # fmt: skip


def share_of_samples(table: Sequence[Mapping[str, Any]], **own: Any) -> Interval:
    """Return the share of the samples of unseen ones that training sequences of their bound take.

    Over seeds; one seed has the ends of both intervals.
    """
    train, test = (values(table, part=PAIRED, split=split, **own) for split in SPLITS)
    if len(train) == 1:
        [(x, low, high)], [(y, y_low, y_high)] = train, test
        return Interval(x / y, low / y_high, high / y_low)
    ratios = [{"value": a / b} for (a, *_), (b, *_) in zip(train, test, strict=True)]
    return over_seeds(ratios, "value", log=True) if ratios else Interval(*3 * [math.nan])


EXPERIMENT = Experiment(
    "extraction", __doc__, COLUMNS, measure, verdicts, plan,
    grid.options(("64x2",), (16, 256, 4096), (4, 32), (3, 1)), grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
