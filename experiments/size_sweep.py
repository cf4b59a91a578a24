"""Larger networks remember more: the transition from memory to generalisation moves to larger P.

Networks of several sizes learn nested subsets of one corpus until learning is over or to a cap on
their steps (`kit/course.py`), three seeds each, as in the paper's grid [T30]. For every size: where
training recovery leaves .95, where training and unseen recovery meet, and where their entropies do.

The first of these is the network's capacity P*. With W weights and h nats in a token (the source's
entropy, or the least bound that any of the networks reaches on unseen text)

    growth             P* ∝ W^a
    weights per token  W / (P* L)
    bits per weight    P* L h / (W log 2)
    by steps           P* and a after a half, a quarter, … of the steps, from the looks on the way:
                       what still moves is a matter of time

beside the weights per token at which the paper's networks leave their plateau, PAPER.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import grid
from experiments.kit.course import looks, told
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, both, subplots
from experiments.kit.grid import MEASURED, Grid, T
from experiments.kit.intervals import (
    columns,
    crossed,
    earlier,
    headers,
    is_one,
    recorded,
    show,
    spread,
)
from experiments.kit.phases import misfit
from experiments.kit.record import Record
from experiments.kit.settings import SPLITS, Arrays
from minuddm.probes import (
    Curve,
    Interval,
    curves_meet,
    mean_interval,
    plateau_left,
    student_interval,
)
from minuddm.weights import number_of_weights

COLUMNS = [
    *("data", "size", "weights", "P", "t", "split", "seeds", "n", "steps", "finished"),
    *headers(MEASURED),
]
PAPER = {"23.7 million": 23.7e6 / 0.85e6, "384 million": 384e6 / 8.5e6}
"""Weights of the paper's networks, and weights per training token where they leave the plateau:
near 1e-3 and 1e-2 of the 30.3 million sentences of LM1B, in blocks of 128 tokens."""
CARRIES = 2  # a number carries over if it stays within this factor
BENT = 1.25  # points farther than this factor from a power of W are on none
STILL = 1.1  # a capacity does not move if twice the steps multiply it by no more
DOUBLINGS = 3  # of the steps that are read


def rows(found: Grid) -> list[dict[str, Any]]:
    """Return one row per size, P and split; intervals over seeds (`probes.intervals`)."""
    table = []
    for size in found.sizes:
        curves = {name: found.curve(size, full) for name, full in MEASURED.items()}
        for k, P in enumerate(found.subsets):
            for split in SPLITS:
                row = {"data": found.name, "size": size, "weights": weights(found, size), "P": P,
                       "t": T, "split": split, "seeds": len(found.seeds),
                       **found.training(size, P)}  # fmt: skip
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
    return number_of_weights(replace(found.settings, width=width, blocks=blocks).model(V, L))


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


def on_the_way(found: Grid, steps: int) -> dict[str, Curve]:
    """Return recovery by size after so many steps, or when learning was over, as looked at then."""

    def at(cell: Arrays, split: str) -> NDArray[np.float64]:
        last = np.searchsorted(cell["course steps"], steps, side="right") - 1
        return cell[f"course {split} recovery"][last]

    def values(size: str, split: str) -> list[NDArray[np.float64]]:
        return [
            np.stack([at(found.cells[size, P, seed], split) for seed in found.seeds])
            for P in found.subsets
        ]

    return {
        size: Curve(list(found.subsets), *(values(size, split) for split in SPLITS))
        for size in found.sizes
    }


def by_steps(found: Grid) -> dict[str, dict[str, Interval]]:
    """Return P* of every size, and its growth, after the cap and halves of it, the least first."""
    result = {}
    for steps in looks(found.settings.steps)[::-2][: DOUBLINGS + 1][::-1]:
        curves = on_the_way(found, steps)
        chance = generator(found.settings.seed, f"after {steps} steps")
        leaves = {size: plateau_left(curve, chance) for size, curve in curves.items()}
        result[str(steps)] = {**leaves, "growth": growth(found, curves)}
    return result


def growth(found: Grid, curves: dict[str, Curve]) -> Interval:
    """Return a of P* ∝ W^a: a line for each seed, Student's interval; NaN if a P* is not known."""
    W, slopes = np.log([weights(found, size) for size in curves]), []
    for s in range(len(found.seeds)):
        own = []
        for P, training, test in curves.values():
            alone = Curve(P, [x[s] for x in training], [x[s] for x in test])
            own.append(plateau_left(alone, generator(s, "growth"), draws=1))
        known = len(W) > 1 and all(crossed(x, found.subsets[0]) for x in own)
        slopes.append(np.polyfit(W, np.log([x.value for x in own]), 1)[0] if known else np.nan)
    return student_interval(slopes) if np.isfinite(slopes).all() else Interval(*[np.nan] * 3)


def power(a: Interval) -> str:
    """Say as which power of the weights a capacity grows."""
    return f"W^{spread(a)}" if np.isfinite(a.value) else "no power of W"


def capacity(found: Grid, readings: dict[str, dict[str, Interval]]) -> dict[str, dict[str, float]]:
    """Return weights per token and bits per weight of every size, where its capacity is known."""
    L, h = found.data.corpus.tokens.shape[1], found.data.entropy
    if h is None:  # the least bound on unseen text
        h = min(float(np.mean(x)) for size in found.sizes
                for x in found.values(size, "network test nelbo"))  # fmt: skip
    result = {}
    for size, reading in readings.items():
        tokens = reading["leaves"].value * L
        if crossed(reading["leaves"], found.subsets[0]):
            W = weights(found, size)
            result[size] = {
                "weights": W, "weights_per_token": W / tokens,
                "bits_per_weight": tokens * h / (W * np.log(2)),
            }  # fmt: skip
    return result


def draw(
    table: list[dict[str, Any]],
    found: dict[str, dict[str, Interval]],
    earlier: dict[str, dict[str, Interval]],
) -> Figure:
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
    middle.legend(fontsize=8, handlelength=3.2, ncols=2, loc="upper left")
    middle.set_ylim(top=1.5 * middle.get_ylim()[1])  # room for the legend, as on the right
    number = [next(row["weights"] for row in table if row["size"] == size) for size in found]
    for name, colour in zip(("leaves", "recoveries_meet", "entropies_meet"), COLOURS, strict=False):
        label = name.replace("_", " ").replace("leaves", "training recovery leaves .95")
        P = np.array([reading[name] for reading in found.values()])
        bars = np.nan_to_num(np.abs(P[:, 1:] - P[:, :1]).T, posinf=0.0)
        right.errorbar(number, P[:, 0], bars, fmt="o-", ms=5, color=colour, label=label)
    before = list(earlier)[:-1]
    for steps in before:
        label = "" if steps != before[0] else f"after {', '.join(before)} steps"
        P = [earlier[steps][size].value for size in found]
        right.plot(number, P, ":", lw=1.2, color=COLOURS[0], label=label)
    right.set(title="Where memory ends, by size", xscale="log", yscale="log")
    right.set(xlabel="weights of the network (thousands)", ylabel="training sequences P")
    right.set_xticks(number, [f"{W / 1000:.0f}" for W in number])
    right.minorticks_off()
    right.set_ylim(top=20 * right.get_ylim()[1])
    right.legend(fontsize=8.5)
    return figure


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and read the transition of every size."""
    found = grid.trained(plan, run)
    table, readings, least = rows(found), estimates(found), found.subsets[0]
    earlier = by_steps(found)
    curves = {size: found.curve(size, MEASURED["recovery"]) for size in found.sizes}
    halves = "; ".join(
        f"after {steps} steps at P = "
        + ", ".join(show(of[size]._replace(low=np.nan), least) for size in found.sizes)
        + f", {power(of['growth'])}"
        for steps, of in earlier.items()
    )
    said = "; ".join(
        f"{size} ({weights(found, size):,} weights) leaves 0.95 at P = "
        f"{show(reading['leaves'], least)}, recoveries meet at P = "
        f"{show(reading['recoveries_meet'], least)}, entropies at P = "
        f"{show(reading['entropies_meet'], least)}"
        for size, reading in readings.items()
    )
    return Findings(
        table,
        {**readings, "growth": growth(found, curves), "by_steps": earlier,
         "capacity": capacity(found, readings)},
        f"At most {found.settings.steps} steps on P sequences (seeds: {len(found.seeds)}): {said}. "
        f"On the way it was left {halves}." + told(found.over()),
        draw(table, readings, earlier),
        found.describe(),
        found.more(),
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether the capacity rises with every size, how, and whether it carries over."""
    least = min(record.content["settings"]["subsets"])
    weigh = {row["size"]: int(row["weights"]) for row in record.table}
    sizes = sorted(weigh, key=weigh.__getitem__)
    about = "" if (name := record.content["data"]["name"]) == "pydoc" else f"{name}: "
    leaves = [recorded(record.headline[size]["leaves"]) for size in sizes]
    known = len(sizes) > 1 and all(crossed(reading, least) for reading in leaves)
    found = [
        Verdict(
            f"{about}larger networks remember more: training recovery leaves 0.95 at larger P",
            ", ".join(f"{s}: P = {show(x, least)}" for s, x in zip(sizes, leaves, strict=True)),
            (bool((np.diff([x.value for x in leaves]) > 0).all()) if known else None,
             earlier(leaves[0], leaves[-1]) if known else None),
        )
    ]  # fmt: skip
    if of := record.headline["capacity"]:
        a = record.interval("growth")
        own, bits = ([x[name] for x in of.values()]
                     for name in ("weights_per_token", "bits_per_weight"))  # fmt: skip
        off = misfit([weigh[size] for size in sizes], [x.value for x in leaves])
        found += [
            Verdict(
                f"{about}the capacity of a network grows linearly with its weights",
                f"{power(a)}, off by up to a factor of {spread((off, np.nan, np.nan))}; "
                f"{min(bits):.2f} to {max(bits):.2f} bits per weight",
                (is_one(a), off < BENT if known else None),
            ),
            Verdict(
                f"{about}one number of weights per training token carries over to networks a "
                "thousand times larger",
                f"{min(own):.1f} to {max(own):.1f} here, "
                + ", ".join(f"{x:.0f} ({name} weights)" for name, x in PAPER.items()),
                (max(*own, *PAPER.values()) <= CARRIES * min(*own, *PAPER.values()),),
            ),
        ]
    if len(steps := record.headline["by_steps"]) < 2:
        return found
    (half, before), (whole, after) = list(steps.items())[-2:]
    pairs = [[recorded(of[size]) for of in (before, after)] for size in sizes]
    moved = [(new.value / old.value, np.nan, np.nan) for old, new in pairs]
    seen = all(crossed(x, least) for pair in pairs for x in pair)
    said = "twice" if int(whole) == 2 * int(half) else f"{int(whole) / int(half):.2f} times"
    found.append(Verdict(
        f"{about}training is long enough: {said} the steps move no size's capacity by a tenth",
        f"{said} the steps: P {', '.join(f'x {spread(x)}' for x in moved)} at {', '.join(sizes)}",
        (all(1 / STILL <= x <= STILL for x, *_ in moved) if seen else None,),
    ))  # fmt: skip
    return found


EXPERIMENT = Experiment(
    "size_sweep", __doc__, COLUMNS, measure, verdicts, grid.plan,
    grid.options(subsets=(2, *grid.SUBSETS)), grid.variant,  # 8x2 loses four sequences
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
