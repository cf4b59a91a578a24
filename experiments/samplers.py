"""What a call of the denoiser buys: samplers of both processes, exactly, and of a trained network.

On two worlds that can be enumerated, a perfect memory of four patterns and a Markov chain, the law
of every sampler's sequences is a product of matrices [T45]: its total variation to the law of the
data is exact. A network of text, trained by the recipe, stands beside them: what its samples cost
under an n-gram critic of text that it never saw, less what unseen text costs. The denoiser of the
worlds is exact, so all their error is the sampler's; that of a network is also its own.

Samplers are compared at equal numbers of calls. A heat bath costs a call for each site, and jumps
one for each jump and one more at the end; in the masked process, where visible tokens have to be
hidden in turn, they cost L + 1 calls each, so there they are not run on text.
"""

import math
from argparse import Namespace
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit.chains import Sampler, worlds
from experiments.kit.data import Data, describe
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.intervals import columns, headers
from experiments.kit.record import Record
from experiments.kit.settings import COND, PROCESSES, RECIPE, SCHEDULE
from minuddm import Corpus, Linear, ModelConfig, TrainConfig, Transformer, generate, load
from minuddm.probes import NGram, bootstrap_mean
from minuddm.reverse import quadratic_grid
from minuddm.samplers import tau_leap
from minuddm.train import train

Array = NDArray[np.float64]
COLUMNS = ["world", "process", "sampler", "intervals", "calls", "tv", *headers(["critic"])]
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
NAMES = ("four patterns, exact", "Markov chain, exact", "text, a trained network")
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
        return self.process


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
    """What is run."""

    corpus: Corpus
    critic: Corpus
    unseen: Corpus
    tasks: list[Sampled]
    most: int


def plan(args: Namespace) -> Plan:
    """Return what is run: a third of the text is the critic's."""
    corpus = load("pydoc", L)
    most, steps, samples, test = (16, 100, 50, 500) if args.quick else (128, 5000, 1000, 2000)
    training, unseen = corpus.split(test, args.seed)
    training, critic = training.split(len(training) // 3, args.seed)
    tasks = [
        Sampled(name, training.tokens, corpus.V, steps, samples, most, args.seed)
        for name in PROCESSES
    ]
    return Plan(corpus, critic, unseen, tasks, most)


def measure(plan: Plan, run: Run) -> Findings:
    """Enumerate, train, draw, and judge what was drawn."""
    places = [(name, process, plan.most) for process in PROCESSES for name in WORLDS]
    table = [row for rows in run.spread(enumerated, places) for row in rows]
    small = Sampled("uniform", plan.unseen.tokens[:16], plan.corpus.V, 1, 2, 16, 0)
    critic = NGram(plan.critic.tokens, plan.corpus.V, 4)
    reference = -float(critic.log_prob(plan.unseen.tokens).mean())
    for task, found in zip(plan.tasks, run.each(drawn, plan.tasks, small), strict=True):
        for label in SAMPLERS:
            for n in intervals(label, plan.most):
                if f"{label} {n}" in found:
                    cost = -critic.log_prob(found[f"{label} {n}"]).mean(axis=1)
                    chance = generator(task.seed, f"critic {task.process} {label} {n}")
                    table.append({
                        "world": TEXT, "process": task.process, "sampler": label, "intervals": n,
                        "calls": float(found[f"{label} {n} calls"]),
                        **columns("critic", bootstrap_mean(cost, chance)),
                    })  # fmt: skip
    task = plan.tasks[0]
    return Findings(
        table,
        {"reference": reference},
        told(table, reference),
        draw(table, reference),
        {"sequences": len(task.tokens), "steps": task.steps, "samples": task.samples,
         "calls": plan.most, "seed": task.seed, "schedule": repr(SCHEDULE)},
        {"data": describe(Data(plan.corpus)), "intervals": "95 %, bootstrap over samples"},
    )  # fmt: skip


def curve(
    table: list[dict[str, Any]], world: str, process: str, name: str, reference: float
) -> tuple[Array, Array, float]:
    """Return calls, and how far a sampler is from the data: total variation, or nats a token.

    Of the latter also the largest half-width of an interval.
    """
    of = [r for r in table if (r["world"], r["process"], r["sampler"]) == (world, process, name)]
    of.sort(key=lambda r: float(r["calls"]))
    calls = np.array([float(r["calls"]) for r in of])
    if world != TEXT:
        return calls, np.array([float(r["tv"]) for r in of]), 0.0
    far = np.array([abs(float(r["critic"]) - reference) for r in of])
    wide = [float(r["critic_hi"]) - float(r["critic_lo"]) for r in of]
    return calls, far, max(wide, default=0.0) / 2


def gain(
    table: list[dict[str, Any]], world: str, process: str, name: str, calls: float, reference: float
) -> tuple[float, bool]:
    """Return a sampler's distance over that of equal steps at as many calls; NaN outside both.

    And whether they are apart by more than chance. Between the numbers measured, logarithms are
    interpolated.
    """
    far, chance = [], 0.0
    for label in (name, PLAIN):
        at, distance, half = curve(table, world, process, label, reference)
        if not len(at) or not 0.93 * at[0] <= calls <= 1.07 * at[-1]:
            return math.nan, False
        far.append(math.exp(np.interp(math.log(calls), np.log(at), np.log(distance))))
        chance += half**2
    return far[0] / far[1], abs(far[0] - far[1]) > math.sqrt(chance)


def told(table: list[dict[str, Any]], reference: float) -> str:
    """Say what a call buys."""
    parts = []
    for process in PROCESSES:
        for world in (*WORLDS, TEXT):
            at, far, _ = curve(table, world, process, PLAIN, reference)
            parts.append(f"{process}, {world}: {far[0]:.3f} at {at[0]:.0f} calls, "
                         f"{far[-1]:.4f} at {at[-1]:.0f}")  # fmt: skip
    return (
        f"Distance to the data of the ancestral chain with equal steps: {'; '.join(parts)}. It is "
        f"total variation, on text nats per token, of which unseen text costs {reference:.3f}."
    )


def draw(table: list[dict[str, Any]], reference: float) -> Figure:
    """Draw distance against calls: a row a process, a column a world."""
    figure, axes = subplots(2, 3, (11, 6.6), sharex=True)
    for row, process in zip(axes, PROCESSES, strict=True):
        for place, world, title in zip(row, (*WORLDS, TEXT), NAMES, strict=True):
            for k, name in enumerate(SAMPLERS):
                at, far, _ = curve(table, world, process, name, reference)
                place.plot(
                    at,
                    far,
                    marker=".",
                    color=(*COLOURS, "0.4")[k],
                    label=name,
                    ls="--" if k > 2 else "-",
                )
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
    table, reference = record.table, float(record.headline["reference"])
    result = []
    for process in PROCESSES:
        for name, claim in CLAIMS.items():
            said, better = [], []
            for world in (*WORLDS, TEXT):
                found = [gain(table, world, process, name, calls, reference) for calls in COMPARED]
                better += [ratio < 1 for ratio, apart in found if apart]
                ratios = " ".join(
                    "–" if math.isnan(ratio) else f"{ratio:.2f}" for ratio, _ in found
                )
                said.append(f"{world} {ratios}")
            at = ", ".join(map(str, COMPARED))
            number = f"error over that of equal steps at {at} calls: {'; '.join(said)}"
            result.append(Verdict(f"{process}: {claim}", number, tuple(better) or (None,)))
    return result


EXPERIMENT = Experiment("samplers", __doc__, COLUMNS, measure, verdicts, plan)

if __name__ == "__main__":
    EXPERIMENT.main()
