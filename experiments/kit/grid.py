"""One grid for several claims: networks of several sizes, trained on nested subsets, by seeds.

A cell is one size, one P and one seed (`kit/networks.py`): trained until learning is over or to a
cap, measured on training and unseen sequences, and asked for samples. A seed is another shuffle of
the corpus, other weights and other draws; the subsets of one seed are nested. Experiments that need
the same cells find them in `results/grid`, or under --out, each measured once.
"""

import argparse
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.commandline import InputError
from experiments.kit.data import SOURCES, Data, describe, label, read
from experiments.kit.experiment import Run
from experiments.kit.networks import compute
from experiments.kit.record import RESULTS
from experiments.kit.settings import RECIPE, SPLITS, Arrays, Cell, Settings
from minuddm import Denoiser, Transformer, load_model
from minuddm.checkpoint import checkpoint_metadata
from minuddm.probes import Curve

T = 0.1
TIMES = (T, 0.25, 0.5, 0.75)
SIZES = ("8x2", "16x2", "32x2", "64x2", "96x2")
OVER_SEEDS = "95 %, Student's over seeds, each with sequences of its own from one corpus"
SUBSETS = (4, 8, 16, 32, 64, 128, 512, 4096)
QUICK = (4, 32, 256)
MEASURED = {"recovery": f"{T} recovery", "entropy_loo": f"{T} entropy_loo", "nelbo": "nelbo"}
"""Quantities of a table, and their names in a cell."""
Key = tuple[str, int, int]  # size, P, seed


class Plan(NamedTuple):
    """What is to be trained: a cell by (size, P, seed), and the sequences of each seed."""

    data: Data
    settings: Settings
    sizes: tuple[str, ...]
    subsets: tuple[int, ...]
    seeds: tuple[int, ...]
    parts: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]
    """Training and test sequences of each seed; subsets are the first P of the training ones."""
    cells: dict[Key, Cell]


@dataclass(frozen=True)
class Grid:
    """What was trained: a plan's, with what every cell measured and its checkpoint."""

    data: Data
    settings: Settings
    sizes: tuple[str, ...]
    subsets: tuple[int, ...]
    seeds: tuple[int, ...]
    parts: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]
    cells: dict[Key, Arrays]
    checkpoints: dict[Key, Path]

    @property
    def name(self) -> str:
        """Return the name of the data."""
        return Path(self.data.corpus.name).name

    def network(self, size: str, P: int, seed: int) -> Transformer:
        """Return the trained network of a cell, with averaged weights.

        Raises `InputError` if its checkpoint is missing, damaged or that of another cell.
        """
        path = self.checkpoints[size, P, seed]
        try:
            if checkpoint_metadata(path).get("cell") != path.stem:
                raise ValueError(f"{path} is not the network of its name")
            return load_model(path)
        except (ValueError, OSError) as error:
            what = f"{error}; remove it and the .npz beside it, and the cell is trained anew"
            raise InputError(what) from None

    def values(self, size: str, name: str) -> list[NDArray[np.float64]]:
        """Return a quantity of all seeds at each P, rows (S, n)."""
        return [
            np.stack([self.cells[size, P, seed][name] for seed in self.seeds]) for P in self.subsets
        ]

    def curve(self, size: str, name: str, model: str = "network") -> Curve:
        """Return training and test values of a quantity of a model against P, seeds as rows.

        Raises `KeyError` for what was not measured.
        """
        pair = (self.values(size, f"{model} {split} {name}") for split in SPLITS)
        return Curve(list(self.subsets), *pair)

    def finished(self, size: str, P: int) -> list[bool]:
        """Return for each seed whether learning was over."""
        return [bool(self.cells[size, P, seed]["course finished"]) for seed in self.seeds]

    def over(self) -> dict[int, list[bool]]:
        """Return by P whether learning was over, of every size and seed."""
        return {P: [x for size in self.sizes for x in self.finished(size, P)] for P in self.subsets}

    def training(self, size: str, P: int) -> dict[str, float]:
        """Return the mean number of steps, and the share of the seeds whose learning was over."""
        steps = [self.cells[size, P, seed]["course steps"][-1] for seed in self.seeds]
        return {"steps": float(np.mean(steps)), "finished": float(np.mean(self.finished(size, P)))}

    def examined(
        self, work: Callable[..., Any], run: Run, *more: Any
    ) -> dict[tuple[int, int], Any]:
        """Return what `work(grid, size, P, seed, *more)` finds by (P, seed), for the first size."""
        networks = self.networks()
        found = run.spread(work, [(*network, *more) for network in networks])
        return {network[2:]: piece for network, piece in zip(networks, found, strict=True)}

    def networks(self) -> list[tuple["Grid", str, int, int]]:
        """Return the networks of the first size: this grid, the size, P and seed."""
        return [(self, self.sizes[0], P, seed) for P in self.subsets for seed in self.seeds]

    def describe(self) -> dict[str, Any]:
        """Return what a record says of how the grid was made."""
        corpus = self.data.corpus
        return {
            "sizes": self.sizes, "subsets": self.subsets, "seeds": self.seeds,
            "cells": self.settings.describe(corpus.V, corpus.tokens.shape[1]),
            "cell_seconds": float(sum(arrays["seconds"].sum() for arrays in self.cells.values())),
        }  # fmt: skip

    def more(self, intervals: str = OVER_SEEDS) -> dict[str, Any]:
        """Return what else a record says: data, what intervals are over, and what had finished."""
        if len(self.seeds) == 1:
            intervals = intervals.replace(OVER_SEEDS, "95 %, bootstrap over sequences of one seed")
        return {"data": describe(self.data), "intervals": intervals, "finished": self.over()}


def options(
    sizes: Sequence[str] = SIZES,
    subsets: Sequence[int] = SUBSETS,
    quick: Sequence[int] = QUICK,
    seeds: tuple[int, int] = (3, 2),
    steps: int = 32_000,
) -> Callable[[commandline.CommandLine], None]:
    """Return what adds the grid's options to a command line.

    Its defaults are the sizes and subsets given; those of --quick are the first two sizes, and
    `quick`. Of `seeds` the second is that of --quick.
    """

    def add(p: commandline.CommandLine) -> None:
        whole = commandline.whole
        p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
        p.add_argument("--sizes", type=size, nargs="+", metavar="WxB",
                       help=f"width x blocks (default: {' '.join(sizes)})")  # fmt: skip
        p.set_defaults(default_sizes=tuple(sizes), default_seeds=seeds,
                       default_subsets=(tuple(subsets), tuple(quick)),
                       default_steps=(steps, 500))  # fmt: skip
        usual, fewer = seeds
        many = f"{len(subsets)} from {subsets[0]} to {subsets[-1]}"
        p.add_argument("--subsets", type=whole(2), nargs="+", metavar="P",
                       help=f"training sets (default: {many}; --quick: {len(quick)})")  # fmt: skip
        p.add_argument("--seeds", type=whole(1),
                       help=f"networks a cell (default: {usual}; --quick: {fewer})")  # fmt: skip
        p.add_argument("--steps", type=whole(1),
                       help=f"of training, at most (default: {steps}; 500 if --quick)")  # fmt: skip
        p.add_argument("--samples", type=whole(2),
                       help="generated twice (default: 200; 50 if --quick)")  # fmt: skip

    return add


def size(text: str) -> str:
    """Read a size such as 64x2, for `type=`."""
    try:
        width, blocks = (int(part) for part in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"a size is width x blocks, as 64x2; got {text}") from None
    if width < 8 or width % 8 or blocks < 1:
        raise argparse.ArgumentTypeError(
            f"the width must be a multiple of 8 and the blocks at least 1, got {text}"
        )
    return f"{width}x{blocks}"


def variant(args: Namespace) -> str:
    """Name the output folder after data, and a cap on steps, that are not the default."""
    steps = f"{args.steps}-steps" if args.steps else ""
    return "-".join(filter(None, [label(args.data), steps]))


def plan(args: Namespace) -> Plan:
    """Return the cells that were asked for."""
    quick = args.quick
    seeds = tuple(args.seed + s for s in range(args.seeds or args.default_seeds[quick]))
    subsets = tuple(sorted(set(args.subsets or args.default_subsets[quick])))
    sizes = tuple(dict.fromkeys(args.sizes or args.default_sizes[: 2 if quick else None]))
    data = read(args.data, None, lines=False, vocab=256, rules=2, seed=args.seed)
    corpus, sequences = data.corpus, 50 if quick else 200
    models = ("network", "dataset_ideal", *(("source_ideal",) if args.data in SOURCES else ()))
    settings = Settings(
        times=TIMES, sequences=sequences, grid=64, steps=args.steps or args.default_steps[quick],
        batch=RECIPE["batch"], lr=RECIPE["lr"], width=64, blocks=2, heads=4, dropout=0.0,
        seed=args.seed, models=models, samples=args.samples or (50 if quick else 200),
    )  # fmt: skip
    cells, parts = {}, {}
    for seed in seeds:
        training, test = corpus.split(max(1, min(2 * sequences, len(corpus) // 5)), seed)
        parts[seed] = (training.tokens, test.tokens)
        for name in sizes:
            width, blocks = (int(part) for part in name.split("x"))
            own = replace(settings, width=width, blocks=blocks, seed=seed)
            own.describe(corpus.V, corpus.tokens.shape[1])  # refuses what cannot be built
            for P in subsets:
                own_tokens = training.subset(P).tokens
                cells[name, P, seed] = Cell(
                    corpus.alphabet,
                    own_tokens,
                    test.tokens[:sequences],
                    own,
                    corpus.pad,
                    data.ideal,
                )
    return Plan(data, settings, sizes, subsets, seeds, parts, cells)


def trained(plan: Plan, run: Run) -> Grid:
    """Train the cells that are not there yet, and return all."""
    return together({"": plan}, run)[""]


def together(plans: Mapping[str, Plan], run: Run) -> dict[str, Grid]:
    """Return the grids of several plans, whose cells are trained side by side."""
    folder = (run.args.out or RESULTS / "grid") / "cells"
    asked = {(name, *key): cell for name, plan in plans.items() for key, cell in plan.cells.items()}
    found = compute(asked, folder, run)

    def grid(name: str, plan: Plan) -> Grid:
        cells, checkpoints = ({key: every[(name, *key)] for key in plan.cells} for every in found)
        return Grid(**plan._asdict() | {"cells": cells, "checkpoints": checkpoints})

    return {name: grid(name, plan) for name, plan in plans.items()}


def with_process(plan: Plan, process: str, ideal: Denoiser | None = None) -> Plan:
    """Return the same cells with another process, and its ideal where the source is known."""
    cells = {
        key: replace(cell, settings=replace(cell.settings, process=process), ideal=ideal)
        for key, cell in plan.cells.items()
    }
    settings = replace(plan.settings, process=process)
    return plan._replace(settings=settings, cells=cells)
