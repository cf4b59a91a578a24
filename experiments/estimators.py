"""Entropy alone finds the transition: what each entropy dates, with and without training data.

Memory is lost shell by shell [T46]: first far from the training sequences, in the end beside them.
The shells, each with the P at which it goes:

    recovery from t leaves    training recovery from t = .1, .25, .5, .75 falls through .95
    copies fall               fewer than half of the samples (from t = 1) are copies of any training
                              sequence (≤ 10 % of it changed)
    recoveries meet           intervals of training and unseen recovery from .1 overlap
    ideals cross              conditionals come closer to the ideal generaliser's, on a source

Readings that might date them, per starting t:

    returning, from t         entropy at t = 1e-5 of what returns when training sequences are
                              corrupted to t rises through .1 nats a token; needs training data
    samples, from t           the same of the network's own samples, corrupted to t; from t = 1 the
                              samples themselves: it needs the network alone
    bound to t                ∫₀ᵗ E[ℓ] of training sequences exceeds the ideal memoriser's by log 2
                              a sequence: by [T47] half of them may be lost; needs training data
    entropy gap closes        entropies at t = 1e-5 of samples and of training data overlap

The table is reading × shell: over all sizes and seeds, the rank correlation of the two log P and
their mean distance. The paper's practical claim is that the entropy of samples suffices.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import spearmanr

from experiments.kit import grid
from experiments.kit.course import told
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import subplots
from experiments.kit.grid import TIMES, Grid, T
from experiments.kit.intervals import columns, crossed, headers, recorded, show
from experiments.kit.record import Record
from experiments.kit.settings import STARTS, SURE
from minuddm.probes import (
    Curve,
    Interval,
    copies,
    curves_cross,
    curves_meet,
    gap_closes,
    plateau_left,
)

LEAVES = {t: f"recovery from {t:g} leaves" for t in TIMES}
SHELL = LEAVES | {1.0: "copies fall"}
RETURNING = {t: f"returning, from {t:g}" for t in STARTS[:-1]}
SAMPLES = {t: f"samples, from {t:g}" for t in STARTS}
BOUND = {t: f"bound to {t:g}" for t in STARTS}
MEET, CROSS, CLOSES = "recoveries meet", "ideals cross", "entropy gap closes"
SHELLS = (*SHELL.values(), MEET, CROSS)
NEEDS = (
    dict.fromkeys(SHELLS, "training data")
    | {CROSS: "the source"}
    | dict.fromkeys((*RETURNING.values(), CLOSES, *BOUND.values()), "training data")
    | dict.fromkeys(SAMPLES.values(), "the model alone")
)
DATING = tuple(name for name in NEEDS if name not in SHELLS)
COLUMNS = ["data", "size", "seed", "reading", "needs", *headers(["P"])]
REFERENCE, ALONE = LEAVES[T], SAMPLES[1.0]
RANK, DISTANCE = 0.5, np.log(2)  # of a reading that ranks and dates

Floats = NDArray[np.float64]
Readings = dict[str, Interval]
Agreement = dict[str, dict[str, dict[str, float]]]


def readings(found: Grid, size: str, seeds: Sequence[int], rng: Generator) -> Readings:
    """Return every reading that the data allow, over the seeds given."""
    rows = [found.seeds.index(seed) for seed in seeds]
    P, L = list(found.subsets), found.data.corpus.tokens.shape[1]

    def of(name: str) -> list[Floats]:
        return [values[rows] for values in found.values(size, name)]

    def split(name: str) -> Curve:
        return Curve(P, of(f"network train {name}"), of(f"network test {name}"))

    def rises(one: list[Floats], level: float) -> Interval:
        return curves_cross(P, [-x for x in one], [np.full_like(x, -level) for x in one], rng)

    samples = of("samples entropy_loo")
    copied = [
        np.stack([
            copies(found.cells[size, n, s]["samples"], found.parts[s][0][:n]).astype(float)
            for s in seeds
        ])
        for n in P
    ]  # fmt: skip
    levels = zip(
        *(of(f"{of_} train nelbo_by_level") for of_ in ("network", "dataset_ideal")), strict=True
    )
    lost = [L * np.cumsum(one - other, axis=-1) for one, other in levels]
    result = {LEAVES[t]: plateau_left(split(f"{t} recovery"), rng) for t in TIMES}
    result[SHELL[1.0]] = rises([-x for x in copied], -0.5)
    result[MEET] = curves_meet(split(f"{T} recovery"), rng)
    if found.data.ideal is not None:
        near, far = (of(f"network train {T} kl_{ideal}_ideal") for ideal in ("source", "dataset"))
        result[CROSS] = curves_cross(P, near, far, rng)
    for t, name in RETURNING.items():
        result[name] = rises(of(f"returning train {t} entropy_loo"), SURE)
    result[CLOSES] = gap_closes(Curve(P, of("network train clean_entropy_loo"), samples), rng)
    for k, name in enumerate(BOUND.values()):
        result[name] = rises([x[..., k] for x in lost], float(np.log(2)))
    for t, name in SAMPLES.items():
        own = samples if t == STARTS[-1] else of(f"returning samples {t} entropy_loo")
        result[name] = rises(own, SURE)
    return {name: result[name] for name in NEEDS if name in result}


def agreement(single: dict[tuple[str, int], Readings], least: int) -> Agreement:
    """Return for every reading and shell how their P agree: rank correlation, |Δ log P|, shift.

    Of networks of which both are known: a P that is the least of the grid may be any below it.
    """
    known = next(iter(single.values()))
    return {
        name: {shell: _agree(single, name, shell, least) for shell in SHELLS if shell in known}
        for name in DATING
    }


def _agree(
    single: dict[tuple[str, int], Readings], name: str, shell: str, least: int
) -> dict[str, float]:
    both = [(group[shell], group[name]) for group in single.values()]
    known = [[x.value for x in pair] for pair in both if all(crossed(x, least) for x in pair)]
    pairs = np.log(known).reshape(-1, 2)
    sizes = {size for size, _ in single}  # the seeds of one size have no order to be found
    varied = len(sizes) > 1 and len(pairs) > 2 and (np.ptp(pairs, axis=0) > 0).all()
    apart = pairs[:, 1] - pairs[:, 0]
    return {
        "pairs": len(pairs),
        "rank_correlation": float(spearmanr(*pairs.T).statistic) if varied else np.nan,
        "distance": float(np.abs(apart).mean()) if len(pairs) else np.nan,
        "shift": float(apart.mean()) if len(pairs) else np.nan,
    }


def draw(agree: Agreement, single: dict[tuple[str, int], Readings]) -> Figure:
    """Draw the table of readings and shells, and every start's entropy against its own shell."""
    figure, (left, right) = subplots(1, 2, (13, 5.6), width_ratios=(1.55, 1))
    shells = list(next(iter(agree.values())))
    plane = np.array([[agree[name][shell]["distance"] for shell in shells] for name in DATING])
    left.imshow(plane, cmap="cividis_r", vmin=0, vmax=2.5, aspect="auto")
    for y, name in enumerate(DATING):
        for x, shell in enumerate(shells):
            cell = agree[name][shell]
            ranked = np.isfinite(cell["rank_correlation"])
            rank = f"{cell['rank_correlation']:.2f}" if ranked else "–"
            said = f"{cell['distance']:.2f}  ({rank})" if cell["pairs"] else "–"
            dark = cell["distance"] > 1.2
            left.text(x, y, said, ha="center", va="center", fontsize=7.5,
                      color="white" if dark else "black")  # fmt: skip
    names = [s.replace(" from ", "\nfrom ").replace(" leaves", "\nleaves") for s in shells]
    left.set_xticks(range(len(shells)), names, fontsize=7.5)
    left.set_yticks(range(len(DATING)), [f"{n} ({NEEDS[n]})" for n in DATING], fontsize=8)
    left.grid(visible=False)
    left.set_title("Distance in log P, in brackets the rank correlation", fontsize=10)
    ends: list[float] = []
    for t, shade in zip(STARTS, colormaps["viridis"](np.linspace(0, 0.85, 5)), strict=True):
        for kind, mark in ((RETURNING, "o"), (SAMPLES, "^")):
            if t in kind:
                pairs = [(r[SHELL[t]].value, r[kind[t]].value) for r in single.values()]
                ends += [P for pair in pairs for P in pair if np.isfinite(P)]
                right.plot(*zip(*pairs, strict=True), mark, ms=5, color=shade, mfc="none" if
                           mark == "^" else None, label=kind[t])  # fmt: skip
    if ends:
        right.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.4", lw=1, ls=":")
    right.set(xscale="log", yscale="log", xlabel="P at which the shell of the same t goes")
    right.set(ylabel="P at which the entropy from t rises")
    right.set_title("Every network: entropies against their shells", fontsize=10)
    right.legend(fontsize=7.5, ncols=2)
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
    agree, size = agreement(single, found.subsets[0]), found.sizes[len(found.sizes) // 2]
    least, alone = found.subsets[0], agree[ALONE][REFERENCE]
    wanted = (*SHELLS, ALONE)
    listed = "; ".join(
        f"{name} at P = {show(x, least)}" for name, x in pooled[size].items() if name in wanted
    )
    times = f"{np.exp(alone['shift']):.2f} times" if alone["pairs"] else "no known multiple of"
    text = (
        f"For a {size} network (seeds: {len(found.seeds)}): {listed}. The entropy of the model's "
        f"own samples, which needs no training data, puts the transition at {times} the P at which "
        "training recovery leaves its plateau."
    )
    return Findings(
        rows(found.name, {(size, "all"): x for size, x in pooled.items()} | single),
        {"pooled": pooled, "agreement": agree},
        text + told(found.over()),
        draw(agree, single),
        found.describe(),
        found.more(),
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge rank correlation and distance: of each entropy with its shell, of samples with all."""
    name = record.content["data"]["name"]
    about = "" if name == "pydoc" else f"{name}: "
    about += "" if record.content["settings"]["cells"]["measured"]["steps"] > 8000 else "early: "
    agree, alike = record.headline["agreement"], len(record.content["settings"]["sizes"]) == 1

    def judged(reading: str, shell: str) -> tuple[str, bool | None]:
        pair = agree[reading][shell]
        rank, apart = (pair[x] for x in ("rank_correlation", "distance"))
        if apart is None or (rank is None and not alike):
            return "unknown", None
        if alike:  # no order: the dates alone are judged
            return f"–, {apart:.2f}", bool(apart < DISTANCE)
        return f"{rank:.2f}, {apart:.2f}", bool(rank > RANK and apart < DISTANCE)

    own = {t: judged(RETURNING.get(t, ALONE), SHELL[t]) for t in STARTS}
    said = "; ".join(f"t = {t:g}: {number}" for t, (number, _) in own.items())
    number, holds = judged(ALONE, REFERENCE)
    pairs = agree[ALONE][REFERENCE]["pairs"]
    return [
        Verdict(
            f"{about}the entropy of a network's own samples ranks and dates the transition as "
            "recovery does",
            f"rank correlation, distance in log P: {number}, {pairs} networks",
            (None if alike and holds else holds,),
        ),
        Verdict(
            f"{about}read from the same t, the entropy of what returns dates the loss of recovery",
            f"rank correlation, distance in log P: {said}",
            tuple(holds for _, holds in own.values()),
        ),
        *_orders(record, about),
    ]


def _orders(record: Record, about: str) -> list[Verdict]:
    """Say the order of the readings on a source."""
    settings = record.content["settings"]
    sizes, least = settings["sizes"], min(settings["subsets"])
    pooled = record.headline["pooled"][sizes[len(sizes) // 2]]
    if CROSS not in pooled:
        return []
    wanted = (pooled[reading] for reading in (ALONE, REFERENCE, CROSS))
    said = "; ".join(f"P = {show(recorded(reading), least)}" for reading in wanted)
    return [Verdict(f"{about}own entropy rises; recovery leaves; ideals cross", said)]


EXPERIMENT = Experiment(
    "estimators", __doc__, COLUMNS, measure, verdicts, grid.plan,
    grid.options(subsets=(2, *grid.SUBSETS)), grid.variant,  # 8x2 loses four sequences
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
