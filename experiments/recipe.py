"""The recipe of all experiments learns 128 sequences by heart in a third of the former one's time.

A 64 x 2 network learns P = 128 sequences of text; it is done when training recovery from t = .1 has
risen through .95. Near there curves are flat, and a seed decides; so when they rise through .9 is
read as well, of three seeds, whose median is told. Every trial differs from the recipe
(`kit/settings.py`) in what its name says; `former` is how networks were trained here before, with
the paper's conditioning of width 128 and a rate that falls to the end. The bound does not depend on
the schedule, only where it is sampled does: a schedule α(t^p) is another density of the times. Time
is steps times the cost of a step, all costs measured in turn in one process on one thread.

The recipe's rate does not fall, so that one run has all budgets. Whether that costs anything is
told by runs whose rate falls to 0 at their last step, of text and of the hierarchy: their recovery
there stands beside that of the run with the constant rate.
"""

import time
from argparse import Namespace
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.course import follow
from experiments.kit.data import describe, read
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.measures import recoveries
from experiments.kit.record import Record
from experiments.kit.settings import COND, RECIPE, SCHEDULE
from experiments.kit.table import matching
from experiments.kit.trials import reached, share, within
from experiments.kit.warped import Warped
from minuddm import ModelConfig, TrainConfig, Transformer, Uniform
from minuddm.probes.transition import PLATEAU
from minuddm.train import train

T, GRID, P_TEXT, P_HIERARCHY = 0.1, 64, 128, 1024
NEARLY = 0.9  # of the training tokens
FORMER = {"lr": 1e-3, "beta2": 0.99, "cond": 128, "anneal": True, "steps": 25_000}
TRIALS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "former": FORMER,
    "conditioning 128": {"cond": 128},
    "conditioning 64": {"cond": 64},
    "rate 1e-3": {"lr": 1e-3},
    "rate 4e-3": {"lr": 4e-3},
    "β₂ .99": {"beta2": 0.99},
    "β₂ .9": {"beta2": 0.9},
    "β₁ .8": {"beta1": 0.8},
    "clip .3": {"clip": 0.3},
    "batch 8": {"batch": 8},
    "batch 32, rate 3e-3": {"batch": 32, "lr": 3e-3},
    "times uniform": {"power": 0.5, "t_min": 1e-10},
    "times denser near 0": {"power": 1.5},
    "embedding × 5": {"embedding": 5.0},
}
ENDS = (4000, 8000)
COLUMNS = ["trial", "data", "P", "seed", "steps", "ms", "seconds",
           "train_recovery", "test_recovery"]  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One run: a name, data, which `sha256` tells from others, and what differs from the recipe."""

    name: str
    data: str
    sha256: str
    P: int
    steps: int
    sequences: int
    seed: int
    changed: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """Return the readable part of the file's name."""
        return f"{'-'.join(self.name.replace(',', '').split())}-seed={self.seed}"

    def configs(self, V: int, L: int) -> tuple[ModelConfig, TrainConfig]:
        """Return network and training."""
        own: dict[str, Any] = RECIPE | {"cond": COND, "steps": self.steps} | dict(self.changed)
        model = ModelConfig(V, L, 64, 2, 4, own.pop("cond"))
        own.pop("embedding", None)
        power = own.pop("power", None)
        schedule = SCHEDULE if power is None else Warped(SCHEDULE, power)
        return model, TrainConfig(seed=self.seed, schedule=schedule, **own)

    def start(self, model: ModelConfig) -> Transformer:
        """Return the network with its first weights."""
        network = Transformer.init(model, generator(self.seed, "weights"))
        network.weights["embedding"][:] *= dict(self.changed).get("embedding", 1.0)
        return network


def learn(task: Trial) -> dict[str, NDArray[Any]]:
    """Train until .95 of the corrupted training tokens come back, or to the last step."""
    corpus = read(task.data, None, lines=False, vocab=256, rules=2, seed=0).corpus
    training, test = corpus.split(task.sequences, task.seed)
    own = training.subset(task.P).tokens
    clean = {"train": np.resize(own, test.tokens.shape), "test": test.tokens}
    model, config = task.configs(corpus.V, own.shape[1])
    network = task.start(model)
    look = partial(recoveries, clean=clean, t=T, grid=GRID, of=Uniform(corpus.V), seed=task.seed,
                   purpose="recipe")  # fmt: skip
    return follow(network, own, config, look, over=partial(_there, config.anneal))[1]


def _there(annealed: bool, steps: Any, seen: Any) -> bool:
    """Say whether a run is done: .95 is back, ENDS have passed, and its rate does not fall."""
    return not annealed and steps[-1] >= ENDS[-1] and seen[-1]["train_recovery"] >= PLATEAU


def costs(tasks: list[Trial], rounds: int) -> dict[str, float]:
    """Return milliseconds a step on one thread: lower quartiles of rounds, all trials in turn."""
    corpus = read("pydoc", None, lines=False, vocab=256, rules=2, seed=0).corpus
    x, spent = corpus.tokens[:P_TEXT], {task.name: np.empty(rounds) for task in tasks}
    for r in range(rounds + 1):  # the first is not counted
        for task in tasks:
            model, config = task.configs(corpus.V, x.shape[1])
            network = Transformer.init(model, generator(0, "weights"))
            started = time.perf_counter()
            train(network, x, replace(config, steps=25))
            spent[task.name][max(0, r - 1)] = time.perf_counter() - started
    return {name: float(np.quantile(t, 0.25)) / 25 * 1e3 for name, t in spent.items()}


class Plan(NamedTuple):
    """What is run: the trials of the search by seeds, those whose rate falls, and their twins."""

    trials: list[Trial]
    pairs: list[tuple[Trial, Trial]]


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    p.add_argument("--steps", type=commandline.whole(500),
                   help="at most, of a trial (default: 32000; --quick: 1000)")  # fmt: skip
    p.add_argument("--seeds", type=commandline.whole(1),
                   help="networks a trial (default: 3; --quick: 1)")  # fmt: skip


def plan(args: Namespace) -> Plan:
    """Return what is run."""
    steps = args.steps or (1000 if args.quick else 32_000)
    n = 50 if args.quick else 200
    known = {of: read(of, None, lines=False, vocab=256, rules=2, seed=0).corpus.sha256
             for of in ("pydoc", "hierarchy")}  # fmt: skip
    names = ("recipe", "former") if args.quick else TRIALS

    def trial(name: str, data: str, P: int, seed: int = args.seed, **changed: Any) -> Trial:
        if "steps" in changed:
            changed["steps"] = min(changed["steps"], steps)
        return Trial(name, data, known[data], P, steps, n, seed, tuple(changed.items()))

    seeds = args.seeds or (1 if args.quick else 3)
    trials = [trial(name, "pydoc", P_TEXT, args.seed + s, **TRIALS[name])
              for name in names for s in range(seeds)]  # fmt: skip
    pairs = []
    ends = tuple(end for end in ENDS if end <= steps) or (steps,)
    other = trial("hierarchy", "hierarchy", P_HIERARCHY, steps=ends[-1])
    for one, data, P in ((trials[0], "pydoc", P_TEXT), (other, "hierarchy", P_HIERARCHY)):
        for end in ends:
            name = f"{data}, falling to {end}"
            pairs.append((one, trial(name, data, P, anneal=True, steps=end)))
    return Plan(trials, pairs)


def measure(plan: Plan, run: Run) -> Findings:
    """Run all trials, measure what their steps cost, and compare."""
    tasks = [*plan.trials, plan.pairs[-1][0], *(falling for _, falling in plan.pairs)]
    tiny = Trial("tiny", "pydoc", "", 2, 1, 2, 0)
    seen = dict(zip(tasks, run.each(learn, tasks, tiny), strict=True))
    seeds = sorted({task.seed for task in plan.trials})
    ms = costs(plan.trials[:: len(seeds)], 3 if run.args.quick else 25)
    table = [
        {"trial": task.name, "data": task.data, "P": task.P, "seed": task.seed,
         "steps": int(step), "ms": ms.get(task.name, np.nan),
         "seconds": step * ms.get(task.name, np.nan) / 1e3,
         **{name: float(found[name][k]) for name in COLUMNS[-2:]}}
        for task, found in seen.items() for k, step in enumerate(found["steps"])
    ]  # fmt: skip
    sooner, seconds = (reached(table, list(ms), level) for level in (NEARLY, PLATEAU))
    apart = {}
    for one, falling in plan.pairs:
        constant, annealed = seen[one], seen[falling]
        k = constant["steps"].tolist().index(int(annealed["steps"][-1]))
        apart[falling.name] = [
            [float(x[name][j]) for name in COLUMNS[-2:]] for x, j in ((constant, k), (annealed, -1))
        ]
    said = "; ".join(
        f"{name} {pair[0][0]:.2f}/{pair[0][1]:.2f} against {pair[1][0]:.2f}/{pair[1][1]:.2f}"
        for name, pair in apart.items()
    )
    losers = ", ".join(
        f"{name} {_told(median(sooner[name]))} and {_told(median(seconds[name]))}"
        for name in seconds if name != "recipe"
    )  # fmt: skip
    return Findings(
        table,
        {"seconds": {name: median(of) for name, of in seconds.items()}, "ms": ms, "falling": apart},
        f"The recipe recovers .9 and .95 of the training tokens in "
        f"{_told(median(sooner['recipe']))} and {_told(median(seconds['recipe']))} of one thread "
        f"(medians of {len(seeds)} seed{'s' * (len(seeds) > 1)}); {losers}. Training/unseen "
        f"recovery with a constant rate against one that falls to 0 there: {said}.",
        draw(table, list(seconds)),
        {"recipe": RECIPE | {"cond": COND}, "trials": {n: TRIALS[n] for n in seconds},
         "steps": plan.trials[0].steps, "width": 64, "blocks": 2, "P": P_TEXT,
         "seeds": seeds, "sequences": plan.trials[0].sequences},
        {"data": describe(read("pydoc", None, lines=False, vocab=256, rules=2, seed=0)),
         "intervals": "none: every seed is told, with sequences of its own, the same for all"},
    )  # fmt: skip


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if np.isfinite(seconds) else "more than it had"


def draw(table: list[dict[str, Any]], names: list[str]) -> Figure:
    """Draw training recovery against time, a line a trial."""
    figure, axes = subplots(1, 1, (7.5, 4.2))
    for k, name in enumerate(names):
        of = [row for row in table if row["trial"] == name]
        seeds = [[row for row in of if row["seed"] == seed] for seed in {r["seed"] for r in of}]
        both = list(zip(*seeds, strict=False))  # looks that all seeds have
        axes.plot([rows[0]["seconds"] for rows in both],
                  [np.mean([row["train_recovery"] for row in rows]) for rows in both],
                  color=COLOURS[k % len(COLOURS)], ls="-" if k < len(COLOURS) else "--",
                  lw=3 if name == "recipe" else 1.3, label=name)  # fmt: skip
    axes.axhline(PLATEAU, color="0.4", ls=":", lw=1)
    axes.set(xscale="log", xlabel="seconds of one thread", ylim=(0, 1.02),
             ylabel=f"training recovery from t = {T:g}")  # fmt: skip
    axes.set_title(f"P = {P_TEXT} sequences of text, 64 × 2")
    axes.legend(fontsize=8, ncols=2)
    return figure


def verdicts(record: Record) -> list[Verdict]:
    """Judge the time against the former one's, and the constant rate against one that falls."""
    falling, names = record.headline["falling"], ("recipe", "former")
    own, other = (max(float(row["seconds"]) for row in matching(record.table, trial=name))
                  for name in names)  # fmt: skip
    said, ratios = [], []
    late = reached(record.table, names, PLATEAU)
    for of in (reached(record.table, names, NEARLY), late):
        seeds = [share(a, b, own, other) for a, b in zip(*of.values(), strict=True)]
        ratios.append(share(*map(median, of.values()), own, other))
        said.append(f"{within(ratios[-1])} of it (by seeds {', '.join(map(within, seeds))})")
    low, high = ratios[-1]
    third = None if low <= 1 / 3 < high else high <= 1 / 3
    gaps = [abs(a - b) for one, other in falling.values() for a, b in zip(one, other, strict=True)]
    return [
        Verdict(
            "the recipe finishes in a third of the time of the former one",
            f"in {said[1]}, {_told(median(late['recipe']))}; to {NEARLY} in {said[0]}",
            (third,),
        ),
        Verdict(
            "a look at a run with a constant rate is a run of that length",
            f"recoveries differ by at most {max(gaps):.3f} from those of runs whose rate falls",
            (max(gaps) < 0.05,),
        ),
    ]


EXPERIMENT = Experiment("recipe", __doc__, COLUMNS, measure, verdicts, plan, options)

if __name__ == "__main__":
    EXPERIMENT.main()
