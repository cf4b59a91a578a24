"""What a model generates turns from copies, through spurious sequences, to new ones.

For networks of one size trained on P sequences, three seeds: two independent sets of samples each,
told apart by their distance to the training set and to each other (2505.21777, for tokens), beside
the held-out bound and the perplexity of the samples under an outside critic, which is the source
itself for a Markov chain and else an n-gram of data that no network was trained on (a hierarchy
gives most samples chance 0: for a known source, `possible` is the share that it could have made).
The paper says that this perplexity peaks where training recovery leaves its plateau [T30]; what is
seen here is reported either way.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import grid
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import band, subplots
from experiments.kit.grid import MEASURED, Grid
from experiments.kit.intervals import (
    above,
    columns,
    crossed,
    headers,
    over_seeds,
    same_place,
    show,
    spread,
)
from experiments.kit.record import Record
from minuddm.checks import Tokens
from minuddm.probes import (
    Interval,
    NGram,
    copies,
    kinds,
    mean_interval,
    nearest,
    plateau_left,
    threshold,
)
from minuddm.sources import MarkovChain

KINDS = ("memorised", "spurious", "generalised")
QUANTITIES = (*KINDS, "copies", "possible", "critic", "nelbo")
COLUMNS = ["data", "size", "P", "seeds", "n", "theta", *headers(QUANTITIES)]
ORDERS = (4, 3, 2)  # of the critic, the first that fits
FEW = 0.05  # a share of samples that may be chance

Floats = NDArray[np.float64]
Critic = Callable[[NDArray[Any]], Floats]


def critics(found: Grid) -> tuple[str, dict[int, Critic], dict[int, Tokens]]:
    """Return a name, for each seed -log P per token, (N,), of sequences (N, L), and unseen ones.

    These the critic has not seen either.
    """
    source, V = found.data.source, found.data.corpus.V
    unseen = {seed: test for seed, (_, test) in found.parts.items()}
    if isinstance(source, MarkovChain):
        exact = {seed: lambda x: -source.log_prob(x) / x.shape[1] for seed in found.seeds}
        return "the source itself", exact, unseen
    order = next(k for k in ORDERS if V**k <= 20_000_000)
    judges: dict[int, Critic] = {}
    for seed in found.seeds:
        unused = found.parts[seed][0][found.subsets[-1] :]
        if not len(unused):
            unused, unseen[seed] = unseen[seed][::2], unseen[seed][1::2]
        judge = NGram(unused, V, order)
        judges[seed] = lambda x, judge=judge: -judge.log_prob(x).mean(axis=1)
    return f"an interpolated {order}-gram of text no network saw", judges, unseen


def quantities(found: Grid, size: str, judges: dict[int, Critic]) -> dict[str, list[Floats]]:
    """Return for each P the values of all seeds, rows (S, n); `theta` is one number a seed."""
    result: dict[str, list[Floats]] = {name: [] for name in (*QUANTITIES, "theta")}
    for P in found.subsets:
        rows: dict[str, list[Floats]] = {name: [] for name in result}
        for seed in found.seeds:
            arrays, (training, test) = found.cells[size, P, seed], found.parts[seed]
            theta = threshold(test, training[:P])
            first, second = arrays["samples"], arrays["second samples"]
            told = kinds(first, second, training[:P], theta)
            for name, values in zip(KINDS, told, strict=True):
                rows[name].append(values.astype(float))
            rows["copies"].append(copies(first, training[:P]).astype(float))
            source = found.data.source
            possible = np.full(len(first), np.nan) if source is None else source.contains(first)
            rows["possible"].append(possible.astype(float))
            rows["critic"].append(judges[seed](first))
            rows["nelbo"].append(arrays["network test nelbo"])
            rows["theta"].append(np.array([theta]))
        for name, values in rows.items():
            result[name].append(np.stack(values))
    return result


def rows(found: Grid, size: str, values: dict[str, list[Floats]]) -> list[dict[str, Any]]:
    """Return one row per P: means over samples of all seeds, with intervals."""
    table = []
    for k, P in enumerate(found.subsets):
        row: dict[str, Any] = {"data": found.name, "size": size, "P": P}
        row |= {"seeds": len(found.seeds), "n": values["copies"][k].shape[1],
                "theta": float(values["theta"][k].mean())}  # fmt: skip
        for name in QUANTITIES:
            rng = generator(found.settings.seed, f"generated {size} {P} {name}")
            finite = np.where(np.isfinite(values[name][k]), values[name][k], np.nan)
            row |= columns(name, mean_interval(finite, rng))
        table.append(row)
    return table


def peak(found: Grid, values: list[Floats], name: str) -> Interval:
    """Return the P of the largest mean, and its 95 % interval over seeds and samples."""
    rng = generator(found.settings.seed, f"peak {name}")
    P, S = np.array(found.subsets), len(found.seeds)
    drawn = []
    for _ in range(1000):
        seeds = rng.integers(S, size=S)
        means = []
        for x in values:
            picked = rng.integers(x.shape[1], size=(S, x.shape[1]))
            means.append(np.take_along_axis(x[seeds], picked, axis=1).mean())
        drawn.append(P[int(np.argmax(means))])
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return Interval(float(P[int(np.argmax([x.mean() for x in values]))]), float(low), float(high))


def draw(table: list[dict[str, Any]], leaves: Interval, reference: float, critic: str) -> Figure:
    """Draw shares of the three kinds, and what critic and bound say, against P."""
    colours = {"memorised": "#D55E00", "spurious": "#E69F00", "generalised": "#0072B2",
               "copies": "0.4", "critic": "#009E73", "nelbo": "#CC79A7"}  # fmt: skip
    labels = {"copies": "copies, ≤ 10 % changed", "nelbo": "held-out bound of the network",
              "critic": "samples, under the critic"}  # fmt: skip
    figure, (left, right) = subplots(1, 2, (10.5, 4.2))
    for axes, names in ((left, (*KINDS, "copies")), (right, ("critic", "nelbo"))):
        for name in names:
            band(axes, table, "P", name, color=colours[name], marker=".",
                 ls=":" if name == "copies" else "-", label=labels.get(name, name))  # fmt: skip
        axes.axvline(leaves.value, color="0.4", ls=":", lw=1)
        axes.set(xscale="log", xlabel="training sequences P")
    left.set(title="Memorised, spurious, generalised", ylim=(-0.02, 1.04))
    left.set_ylabel("share of samples")
    right.axhline(reference, color="0.3", ls="--", lw=1, label="unseen data, same critic")
    right.set_ylabel("nats per token")
    right.set_title("Critic: " + critic, fontsize=9)
    for axes in (left, right):
        axes.legend(fontsize=8.5)
    return figure


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and tell the samples of one size apart."""
    found = grid.trained(plan, run)
    size = found.sizes[0]
    critic, judges, unseen = critics(found)
    values = quantities(found, size, judges)
    table = rows(found, size, values)
    rng = generator(found.settings.seed, "generated leaves")
    leaves = plateau_left(found.curve(size, MEASURED["recovery"]), rng)
    spurious, perplexity = (peak(found, values[name], name) for name in ("spurious", "critic"))
    reference = float(np.mean([judges[seed](unseen[seed]).mean() for seed in found.seeds]))
    first, last, share = table[0], table[-1], max(row["spurious"] for row in table)
    far = nearest(found.parts[found.seeds[0]][1], found.parts[found.seeds[0]][0]).mean()
    text = (
        f"Of the samples of a {size} network, {first['memorised']:.2f} are memorised at P = "
        f"{first['P']} and {last['memorised']:.2f} at P = {last['P']}, {first['generalised']:.2f} "
        f"and {last['generalised']:.2f} are new. Under {critic}, they cost at most "
        f"{max(row['critic'] for row in table):.2f} nats per token (unseen data: {reference:.2f}). "
        f"Unseen sequences differ from the nearest of all training sequences in {far:.2f} of their "
        "tokens."
    )
    return Findings(
        table,
        {"leaves": leaves, "spurious_peak": spurious, "spurious_share": share,
         "perplexity_peak": perplexity, "reference": reference, "critic": critic},
        text,
        draw(table, leaves, reference, critic),
        found.describe(),
        found.more(f"{grid.OVER_SEEDS}; of peaks a bootstrap over seeds and samples"),
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge the peak of perplexity, which should be at the plateau's end, and spurious samples."""
    peak, leaves, most = map(record.interval, ("perplexity_peak", "leaves", "spurious_peak"))
    share = over_seeds(record.rows(P=f"{most.value:.0f}"), "spurious")
    sizes = sorted(record.content["settings"]["subsets"])
    known, peak = crossed(leaves, sizes[0]), between(peak, sizes)
    return [
        Verdict(
            "the perplexity of samples under a critic peaks where recovery leaves its plateau",
            f"peak at P = {show(peak)}, plateau left at P = {show(leaves)}",
            (same_place(peak, leaves) if known else None,),
        ),
        Verdict(
            "spurious samples appear between memory and generalisation",
            f"largest share {spread(share)} at P = {show(most)}",
            (above(share, FEW), sizes[0] < most.value < sizes[-1]) if known else (None,),
        ),
    ]


def between(peak: Interval, sizes: list[int]) -> Interval:
    """Return where a peak may be that was seen at one of the P: between the neighbours of it."""
    low = max([P for P in sizes if peak.low > P], default=0)
    high = min([P for P in sizes if peak.high < P], default=math.inf)
    return Interval(peak.value, float(low), float(high))


EXPERIMENT = Experiment(
    "generated", __doc__, COLUMNS, measure, verdicts, grid.plan, grid.options(("64x2",)),
    grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
