"""What a call of the denoiser buys: samplers of both processes, exactly, and of a trained network.

On two worlds that can be enumerated, a perfect memory of four patterns and a Markov chain, the law
of every sampler's sequences is a product of matrices [T45]: its total variation to the law of the
data is exact. Networks of text, trained by the recipe, stand beside them: what their samples cost
under an n-gram critic of text that they never saw, less what unseen text costs. The denoiser of the
worlds is exact, so all their error is the sampler's; that of a network is also its own.

Samplers are compared at equal numbers of calls, those of a network with each other, seed by seed. A
heat bath costs a call for each site, and jumps one for each jump and one more at the end; in the
masked process, where visible tokens have to be hidden in turn, they cost L + 1 calls each, so there
they are not run on text.
"""

import math
from argparse import Namespace
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit.chains import Sampler, worlds
from experiments.kit.commandline import CommandLine, whole
from experiments.kit.data import Data, describe
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.gains import EXCESS, curves, gain, middle
from experiments.kit.intervals import below, columns
from experiments.kit.record import Record
from experiments.kit.settings import COND, PROCESSES, RECIPE, SCHEDULE
from minuddm import Corpus, Linear, ModelConfig, TrainConfig, Transformer, generate, load
from minuddm.probes import NGram, bootstrap_mean
from minuddm.reverse import quadratic_grid
from minuddm.samplers import tau_leap
from minuddm.train import train

Array = NDArray[np.float64]
COLUMNS = ["world", "process", "seed", "sampler", "intervals", "calls", "tv", *EXCESS]
WORLDS, TEXT, L = ("memory", "chain"), "text", 32
PLAIN, SHORT, LEAP, BATH, BATHS, BOTH, JUMPS = SAMPLERS = (
    "equal steps",
    "steps (k/N)²",
    "τ-leaping",
    "heat bath, 1 site",
    "heat bath, 7 sites",
    "7 sites, steps (k/N)²",
    "informed jumps",
)
NAMES = ("four patterns, exact", "Markov chain, exact", "text, trained networks")
COMPARED = (16, 32, 64, 120)  # calls


def sampler(name: str, span: float) -> Sampler:
    """Return the sampler of a name; `span` is that of jumps."""
    return {
        PLAIN: Sampler(),
        SHORT: Sampler(quadratic_grid),
        LEAP: Sampler(step=tau_leap),
        BATH: Sampler(sites=1),
        BATHS: Sampler(sites=7),
        BOTH: Sampler(quadratic_grid, sites=7),
        JUMPS: Sampler(span=span),
    }[name]


def intervals(name: str, most: int) -> list[int]:
    """Return the numbers N of intervals of a sampler whose correctors cost as many calls again."""
    cost = {BATH: 2, BATHS: 8, BOTH: 8, JUMPS: 4}.get(name, 1)
    return [n // cost - 1 for n in (4, 8, 16, 32, 64, 128, 256) if 2 * cost <= n <= most]


# ---- by enumeration -----------------------------------------------------------------------------


def enumerated(name: str, process: str, most: int) -> list[dict[str, Any]]:
    """Return a row for each sampler and number of intervals on a world, in exact numbers."""
    world, clean = worlds(process)[name]
    goal = np.zeros(len(world.states))
    goal[(world.states < 3).all(axis=1)] = clean
    rows = []
    for label in SAMPLERS:
        for n in intervals(label, most):
            law, calls = sampler(label, 1 / 3).end(world, Linear(), n)
            rows.append({
                "world": name, "process": process, "sampler": label, "intervals": n,
                "calls": calls, "tv": 0.5 * float(np.abs(law - goal).sum()),
            })  # fmt: skip
    return rows


# ---- on text ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampled:
    """One network, and how much is drawn from it."""

    process: str
    tokens: NDArray[np.int32]
    V: int
    steps: int
    samples: int
    most: int
    seed: int

    @property
    def label(self) -> str:
        """Return the readable part of the file's name."""
        return f"{self.process}-seed={self.seed}"


def drawn(task: Sampled) -> dict[str, NDArray[Any]]:
    """Train a network; return its samples (n, L) for each sampler, and the calls of a sequence."""
    of = PROCESSES[task.process](task.V)
    size = ModelConfig(task.V, L, 64, 2, 4, COND, states=of.states)
    network = Transformer.init(size, generator(task.seed, "weights"))
    config = TrainConfig(steps=task.steps, seed=task.seed, schedule=SCHEDULE, **RECIPE)
    network = train(network, task.tokens, config, process=of).average
    found: dict[str, NDArray[Any]] = {}
    asked: list[int] = []

    def counted(tokens: NDArray[np.int32], alpha: Array) -> NDArray[Any]:
        asked.append(len(tokens))
        return network(tokens, alpha)

    for label in SAMPLERS if task.process == "uniform" else SAMPLERS[:-1]:
        how = sampler(label, 0.05)
        for n in intervals(label, task.most if label != JUMPS else task.most // 4):
            asked.clear()
            chance = generator(task.seed, f"samples {label} {n}")
            found[f"{label} {n}"] = generate(
                counted, task.samples, L, task.V, SCHEDULE, n, chance,
                process=of, grid=how.grid, step=how.step, corrector=how.corrector,
            )  # fmt: skip
            found[f"{label} {n} calls"] = np.array(sum(asked) / task.samples)
    return found


# ---- the experiment -----------------------------------------------------------------------------


class Plan(NamedTuple):
    """What is run; of each seed what the critic reads, and unseen text."""

    corpus: Corpus
    heard: dict[int, tuple[Corpus, Corpus]]
    tasks: list[Sampled]
    most: int


def options(p: CommandLine) -> None:
    """Add the options of this experiment."""
    p.add_argument("--seeds", type=whole(1), help="networks a process (default: 3; --quick: 1)")


def plan(args: Namespace) -> Plan:
    """Return what is run: a third of the text is the critic's."""
    corpus, tasks, heard = load("pydoc", L), [], {}
    most, steps, samples, test = (16, 100, 50, 500) if args.quick else (128, 20_000, 1000, 2000)
    for seed in range(args.seed, args.seed + (args.seeds or (1 if args.quick else 3))):
        training, unseen = corpus.split(test, seed)
        training, critic = training.split(len(training) // 3, seed)
        heard[seed] = critic, unseen
        tasks += [Sampled(name, training.tokens, corpus.V, steps, samples, most, seed)
                  for name in PROCESSES]  # fmt: skip
    return Plan(corpus, heard, tasks, most)


def measure(plan: Plan, run: Run) -> Findings:
    """Enumerate, train, draw, and judge what was drawn."""
    places = [(name, process, plan.most) for process in PROCESSES for name in WORLDS]
    table = [row for rows in run.spread(enumerated, places) for row in rows]
    small = Sampled("uniform", plan.tasks[0].tokens[:16], plan.corpus.V, 1, 2, 16, 0)
    critics = {seed: NGram(own.tokens, plan.corpus.V, 4) for seed, (own, _) in plan.heard.items()}
    costs = {seed: -float(critics[seed].log_prob(unseen.tokens).mean())
             for seed, (_, unseen) in plan.heard.items()}  # fmt: skip
    for task, found in zip(plan.tasks, run.each(drawn, plan.tasks, small), strict=True):
        for label in SAMPLERS:
            for n in intervals(label, plan.most):
                if f"{label} {n}" in found:
                    cost = -critics[task.seed].log_prob(found[f"{label} {n}"]).mean(axis=1)
                    chance = generator(task.seed, f"critic {task.process} {label} {n}")
                    table.append({
                        "world": TEXT, "process": task.process, "seed": task.seed,
                        "sampler": label, "intervals": n,
                        "calls": float(found[f"{label} {n} calls"]),
                        **columns("excess", bootstrap_mean(cost - costs[task.seed], chance)),
                    })  # fmt: skip
    task = plan.tasks[0]
    return Findings(
        table,
        {"unseen": costs},
        told(table, costs),
        draw(table),
        {"sequences": len(task.tokens), "steps": task.steps, "samples": task.samples,
         "calls": plan.most, "seeds": list(costs), "schedule": repr(SCHEDULE)},
        {"data": describe(Data(plan.corpus)),
         "intervals": "95 %, of an excess bootstrap over samples of one seed"},
    )  # fmt: skip


def told(table: list[dict[str, Any]], costs: dict[int, float]) -> str:
    """Say what a call buys."""
    parts = []
    for process in PROCESSES:
        for world in (*WORLDS, TEXT):
            at, far = middle(curves(table, world=world, process=process, sampler=PLAIN))
            parts.append(f"{process}, {world}: {far[0]:.3f} at {at[0]:.0f} calls, "
                         f"{far[-1]:.4f} at {at[-1]:.0f}")  # fmt: skip
    return (
        f"Distance to the data of the ancestral chain with equal steps: {'; '.join(parts)}. It is "
        "total variation, on text nats per token, of which unseen text costs "
        f"{', '.join(f'{cost:.3f}' for cost in costs.values())} "
        f"({len(costs)} seed{'s' * (len(costs) > 1)})."
    )


def draw(table: list[dict[str, Any]]) -> Figure:
    """Draw distance against calls: a row a process, a column a world."""
    figure, axes = subplots(2, 3, (11, 6.6), sharex=True)
    for row, process in zip(axes, PROCESSES, strict=True):
        for place, world, title in zip(row, (*WORLDS, TEXT), NAMES, strict=True):
            for k, name in enumerate(SAMPLERS):
                at, far = middle(curves(table, world=world, process=process, sampler=name))
                place.plot(at, far, marker=".", label=name, color=(*COLOURS, "0.4")[k],
                           ls="--" if k > 2 else "-")  # fmt: skip
            place.set(xscale="log", yscale="log", title=f"{process}: {title}")
        row[0].set_ylabel("total variation to the data")
        row[2].set_ylabel("nats per token from unseen text")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    axes[1, 1].set_xlabel("calls of the denoiser for a sequence")
    return figure


CLAIMS = {
    SHORT: "steps that shorten as (k/N)² end nearer to the data than equal ones",
    LEAP: "τ-leaps end nearer to the data than draws from the bridge",
    BATH: "a heat bath of one site after each step pays for its calls",
    BATHS: "a heat bath of seven sites after each step pays for its calls",
    BOTH: "a heat bath of seven sites after each of steps that shorten pays for its calls",
    JUMPS: "informed jumps after each step pay for their calls",
}


def verdicts(record: Record) -> list[Verdict]:
    """Judge each sampler against equal ancestral steps, where the two are apart."""
    result = []
    for process in PROCESSES:
        for name, claim in CLAIMS.items():
            said, better = [], []
            for world in (*WORLDS, TEXT):
                own, plain = (curves(record.table, world=world, process=process, sampler=label)
                              for label in (name, PLAIN))  # fmt: skip
                found = [gain(own, plain, calls) for calls in COMPARED]
                better += [x for ratio in found if (x := below(ratio, 1)) is not None]
                ratios = " ".join("–" if math.isnan(x.value) else f"{x.value:.2f}" for x in found)
                said.append(f"{world} {ratios}")
            at = ", ".join(map(str, COMPARED))
            number = f"error over that of equal steps at {at} calls: {'; '.join(said)}"
            result.append(Verdict(f"{process}: {claim}", number, tuple(better) or (None,)))
    return result


EXPERIMENT = Experiment("samplers", __doc__, COLUMNS, measure, verdicts, plan, options)

if __name__ == "__main__":
    EXPERIMENT.main()
