"""Readings of the transition from curves against P, and the figure that shows them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from experiments.kit.draws import generator
from experiments.kit.figures import COLOUR, NAME, both, subplots
from experiments.kit.settings import Arrays, Settings
from minuddm.probes import Curve, Interval, curves_cross, curves_meet, plateau_left


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


def draw(table: list[dict[str, Any]], found: Estimates, t: float, model: str) -> Figure:
    """Draw recovery and entropy against P, or t where there is one P, and distances to the ideals.

    The latter where the source is known.
    """
    models = list(dict.fromkeys(row["model"] for row in table))
    with_conditionals = [model for model in models if model != "token_memory"]
    sizes = sorted({row["P"] for row in table})
    x, where = ("P", f"t = {t:g}") if len(sizes) > 1 else ("t", f"P = {sizes[0]:,}")
    shown = [row for row in table if x == "t" or row["t"] == t]
    panels = 2 if found.ideals_cross is None else 3
    figure, (left, right, *rest) = subplots(1, panels, (5 * panels, 4.1))
    _curves(left, shown, x, "recovery", models)
    left.set(ylim=(-0.02, 1.08), ylabel="corrupted tokens recovered (share)")
    left.set_title(f"Recovery, {where}")
    _curves(right, shown, x, "entropy_loo", with_conditionals)
    right.set(ylim=(-0.03, None), ylabel="leave-one-out entropy (nats per token)")
    right.set_title(f"Conditional entropy, {where}")
    for axes in rest:
        subject = [row for row in shown if row["model"] == model]
        for ideal in ("dataset_ideal", "source_ideal"):
            _curves(axes, [row | {"model": ideal} for row in subject], x, f"kl_{ideal}", [ideal])
        axes.set(yscale="log", ylabel="KL(ideal ‖ model) (nats per token)")
        axes.set_title(f"Distance of the {NAME[model]} to the ideals")
    marks = [(found.leaves, " leaves .95", left), (found.recoveries_meet, " meet", left)]
    if found.ideals_cross is not None:
        marks.append((found.ideals_cross, " ideals cross", rest[0]))
    for interval, word, panel in marks:
        if interval.value > sizes[0]:  # else it had happened before
            for axes in (left, right, *rest):
                axes.axvline(interval.value, color="0.35", lw=1, ls=":")
            place = panel.get_xaxis_transform()  # x in data, y in the height of the panel
            panel.text(interval.value, 0.99, word, va="top", size=8.5, color="0.3", transform=place)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=len(models), fontsize=9
    )
    return figure


def _curves(
    axes: Any, table: list[dict[str, Any]], x: str, name: str, models: Sequence[str]
) -> None:
    """Draw one quantity of several models, training solid and test dashed, with intervals."""
    for model in models:
        line = [row for row in table if row["model"] == model]
        wide = 3.6 if model == "dataset_ideal" else 1.6  # shows beneath a line on top of it
        both(axes, line, x, name, NAME[model], color=COLOUR[model], lw=wide, marker=".")
    if x == "P":
        axes.set(xscale="log", xlabel="training sequences P")
    else:
        axes.set(xlabel="corruption time t")
