"""Training sequences lie in deep basins, unseen ones come to lie in as deep ones, noise in none.

For networks of one size trained on P sequences, three seeds, on training, unseen and random
sequences:

    corruption to t = .05 … 1    recovery, unstable tokens, exact matches; the entropies of stable,
                                 recovered, unstable and failed tokens [T26]
    no corruption                which sequences are fixed points of greedy restoring, with the
                                 clock started at t [T27]
    exactly k changed tokens     the largest k of which 90 % come back: the radius of a basin

`--official-format` also writes the files of the paper's own code, one pair for each t, P and kind
of sequences, for the first seed.
"""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import grid
from experiments.kit.commandline import CommandLine
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import band, subplots
from experiments.kit.grid import Grid
from experiments.kit.intervals import above, below, columns, difference, headers, over_seeds
from experiments.kit.record import Record
from experiments.kit.settings import SCHEDULE
from minuddm import corrupt, restore
from minuddm.files import write_atomically
from minuddm.probes import (
    Interval,
    basin_radius,
    class_means,
    conditional_entropy,
    fixed_points,
    mean_interval,
    recovery,
    token_classes,
)
from minuddm.probes.stability import CLASSES, FAILED, RECOVERED, STABLE, UNSTABLE, random_sequences

TIMES = (0.05, 0.1, 0.25, 0.5, 1.0)
MODES = ("train", "test", "random")
GRID = 64  # steps of the reverse chain
ENTROPIES = tuple(f"entropy_{name}" for name in CLASSES)
MEASURES = ("recovery", "unstable", "exact", *ENTROPIES, "fixed_point", "radius")
COLUMNS = ["data", "size", "P", "t", "split", "seeds", "n", *headers(MEASURES)]
A_TOKEN = 1.0  # a mean radius that changed by less has not changed
DASH = {"train": "-", "test": (0, (4, 2)), "random": ":"}
COLOUR = {"train": "#0072B2", "test": "#D55E00", "random": "0.45"}
OFFICIAL = ["original", "perturbed", "restored", "is_exact_match", "perturbation_rate",
            "recovery_rate", "unstable_rate", "entropy_recovered", "entropy_stable",
            "entropy_unstable", "entropy_failed_rec"]  # fmt: skip

Measured = dict[str, NDArray[np.float64]]


def examine(found: Grid, size: str, P: int, seed: int, n: int, official: Path | None) -> Measured:
    """Return all measures of one network, one value per sequence, by mode, t and name."""
    network, corpus = found.network(size, P, seed), found.data.corpus
    training, test = found.parts[seed]
    V, L = corpus.V, corpus.tokens.shape[1]
    noise = random_sequences(n, L, V, generator(seed, "random sequences"))
    result: Measured = {}
    for mode, x in zip(MODES, (training[:P][:n], test[:n], noise), strict=True):
        for t in TIMES:
            alpha = float(SCHEDULE.alpha(t))
            xt = corrupt(x, alpha, V, generator(seed, f"stability {mode} {t}"))
            chance = generator(seed, f"stability restore {mode} {t}")
            back = restore(network, xt, t, SCHEDULE, GRID, chance)
            entropies = conditional_entropy(network, xt, alpha).loo
            kind = token_classes(x, xt, back)
            of_classes = class_means(kind, entropies)
            for name, values in recovery(x, xt, back)._asdict().items():
                result[f"{mode} {t} {name}"] = np.asarray(values, dtype=float)
            for name, values in zip(ENTROPIES, of_classes.T, strict=True):
                result[f"{mode} {t} {name}"] = values
            kept = fixed_points(network, x, t, SCHEDULE, GRID)
            result[f"{mode} {t} fixed_point"] = kept.astype(float)
            if official is not None and seed == found.seeds[0]:
                texts = [corpus.decode(tokens) for tokens in (x, xt, back)]
                write_official(official, mode, t, P, texts, kind, entropies, of_classes)
        chance = generator(seed, f"radius {mode}")
        some = x[: max(2, n // 4)]
        radii = basin_radius(network, some, V, SCHEDULE, GRID, chance)
        result[f"{mode} radius"] = radii.radius.astype(float)
    return result


def write_official(
    folder: Path,
    mode: str,
    t: float,
    P: int,
    texts: list[list[str]],
    kind: NDArray[np.int8],
    entropies: NDArray[np.float64],
    of_classes: NDArray[np.float64],
) -> None:
    """Write stability_t={t}_subset={P}_{mode}.csv and .npz, the layout of the paper's code."""
    changed = np.isin(kind, (RECOVERED, FAILED))
    right = np.isin(kind, (STABLE, RECOVERED))
    with np.errstate(invalid="ignore"):
        rates = np.stack([
            changed.mean(axis=1),
            (changed & right).sum(axis=1) / changed.sum(axis=1),
            (kind == UNSTABLE).sum(axis=1) / (~changed).sum(axis=1),
        ])  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(OFFICIAL)
    for k, row in enumerate(zip(*texts, strict=True)):
        e = of_classes[k]
        numbers = [*rates[:, k], e[RECOVERED], e[STABLE], e[UNSTABLE], e[FAILED]]
        writer.writerow([*row, bool(right[k].all()), *(f"{number:.6g}" for number in numbers)])
    name = folder / f"stability_t={t:g}_subset={P}_{mode}"
    write_atomically(name.with_name(name.name + ".csv"), text.getvalue().encode())
    arrays = io.BytesIO()
    np.savez_compressed(arrays, entropy=entropies, mask_perturbed=changed, mask_correct=right,
                        mask_unstable=kind == UNSTABLE)  # fmt: skip
    write_atomically(name.with_name(name.name + ".npz"), arrays.getvalue())


def rows(found: Grid, size: str, measured: dict[tuple[int, int], Measured]) -> list[dict[str, Any]]:
    """Return one row per P, t and kind of sequences; the radius stands in the row of t = 1."""
    table = []
    for P in found.subsets:
        for mode in MODES:
            for t in TIMES:
                row: dict[str, Any] = {"data": found.name, "size": size, "P": P, "t": t,
                                       "split": mode, "seeds": len(found.seeds)}  # fmt: skip
                for name in MEASURES:
                    if name == "radius" and t != TIMES[-1]:
                        continue
                    key = f"{mode} radius" if name == "radius" else f"{mode} {t} {name}"
                    values = np.stack([measured[P, seed][key] for seed in found.seeds])
                    rng = generator(found.settings.seed, f"bootstrap {size} {P} {key}")
                    row |= columns(name, mean_interval(values, rng))
                    if name == "recovery":
                        row["n"] = values.shape[1]
                table.append(row)
    return table


def draw(table: list[dict[str, Any]], measured: dict[tuple[int, int], Measured], L: int) -> Figure:
    """Draw recovery at every t, basin radii, fixed points and entropies of classes, against P."""
    figure, panels = subplots(2, 2, (11, 7.6))
    (a, b), (c, d) = panels

    def line(axes: Any, name: str, mode: str, t: float, colour: Any, label: str | None) -> None:
        chosen = [row for row in table if (row["split"], row["t"]) == (mode, t)]
        band(axes, chosen, "P", name, color=colour, ls=DASH[mode], marker=".", lw=1.5, label=label)

    shades = colormaps["viridis"](np.linspace(0, 0.85, len(TIMES)))
    for t, shade in zip(TIMES, shades, strict=True):
        for mode in MODES:
            line(a, "recovery", mode, t, shade, f"t = {t:g}" if mode == "train" else None)
    a.set(title="Recovery: training —, unseen - -, random ···", ylim=(-0.02, 1.04))
    a.set_ylabel("changed tokens recovered (share)")
    sizes = sorted({P for P, _ in measured})
    for mode, name in zip(MODES, ("training", "unseen", "random"), strict=True):
        radii = [
            np.concatenate([m[f"{mode} radius"] for (n, _), m in measured.items() if n == P]) / L
            for P in sizes
        ]
        low, middle, high = np.array([np.quantile(r, [0.25, 0.5, 0.75]) for r in radii]).T
        b.plot(sizes, middle, color=COLOUR[mode], ls=DASH[mode], marker=".", label=name)
        b.fill_between(sizes, low, high, color=COLOUR[mode], alpha=0.15, lw=0)
        line(c, "fixed_point", mode, 0.1, COLOUR[mode], name)
    b.set(title="Radius of the basin: median and quartiles", ylim=(-0.02, 1.02))
    b.set_ylabel("largest repaired share of tokens")
    c.set(title="Fixed points, clock at t = 0.1", ylim=(-0.02, 1.04))
    c.set_ylabel("sequences returned whole (share)")
    for name, colour in zip(CLASSES, ("#0072B2", "#009E73", "#CC79A7", "#D55E00"), strict=True):
        for mode in ("train", "test"):
            line(d, f"entropy_{name}", mode, 0.1, colour, name if mode == "train" else None)
    d.set(title="Entropy of the four classes at t = 0.1", ylim=(-0.05, None))
    d.set_ylabel("leave-one-out entropy (nats)")
    for axes in panels.flat:
        axes.set(xscale="log", xlabel="training sequences P")
        axes.legend(fontsize=8.5)
    return figure


def options(p: CommandLine) -> None:
    """Add the options of the grid, and of this experiment."""
    grid.options(("64x2",))(p)
    p.add_argument("--official-format", action="store_true",
                   help="also write stability_t=…_subset=…_….csv and .npz")  # fmt: skip


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and examine the networks of one size."""
    found = grid.trained(plan, run)
    size, n = found.sizes[0], 20 if run.args.quick else 100
    official = run.out / "official" if run.args.official_format else None
    if official is not None:
        official.mkdir(exist_ok=True)
    measured = found.examined(examine, run, n, official)
    table = rows(found, size, measured)
    of = {(row["P"], row["split"], row["t"]): row for row in table}
    first, last, L = found.subsets[0], found.subsets[-1], found.data.corpus.tokens.shape[1]
    return Findings(
        table,
        {f"{mode} radius at P = {P}": of[P, mode, 1.0]["radius"]
         for mode in MODES for P in (first, last)}
        | {f"{mode} fixed points at P = {P}": of[P, mode, 0.1]["fixed_point"]
           for mode in MODES for P in (first, last)},
        paragraph(of, size, first, last, L),
        draw(table, measured, L),
        found.describe() | {"sequences": n, "grid": GRID, "times": TIMES},
        found.more(),
    )  # fmt: skip


def paragraph(
    of: dict[tuple[int, str, float], Any], size: str, first: int, last: int, L: int
) -> str:
    """Say how the basins of the smallest and of the largest P differ."""

    def share(P: int, mode: str, name: str) -> str:
        return f"{of[P, mode, 0.1][name]:.2f}"

    random = of[last, "random", 1.0]["radius"]
    return (
        f"Of random sequences of {L} tokens a {size} network trained on P = {last} brings back "
        f"{random:.1f} changed tokens (radius of the basin, mean). Fixed points at t = 0.1 are "
        f"{share(first, 'train', 'fixed_point')} of the training sequences at P = {first} and "
        f"{share(last, 'train', 'fixed_point')} at P = {last}. From t = 0.1, "
        f"{share(first, 'test', 'recovery')} of unseen tokens come back at P = {first} and "
        f"{share(last, 'test', 'recovery')} at P = {last}, of random ones "
        f"{share(last, 'random', 'recovery')}. Failed tokens have entropies of "
        f"{share(last, 'test', 'entropy_failed')} nats at P = {last}, recovered ones of "
        f"{share(last, 'test', 'entropy_recovered')}."
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge radii, which change by a token at least, and fixed points, most of the unseen ones."""
    sizes, L = record.content["settings"]["subsets"], record.content["data"]["L"]
    first, last = min(sizes), max(sizes)
    several = first < last  # else a P would be compared with itself

    def of(name: str, t: float, split: str) -> list[Interval]:
        return [over_seeds(record.rows(P=P, split=split, t=t), name) for P in (first, last)]

    (near, far), unseen = (of("radius", TIMES[-1], split) for split in ("train", "test"))
    few, most = of("fixed_point", 0.1, "test")
    return [
        Verdict(
            "basins of training sequences shrink while those of unseen ones grow",
            f"radius in changed tokens of {L}, training and unseen: {near[0]:.1f}, "
            f"{unseen[0][0]:.1f} at P = {first}; {far[0]:.1f}, {unseen[1][0]:.1f} at P = {last}",
            tuple(above(difference(*pair), A_TOKEN) for pair in ((near, far), unseen[::-1]))
            if several
            else (None,),
        ),
        Verdict(
            "most unseen sequences become fixed points of greedy restoring",
            f"{few[0]:.2f} of them at P = {first}, {most[0]:.2f} at P = {last}",
            (below(few, 0.5), above(most, 0.5)) if several else (None,),
        ),
    ]


EXPERIMENT = Experiment(
    "stability", __doc__, COLUMNS, measure, verdicts, grid.plan, options, grid.variant
)

if __name__ == "__main__":
    EXPERIMENT.main()
