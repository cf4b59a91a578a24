"""Energy-formed and likelihood-formed basins on the same patterns, from the same flips.

Six memories store the same patterns and are shown the same damage:

    an energy         Hopfield (Hebb), pseudo-inverse, dense n = 3, log-sum-exp, exponential [T17]
    no energy         couplings of the pseudo-likelihood, asymmetric [T22]

on random patterns and on structured ones, ξ = sgn(c F) with a hidden c of 20 numbers [T25]. The
radius of a basin is the largest share of flips repaired, to the last spin, in at least 90 % of
trials; its volume counts all states that recall to the pattern. On structured patterns the same
memories are shown patterns they never stored: which of them repair those, too, and at what price
for the stored ones?
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import commandline
from experiments.jobs import Found, each, generator
from experiments.record import Run, claim
from hopfield import (
    BinaryMemory,
    Exponential,
    LogSumExp,
    Power,
    PseudoLikelihood,
    hebbian,
    pseudo_inverse,
)
from hopfield.landscape import Memory, basin_radius, change, log_volume
from minuddm.probes import bootstrap_mean

L, HIDDEN = 200, 20
FLIPS = 10  # of L, from which patterns are recovered
STEPS, LR = 600, 0.3  # of the pseudo-likelihood
BETA = 0.1  # of log-sum-exp; the exponential memory has β = 1
MEMORIES: dict[str, Callable[[Any], Memory]] = {
    "Hopfield": hebbian,
    "pseudo-inverse": pseudo_inverse,
    "dense, n = 3": lambda xi: BinaryMemory(xi, Power(3)),
    "log-sum-exp": lambda xi: BinaryMemory(xi, LogSumExp(BETA)),
    "exponential": lambda xi: BinaryMemory(xi, Exponential()),
    "pseudo-likelihood": lambda xi: PseudoLikelihood.fit(xi, steps=STEPS, lr=LR),
}
KINDS = ("random", "structured")
MEASURES = ("radius", "stays", "log_volume", "train_recovery", "train_overlap", "test_recovery",
            "test_overlap")  # fmt: skip
COLUMNS = ["patterns", "memory", "P", "load", "sets", *(
    name for measure in MEASURES for name in (measure, f"{measure}_lo", f"{measure}_hi")
), "asymmetry"]  # fmt: skip
_SPINS = np.array([-1, 1], np.int8)


@dataclass(frozen=True)
class Stored:
    """One memory and P patterns; patterns and damage are the same for all memories."""

    memory: str
    patterns: str
    P: int
    probed: int
    trials: int
    seed: int


def basin(task: Stored) -> Found:
    """Return radius, volume and recovery of stored patterns, and recovery of unseen ones."""
    source = generator(task.seed, f"patterns {task.patterns}")
    features = source.normal(size=(HIDDEN, L))

    def sample(n: int) -> NDArray[np.int8]:
        if task.patterns == "random":
            return source.choice(_SPINS, size=(n, L))
        return np.where(source.normal(size=(n, HIDDEN)) @ features > 0, 1, -1).astype(np.int8)

    unseen, stored = sample(task.probed), sample(task.P)
    memory = MEMORIES[task.memory](stored)
    probes = stored[: task.probed]
    flips = generator(task.seed, f"flips {task.patterns} {task.P}")
    radius = basin_radius(memory, probes, flips, trials=task.trials)
    found: Found = {
        "radius": (np.maximum(radius, 0) / L).tolist(),
        "stays": (radius >= 0).astype(float).tolist(),
        # nats per spin, of the volume of all states
        "log_volume": log_volume(memory, probes[0], flips, trials=task.trials)[0] / L - np.log(2),
        "asymmetry": getattr(memory, "asymmetry", 0.0),
    }
    for split, x in (("train", probes), ("test", unseen)):
        many = np.repeat(x, max(1, 200 // len(x)), axis=0)
        damage = generator(task.seed, f"damage {split} {task.patterns} {task.P}")
        damaged = change(many, FLIPS, _SPINS, damage)
        back = memory.recall(damaged).state
        recovered = ((back == many) & (damaged != many)).sum(axis=1) / FLIPS
        found[f"{split}_recovery"] = recovered.reshape(len(x), -1).mean(axis=1).tolist()
        found[f"{split}_overlap"] = (back * many).mean(axis=1).reshape(len(x), -1).mean(1).tolist()
    return found


def plan(quick: bool, seed: int) -> list[Stored]:
    """Return what is measured, the long pieces last."""
    sizes = (5, 20, 100) if quick else (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    probed, trials, sets = (10, 10, 2) if quick else (30, 20, 3)
    return [
        Stored(memory, patterns, P, probed, trials, 1000 * seed + s)
        for P in sizes
        for memory in MEMORIES
        for patterns in KINDS
        for s in range(sets)
    ]


def rows(tasks: Sequence[Stored], found: Sequence[Found], seed: int) -> list[dict[str, Any]]:
    """Return one row per kind of patterns, memory and P, with intervals over patterns."""
    grouped: dict[tuple[str, str, int], list[Found]] = {}
    for task, piece in zip(tasks, found, strict=True):
        grouped.setdefault((task.patterns, task.memory, task.P), []).append(piece)
    table = []
    for (patterns, memory, P), pieces in grouped.items():
        row: dict[str, Any] = {"patterns": patterns, "memory": memory, "P": P, "load": P / L}
        row |= {"sets": len(pieces), "asymmetry": float(np.mean([f["asymmetry"] for f in pieces]))}
        for name in MEASURES:
            values = np.concatenate([np.atleast_1d(f[name]) for f in pieces]).astype(float)
            values[np.isinf(values)] = np.nan  # no state recalls to this pattern
            interval = bootstrap_mean(values, generator(seed, f"{patterns} {memory} {P} {name}"))
            row |= {name: interval.value, f"{name}_lo": interval.low, f"{name}_hi": interval.high}
        table.append(row)
    return table


def draw(out: Path, table: list[dict[str, Any]]) -> None:
    """Draw radius and volume against load; recovery of stored and unseen structured patterns."""
    from experiments.figures import DASH, band, plt, save

    colours = dict(
        zip(
            MEMORIES,
            ("#0072B2", "#56B4E9", "#E69F00", "#CC79A7", "#D55E00", "#009E73"),
            strict=True,
        )
    )
    figure, panels = plt.subplots(2, 3, figsize=(12.5, 7.6), sharex=True)
    shown = [
        (panels[0, 0], "random", "radius", "Basins of random patterns", "flips repaired (share)"),
        (panels[0, 1], "structured", "radius", "Basins of structured patterns",
         "flips repaired (share)"),
        (panels[1, 0], "random", "log_volume", "Volume of a random pattern's basin",
         "log share of all states (nats per spin)"),
        (panels[0, 2], "structured", "train_recovery", "Structured, stored",
         f"spins recovered of {FLIPS} flipped"),
        (panels[1, 2], "structured", "test_recovery", "Structured, unseen",
         f"spins recovered of {FLIPS} flipped"),
        (panels[1, 1], "structured", "test_overlap", "Structured, unseen: where it ends",
         "overlap with the unseen pattern"),
    ]  # fmt: skip
    for axes, patterns, name, title, label in shown:
        for memory, colour in colours.items():
            line = [row for row in table if (row["patterns"], row["memory"]) == (patterns, memory)]
            dash = DASH["test"] if name.startswith("test") else DASH["train"]
            wide = 2.6 if memory == "pseudo-likelihood" else 1.5
            band(axes, line, "load", name, color=colour, marker=".", ls=dash, lw=wide, label=memory)
        axes.set_xscale("log")
        axes.set_title(title)
        axes.set_ylabel(label)
        if name != "log_volume":
            axes.set_ylim(-0.02, 1.04 if "re" in name or "ov" in name else 0.5)
    for axes in panels[1]:
        axes.set_xlabel("load P / L")
        axes.set_xticks([0.03, 0.1, 0.3, 1, 3, 10])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set_xlim(0.9 * table[0]["load"], 1.1 * table[-1]["load"])
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, fontsize=9)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("basins", claim(__doc__))
    args = p.parse_args(argv)
    run, out = Run("basins", __doc__, argv), p.folder(args)
    tasks = plan(args.quick, args.seed)
    table = rows(tasks, each(basin, tasks, out, args.workers, quiet=args.quick), args.seed)
    of = {(row["patterns"], row["memory"], row["P"]): row for row in table}
    sizes = sorted({P for _, _, P in of})
    last = sizes[-1]

    def radii(P: int) -> str:
        return ", ".join(
            f"{of['random', memory, P]['radius']:.2f} ({memory})" for memory in MEMORIES
        )

    def end(memory: str, name: str, P: int = last) -> str:
        return f"{of['structured', memory, P][name]:.2f}"

    dense = max(
        ("dense, n = 3", "log-sum-exp", "exponential"),
        key=lambda memory: of["structured", memory, last]["test_recovery"],
    )
    text = (
        f"At load {20 / L:g} on random patterns, flips are repaired up to a share of {radii(20)}. "
        f"On structured patterns the likelihood's couplings turn from memory to generalisation: "
        f"with P = {sizes[0]} they recover {end('pseudo-likelihood', 'train_recovery', sizes[0])} "
        f"of flipped spins of stored patterns and "
        f"{end('pseudo-likelihood', 'test_recovery', sizes[0])} of unseen ones, with P = {last} "
        f"{end('pseudo-likelihood', 'train_recovery')} and "
        f"{end('pseudo-likelihood', 'test_recovery')}, and end at an overlap of "
        f"{end('pseudo-likelihood', 'test_overlap')} with the unseen pattern. Of the dense "
        f"memories, the one that does best on unseen patterns at P = {last} ({dense}) keeps "
        f"{end(dense, 'train_recovery')} of the stored ones and recovers "
        f"{end(dense, 'test_recovery')} of unseen ones, ending at {end(dense, 'test_overlap')}: "
        f"at the nearest pattern it has stored. Hebb's couplings recover "
        f"{end('Hopfield', 'train_recovery')} and {end('Hopfield', 'test_recovery')}."
    )
    draw(out, table)
    run.leave(
        out,
        COLUMNS,
        table,
        {"L": L, "hidden": HIDDEN, "flips": FLIPS, "beta": BETA, "probed": tasks[0].probed,
         "trials": tasks[0].trials, "sets": table[0]["sets"], "steps": STEPS, "lr": LR,
         "seed": args.seed},
        {
            "radius_at_load_.1": {m: of["random", m, 20]["radius"] for m in MEMORIES},
            "structured": {
                m: {name: of["structured", m, last][name] for name in MEASURES[3:]}
                for m in MEMORIES
            },
            "P": last,
        },
        text,
        intervals="95 %, percentile bootstrap over patterns of all sets, 1000 draws",
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
