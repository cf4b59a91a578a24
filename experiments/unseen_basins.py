"""Basins of training sequences shrink, those of unseen sequences grow, and they meet.

An absolute radius says nothing about an unseen sequence, of which no model restores what the rest
does not determine. So a basin is measured against whoever knows best, on the same damage
(`recovered_after`): exactly k tokens are changed, and

    radius    the largest k at which the network still recovers .95 of what the reference does
    training  the reference is the ideal memoriser of the P sequences [T14]
    unseen    the ideal generaliser where the source is known [T15]; on text the network at hand
              that has seen most, that of the largest P, which is left out itself

Between two k the ratio is a straight line; a radius of 0 says that one changed token is too many.
For every k as many sequences are damaged as hold DRAWN changed tokens, each several times if there
are too few. The ideal generaliser restores by sampling, which is not the best guess: a network that
is surer than it should be may recover more, most where little is determined (the Markov chain).
"""

from argparse import Namespace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import grid
from experiments.kit.course import told
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import band, subplots
from experiments.kit.grid import Grid
from experiments.kit.intervals import (
    above,
    columns,
    crossed,
    difference,
    headers,
    over_seeds,
    show,
    spread,
)
from experiments.kit.record import Record
from experiments.kit.settings import SCHEDULE, SPLITS
from minuddm import DatasetIdeal, Denoiser
from minuddm.probes import Interval, curves_cross, mean_interval, recovered_after

GRID = 64  # steps of the reverse chain
SHARE = 0.95  # of what the reference recovers
CHANGED = (1, 2, 3, 4, 6, 8, 11, 16, 22, 32)
DRAWN = {"train": 200, "test": 800}  # changed tokens of each k; unseen ones return less surely
A_TOKEN = 1.0  # a radius that changed by less has not changed
COLUMNS = ["data", "size", "P", "split", "k", "seeds", "n", *headers(["recovery", "reference"]),
           *headers(["radius"])]  # fmt: skip

Floats = NDArray[np.float64]
Measured = dict[tuple[int, int], dict[str, list[Floats]]]
"""By P and seed what `examine` found."""


def own_reference(found: Grid) -> int | None:
    """Return the P whose network is the reference: by rule, as the best of scores is so by chance.

    None where the law of the source is known.
    """
    return None if found.data.ideal is not None else found.subsets[-1]


def reference(found: Grid, seed: int) -> tuple[Denoiser, str]:
    """Return who knows unseen sequences best, and what it is called."""
    P = own_reference(found)
    if P is None:
        return found.data.ideal, "the ideal generaliser"
    return found.network(found.sizes[0], P, seed), f"the network of P = {P}"


def examine(
    found: Grid, size: str, P: int, seed: int, drawn: dict[str, int]
) -> dict[str, list[Floats]]:
    """Return what network and reference recover of k changed tokens, (n,) for each k, by split."""
    network, V = found.network(size, P, seed), found.data.corpus.V
    training, test = found.parts[seed]
    known = {"train": DatasetIdeal(training[:P], V), "test": reference(found, seed)[0]}
    result = {}
    for split, x in (("train", training[:P]), ("test", test)):
        for who, denoiser in (("network", network), ("reference", known[split])):
            result[f"{split} {who}"] = [
                recovered_after(
                    denoiser, np.resize(x, (-(-drawn[split] // k), x.shape[1])), V, [k], SCHEDULE,
                    GRID, generator(seed, f"unseen basins {split} {k}"),
                )[:, 0]
                for k in CHANGED if k <= x.shape[1]
            ]  # fmt: skip
    return result


def radius(network: list[Floats], known: list[Floats]) -> float:
    """Return the largest k at which the mean is SHARE of the reference's, linear in k."""
    k = np.array(CHANGED[: len(network)], dtype=float)
    above = np.array([x.mean() - SHARE * y.mean() for x, y in zip(network, known, strict=True)])
    below = np.flatnonzero(above < 0)
    if len(below) == 0:
        return float(k[-1])
    if (j := below[0]) == 0:
        return 0.0
    return float(k[j - 1] + (k[j] - k[j - 1]) * above[j - 1] / (above[j - 1] - above[j]))


def radii(found: Grid, measured: Measured) -> dict[str, Floats]:
    """Return the radii by split, a row a seed and a column a P: (S, K)."""
    return {
        split: np.array([
            [radius(*(measured[P, seed][f"{split} {who}"] for who in ("network", "reference")))
             for P in found.subsets]
            for seed in found.seeds
        ])
        for split in SPLITS
    }  # fmt: skip


def rows(found: Grid, measured: Measured, sizes: dict[str, Floats]) -> list[dict[str, Any]]:
    """Return one row per P, split and k; the radius stands in the row of the smallest k."""
    table, size = [], found.sizes[0]
    for j, P in enumerate(found.subsets):
        for split in SPLITS:
            for i in range(len(measured[P, found.seeds[0]][f"{split} network"])):
                row: dict[str, Any] = {"data": found.name, "size": size, "P": P, "split": split,
                                       "k": CHANGED[i], "seeds": len(found.seeds)}  # fmt: skip
                for name, who in (("recovery", "network"), ("reference", "reference")):
                    values = np.stack([measured[P, s][f"{split} {who}"][i] for s in found.seeds])
                    rng = generator(found.settings.seed, f"{name} {P} {split} {i}")
                    row |= {"n": values.shape[1], **columns(name, mean_interval(values, rng))}
                if i == 0:
                    rng = generator(found.settings.seed, f"radius {P} {split}")
                    own = sizes[split][:, j : j + 1]
                    row |= columns("radius", mean_interval(own, rng))
                table.append(row)
    return table


def meet(found: Grid, sizes: dict[str, Floats]) -> Interval:
    """Return the P at which training radii fall below unseen ones, the reference left out."""
    left_out = own_reference(found)
    kept = [j for j, P in enumerate(found.subsets) if left_out != P]
    one, other = ([sizes[split][:, j : j + 1] for j in kept] for split in SPLITS)
    rng = generator(found.settings.seed, "radii meet")
    return curves_cross([found.subsets[j] for j in kept], one, other, rng)


def draw(table: list[dict[str, Any]], who: str, crossing: Interval, left_out: int | None) -> Figure:
    """Draw the radii against P, and recovery of unseen sequences against k.

    At the P left out the network is its own reference on unseen sequences.
    """
    figure, (left, right) = subplots(1, 2, (10.5, 4.2))
    for split, colour, dash, name in (("train", "#0072B2", "-", "training"),
                                      ("test", "#D55E00", (0, (4, 2)), "unseen")):  # fmt: skip
        line = [row for row in table if row["split"] == split and "radius" in row]
        line = [row for row in line if split == "train" or row["P"] != left_out]
        band(left, line, "P", "radius", color=colour, ls=dash, marker=".", label=name)
    if np.isfinite(crossing.value):
        left.axvline(crossing.value, color="0.4", ls=":", lw=1)
    left.set(xscale="log", xlabel="training sequences P", ylim=(-0.5, None))
    left.set(title="Radius of the basins", ylabel=f"changed tokens with {SHARE} of the reference")
    sizes = sorted({row["P"] for row in table})
    shades = colormaps["viridis"](np.linspace(0, 0.85, len(sizes)))
    for j, (P, shade) in enumerate(zip(sizes, shades, strict=True)):
        line = [row for row in table if row["P"] == P and row["split"] == "test"]
        named = f"P = {P}" if j % 3 == 0 or sizes[-1] == P else None
        band(right, line, "k", "recovery", color=shade, label=named)
    right.plot([row["k"] for row in line], [row["reference"] for row in line], "k:", label=who)
    right.set(xscale="log", xlabel="changed tokens k", ylim=(-0.02, 1.02))
    right.set(title="Unseen sequences", ylabel="of them recovered (share)")
    for axes in (left, right):
        axes.legend(fontsize=8.5)
    return figure


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and measure the basins of one size against who knows best."""
    found = grid.trained(plan, run)
    drawn = {split: n // (10 if run.args.quick else 1) for split, n in DRAWN.items()}
    size, measured = found.sizes[0], found.examined(examine, run, drawn)
    sizes = radii(found, measured)
    table, crossing = rows(found, measured, sizes), meet(found, sizes)
    who = reference(found, found.seeds[0])[1]
    means = {
        f"{split} radius at P = {P}": float(sizes[split][:, j].mean())
        for split in SPLITS for j, P in enumerate(found.subsets)
    }  # fmt: skip
    left_out = own_reference(found)
    known = [P for P in found.subsets if left_out != P]
    first, last = known[0], known[-1]
    ends = [means[f"{split} radius at P = {P}"] for split in SPLITS for P in (first, last)]
    text = (
        f"A {size} network recovers {SHARE} of what the ideal memoriser does of training sequences "
        f"with up to {ends[0]:.1f} changed tokens at P = {first} and {ends[1]:.1f} at P = {last}, "
        f"and {SHARE} of what {who} does of unseen ones with up to {ends[2]:.1f} and {ends[3]:.1f};"
        f" the radii cross at P = {show(crossing, first)}."
    )
    return Findings(
        table,
        {
            **means,
            "meet": crossing,
            "reference": who,
            "left_out": left_out,
        },
        text + told(found.over()),
        draw(table, who, crossing, left_out),
        found.describe() | {"changed": drawn, "grid": GRID, "share": SHARE},
        found.more(),
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether the training radius falls, the unseen one rises, and they cross."""
    settings, name = record.content["settings"], record.content["data"]["name"]
    sizes = [P for P in sorted(settings["subsets"]) if record.headline["left_out"] != P]
    about = "" if name == "pydoc" else f"{name}: "

    def of(split: str) -> list[Interval]:
        return [over_seeds(record.rows(split=split, k=1, P=P), "radius") for P in sizes]

    training, unseen, crossing = of("train"), of("test"), record.interval("meet")
    return [
        Verdict(
            f"{about}relative to who knows best, basins of training sequences shrink, those of "
            "unseen ones grow, and they meet",
            f"radius {training[0][0]:.1f} to {training[-1][0]:.1f} and {unseen[0][0]:.1f} to "
            f"{spread(unseen[-1], 1)} tokens; they cross at P = {show(crossing, sizes[0])}",
            (
                above(difference(training[0], training[-1]), A_TOKEN),
                above(difference(unseen[-1], unseen[0]), A_TOKEN),
                crossed(crossing, sizes[0]),
            )
            if len(sizes) > 1
            else (None,),  # a P would be compared with itself
        )
    ]


def plan(args: Namespace) -> grid.Plan:
    """Return the cells that were asked for."""
    asked = grid.plan(args)
    if asked.data.ideal is None and len(asked.subsets) < 2:
        raise ValueError(f"on {args.data} the network of the largest P is the reference: at least "
                         "2 subsets are needed")  # fmt: skip
    return asked


EXPERIMENT = Experiment(
    "unseen_basins", __doc__, COLUMNS, measure, verdicts, plan, grid.options(("64x2",)),
    grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
