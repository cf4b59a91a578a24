"""Generalisation comes first and memory later: after a time that grows with the training set.

The instruments look at networks *while they are trained* (Favero, Sclocchi & Wyart 2025,
2505.16959), all with the same schedule of equally many steps. For every P two networks are trained
on disjoint sets of P sequences:

    τ_gen    steps after which unseen recovery at t = .1 has 90 % of the largest it will have
    τ_mem    steps after which training recovery is .1 above unseen recovery: from here on the
             network learns its training set by heart
    agree    share of tokens of unseen corrupted sequences for which both networks name the same
             value: they agree while both learn the language, and part when each learns its half

τ_mem is fitted by a power of P; the paper's claim is the power 1.
"""

import math
from argparse import Namespace
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.cells import Found
from experiments.kit.data import Data, describe, read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import DASH, subplots
from experiments.kit.grid import variant
from experiments.kit.intervals import is_one, spread
from experiments.kit.phases import GAP, generalises_first, power, times, who_is_first
from experiments.kit.record import Record
from experiments.kit.settings import COND, RECIPE, SCHEDULE
from minuddm import ModelConfig, TrainConfig, Transformer, corrupt, restore
from minuddm.probes import conditional_entropy, recovery
from minuddm.train import train

T, GRID = 0.1, 64
HALVES = (0, 1)
MEASURED = ("step", "train_recovery", "test_recovery", "train_entropy", "test_entropy")
COLUMNS = ["data", "P", "seed", "half", *MEASURED, "agree"]
ENDS = ("slope", "low", "high")

Taus = dict[tuple[int, int, int], tuple[float, float]]  # by P, seed and half: τ_gen, τ_mem


@dataclass(frozen=True)
class Learner:
    """One network: P sequences of one half of the corpus, which `sha256` tells from others."""

    data: str
    sha256: str
    P: int
    half: int
    steps: int
    probes: int
    sequences: int
    seed: int


def learn(task: Learner) -> dict[str, Any]:
    """Train one network; return what was measured at every probe, and what it would say."""
    corpus = read(task.data, None, lines=False, vocab=256, rules=2, seed=0).corpus
    training, test = corpus.split(task.sequences, task.seed)
    own = training.tokens[task.half * len(training) // 2 :][: task.P]
    V, L, alpha = corpus.V, corpus.tokens.shape[1], float(SCHEDULE.alpha(T))
    many = np.resize(own, (task.sequences, L))
    clean = {"train": many, "test": test.tokens}
    noisy = {
        split: corrupt(x, alpha, V, generator(task.seed, f"learning {split}"))
        for split, x in clean.items()
    }
    found: dict[str, Any] = {name: [] for name in (*MEASURED, "says")}
    size = ModelConfig(V, L, 64, 2, 4, COND)

    def probe(step: int, network: Transformer) -> None:
        found["step"].append(step)
        for split, xt in noisy.items():
            chance = generator(task.seed, f"learning restore {split} {step}")
            back = restore(network, xt, T, SCHEDULE, GRID, chance)
            came = recovery(clean[split], xt, back).recovery
            found[f"{split}_recovery"].append(float(np.nanmean(came)))
            H = conditional_entropy(network, xt, alpha).loo
            found[f"{split}_entropy"].append(float(H.mean()))
        log_p = network(noisy["test"], np.full(len(test), alpha))
        found["says"].append(log_p.argmax(axis=2).ravel())

    train(
        Transformer.init(size, generator(task.seed, f"weights {task.half}")),
        own,
        TrainConfig(task.steps, seed=2 * task.seed + task.half, schedule=SCHEDULE, **RECIPE),
        probe=probe,
        probe_at=schedule(task.steps, task.probes),
    )
    return found


def schedule(steps: int, probes: int) -> tuple[int, ...]:
    """Return the steps at which networks are probed, evenly in their logarithm."""
    return tuple(sorted({round(k) for k in np.geomspace(min(25, steps), steps, probes)}))


def agreement(one: Found, other: Found) -> NDArray[np.float64]:
    """Return at every probe the share of tokens for which two networks name the same value."""
    return np.asarray((one["says"] == other["says"]).mean(axis=1))


def draw(table: list[dict[str, Any]], taus: Taus, fit: dict[str, float]) -> Figure:
    """Draw recovery and agreement against steps, and the times against P."""
    sizes = sorted({row["P"] for row in table})
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(sizes)))
    figure, (left, middle, right) = subplots(1, 3, (12.5, 4.2))
    for P, shade in zip(sizes, shades, strict=True):
        of = [row for row in table if row["P"] == P]
        steps = sorted({row["step"] for row in of})

        def mean(name: str, of: Any = of, steps: Any = steps) -> list[float]:
            return [float(np.mean([r[name] for r in of if r["step"] == step])) for step in steps]

        for split in ("train", "test"):
            left.plot(steps, mean(f"{split}_recovery"), color=shade, ls=DASH[split],
                      label=f"P = {P}" if split == "train" else None)  # fmt: skip
        middle.plot(steps, mean("agree"), color=shade, label=f"P = {P}")
        general, memory = np.array([tau for (n, _, _), tau in taus.items() if n == P]).T
        memory = memory[np.isfinite(memory)]
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
    right.set_xticks(sizes, [str(P) for P in sizes])
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_title(f"τ_mem ∝ P^{spread(fit[end] for end in ENDS)}")
    right.legend(fontsize=8.5)
    return figure


def agreeing(table: list[dict[str, Any]], taus: Taus) -> tuple[float, float]:
    """Return the mean agreement at the end and at τ_mem, of networks that came to remember."""
    at_end, at_memory = [], []
    for (P, seed, half), (_, memory) in taus.items():
        line = [r for r in table if (r["P"], r["seed"], r["half"]) == (P, seed, half)]
        if np.isfinite(memory):
            at_end.append(line[-1]["agree"])
            steps, agree = ([r[name] for r in line] for name in ("step", "agree"))
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
                   help="training sets (default: 16 32 64 128 256; --quick: 8 32)")  # fmt: skip
    p.add_argument("--steps", type=whole(50), help="of training (default: 8000; 600 if --quick)")
    p.add_argument("--seeds", type=whole(1), default=2, help="pairs of networks for each P")


def plan(args: Namespace) -> Plan:
    """Return what is trained."""
    sizes = sorted(set(args.subsets or ([8, 32] if args.quick else [16, 32, 64, 128, 256])))
    steps, n = args.steps or (600 if args.quick else 8000), 50 if args.quick else 100
    data = read(args.data, None, lines=False, vocab=256, rules=2, seed=0)
    if 2 * (P := sizes[-1]) > len(data.corpus) - n:
        raise ValueError(f"two halves of P = {P} need more than {len(data.corpus)} sequences")
    same, probes = (args.data, data.corpus.sha256), 8 if args.quick else 20
    return Plan(data, [
        Learner(*same, P, half, steps, probes, n, args.seed + s)
        for P in sizes for s in range(args.seeds) for half in HALVES
    ])  # fmt: skip


def rows(name: str, found: dict[Learner, Found]) -> list[dict[str, Any]]:
    """Return one row per network and probe."""
    table, pieces = [], list(found.items())
    for pair in zip(pieces[::2], pieces[1::2], strict=True):
        agree = agreement(pair[0][1], pair[1][1])
        for task, piece in pair:
            table += [
                {"data": name, "P": task.P, "seed": task.seed, "half": task.half, "agree": agree[k],
                 **{column: piece[column][k] for column in MEASURED}}
                for k in range(len(agree))
            ]  # fmt: skip
    return table


def measure(plan: Plan, run: Run) -> Findings:
    """Train and probe all networks, and fit the times of memory by a power of P."""
    tasks, one = plan.tasks, plan.tasks[0]
    tiny = replace(one, steps=1, probes=1, sequences=2)
    found = dict(zip(tasks, run.each(learn, tasks, tiny), strict=True))
    taus = {(task.P, task.seed, task.half): times(*(piece[name] for name in MEASURED[:3]))
            for task, piece in found.items()}  # fmt: skip
    table = rows(describe(plan.data)["name"], found)
    P, tau = np.array([key[0] for key in taus], dtype=float), np.array(list(taus.values()))
    sizes, fit = sorted({task.P for task in tasks}), power(P, tau[:, 1])
    order = {n: generalises_first(tau[n == P]) for n in sizes}
    last, settled = agreeing(table, taus)
    memory = {n: np.exp(np.nanmean(np.log(tau[n == P, 1]))) for n in sizes
              if np.isfinite(tau[n == P, 1]).any()}  # fmt: skip
    listed = ", ".join(f"{steps:.0f} at P = {n}" for n, steps in memory.items())
    text = (
        f"Memory sets in after {listed} steps. Two networks on disjoint sets name the same value "
        f"for {settled:.2f} of the tokens at τ_mem, and for {last:.2f} at the end."
        if memory
        else f"No network came to remember in {one.steps} steps."
    )
    return Findings(
        table,
        {"power": fit, "generalises_first": order, "agree_at_tau_mem": settled,
         "agree_at_the_end": last,
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
    fit, order = record.headline["power"], record.headline["generalises_first"]
    known = fit["slope"] is not None
    first = {P: math.nan if share is None else float(share) for P, share in order.items()}
    return [
        Verdict(
            f"{about}memory sets in after a time that grows linearly with P",
            f"P^{spread(fit[end] for end in ENDS)}" if known else "too few networks remember",
            (is_one(fit[end] for end in ENDS) if known else None,),
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
