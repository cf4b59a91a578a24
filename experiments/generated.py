"""What a model generates turns from copies, through spurious sequences, to new ones.

For networks of one size trained on P sequences, three seeds: two independent sets of samples each,
told apart by their distance to the training set and to each other (2505.21777, for tokens), beside
the held-out bound and the perplexity of the samples under an outside critic, which is the source
itself for a Markov chain and else an n-gram of data that no network was trained on (a hierarchy
gives most samples chance 0: for a known source, `possible` is the share that it could have made).
The paper says that this perplexity peaks where training recovery leaves its plateau [T30]; what is
seen here is reported either way.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import commandline, sweep
from experiments.data import describe
from experiments.jobs import generator
from experiments.record import Run, claim, show
from experiments.size_sweep import MEASURED
from experiments.sweep import Sweep
from minuddm.probes import (
    Interval,
    NGram,
    bootstrap_mean,
    copies,
    kinds,
    nearest,
    plateau_left,
    threshold,
)
from minuddm.sources import MarkovChain

KINDS = ("memorised", "spurious", "generalised")
QUANTITIES = (*KINDS, "copies", "possible", "critic", "nelbo")
COLUMNS = ["data", "size", "P", "seeds", "n", "theta", *(
    name for quantity in QUANTITIES for name in (quantity, f"{quantity}_lo", f"{quantity}_hi")
)]  # fmt: skip
ORDERS = (4, 3, 2)  # of the critic, the first that fits

Floats = NDArray[np.float64]
Critic = Callable[[NDArray[Any]], Floats]


def critics(found: Sweep) -> tuple[str, dict[int, Critic]]:
    """Return a name and for each seed -log P per token, (N,), of sequences (N, L)."""
    source, V = found.data.source, found.data.corpus.V
    if isinstance(source, MarkovChain):
        return "the source itself", {
            seed: lambda x: -source.log_prob(x) / x.shape[1] for seed in found.seeds
        }
    order = next(k for k in ORDERS if V**k <= 20_000_000)
    judges: dict[int, Critic] = {}
    for seed in found.seeds:
        unused = found.parts[seed][0][found.subsets[-1] :]
        judge = NGram(unused if len(unused) else found.parts[seed][1], V, order)
        judges[seed] = lambda x, judge=judge: -judge.log_prob(x).mean(axis=1)
    return f"an interpolated {order}-gram of text no network saw", judges


def measure(found: Sweep, size: str, judges: dict[int, Critic]) -> dict[str, list[Floats]]:
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


def rows(found: Sweep, size: str, values: dict[str, list[Floats]]) -> list[dict[str, Any]]:
    """Return one row per P: means over samples of all seeds, with intervals."""
    table = []
    for k, P in enumerate(found.subsets):
        row: dict[str, Any] = {"data": Path(found.data.corpus.name).name, "size": size, "P": P}
        row |= {"seeds": len(found.seeds), "n": values["copies"][k].shape[1],
                "theta": float(values["theta"][k].mean())}  # fmt: skip
        for name in QUANTITIES:
            rng = generator(found.settings.seed, f"generated {size} {P} {name}")
            finite = values[name][k][np.isfinite(values[name][k])]
            interval = bootstrap_mean(finite, rng)
            row |= {name: interval.value, f"{name}_lo": interval.low, f"{name}_hi": interval.high}
        table.append(row)
    return table


def peak(found: Sweep, values: list[Floats], name: str) -> Interval:
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


def draw(out: Path, table: list[dict[str, Any]], marks: dict[str, Any], critic: str) -> None:
    """Draw shares of the three kinds, and what critic and bound say, against P."""
    from experiments.figures import band, plt, save

    colours = {"memorised": "#D55E00", "spurious": "#E69F00", "generalised": "#0072B2",
               "copies": "0.4", "critic": "#009E73", "nelbo": "#CC79A7"}  # fmt: skip
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4.2))
    for axes, names in ((left, (*KINDS, "copies")), (right, ("critic", "nelbo"))):
        for name in names:
            label = {"copies": "copies, ≤ 10 % changed", "nelbo": "held-out bound of the network",
                     "critic": "samples, under the critic"}.get(name, name)  # fmt: skip
            dash = ":" if name == "copies" else "-"
            band(axes, table, "P", name, color=colours[name], marker=".", ls=dash, label=label)
        axes.axvline(marks["leaves"].value, color="0.4", ls=":", lw=1)
        axes.set_xscale("log")
        axes.set_xlabel("training sequences P")
    left.set_ylim(-0.02, 1.04)
    left.set_ylabel("share of samples")
    left.set_title("Memorised, spurious, generalised")
    left.legend(fontsize=8.5)
    right.axhline(marks["reference"], color="0.3", ls="--", lw=1, label="unseen data, same critic")
    right.set_ylabel("nats per token")
    right.set_title("Critic: " + critic, fontsize=9)
    right.legend(fontsize=8.5)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("generated", claim(__doc__))
    sweep.options(p, ("64x2",))
    args = p.parse_args(argv)
    begun = Run("generated", __doc__, argv)
    found = sweep.run(p, args, args.out)
    out = p.folder(args, "" if args.data == "pydoc" else Path(args.data).stem)
    size = found.sizes[0]
    critic, judges = critics(found)
    values = measure(found, size, judges)
    table = rows(found, size, values)
    rng = generator(found.settings.seed, "generated leaves")
    leaves = plateau_left(found.curve(size, MEASURED["recovery"]), rng)
    spurious, perplexity = (peak(found, values[name], name) for name in ("spurious", "critic"))
    reference = float(np.mean([judges[seed](found.parts[seed][1]).mean() for seed in found.seeds]))
    first, last = table[0], table[-1]
    far = nearest(found.parts[found.seeds[0]][1], found.parts[found.seeds[0]][0]).mean()
    agrees = perplexity.low <= leaves.high and leaves.low <= perplexity.high
    text = (
        f"Of the samples of a {size} network, {first['memorised']:.2f} are memorised at P = "
        f"{first['P']} and {last['memorised']:.2f} at P = {last['P']}, {first['generalised']:.2f} "
        f"and {last['generalised']:.2f} are new; spurious ones have their largest share, "
        f"{max(row['spurious'] for row in table):.2f}, at P = {show(spurious)}. Training recovery "
        f"leaves 0.95 at P = {show(leaves, first['P'])}. Under {critic}, the samples cost most, "
        f"{max(row['critic'] for row in table):.2f} nats per token (unseen data: {reference:.2f}), "
        f"at P = {show(perplexity)}: the paper's claim, that this is where training recovery "
        f"leaves its plateau, is {'' if agrees else 'not '}seen here. Unseen sequences differ from "
        f"the nearest of all training sequences in {far:.2f} of their tokens."
    )
    draw(out, table, {"leaves": leaves, "reference": reference}, critic)
    begun.leave(
        out,
        COLUMNS,
        table,
        found.describe(),
        {"leaves": leaves._asdict(), "spurious_peak": spurious._asdict(),
         "spurious_share": max(row["spurious"] for row in table),
         "perplexity_peak": perplexity._asdict(), "perplexity_peaks_at_the_plateau": agrees,
         "reference": reference, "critic": critic},
        text,
        data=describe(found.data),
        intervals="95 %, percentile bootstrap over samples; peaks over seeds and samples",
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
