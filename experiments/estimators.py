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
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import spearmanr

from experiments import commandline, sweep
from experiments.cells import SURE
from experiments.data import describe
from experiments.jobs import generator
from experiments.record import Run, claim, show
from experiments.size_sweep import MEASURED
from experiments.sweep import Sweep
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
COLUMNS = ["data", "size", "seed", "reading", "needs", "P", "P_lo", "P_hi"]
REFERENCE, ALONE = "recovery leaves", "sample entropy rises"

Floats = NDArray[np.float64]


def readings(found: Sweep, size: str, seeds: Sequence[int], rng: Generator) -> dict[str, Interval]:
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
        near, far = (
            of(f"network train {sweep.T} kl_{ideal}_ideal") for ideal in ("source", "dataset")
        )
        result["ideals cross"] = curves_cross(P, near, far, rng)
    return {name: result[name] for name in NEEDS if name in result}


def agreement(single: dict[tuple[str, int], dict[str, Interval]]) -> dict[str, dict[str, float]]:
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


def draw(out: Path, pooled: dict[str, dict[str, Interval]],
         single: dict[tuple[str, int], dict[str, Interval]], last: int) -> None:  # fmt: skip
    """Draw all readings of every size up to the last P, and each against the reference."""
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    from experiments.figures import plt, save

    colours = dict(zip(NEEDS, ("#0072B2", "#D55E00", "#E69F00", "#CC79A7", "0.4", "#009E73"),
                       strict=True))  # fmt: skip
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), width_ratios=(1.25, 1))
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
    left.set_xscale("log")
    left.set_xlim(right=1.5 * last)  # an interval without an upper end leaves the picture
    left.set_xlabel("training sequences P")
    left.set_title("Where the transition is read")
    left.legend(fontsize=8.5)
    for name in names:
        if name != REFERENCE:
            pairs = [(r[REFERENCE].value, r[name].value) for r in single.values()]
            right.plot(*zip(*pairs, strict=True), "o", ms=5, color=colours[name], label=name)
    ends = [r[REFERENCE].value for r in single.values()]
    right.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.4", lw=1, ls=":")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlim(min(ends) / 1.5, 1.5 * max(ends))
    right.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    right.xaxis.set_major_formatter(ScalarFormatter())
    right.xaxis.set_minor_locator(NullLocator())
    right.set_xlabel(f"P at which {REFERENCE}, each seed")
    right.set_ylabel("P of the other readings")
    right.set_title("Against recovery")
    right.legend(fontsize=8)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("estimators", claim(__doc__))
    sweep.options(p)
    args = p.parse_args(argv)
    begun = Run("estimators", __doc__, argv)
    found = sweep.run(p, args, args.out)
    out = p.folder(args, "" if args.data == "pydoc" else Path(args.data).stem)
    seed, read = found.settings.seed, readings
    pooled = {size: read(found, size, found.seeds, generator(seed, f"readings {size}"))
              for size in found.sizes}  # fmt: skip
    single = {(size, s): read(found, size, [s], generator(seed, f"readings {size} {s}"))
              for size in found.sizes for s in found.seeds}  # fmt: skip
    agree = agreement(single)
    name = Path(found.data.corpus.name).name
    table = [
        {"data": name, "size": size, "seed": s, "reading": reading, "needs": NEEDS[reading],
         "P": x.value, "P_lo": x.low, "P_hi": x.high}
        for (size, s), group in [*(((size, "all"), g) for size, g in pooled.items()),
                                 *single.items()]
        for reading, x in group.items()
    ]  # fmt: skip
    size = found.sizes[len(found.sizes) // 2]
    least = found.subsets[0]
    listed = "; ".join(f"{name} at P = {show(x, least)}" for name, x in pooled[size].items())
    alone = agree[ALONE]
    text = (
        f"For a {size} network, {len(found.seeds)} seeds: {listed}. The entropy of the model's own "
        f"samples, which needs no training data, puts the transition at "
        f"{np.exp(alone['shift']):.2f} times the P at which training recovery leaves its plateau "
        f"(mean distance {alone['distance']:.2f} in log P), with a rank correlation of "
        f"{alone['rank_correlation']:.2f} over {alone['pairs']} networks' sizes and seeds."
    )
    draw(out, pooled, single, found.subsets[-1])
    begun.leave(
        out,
        COLUMNS,
        table,
        found.describe(),
        {"pooled": {s: {k: x._asdict() for k, x in g.items()} for s, g in pooled.items()},
         "agreement": agree},
        text,
        data=describe(found.data),
        intervals="95 %, bootstrap over seeds and sequences, 1000 draws",
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
