"""Readings of the transition from curves against P, and the figure that shows them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.random import Generator

from experiments.kit.draws import generator
from experiments.kit.figures import COLOUR, NAME, both, subplots
from experiments.kit.settings import Arrays, Settings
from minuddm.probes import Curve, Interval, curves_cross, curves_meet, plateau_left
from minuddm.probes.intervals import DRAWS
from minuddm.probes.transition import falls_below


class Estimates(NamedTuple):
    """Readings of the transition, in P; the last one where the source is known."""

    leaves: Interval
    recoveries_meet: Interval
    entropies_meet: Interval
    ideals_cross: Interval | None


def estimate(cells: dict[int, Arrays], settings: Settings, t: float) -> Estimates:
    """Return where recovery leaves its plateau, curves meet, and one ideal takes over, at t."""

    def measured(split: str, name: str) -> list[Any]:
        model = settings.subject
        return [arrays.get(f"{model} {split} {t} {name}") for arrays in cells.values()]

    def curve(name: str) -> Curve:
        return Curve(list(cells), measured("train", name), measured("test", name))

    rng = generator(settings.seed, "transition")
    recovered = curve("recovery")
    leaves, meets = plateau_left(recovered, rng), curves_meet(recovered, rng)
    entropies_meet = curves_meet(curve("entropy_loo"), rng)
    generaliser, memoriser = (measured("train", f"kl_{x}_ideal") for x in ("source", "dataset"))
    cross = None
    if generaliser[0] is not None and memoriser[0] is not None:
        cross = curves_cross(list(cells), generaliser, memoriser, rng)
    return Estimates(leaves, meets, entropies_meet, cross)


def means_cross(curve: Curve, rng: Generator) -> Interval:
    """Return the P at which the mean over test sequences falls below that over training ones.

    For quantities that spread so little that their curves cross between two P of the grid without
    overlapping at either.
    """

    def read(training: Any, test: Any) -> float:
        gaps = [b.mean() - a.mean() for a, b in zip(training, test, strict=True)]
        return falls_below(curve.sequences, gaps, 0.0)

    both = curve.training, curve.test
    again = [
        read(*([rng.choice(x, len(x)) for x in values] for values in both)) for _ in range(DRAWS)
    ]
    low, high = np.quantile(np.nan_to_num(again, nan=np.inf), [0.025, 0.975], method="nearest")
    return Interval(read(*both), float(low), float(high))


def draw(table: list[dict[str, Any]], found: Estimates, t: float, model: str) -> Figure:
    """Draw recovery and entropy against P and, for a known source, the distance to the ideals."""
    models = list(dict.fromkeys(row["model"] for row in table))
    with_conditionals = [model for model in models if model != "token_memory"]
    at_t = [row for row in table if row["t"] == t]
    panels = 2 if found.ideals_cross is None else 3
    figure, (left, right, *rest) = subplots(1, panels, (5 * panels, 4.1))
    _curves(left, at_t, "recovery", models)
    left.set(ylim=(-0.02, 1.08), ylabel="corrupted tokens recovered (share)")
    left.set_title(f"Recovery from t = {t:g}")
    _curves(right, at_t, "entropy_loo", with_conditionals)
    right.set(ylim=(-0.03, None), ylabel="leave-one-out entropy (nats per token)")
    right.set_title(f"Conditional entropy at t = {t:g}")
    for axes in rest:
        subject = [row for row in at_t if row["model"] == model]
        for ideal in ("dataset_ideal", "source_ideal"):
            _curves(axes, [row | {"model": ideal} for row in subject], f"kl_{ideal}", [ideal])
        axes.set(yscale="log", ylabel="KL(ideal ‖ model) (nats per token)")
        axes.set_title(f"Distance of the {NAME[model]} to the ideals")
    marks = [(found.leaves, " leaves .95", left), (found.recoveries_meet, " meet", left)]
    if found.ideals_cross is not None:
        marks.append((found.ideals_cross, " ideals cross", rest[0]))
    for interval, word, where in marks:
        if interval.value > min(row["P"] for row in table):  # else it had happened before
            for axes in (left, right, *rest):
                axes.axvline(interval.value, color="0.35", lw=1, ls=":")
            place = where.get_xaxis_transform()  # x in data, y in the height of the panel
            where.text(interval.value, 0.99, word, va="top", size=8.5, color="0.3", transform=place)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=len(models), fontsize=9
    )
    return figure


def _curves(axes: Any, table: list[dict[str, Any]], name: str, models: Sequence[str]) -> None:
    """Draw one quantity of several models, training solid and test dashed, with intervals."""
    for model in models:
        line = [row for row in table if row["model"] == model]
        wide = 3.6 if model == "dataset_ideal" else 1.6  # shows beneath a line on top of it
        both(axes, line, "P", name, NAME[model], color=COLOUR[model], lw=wide, marker=".")
    axes.set(xscale="log", xlabel="training sequences P")
