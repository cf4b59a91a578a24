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

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.kit.cells import Found, grouped
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import DASH, band, subplots
from experiments.kit.intervals import columns, headers, larger
from experiments.kit.patterns import SPINS, repaired, source
from experiments.kit.record import Record
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
from minuddm.probes import mean_interval

L, HIDDEN = 200, 20
AT = 20  # P, a load of .1, at which radii on random patterns are told
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
DENSE = ("dense, n = 3", "log-sum-exp", "exponential")
COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#CC79A7", "#D55E00", "#009E73")  # of the memories
KINDS = ("random", "structured")
MEASURES = ("radius", "stays", "log_volume", "train_recovery", "train_overlap", "test_recovery",
            "test_overlap")  # fmt: skip
COLUMNS = ["patterns", "memory", "P", "load", "sets", *headers(MEASURES), "asymmetry"]


@dataclass(frozen=True)
class Stored:
    """One memory and P patterns; patterns and damage are the same for all memories."""

    memory: str
    patterns: str
    P: int
    probed: int
    trials: int
    seed: int


def basin(task: Stored) -> dict[str, Any]:
    """Return radius, volume and recovery of stored patterns, and recovery of unseen ones."""
    sample = source(task.patterns, HIDDEN, L, generator(task.seed, f"patterns {task.patterns}"))
    unseen, stored = sample(task.probed), sample(task.P)
    memory = MEMORIES[task.memory](stored)
    probes = stored[: task.probed]
    flips = generator(task.seed, f"flips {task.patterns} {task.P}")
    radius = basin_radius(memory, probes, flips, trials=task.trials)
    found: dict[str, Any] = {
        "radius": np.maximum(radius, 0) / L,
        "stays": (radius >= 0).astype(float),
        # nats per spin, of the volume of all states
        "log_volume": log_volume(memory, probes[0], flips, trials=task.trials)[0] / L - np.log(2),
        "asymmetry": getattr(memory, "asymmetry", 0.0),
    }
    for split, x in (("train", probes), ("test", unseen)):
        many = np.repeat(x, max(1, 200 // len(x)), axis=0)
        damage = generator(task.seed, f"damage {split} {task.patterns} {task.P}")
        both = repaired(memory, many, change(many, FLIPS, SPINS, damage))
        for name, values in zip(("recovery", "overlap"), both, strict=True):
            found[f"{split}_{name}"] = values.reshape(len(x), -1).mean(axis=1)
    return found


def plan(args: Namespace) -> list[Stored]:
    """Return what is measured, the long cells last."""
    sizes = (5, 20, 100) if args.quick else (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
    probed, trials, sets = (10, 10, 2) if args.quick else (30, 20, 5)
    return [
        Stored(memory, patterns, P, probed, trials, 1000 * args.seed + s)
        for P in sizes
        for memory in MEMORIES
        for patterns in KINDS
        for s in range(sets)
    ]


def rows(tasks: Sequence[Stored], found: Sequence[Found], seed: int) -> list[dict[str, Any]]:
    """Return one row per kind of patterns, memory and P, with intervals over sets."""
    table = []
    for (patterns, memory, P), pieces in grouped(tasks, found, "patterns", "memory", "P").items():
        row: dict[str, Any] = {"patterns": patterns, "memory": memory, "P": P, "load": P / L}
        row |= {"sets": len(pieces), "asymmetry": float(np.mean([f["asymmetry"] for f in pieces]))}
        for name in MEASURES:
            values = np.stack([np.atleast_1d(f[name]) for f in pieces])  # (sets, patterns)
            values[np.isinf(values)] = np.nan  # no state recalls to this pattern
            rng = generator(seed, f"{patterns} {memory} {P} {name}")
            row |= columns(name, mean_interval(values, rng))
        table.append(row)
    return table


def draw(table: list[dict[str, Any]]) -> Figure:
    """Draw radius and volume against load; recovery of stored and unseen structured patterns."""
    figure, panels = subplots(2, 3, (12.5, 7.6), sharex=True)
    share, spins = "flips repaired (share)", f"spins recovered of {FLIPS} flipped"
    shown = [
        (panels[0, 0], "random", "radius", "Basins of random patterns", share),
        (panels[0, 1], "structured", "radius", "Basins of structured patterns", share),
        (panels[1, 0], "random", "log_volume", "Volume of a random pattern's basin",
         "log share of all states (nats per spin)"),
        (panels[0, 2], "structured", "train_recovery", "Structured, stored", spins),
        (panels[1, 2], "structured", "test_recovery", "Structured, unseen", spins),
        (panels[1, 1], "structured", "test_overlap", "Structured, unseen: where it ends",
         "overlap with the unseen pattern"),
    ]  # fmt: skip
    for axes, patterns, name, title, label in shown:
        for memory, colour in zip(MEMORIES, COLOURS, strict=True):
            line = [row for row in table if (row["patterns"], row["memory"]) == (patterns, memory)]
            dash = DASH["test"] if name.startswith("test") else DASH["train"]
            wide = 2.6 if memory == "pseudo-likelihood" else 1.5
            band(axes, line, "load", name, color=colour, marker=".", ls=dash, lw=wide, label=memory)
        axes.set(title=title, ylabel=label, xscale="log")
        if name != "log_volume":
            axes.set_ylim(-0.02, 0.5 if name == "radius" else 1.04)
    for axes in panels[1]:
        axes.set_xlabel("load P / L")
        axes.set_xticks([0.03, 0.1, 0.3, 1, 3, 10])
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set_xlim(0.9 * table[0]["load"], 1.1 * table[-1]["load"])
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, fontsize=9)
    return figure


def measure(plan: list[Stored], run: Run) -> Findings:
    """Measure all memories, and say what becomes of structured patterns at the largest P."""
    table = rows(plan, run.each(basin, plan), run.args.seed)
    of = {(row["patterns"], row["memory"], row["P"]): row for row in table}
    first, last = plan[0].P, plan[-1].P
    radii = {memory: of["random", memory, AT]["radius"] for memory in MEMORIES}
    ends = {m: {name: of["structured", m, last][name] for name in MEASURES[3:]} for m in MEMORIES}
    few = of["structured", "pseudo-likelihood", first]
    many, hebb = ends["pseudo-likelihood"], ends["Hopfield"]
    dense = max(DENSE, key=lambda memory: ends[memory]["test_recovery"])
    best = ends[dense]
    text = (
        f"At load {AT / L:g} on random patterns, flips are repaired up to a share of "
        f"{', '.join(f'{radius:.2f} ({memory})' for memory, radius in radii.items())}. "
        f"On structured patterns the likelihood's couplings recover {few['train_recovery']:.2f} of "
        f"flipped spins of stored patterns and {few['test_recovery']:.2f} of unseen ones with "
        f"P = {first}; with P = {last} "
        f"{many['train_recovery']:.2f} and {many['test_recovery']:.2f}, and end at an overlap of "
        f"{many['test_overlap']:.2f} with the unseen pattern. Of the dense memories, the one that "
        f"does best on unseen patterns at P = {last} ({dense}) keeps {best['train_recovery']:.2f} "
        f"of the stored ones and recovers {best['test_recovery']:.2f} of unseen ones, ending at an "
        f"overlap of {best['test_overlap']:.2f} with them. Hebb's couplings recover "
        f"{hebb['train_recovery']:.2f} and {hebb['test_recovery']:.2f}."
    )
    return Findings(
        table,
        {"radius_at_load_.1": radii, "structured": ends, "P": last},
        text,
        draw(table),
        {"L": L, "hidden": HIDDEN, "flips": FLIPS, "beta": BETA, "probed": plan[0].probed,
         "trials": plan[0].trials, "sets": table[0]["sets"], "steps": STEPS, "lr": LR,
         "seed": run.args.seed},
        {"intervals": "95 %, Student's over sets of patterns"},
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether the likelihood's couplings repair unseen patterns better than every energy."""
    unseen = {
        row["memory"]: [float(row[name]) for name in headers(["test_recovery"])]
        for row in record.rows(patterns="structured", P=record.headline["P"])
    }
    own = unseen.pop("pseudo-likelihood")
    best = max(unseen, key=lambda memory: unseen[memory][0])
    return [
        Verdict(
            "structured patterns: likelihood-formed basins attract unseen ones best",
            f"at P = {record.headline['P']}, {own[0]:.2f} of their flipped spins come back "
            f"(pseudo-likelihood), of the energies at most {unseen[best][0]:.2f} ({best})",
            (larger(own, unseen[best]),),
        )
    ]


EXPERIMENT = Experiment("basins", __doc__, COLUMNS, measure, verdicts, plan)

if __name__ == "__main__":
    EXPERIMENT.main()
