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

from argparse import Namespace
from typing import Any, NamedTuple

import numpy as np

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
    rows,
    share,
)
from experiments.kit.figures import COLOURS, band, subplots
from experiments.kit.record import Record
from experiments.kit.settings import PROCESSES
from minuddm import DatasetIdeal, Linear
from minuddm.probes import generated_law

D1 = np.array([[0, 0], [0, 1], [1, 0]])
STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
OF_TEXT = STEPS[:7]
FULL, QUICK = Size(400, 4000, 100, 64, 16), Size(50, 200, 20, 8, 2)


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
    for each in plan.grids.values():
        found = grid.trained(each, run)
        size = found.sizes[0]
        for (P, s), seen in found.examined(examine, run, how, OF_TEXT).items():
            table += rows(found, size, P, s, seen, how, OF_TEXT)
    return Findings(
        table,
        {"subsets": found.subsets, "text": found.name},
        "", subplots(1,1,(3,3))[0],
        found.describe() | {"processes": list(PROCESSES), "drawn": how._asdict(), "steps": STEPS,
                            "near": NEAR},
        found.more("95 %, bootstrap over samples (copies) or over sequences"),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "extraction", __doc__, COLUMNS, measure, lambda r: [], plan,
    grid.options(("64x2",), (16, 256, 4096), (4, 32), (1, 1)), grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
