"""Generalisation comes first and memory later: after a time that grows with the training set.

The instruments look at networks *while they are trained* (Favero, Sclocchi & Wyart 2025,
2505.16959), all for equally many steps. For every P two networks are trained on disjoint sets of P
sequences, and read off means of three looks (`kit/phases.py`):

    τ_gen    steps after which unseen recovery at t = .1 has 90 % of the largest it will have
    τ_mem    steps after which training recovery is .1 above unseen recovery: from here on the
             network learns its training set by heart
    agree    share of tokens of unseen corrupted sequences for which both networks name the same
             value: they agree while both learn the language, and part when each learns its half

τ_mem is fitted by a power of P; the paper's claim is the power 1.
"""

import math
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.cells import Found
from experiments.kit.course import follow, still
from experiments.kit.data import Data, describe, read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import DASH, subplots
from experiments.kit.grid import variant
from experiments.kit.intervals import is_one, recorded, spread
from experiments.kit.measures import there_and_back
from experiments.kit.phases import GAP, dates, generalises_first, power, who_is_first
from experiments.kit.record import Record
from experiments.kit.settings import COND, RECIPE, SCHEDULE
from minuddm import ModelConfig, TrainConfig, Transformer, Uniform
from minuddm.probes import Interval, conditional_entropy, recovery

T, GRID = 0.1, 64
FIRST = 125  # steps before the first look
HALVES = (0, 1)
SEEN = ("steps", "train_recovery", "test_recovery", "train_entropy", "test_entropy")
COLUMNS = ["data", "P", "seed", "half", *SEEN, "agree"]

Taus = dict[tuple[int, int, int], tuple[float, float]]  # by P, seed and half: τ_gen, τ_mem


@dataclass(frozen=True)
class Learner:
    """One network: P sequences of one half of the corpus, which `sha256` tells from others."""

    data: str
    sha256: str
    P: int
    half: int
    steps: int
    sequences: int
    seed: int

    @property
    def label(self) -> str:
        """Return the readable part of the file's name."""
        return f"learn-P={self.P:06d}-seed={self.seed}-half={self.half}"


def learn(task: Learner) -> Found:
    """Train one network to the last step; return what was seen of it on the way."""
    corpus = read(task.data, None, lines=False, vocab=256, rules=2, seed=0).corpus
    training, test = corpus.split(task.sequences, task.seed)
    own = training.tokens[task.half * len(training) // 2 :][: task.P]
    clean = {"train": np.resize(own, test.tokens.shape), "test": test.tokens}
    _, seen = follow(
        Transformer.init(
            ModelConfig(corpus.V, own.shape[1], 64, 2, 4, COND),
            generator(task.seed, f"weights {task.half}"),
        ),
        own,
        TrainConfig(task.steps, seed=2 * task.seed + task.half, schedule=SCHEDULE, **RECIPE),
        partial(look, of=Uniform(corpus.V), clean=clean, seed=task.seed),
        over=lambda *_: False,  # to the last step
        first=FIRST,
    )
    return seen


def look(
    network: Transformer, of: Uniform, clean: Mapping[str, NDArray[np.int32]], seed: int
) -> dict[str, Any]:
    """Return recoveries and entropies from t = .1, and the values named for unseen tokens."""
    alpha, found = float(SCHEDULE.alpha(T)), dict[str, Any]()
    for split, x in clean.items():
        xt, back = there_and_back(network, x, T, GRID, of, seed, f"learning {split}")
        found[f"{split}_recovery"] = float(np.nanmean(recovery(x, xt, back).recovery))
        found[f"{split}_entropy"] = float(conditional_entropy(network, xt, alpha).loo.mean())
        if split == "test":
            found["says"] = network(xt, np.full(len(xt), alpha)).argmax(axis=2).ravel()
    return found


def agreement(one: Found, other: Found) -> NDArray[np.float64]:
    """Return at every look the share of tokens for which two networks name the same value."""
    return np.asarray((one["says"] == other["says"]).mean(axis=1))


def draw(table: list[dict[str, Any]], taus: Taus, fit: Interval) -> Figure:
    """Draw recovery and agreement against steps, and the times against P."""
    sizes = sorted({row["P"] for row in table})
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(sizes)))
    figure, (left, middle, right) = subplots(1, 3, (12.5, 4.2))
    for P, shade in zip(sizes, shades, strict=True):
        of = [row for row in table if row["P"] == P]
        steps = sorted({row["steps"] for row in of})

        def mean(name: str, of: Any = of, steps: Any = steps) -> list[float]:
            return [float(np.mean([r[name] for r in of if r["steps"] == step])) for step in steps]

        for split in ("train", "test"):
            left.plot(steps, mean(f"{split}_recovery"), color=shade, ls=DASH[split],
                      label=f"P = {P}" if split == "train" else None)  # fmt: skip
        middle.plot(steps, mean("agree"), color=shade, label=f"P = {P}")
        each = np.array([tau for (n, _, _), tau in taus.items() if n == P]).T
        general, memory = (tau[np.isfinite(tau)] for tau in each)
        if len(memory):
            middle.axvline(np.exp(np.mean(np.log(memory))), color=shade, ls=":", lw=1)
        for name, mark, colour, values in (("τ_gen", "o", "#0072B2", general),
                                           ("τ_mem", "s", "#D55E00", memory)):  # fmt: skip
            right.plot([P] * len(values), values, mark, color=colour, ms=4, alpha=0.7,
                       label=name if sizes[0] == P else None)  # fmt: skip
    known = [(n, tau[1]) for (n, _, _), tau in taus.items() if np.isfinite(tau[1])]
    if known:
        P, tau = np.log(known).T
        centre = np.exp(tau.mean() - P.mean())
        right.plot(sizes, centre * np.array(sizes), color="0.4", ls=":", label="∝ P")
    left.set(title="Recovery: training —, unseen - -", ylabel=f"recovered from t = {T:g} (share)")
    middle.set(title="Two networks on disjoint halves", ylabel="both name the same")
    for axes in (left, middle):
        axes.set(xscale="log", xlabel="steps of training", ylim=(-0.02, 1.02))
        axes.legend(fontsize=8)
    right.set(xscale="log", yscale="log", xlabel="training sequences P", ylabel="steps")
    right.set_ylim(0.8 * steps[0], 1.25 * steps[-1])
    right.set_xticks(sizes, [str(P) for P in sizes])
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_title(f"τ_mem ∝ P^{spread(fit)}")
    right.legend(fontsize=8.5)
    return figure


def agreeing(table: list[dict[str, Any]], taus: Taus) -> tuple[float, float]:
    """Return the mean agreement at the end and at τ_mem, of networks that came to remember."""
    at_end, at_memory = [], []
    for (P, seed, half), (_, memory) in taus.items():
        line = [r for r in table if (r["P"], r["seed"], r["half"]) == (P, seed, half)]
        if np.isfinite(memory):
            at_end.append(line[-1]["agree"])
            steps, agree = ([r[name] for r in line] for name in ("steps", "agree"))
            at_memory.append(float(np.interp(np.log(memory), np.log(steps), agree)))
    return (float(np.mean(at_end)), float(np.mean(at_memory))) if at_end else (np.nan, np.nan)


class Plan(NamedTuple):
    """What is trained: two networks on disjoint halves for each P and seed, in turn."""

    data: Data
    tasks: list[Learner]


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole = commandline.whole
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--subsets", type=whole(2), nargs="+", metavar="P",
                   help="training sets (default: 6 from 16 to 512; --quick: 8 32)")  # fmt: skip
    p.add_argument("--steps", type=whole(50), help="of training (default: 32000; --quick: 600)")
    p.add_argument("--seeds", type=whole(1), default=2, help="pairs of networks for each P")


def plan(args: Namespace) -> Plan:
    """Return what is trained."""
    sizes = sorted(set(args.subsets or ([8, 32] if args.quick else [2**k for k in range(4, 10)])))
    steps, n = args.steps or (600 if args.quick else 32_000), 50 if args.quick else 100
    data = read(args.data, None, lines=False, vocab=256, rules=2, seed=0)
    if 2 * (P := sizes[-1]) > len(data.corpus) - n:
        raise ValueError(f"two halves of P = {P} need more than {len(data.corpus)} sequences")
    return Plan(data, [
        Learner(args.data, data.corpus.sha256, P, half, steps, n, args.seed + s)
        for P in sizes for s in range(args.seeds) for half in HALVES
    ])  # fmt: skip


def rows(name: str, found: dict[Learner, Found]) -> list[dict[str, Any]]:
    """Return one row per network and look."""
    table, pieces = [], list(found.items())
    for pair in zip(pieces[::2], pieces[1::2], strict=True):
        agree = agreement(pair[0][1], pair[1][1])
        for task, piece in pair:
            table += [
                {"data": name, "P": task.P, "seed": task.seed, "half": task.half, "agree": agree[k],
                 **{column: piece[column][k] for column in SEEN}}
                for k in range(len(agree))
            ]  # fmt: skip
    return table


def measure(plan: Plan, run: Run) -> Findings:
    """Train and watch all networks, and fit the times of memory by a power of P."""
    tasks, one = plan.tasks, plan.tasks[0]
    tiny = replace(one, steps=1, sequences=2)
    found = dict(zip(tasks, run.each(learn, tasks, tiny), strict=True))
    taus = {(task.P, task.seed, task.half): dates(piece) for task, piece in found.items()}
    table = rows(describe(plan.data)["name"], found)
    P, tau = np.array([key[0] for key in taus], dtype=float), np.array(list(taus.values()))
    sizes, fit = sorted({task.P for task in tasks}), power(P, tau[:, 1])
    order = {n: generalises_first(tau[n == P]) for n in sizes}
    last, settled = agreeing(table, taus)
    memory = {n: np.exp(np.nanmean(np.log(tau[n == P, 1]))) for n in sizes
              if np.isfinite(tau[n == P, 1]).any()}  # fmt: skip
    listed = ", ".join(f"{steps:.0f} at P = {n}" for n, steps in memory.items())
    calm = np.array([still(piece["steps"], piece["train_recovery"]) for piece in found.values()])
    came = int(np.isfinite(tau[:, 1]).sum())
    text = (
        f"Memory sets in after {listed} steps, in {came} of {len(tau)} networks. Two networks on "
        f"disjoint sets name the same value for {settled:.2f} of the tokens at τ_mem, and for "
        f"{last:.2f} at the end. Training recovery stands still there in {calm.sum()}."
        if memory
        else f"No network came to remember in {one.steps} steps."
    )
    return Findings(
        table,
        {"power": fit, "generalises_first": order, "agree_at_tau_mem": settled,
         "agree_at_the_end": last, "at_rest": {n: int(calm[n == P].sum()) for n in sizes},
         "tau": {f"P = {k[0]}, seed {k[1]}, half {k[2]}": list(v) for k, v in taus.items()}},
        text,
        draw(table, taus, fit),
        {"subsets": sizes, "steps": one.steps, "seeds": run.args.seeds, "seed": run.args.seed,
         "width": 64, "blocks": 2, "cond": COND, **RECIPE, "sequences": one.sequences, "gap": GAP},
        {"data": describe(plan.data),
         "intervals": "95 %, Student's of a line through all networks that remember"},
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge the power, which should be 1, and whether most networks generalise first at every P."""
    name = record.content["data"]["name"]
    about = "" if name == "pydoc" else f"{name}: "
    fit, order = recorded(record.headline["power"]), record.headline["generalises_first"]
    known = math.isfinite(fit.low)
    first = {P: math.nan if share is None else float(share) for P, share in order.items()}
    return [
        Verdict(
            f"{about}memory sets in after a time that grows linearly with P",
            f"P^{spread(fit)}" if known else "too few networks remember",
            (is_one(fit),),
        ),
        Verdict(
            f"{about}generalisation comes before memory",
            *who_is_first(first),
        ),
    ]


EXPERIMENT = Experiment(
    "learning_time", __doc__, COLUMNS, measure, verdicts, plan, options, variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
