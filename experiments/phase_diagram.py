"""Memory takes time, and more of it the more there is to remember; beyond some P none suffices.

One network size, P training sequences, and for each P and seed one run with every budget in it
(`kit/course.py`): the plane of P and of the steps taken. At every point

    recovery     from t = .1, of training and of unseen sequences [T26]
    own entropy  at t = 1e-5, of what the network makes of training sequences corrupted to t: it
                 dates the shell of the basins that lies at t, t = 1 the outermost

Read off it: the time to remember, τ(P), when training recovery has risen through .9, as a power of
P (Favero, Sclocchi & Wyart 2025, 2505.16959: linear); the step at which unseen recovery is largest,
where early stopping would stop, and what is lost after it; and the P at which training recovery
falls through .95 after all the steps there are. Whether generalisation comes before memory is told
by τ_gen and τ_mem (`kit/phases.py`). Each seed is read by itself, the maps show means.
"""

from argparse import Namespace
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.cells import path
from experiments.kit.course import SLACK, follow
from experiments.kit.data import Data, describe, read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import subplots
from experiments.kit.grid import size, variant
from experiments.kit.intervals import is_one, show, spread
from experiments.kit.measures import recoveries, there_and_back
from experiments.kit.phases import (
    ENTROPIES,
    LOOKS,
    REMEMBERED,
    SEEN,
    Lines,
    Summary,
    calm,
    dates,
    generalises_first,
    lines_of,
    mean,
    readings,
    summary,
    until,
    who_is_first,
)
from experiments.kit.record import Record
from experiments.kit.settings import COND, RECIPE, SCHEDULE, SPLITS, STARTS
from minuddm import ModelConfig, TrainConfig, Transformer, Uniform
from minuddm.probes import conditional_entropy
from minuddm.probes.transition import PLATEAU
from minuddm.reverse import T_END

T, GRID = 0.1, 64
COLUMNS = ["data", "size", "P", "seed", *SEEN]
MAPS = {
    "train_recovery": "training recovery",
    "test_recovery": "unseen recovery",
    "entropy_0.1": "own entropy from t = .1 (nats)",
    "entropy_1": "own entropy from noise (nats)",
}


@dataclass(frozen=True)
class Line:
    """One run: P sequences of a corpus, which `sha256` tells from others, and all its budgets."""

    data: str
    sha256: str
    P: int
    size: str
    steps: int
    sequences: int
    seed: int
    checkpoint: Path | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """Return the readable part of the file's name."""
        return f"{self.size}-P={self.P:06d}-steps={self.steps}-seed={self.seed}"


def walk(task: Line) -> dict[str, NDArray[Any]]:
    """Train one network to the last step, looking at it as it goes."""
    corpus = read(task.data, None, lines=False, vocab=256, rules=2, seed=0).corpus
    training, test = corpus.split(task.sequences, task.seed)
    own, V = training.subset(task.P).tokens, corpus.V
    width, blocks = (int(part) for part in task.size.split("x"))
    config = ModelConfig(V, own.shape[1], width, blocks, 4, COND)
    clean = {"train": np.resize(own, test.tokens.shape), "test": test.tokens}
    _, seen = follow(
        Transformer.init(config, generator(task.seed, "weights")),
        own,
        TrainConfig(steps=task.steps, seed=task.seed, schedule=SCHEDULE, **RECIPE),
        partial(look, V=V, clean=clean, seed=task.seed),
        over=lambda *_: False,  # to the last step
        checkpoint=task.checkpoint,
        every=2000,
        about={"cell": task.checkpoint.stem if task.checkpoint else ""},
    )
    return seen


def look(
    network: Transformer, V: int, clean: dict[str, NDArray[np.int32]], seed: int
) -> dict[str, float]:
    """Return the recoveries, and the entropies of what comes back from each starting t."""
    of = Uniform(V)
    found = recoveries(network, clean, T, GRID, of, seed, "phase")
    few = clean["train"][:50]
    for t, name in zip(STARTS, ENTROPIES, strict=True):
        _, back = there_and_back(network, few, t, GRID, of, seed, f"phase own {t}")
        H = conditional_entropy(network, back, float(SCHEDULE.alpha(T_END))).loo
        found[name] = float(H.mean())
    return found


def draw(lines: Lines, remembers: dict[int, float]) -> Figure:
    """Draw the four maps, with contours, the time to remember and the time of the best."""
    P = np.array(list(lines))
    steps = lines[P[0]][0]["steps"]
    figure, panels = subplots(2, 2, (8.5, 7.2), sharex=True, sharey=True)
    panels = panels.ravel()
    for axes, (name, title) in zip(panels, MAPS.items(), strict=True):
        plane = np.array([mean(of, name) for of in lines.values()]).T  # (steps, P)
        share = "recovery" in name
        shown = {"cmap": "cividis" if share else "cividis_r", "vmax": 1.0 if share else None}
        shown |= {"vmin": 0, "shading": "nearest", "rasterized": True}
        image = axes.pcolormesh(P, steps, plane, **shown)
        levels = [0.2, 0.5, 0.95] if share else [0.05, 0.2, 0.8]
        for level, dash in zip(levels, (":", "--", "-"), strict=True):
            axes.plot([], [], dash, color="black", lw=1.2, label=f"{level:g}")
            if min(plane.shape) > 1:
                at = (P, steps, plane, [level])
                axes.contour(*at, colors="white", linewidths=2.6)
                axes.contour(*at, colors="black", linewidths=1.2, linestyles=dash)
        figure.colorbar(image, ax=axes, shrink=0.9)
        axes.set(xscale="log", yscale="log", title=title)
        axes.set_xticks(P, [str(n) for n in P])
        axes.tick_params(which="minor", bottom=False, labelbottom=False)
        axes.grid(visible=False)
    for n, of in lines.items():
        found = [readings(seen) for seen in of]
        panels[0].plot(len(of) * [n], [r.remembers for r in found], "o", color="#D55E00", ms=3)
        panels[1].plot(len(of) * [n], [r.best for r in found], "s", color="#D55E00", ms=4,
                       label="largest" if n == P[0] else None)  # fmt: skip
    panels[0].plot(P, list(remembers.values()), color="#D55E00", label="τ: .9")
    for k, axes in enumerate(panels):
        axes.legend(fontsize=8, loc="lower right", facecolor="white", framealpha=0.85, frameon=True)
        axes.set_xlabel("training sequences P" if k > 1 else "")
        axes.set_ylabel("" if k % 2 else "steps of training")
    return figure


# ---- from options to findings -------------------------------------------------------------------


class Plan(NamedTuple):
    """What is run: a line for each P and seed."""

    data: Data
    lines: list[Line]


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole = commandline.whole
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--size", type=size, default="32x2", help="width x blocks (default: 32x2)")
    p.add_argument("--subsets", type=whole(1), nargs="+", metavar="P",
                   help="training sets (default: 8 from 8 to 1024; --quick: 4, 32)")  # fmt: skip
    p.add_argument("--seeds", type=whole(1), help="networks a P (default: 3; --quick: 1)")
    p.add_argument("--steps", type=whole(500), help="of training (default: 256000; --quick: 1000)")


def plan(args: Namespace) -> Plan:
    """Return what is run."""
    data = read(args.data, None, lines=False, vocab=256, rules=2, seed=0)
    subsets = sorted(set(args.subsets or ([4, 32] if args.quick else [2**k for k in range(3, 11)])))
    steps, n = args.steps or (1000 if args.quick else 256_000), 50 if args.quick else 200
    if subsets[-1] > len(data.corpus) - n:
        raise ValueError(f"P = {subsets[-1]} needs more than {len(data.corpus)} sequences")
    common = (args.size, steps, n)
    seeds = [args.seed + s for s in range(args.seeds or (1 if args.quick else 3))]
    return Plan(data, [Line(args.data, data.corpus.sha256, P, *common, seed)
                       for P in subsets for seed in seeds])  # fmt: skip


def measure(plan: Plan, run: Run) -> Findings:
    """Walk every line of the diagram, and read it."""
    folder = run.out / "cells"
    files = [path(walk, line, folder).with_suffix(".safetensors") for line in plan.lines]
    tasks = [replace(line, checkpoint=file) for line, file in zip(plan.lines, files, strict=True)]
    one = plan.lines[0]
    seen = run.each(walk, tasks, replace(one, P=2, steps=1, sequences=2), folder)
    lines: Lines = {}
    for task, piece in zip(tasks, seen, strict=True):
        lines.setdefault(task.P, []).append(piece)
    name, found = describe(plan.data)["name"], summary(lines)
    table = [
        {"data": name, "size": one.size, "P": task.P, "seed": task.seed,
         **{column: piece[column][k] for column in SEEN}}
        for task, piece in zip(tasks, seen, strict=True) for k in range(len(piece["steps"]))
    ]  # fmt: skip
    return Findings(
        table,
        {"power": found.power, "limit": found.limit, "remembers": found.remembers,
         "readings": {P: [readings(line)._asdict() for line in of] for P, of in lines.items()}},
        _paragraph(lines, found, one),
        draw(lines, found.remembers),
        {"size": one.size, "subsets": list(lines), "steps": one.steps,
         "seeds": sorted({task.seed for task in tasks}), "sequences": one.sequences, "cond": COND,
         **RECIPE},
        {"data": describe(plan.data),
         "intervals": "95 %, Student's over seeds, each read by itself; of one seed that of its "
                      "line through all P that are remembered"},
    )  # fmt: skip


def _paragraph(lines: Lines, found: Summary, one: Line) -> str:
    """Say what is remembered when, and what unseen recovery gains and loses."""
    listed = ", ".join(f"after {steps:.0f} steps at P = {P}"
                       for P, steps in found.remembers.items() if np.isfinite(steps))  # fmt: skip
    unseen = {P: mean(of, "test_recovery") for P, of in lines.items()}
    fallen = max(unseen, key=lambda P: unseen[P].max() - unseen[P][-1])
    gone, steps = unseen[fallen], lines[fallen][0]["steps"]
    where = {True: f"falls through .95 at P = {show(found.limit)}", None: "is below .95 at some P, "
             "but not for all seeds", False: "is above .95 at every P"}[found.limited]  # fmt: skip
    return (
        f"A {one.size} network recovers {REMEMBERED} of the corrupted training tokens "
        f"{listed or 'at no P'}; after {one.steps} steps training recovery {where}. Unseen "
        f"recovery falls most from its largest at P = {fallen}: from {gone.max():.2f} at "
        f"{steps[gone.argmax()]} steps by {gone.max() - gone[-1]:.2f}. Medians and means over "
        f"{len(lines[fallen])} seed{'s' * (len(lines[fallen]) > 1)}."
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge the power, which should be 1, the loss after the best, the limit, and what is first."""
    about = "" if (name := record.content["data"]["name"]) == "pydoc" else f"{name}: "
    lines = lines_of(record.table)
    found = summary(lines)
    steps, lost, moved = record.content["settings"]["steps"], [], []
    first = {P: generalises_first(np.array([dates(seen) for seen in of]))
             for P, of in lines.items()}  # fmt: skip
    for P, of in lines.items():
        train, test = (mean(of, f"{split}_recovery") for split in SPLITS)
        if len(test) < LOOKS:
            continue
        if train[-1] >= PLATEAU:
            lost.append(float(calm(test).max() - calm(test)[-1]))
        elif found.limit.value < P:
            moved.append(float(np.ptp(train[-LOOKS:])))  # √2 apart: since half of the steps
    before = "".join(f", from {show(summary(until(lines, steps // part)).limit)} on after a {word}"
                     for part, word in ((2, "half"), (4, "quarter"))
                     if steps // part >= next(iter(lines.values()))[0]["steps"][0])  # fmt: skip
    return [
        Verdict(
            f"{about}the time to remember grows linearly with P",
            f"P^{spread(found.power)}" if np.isfinite(found.power.low) else "too few P",
            (is_one(found.power) if np.isfinite(found.power.low) else None,),
        ),
        Verdict(
            f"{about}what is learnt by heart is paid for: unseen recovery falls after its best",
            f"by {min(lost):.2f} to {max(lost):.2f} at the P that are remembered, means of "
            f"{LOOKS} looks" if lost else "nothing is remembered",
            (all(x > SLACK for x in lost) if lost else None,),
        ),
        Verdict(
            f"{about}beyond some P no time suffices to remember: training recovery stays below "
            f"{PLATEAU}, and stands still",
            (f"below from P = {show(found.limit)} on after {steps} steps{before}"
             if found.limited is not False else f"not at the P measured after {steps} steps")
            + (f"; there it has changed by {min(moved):.3f} to {max(moved):.3f} since half of them"
               if moved else ""),
            (found.limited,
             all(x < SLACK for x in moved) if moved else None),
        ),
        Verdict(
            f"{about}generalisation comes before memory (τ_gen and τ_mem, means of {LOOKS} looks)",
            *who_is_first(first),
        ),
    ]  # fmt: skip


EXPERIMENT = Experiment(
    "phase_diagram", __doc__, COLUMNS, measure, verdicts, plan, options, variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
