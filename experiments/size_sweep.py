"""Larger networks remember more: the transition from memory to generalisation moves to larger P.

Networks of several sizes are trained for equally many steps on nested subsets of one corpus, three
seeds each, as in the paper's grid [T30]. For every size: where training recovery leaves .95, where
training and unseen recovery meet, and where their entropies do, with intervals over seeds and
sequences.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import commandline, sweep
from experiments.cells import SPLITS
from experiments.data import describe
from experiments.jobs import generator
from experiments.record import Run, claim, show
from experiments.sweep import Sweep, T
from minuddm.probes import Interval, bootstrap_mean, curves_meet, plateau_left
from minuddm.weights import ModelConfig, shapes

COLUMNS = [
    *("data", "size", "weights", "P", "t", "split", "seeds", "n"),
    *("recovery", "recovery_lo", "recovery_hi", "entropy_loo", "entropy_loo_lo", "entropy_loo_hi"),
    *("nelbo", "nelbo_lo", "nelbo_hi"),
]
MEASURED = {"recovery": f"{T} recovery", "entropy_loo": f"{T} entropy_loo", "nelbo": "nelbo"}


def rows(found: Sweep) -> list[dict[str, Any]]:
    """Return one row per size, P and split; intervals over all sequences of all seeds."""
    table = []
    for size in found.sizes:
        curves = {name: found.curve(size, full) for name, full in MEASURED.items()}
        for k, P in enumerate(found.subsets):
            for split in SPLITS:
                row = {"data": Path(found.data.corpus.name).name, "size": size,
                       "weights": weights(found, size), "P": P, "t": T, "split": split,
                       "seeds": len(found.seeds)}  # fmt: skip
                for name, curve in curves.items():
                    values = (curve.training if split == "train" else curve.test)[k]
                    row["n"] = values.shape[1]
                    rng = generator(found.settings.seed, f"bootstrap {size} {P} {split} {name}")
                    interval = bootstrap_mean(values, rng)
                    row |= {name: interval.value, f"{name}_lo": interval.low,
                            f"{name}_hi": interval.high}  # fmt: skip
                table.append(row)
    return table


def weights(found: Sweep, size: str) -> int:
    """Return the number of weights of a size."""
    width, blocks = (int(part) for part in size.split("x"))
    V, L = found.data.corpus.V, found.data.corpus.tokens.shape[1]
    layout = shapes(ModelConfig(V, L, width, blocks, found.settings.heads))
    return int(sum(np.prod(shape) for shape in layout.values()))


def estimates(found: Sweep) -> dict[str, dict[str, Interval]]:
    """Return the readings of the transition for every size."""
    result = {}
    for size in found.sizes:
        rng = generator(found.settings.seed, f"estimates {size}")
        recovered = found.curve(size, MEASURED["recovery"])
        result[size] = {
            "leaves": plateau_left(recovered, rng),
            "recoveries_meet": curves_meet(recovered, rng),
            "entropies_meet": curves_meet(found.curve(size, MEASURED["entropy_loo"]), rng),
        }
    return result


def draw(out: Path, table: list[dict[str, Any]], found: dict[str, dict[str, Interval]]) -> None:
    """Draw recovery and entropy against P for every size, and the readings against size."""
    from experiments.figures import DASH, band, plt, save

    shades = plt.get_cmap("viridis")(np.linspace(0.05, 0.75, len(found)))
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.5, 4.2))
    for axes, name, label in (
        (left, "recovery", f"corrupted tokens recovered from t = {T:g} (share)"),
        (middle, "entropy_loo", "leave-one-out entropy (nats per token)"),
    ):
        for size, colour in zip(found, shades, strict=True):
            for split in SPLITS:
                line = [row for row in table if (row["size"], row["split"]) == (size, split)]
                band(axes, line, "P", name, color=colour, ls=DASH[split], marker=".",
                     label=f"{size}, {split}")  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlabel("training sequences P")
        axes.set_ylabel(label)
    left.axhline(0.95, color="0.4", ls=":", lw=1)
    left.set_title("Recovery")
    middle.set_title("Conditional entropy")
    left.legend(fontsize=8, handlelength=3.2)
    number = [next(row["weights"] for row in table if row["size"] == size) for size in found]
    for name, colour, label in (
        ("leaves", "#0072B2", "training recovery leaves .95"),
        ("recoveries_meet", "#D55E00", "recoveries meet"),
        ("entropies_meet", "#009E73", "entropies meet"),
    ):
        P = np.array([reading[name] for reading in found.values()])
        bars = np.nan_to_num(np.abs(P[:, 1:] - P[:, :1]).T, posinf=0.0)
        right.errorbar(number, P[:, 0], bars, fmt="o-", ms=5, color=colour, label=label)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("weights of the network")
    right.set_ylabel("training sequences P")
    right.set_title("Where memory ends, by size")
    right.legend(fontsize=8.5)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("size_sweep", claim(__doc__))
    sweep.options(p)
    args = p.parse_args(argv)
    begun = Run("size_sweep", __doc__, argv)
    variant = "" if args.data == "pydoc" else Path(args.data).stem
    found = sweep.run(p, args, args.out)
    out = p.folder(args, variant)
    table, readings = rows(found), estimates(found)
    least = found.subsets[0]
    said = "; ".join(
        f"{size} ({weights(found, size):,} weights) leaves 0.95 at P = "
        f"{show(reading['leaves'], least)}, recoveries meet at P = "
        f"{show(reading['recoveries_meet'], least)}, entropies at P = "
        f"{show(reading['entropies_meet'], least)}"
        for size, reading in readings.items()
    )
    leaves = [reading["leaves"].value for reading in readings.values()]
    order = "rises with" if (np.diff(leaves) > 0).all() else "does not rise steadily with"
    text = (
        f"After {found.settings.steps} steps on P sequences, {len(found.seeds)} seeds each: "
        f"{said}. The P at which training recovery leaves its plateau {order} the size of the "
        f"network."
    )
    draw(out, table, readings)
    begun.leave(
        out,
        COLUMNS,
        table,
        found.describe(),
        {size: {name: x._asdict() for name, x in reading.items()}
         for size, reading in readings.items()} | {"rises_with_size": order == "rises with"},
        text,
        data=describe(found.data),
        intervals="95 %, bootstrap over seeds and sequences, 1000 draws",
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
