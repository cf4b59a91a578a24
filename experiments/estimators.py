"""Entropy alone finds the transition: readings of it compared, with and without training data.

Six readings of the same networks, for every size, with intervals over seeds and sequences:

    needs the training data
        recovery leaves          training recovery falls through .95
        recoveries meet          intervals of training and unseen recovery overlap
        entropy gap closes       entropies at t = 1e-5 of the model's samples and of training data
        copies fall              fewer than half of the samples are copies (≤ 10 % changed)
    needs the source
        ideals cross             conditionals come closer to the ideal generaliser's
    needs the model alone
        sample entropy rises     the mean entropy of its own samples at t = 1e-5 rises through .1
                                 nats, above which a token is not remembered

The paper's practical claim is that the last kind suffices. Its number here: over all sizes and
seeds, the rank correlation of log P with that of `recovery leaves`, and the mean distance.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import spearmanr

from experiments.kit import grid
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.grid import MEASURED, Grid, T
from experiments.kit.intervals import columns, headers, recorded, show
from experiments.kit.record import Record
from experiments.kit.settings import SURE
from minuddm.probes import (
    Curve,
    Interval,
    copies,
    curves_cross,
    curves_meet,
    from_the_widest,
    plateau_left,
)

NEEDS = {
    "recovery leaves": "training data",
    "recoveries meet": "training data",
    "entropy gap closes": "training data",
    "copies fall": "training data",
    "ideals cross": "the source",
    "sample entropy rises": "the model alone",
}
COLUMNS = ["data", "size", "seed", "reading", "needs", *headers(["P"])]
CLAIM = "the entropy of a network's own samples ranks and dates the transition as recovery does"
REFERENCE, ALONE = "recovery leaves", "sample entropy rises"

Floats = NDArray[np.float64]
Readings = dict[str, Interval]


def readings(found: Grid, size: str, seeds: Sequence[int], rng: Generator) -> Readings:
    """Return every reading that the data allow, over the seeds given."""
    rows = [found.seeds.index(seed) for seed in seeds]
    P = list(found.subsets)

    def of(name: str) -> list[Floats]:
        return [values[rows] for values in found.values(size, name)]

    def split(name: str) -> Curve:
        return Curve(P, of(f"network train {name}"), of(f"network test {name}"))

    def crossing(one: list[Floats], level: float) -> Interval:
        return curves_cross(P, one, [np.full_like(x, level) for x in one], rng)

    recovered = split(MEASURED["recovery"])
    samples = of("samples entropy_loo")
    copied = [
        np.stack([
            copies(found.cells[size, n, s]["samples"], found.parts[s][0][:n]).astype(float)
            for s in seeds
        ])
        for n in P
    ]  # fmt: skip
    result = {
        "recovery leaves": plateau_left(recovered, rng),
        "recoveries meet": curves_meet(recovered, rng),
        "entropy gap closes": curves_meet(
            from_the_widest(Curve(P, of("network train clean_entropy_loo"), samples)), rng
        ),
        "copies fall": crossing(copied, 0.5),
        "sample entropy rises": crossing([-x for x in samples], -SURE),
    }
    if found.data.ideal is not None:
        near, far = (of(f"network train {T} kl_{ideal}_ideal") for ideal in ("source", "dataset"))
        result["ideals cross"] = curves_cross(P, near, far, rng)
    return {name: result[name] for name in NEEDS if name in result}


def agreement(single: dict[tuple[str, int], Readings]) -> dict[str, dict[str, float]]:
    """Return for every reading its rank correlation with the reference and the mean |Δ log P|."""
    result = {}
    for name in next(iter(single.values())):
        pairs = np.array([
            [np.log(reading[REFERENCE].value), np.log(reading[name].value)]
            for reading in single.values()
        ])  # fmt: skip
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        varied = len(pairs) > 2 and (np.ptp(pairs, axis=0) > 0).all()
        result[name] = {
            "pairs": len(pairs),
            "rank_correlation": float(spearmanr(*pairs.T).statistic) if varied else float("nan"),
            "distance": float(np.abs(pairs[:, 1] - pairs[:, 0]).mean()) if len(pairs) else np.nan,
            "shift": float((pairs[:, 1] - pairs[:, 0]).mean()) if len(pairs) else np.nan,
        }
    return result


def draw(pooled: dict[str, Readings], single: dict[tuple[str, int], Readings], last: int) -> Figure:
    """Draw all readings of every size up to the last P, and each against the reference."""
    colours = dict(zip(NEEDS, (*COLOURS[:2], "#E69F00", "#CC79A7", "0.4", "#009E73"), strict=True))
    figure, (left, right) = subplots(1, 2, (11, 4.4), width_ratios=(1.25, 1))
    names = list(next(iter(pooled.values())))
    for k, (size, reading) in enumerate(pooled.items()):
        for name in names:
            x, y = reading[name], names.index(name) + (k - (len(pooled) - 1) / 2) * 0.22
            if np.isfinite(x.value):
                ends = [[x.value - x.low], [min(x.high, 2 * last) - x.value]]
                left.errorbar(x.value, y, xerr=ends, fmt="os^Dv"[k % 5], ms=5, color=colours[name])
        left.plot([], [], "os^Dv"[k % 5], color="0.3", label=size)
    left.set_yticks(range(len(names)), [f"{name}\n({NEEDS[name]})" for name in names], fontsize=8)
    left.invert_yaxis()
    left.set(title="Where the transition is read", xlabel="training sequences P", xscale="log")
    left.set_xlim(right=1.5 * last)  # an interval without an upper end leaves the picture
    left.legend(fontsize=8.5)
    for name in names:
        if name != REFERENCE:
            pairs = [(r[REFERENCE].value, r[name].value) for r in single.values()]
            right.plot(*zip(*pairs, strict=True), "o", ms=5, color=colours[name], label=name)
    ends = [r[REFERENCE].value for r in single.values()]
    right.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.4", lw=1, ls=":")
    right.set(title="Against recovery", xscale="log", yscale="log")
    right.set_xlim(min(ends) / 1.5, 1.5 * max(ends))
    right.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    right.xaxis.set_major_formatter(ScalarFormatter())
    right.xaxis.set_minor_locator(NullLocator())
    right.set(xlabel=f"P at which {REFERENCE}, each seed", ylabel="P of the other readings")
    right.legend(fontsize=8)
    return figure


def rows(name: str, groups: dict[tuple[str, Any], Readings]) -> list[dict[str, Any]]:
    """Return one row per size, seed and reading."""
    return [
        {"data": name, "size": size, "seed": seed, "reading": reading, "needs": NEEDS[reading],
         **columns("P", x)}
        for (size, seed), group in groups.items()
        for reading, x in group.items()
    ]  # fmt: skip


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Take every reading of every size, over all seeds and of each."""
    found = grid.trained(plan, run)

    def read(size: str, seeds: Sequence[int], who: str) -> Readings:
        return readings(found, size, seeds, generator(found.settings.seed, f"readings {who}"))

    pooled = {size: read(size, found.seeds, size) for size in found.sizes}
    single = {
        (size, s): read(size, [s], f"{size} {s}") for size in found.sizes for s in found.seeds
    }
    agree, size = agreement(single), found.sizes[len(found.sizes) // 2]
    least, alone = found.subsets[0], agree[ALONE]
    listed = "; ".join(f"{name} at P = {show(x, least)}" for name, x in pooled[size].items())
    text = (
        f"For a {size} network, {len(found.seeds)} seeds: {listed}. The entropy of the model's own "
        f"samples, which needs no training data, puts the transition at "
        f"{np.exp(alone['shift']):.2f} times the P at which training recovery leaves its plateau."
    )
    return Findings(
        rows(found.name, {(size, "all"): x for size, x in pooled.items()} | single),
        {"pooled": pooled, "agreement": agree},
        text,
        draw(pooled, single, found.subsets[-1]),
        found.describe(),
        found.more("95 %, Student's over seeds, each with sequences of its own"),
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge rank correlation (above .5) and distance (below log 2); on a source, say the order."""
    name, settings = record.content["data"]["name"], record.content["settings"]
    sizes, least = settings["sizes"], min(settings["subsets"])
    pooled = record.headline["pooled"][sizes[len(sizes) // 2]]
    if "ideals cross" in pooled:
        wanted = (ALONE, REFERENCE, "ideals cross")
        said = "; ".join(f"P = {show(recorded(pooled[reading]), least)}" for reading in wanted)
        return [Verdict(f"{name}: own entropy rises; recovery leaves; ideals cross", said)]
    alone = record.headline["agreement"][ALONE]
    rank, distance = alone["rank_correlation"], alone["distance"]
    if rank is None:
        return [Verdict(CLAIM, f"{alone['pairs']} networks", (None,))]
    number = (
        f"rank correlation {rank:.2f}, distance {distance:.2f} in log P, {alone['pairs']} networks"
    )
    return [Verdict(CLAIM, number, (rank > 0.5, distance < np.log(2)))]


EXPERIMENT = Experiment(
    "estimators", __doc__, COLUMNS, measure, verdicts, grid.plan, grid.options(), grid.variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
