"""One sweep for several claims: networks of several sizes, trained on nested subsets, by seeds.

A cell is one size, one P and one seed (`experiments/cells.py`): trained for equally many steps,
measured on training and unseen sequences, and asked for samples. A seed is another shuffle of the
corpus, other weights and other draws; the subsets of one seed are nested. Experiments that need
the same cells find them in `results/sweep`, each measured once.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import commandline
from experiments.cells import SPLITS, Arrays, Cell, Settings, compute
from experiments.kit.data import SOURCES, Data, describe, read
from minuddm import Transformer, load_model
from minuddm.probes import Curve

T = 0.1
SIZES = ("32x2", "64x2", "128x2")
Key = tuple[str, int, int]  # size, P, seed


@dataclass(frozen=True)
class Sweep:
    """What was swept, and every cell's arrays by (size, P, seed)."""

    data: Data
    settings: Settings
    sizes: tuple[str, ...]
    subsets: tuple[int, ...]
    seeds: tuple[int, ...]
    cells: dict[Key, Arrays]
    parts: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]]
    """Training and test sequences of each seed; subsets are the first P of the training ones."""
    checkpoints: dict[Key, Path]

    def network(self, size: str, P: int, seed: int) -> Transformer:
        """Return the trained network of a cell, with averaged weights."""
        return load_model(self.checkpoints[size, P, seed])

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

    def describe(self) -> dict[str, Any]:
        """Return what a record says of the sweep."""
        corpus = self.data.corpus
        settings = self.settings.describe(corpus.V, corpus.tokens.shape[1])
        seconds = float(sum(arrays["seconds"].sum() for arrays in self.cells.values()))
        return {
            "sizes": self.sizes, "subsets": self.subsets, "seeds": self.seeds, "cells": settings,
            "cell_seconds": seconds, "data": describe(self.data),
        }  # fmt: skip


def options(p: commandline.CommandLine, sizes: Sequence[str] = SIZES) -> None:
    """Add the sweep's options to a command line."""
    whole = commandline.whole
    p.add_argument("--data", default="pydoc", help="pydoc, names, markov, hierarchy, or a file")
    p.add_argument("--sizes", type=size, nargs="+", metavar="WxB",
                   help=f"width x blocks (default: {' '.join(sizes)}; --quick: two)")  # fmt: skip
    p.set_defaults(default_sizes=tuple(sizes))
    p.add_argument("--subsets", type=whole(2), nargs="+", metavar="P",
                   help="training sets (default: 11 from 2 to 2048; --quick: 3)")  # fmt: skip
    p.add_argument("--seeds", type=whole(1), help="networks a cell (default: 3; 2 if --quick)")
    p.add_argument("--steps", type=whole(1), help="of training (default: 4000; 500 if --quick)")
    p.add_argument("--samples", type=whole(2), help="generated twice (default: 200; 50 if --quick)")


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


def run(p: commandline.CommandLine, args: argparse.Namespace, out: Path | None) -> Sweep:
    """Compute the cells that are not there yet, under `out` or the common place; return all."""
    seeds = tuple(args.seed + s for s in range(args.seeds or (2 if args.quick else 3)))
    subsets = args.subsets or ([4, 32, 256] if args.quick else [2**k for k in range(1, 12)])
    args.sizes = args.sizes or list(args.default_sizes[: 2 if args.quick else None])
    try:
        data = read(args.data, None, lines=False, vocab=256, rules=2, seed=args.seed)
        plan, first, parts = _plan(args, data, tuple(sorted(set(subsets))), seeds, out)
    except (ValueError, TypeError) as error:
        p.error(str(error))
    try:
        compute([cell for cell in plan.values() if not cell.path.exists()], args.workers)
    except (ValueError, FloatingPointError) as error:
        p.error(str(error))
    arrays = {key: dict(np.load(cell.path)) for key, cell in plan.items()}
    return Sweep(
        data, first, tuple(args.sizes), tuple(sorted(set(subsets))), seeds, arrays, parts,
        {key: cell.path.with_suffix(".safetensors") for key, cell in plan.items()},
    )  # fmt: skip


def _plan(
    args: argparse.Namespace,
    data: Data,
    subsets: tuple[int, ...],
    seeds: tuple[int, ...],
    out: Path | None,
) -> tuple[dict[Key, Cell], Settings, dict[int, Any]]:
    corpus = data.corpus
    sequences = 50 if args.quick else 200
    models = ("network", "dataset_ideal", "source_ideal") if args.data in SOURCES else ("network",)
    settings = Settings(
        times=(T,), sequences=sequences, grid=64, steps=args.steps or (500 if args.quick else 4000),
        batch=16, lr=2e-3 if args.quick else 1e-3, width=64, blocks=2, heads=4, dropout=0.0,
        seed=args.seed, models=models, samples=args.samples or (50 if args.quick else 200),
    )  # fmt: skip
    base = (out or commandline.RESULTS / "sweep") / "cells"
    cells, parts = {}, {}
    for seed in seeds:
        training, test = corpus.split(min(2 * sequences, len(corpus) // 5), seed)
        parts[seed] = (training.tokens, test.tokens)
        for name in args.sizes:
            width, blocks = (int(part) for part in name.split("x"))
            own = replace(settings, width=width, blocks=blocks, seed=seed)
            own.describe(corpus.V, corpus.tokens.shape[1])  # refuses what cannot be built
            folder = base / own.fingerprint(corpus.tokens, corpus.V)
            for P in subsets:
                cells[name, P, seed] = Cell(
                    P, corpus.alphabet, training.subset(P).tokens, test.tokens[:sequences], own,
                    folder, data.ideal,
                )  # fmt: skip
    for cell in cells.values():  # only now, when all that was asked for can be built
        cell.folder.mkdir(parents=True, exist_ok=True)
    return cells, settings, parts
