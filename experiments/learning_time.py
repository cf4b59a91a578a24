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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import linregress
from scipy.stats import t as student

from experiments import commandline
from experiments.cells import SCHEDULE
from experiments.data import describe, read
from experiments.jobs import Found, each, generator
from experiments.record import Run, claim
from minuddm import ModelConfig, TrainConfig, Transformer, corrupt, restore
from minuddm.probes import conditional_entropy, recovery
from minuddm.probes.transition import falls_below
from minuddm.train import train

T, GRID = 0.1, 64
GAP, NEARLY = 0.1, 0.9
HALVES = (0, 1)
COLUMNS = ["data", "P", "seed", "half", "step", "train_recovery", "test_recovery", "train_entropy",
           "test_entropy", "agree"]  # fmt: skip


@dataclass(frozen=True)
class Learner:
    """One network: P sequences of one half of the corpus."""

    data: str
    P: int
    half: int
    steps: int
    probes: int
    sequences: int
    seed: int


def learn(task: Learner) -> Found:
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
    found: Found = {name: [] for name in (*COLUMNS[4:9], "says")}

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
        found["says"].append(log_p.argmax(axis=2).ravel().tolist())

    weights = generator(task.seed, f"weights {task.half}")
    train(
        Transformer.init(ModelConfig(V, L, 64, 2, 4), weights),
        own,
        TrainConfig(steps=task.steps, batch=16, lr=1e-3, seed=2 * task.seed + task.half),
        probe=probe,
        probe_at=schedule(task.steps, task.probes),
    )
    return found


def schedule(steps: int, probes: int) -> tuple[int, ...]:
    """Return the steps at which networks are probed, evenly in their logarithm."""
    return tuple(sorted({round(k) for k in np.geomspace(min(25, steps), steps, probes)}))


def times(found: Found) -> tuple[float, float]:
    """Return (τ_gen, τ_mem) in steps, linear in log step between probes; NaN for never."""
    step = found["step"]
    train_, test = np.array(found["train_recovery"]), np.array(found["test_recovery"])
    generalises = falls_below(step, NEARLY * test.max() - test, 1e-12)
    remembers = falls_below(step, GAP - (train_ - test), 0.0)
    return generalises, remembers


def power(P: NDArray[np.float64], tau: NDArray[np.float64]) -> dict[str, float]:
    """Return the slope of log τ on log P and its 95 % interval, a line through all networks.

    Networks that never came to remember are left out; fewer than two sizes have no slope.
    """
    known = np.isfinite(tau)
    sizes = len(np.unique(P[known]))
    if sizes < 2 or known.sum() < 3:
        return {"slope": float("nan"), "low": float("nan"), "high": float("nan"), "sizes": sizes}
    line = linregress(np.log(P[known]), np.log(tau[known]))
    half = float(student.ppf(0.975, known.sum() - 2) * line.stderr)
    slope = float(line.slope)
    return {"slope": slope, "low": slope - half, "high": slope + half, "sizes": sizes}


def generalises_first(tau: NDArray[np.float64]) -> float:
    """Return the share of networks, rows (τ_gen, τ_mem), in which memory came later or never."""
    return float((~(tau[:, 1] <= tau[:, 0])).mean())


def agreement(one: Found, other: Found) -> list[float]:
    """Return at every probe the share of tokens for which two networks name the same value."""
    return [
        float(np.mean(np.array(a) == b)) for a, b in zip(one["says"], other["says"], strict=True)
    ]


def draw(out: Path, table: list[dict[str, Any]], taus: dict[tuple[int, int, int], Any],
         fit: dict[str, float]) -> None:  # fmt: skip
    """Draw recovery and agreement against steps, and the times against P."""
    from matplotlib.ticker import NullFormatter

    from experiments.figures import DASH, plt, save

    sizes = sorted({row["P"] for row in table})
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(sizes)))
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 4.2))
    for P, shade in zip(sizes, shades, strict=True):
        steps = sorted({row["step"] for row in table if row["P"] == P})

        def mean(name: str, P: int = P, steps: list[int] = steps) -> list[float]:
            return [
                float(np.mean([r[name] for r in table if (r["P"], r["step"]) == (P, step)]))
                for step in steps
            ]

        for split in ("train", "test"):
            left.plot(steps, mean(f"{split}_recovery"), color=shade, ls=DASH[split],
                      label=f"P = {P}" if split == "train" else None)  # fmt: skip
        middle.plot(steps, mean("agree"), color=shade, label=f"P = {P}")
        memory = [tau[1] for (n, _, _), tau in taus.items() if n == P and np.isfinite(tau[1])]
        if memory:
            middle.axvline(np.exp(np.mean(np.log(memory))), color=shade, ls=":", lw=1)
        general = [tau[0] for (n, _, _), tau in taus.items() if n == P]
        right.plot([P] * len(general), general, "o", color="#0072B2", ms=4, alpha=0.7,
                   label="τ_gen" if sizes[0] == P else None)  # fmt: skip
        right.plot([P] * len(memory), memory, "s", color="#D55E00", ms=4, alpha=0.7,
                   label="τ_mem" if sizes[0] == P else None)  # fmt: skip
    known = [(n, tau[1]) for (n, _, _), tau in taus.items() if np.isfinite(tau[1])]
    if known:
        P, tau = np.array(known).T
        centre = np.exp(np.log(tau).mean() - np.log(P).mean())
        right.plot(sizes, centre * np.array(sizes), color="0.4", ls=":", label="∝ P")
    for axes, label in (
        (left, f"recovered from t = {T:g} (share)"),
        (middle, "both name the same"),
    ):
        axes.set_xscale("log")
        axes.set_xlabel("steps of training")
        axes.set_ylabel(label)
        axes.set_ylim(-0.02, 1.02)
    left.set_title("Recovery: training —, unseen - -")
    left.legend(fontsize=8)
    middle.set_title("Two networks on disjoint halves")
    middle.legend(fontsize=8)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xticks(sizes, [str(P) for P in sizes])
    right.xaxis.set_minor_formatter(NullFormatter())
    right.set_xlabel("training sequences P")
    right.set_ylabel("steps")
    right.set_title("τ_mem ∝ P^{:.2f} ({:.2f} to {:.2f})".format(*(fit[k] for k in
                    ("slope", "low", "high"))))  # fmt: skip
    right.legend(fontsize=8.5)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("learning_time", claim(__doc__))
    whole = commandline.whole
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--subsets", type=whole(2), nargs="+", metavar="P",
                   help="training sets (default: 16 32 64 128 256; --quick: 8 32)")  # fmt: skip
    p.add_argument("--steps", type=whole(50), help="of training (default: 8000; 600 if --quick)")
    p.add_argument("--seeds", type=whole(1), default=2, help="pairs of networks for each P")
    args = p.parse_args(argv)
    run = Run("learning_time", __doc__, argv)
    sizes = sorted(set(args.subsets or ([8, 32] if args.quick else [16, 32, 64, 128, 256])))
    steps, n = args.steps or (600 if args.quick else 8000), 50 if args.quick else 100
    try:
        data = read(args.data, None, lines=False, vocab=256, rules=2, seed=0)
        if 2 * sizes[-1] > len(data.corpus) - n:
            raise ValueError(f"two halves of P = {sizes[-1]} need more than {len(data.corpus)} "
                             "sequences")  # fmt: skip
    except (ValueError, TypeError) as error:
        p.error(str(error))
    out = p.folder(args, "" if args.data == "pydoc" else Path(args.data).stem)
    tasks = [
        Learner(args.data, P, half, steps, 8 if args.quick else 20, n, args.seed + s)
        for P in sizes for s in range(args.seeds) for half in HALVES
    ]  # fmt: skip
    tiny = replace(tasks[0], steps=1, probes=1, sequences=2)
    pieces = each(learn, tasks, out, args.workers, quiet=args.quick, trial=tiny)
    found = dict(zip(tasks, pieces, strict=True))
    taus = {(task.P, task.seed, task.half): times(piece) for task, piece in found.items()}
    table, name = [], Path(data.corpus.name).name
    for one, other in zip(tasks[::2], tasks[1::2], strict=True):
        agree = agreement(found[one], found[other])
        for task in (one, other):
            table += [
                {"data": name, "P": task.P, "seed": task.seed, "half": task.half, "agree": agree[k],
                 **{column: found[task][column][k] for column in COLUMNS[4:9]}}
                for k in range(len(agree))
            ]  # fmt: skip
    P = np.array([key[0] for key in taus], dtype=float)
    tau = np.array(list(taus.values()))
    fit = power(P, tau[:, 1])
    order = {n: generalises_first(tau[n == P]) for n in sizes}
    last, settled = agreeing(table, taus)
    listed = ", ".join(
        f"{np.exp(np.nanmean(np.log(tau[x == P, 1]))):.0f} at P = {x}"
        for x in sizes if np.isfinite(tau[x == P, 1]).any()
    )  # fmt: skip
    first = ", ".join(f"{share:.2f} at P = {n}" for n, share in order.items())
    text = (
        f"Memory sets in after {listed or 'no'} steps: τ_mem grows like P to the power "
        f"{fit['slope']:.2f} ({fit['low']:.2f} to {fit['high']:.2f}) over {fit['sizes']} sizes. "
        f"Generalisation comes first in a share of {first} of the networks. Two networks on "
        f"disjoint sets name the same value for {settled:.2f} of the tokens at τ_mem, and for "
        f"{last:.2f} at the end of training."
    )
    draw(out, table, taus, fit)
    run.leave(
        out,
        COLUMNS,
        table,
        {"subsets": sizes, "steps": steps, "seeds": args.seeds, "seed": args.seed, "width": 64,
         "blocks": 2, "batch": 16, "sequences": n, "gap": GAP},
        {"power": fit, "generalises_first": order, "agree_at_tau_mem": settled,
         "agree_at_the_end": last,
         "tau": {f"P = {k[0]}, seed {k[1]}, half {k[2]}": list(v) for k, v in taus.items()}},
        text,
        data=describe(data),
        intervals="95 %, Student's of a line through all networks that remember",
    )  # fmt: skip


def agreeing(
    table: list[dict[str, Any]], taus: dict[tuple[int, int, int], Any]
) -> tuple[float, float]:
    """Return the mean agreement at the end and at τ_mem, of networks that came to remember."""
    at_end, at_memory = [], []
    for (P, seed, half), (_, memory) in taus.items():
        line = [r for r in table if (r["P"], r["seed"], r["half"]) == (P, seed, half)]
        if np.isfinite(memory):
            at_end.append(line[-1]["agree"])
            steps, agree = ([r[name] for r in line] for name in ("step", "agree"))
            at_memory.append(float(np.interp(np.log(memory), np.log(steps), agree)))
    if not at_end:
        return float("nan"), float("nan")
    return float(np.mean(at_end)), float(np.mean(at_memory))


if __name__ == "__main__":
    commandline.run(main)
