"""Larger networks remember more: the transition from memory to generalisation moves to larger P.

Networks of several sizes are trained for equally many steps on nested subsets of one corpus, three
seeds each, as in the paper's grid [T30]. For every size: where training recovery leaves .95, where
training and unseen recovery meet, and where their entropies do, with intervals over seeds and
sequences.
"""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from experiments.kit import grid
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, both, subplots
from experiments.kit.grid import MEASURED, Grid, T
from experiments.kit.intervals import columns, crossed, headers, recorded, show
from experiments.kit.record import Record
from experiments.kit.settings import SPLITS
from minuddm.probes import Interval, curves_meet, mean_interval, plateau_left
from minuddm.weights import ModelConfig, shapes

COLUMNS = [*("data", "size", "weights", "P", "t", "split", "seeds", "n"), *headers(MEASURED)]


def rows(found: Grid) -> list[dict[str, Any]]:
    """Return one row per size, P and split; intervals over seeds (`probes.intervals`)."""
    table = []
    for size in found.sizes:
        curves = {name: found.curve(size, full) for name, full in MEASURED.items()}
        for k, P in enumerate(found.subsets):
            for split in SPLITS:
                row = {"data": found.name, "size": size, "weights": weights(found, size), "P": P,
                       "t": T, "split": split, "seeds": len(found.seeds)}  # fmt: skip
                for name, curve in curves.items():
                    values = (curve.training if split == "train" else curve.test)[k]
                    rng = generator(found.settings.seed, f"bootstrap {size} {P} {split} {name}")
                    row |= {"n": values.shape[1], **columns(name, mean_interval(values, rng))}
                table.append(row)
    return table


def weights(found: Grid, size: str) -> int:
    """Return the number of weights of a size."""
    width, blocks = (int(part) for part in size.split("x"))
    V, L = found.data.corpus.V, found.data.corpus.tokens.shape[1]
    layout = shapes(ModelConfig(V, L, width, blocks, found.settings.heads))
    return int(sum(np.prod(shape) for shape in layout.values()))


def estimates(found: Grid) -> dict[str, dict[str, Interval]]:
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


def draw(table: list[dict[str, Any]], found: dict[str, dict[str, Interval]]) -> Figure:
    """Draw recovery and entropy against P for every size, and the readings against size."""
    shades = colormaps["viridis"](np.linspace(0.05, 0.75, len(found)))
    figure, (left, middle, right) = subplots(1, 3, (12.5, 4.2))
    for axes, name in ((left, "recovery"), (middle, "entropy_loo")):
        for size, colour in zip(found, shades, strict=True):
            line = [row for row in table if row["size"] == size]
            both(axes, line, "P", name, size, color=colour, marker=".")
        axes.set(xscale="log", xlabel="training sequences P")
    left.axhline(0.95, color="0.4", ls=":", lw=1)
    left.set(title="Recovery", ylabel=f"corrupted tokens recovered from t = {T:g} (share)")
    middle.set(title="Conditional entropy", ylabel="leave-one-out entropy (nats per token)")
    left.legend(fontsize=8, handlelength=3.2)
    number = [next(row["weights"] for row in table if row["size"] == size) for size in found]
    names = ("leaves", "recoveries_meet", "entropies_meet")
    labels = ("training recovery leaves .95", "recoveries meet", "entropies meet")
    for name, label, colour in zip(names, labels, COLOURS, strict=False):
        P = np.array([reading[name] for reading in found.values()])
        bars = np.nan_to_num(np.abs(P[:, 1:] - P[:, :1]).T, posinf=0.0)
        right.errorbar(number, P[:, 0], bars, fmt="o-", ms=5, color=colour, label=label)
    right.set(title="Where memory ends, by size", xscale="log", yscale="log")
    right.set(xlabel="weights of the network", ylabel="training sequences P")
    right.legend(fontsize=8.5)
    return figure


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and read the transition of every size."""
    found = grid.trained(plan, run)
    table, readings, least = rows(found), estimates(found), found.subsets[0]
    said = "; ".join(
        f"{size} ({weights(found, size):,} weights) leaves 0.95 at P = "
        f"{show(reading['leaves'], least)}, recoveries meet at P = "
        f"{show(reading['recoveries_meet'], least)}, entropies at P = "
        f"{show(reading['entropies_meet'], least)}"
        for size, reading in readings.items()
    )
    return Findings(
        table,
        readings,
        f"After {found.settings.steps} steps on P sequences, {len(found.seeds)} seeds: {said}.",
        draw(table, readings),
        found.describe(),
        found.more("95 %, Student's over seeds, each with sequences of its own"),
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether the P at which training recovery leaves its plateau rises with every size."""
    settings = record.content["settings"]
    leaves = [recorded(record.headline[size]["leaves"]) for size in settings["sizes"]]
    least = min(settings["subsets"])
    known = all(crossed(reading, least) for reading in leaves)
    listed = zip(settings["sizes"], (show(x, least) for x in leaves), strict=True)
    return [
        Verdict(
            "larger networks remember more: training recovery leaves 0.95 at larger P",
            ", ".join(f"{size}: P = {said}" for size, said in listed),
            (bool((np.diff([x.value for x in leaves]) > 0).all()) if known else None,),
        )
    ]


EXPERIMENT = Experiment(
    "size_sweep", __doc__, COLUMNS, measure, verdicts, grid.plan, grid.options(), grid.variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
