"""The conditional entropy tells what is remembered: token by token, and along the way back.

For networks of one size trained on P sequences, three seeds [T28], [T29]:

    densities      of the entropies of recovered and of lost tokens, from t = .1
    the gap        between the entropies at t = 1e-5 of the model's samples and of training data,
                   leave-one-out and posterior side by side [T13]: only the first means anything
    the way back   entropy and curvature along the reverse chain from t = 1
    characters     which of them stay certain once the network generalises: those of short
                   function words and of frequent endings, if the paper is right
"""

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import grid
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import band, subplots
from experiments.kit.grid import Grid, T
from experiments.kit.intervals import columns, crossed, headers, show
from experiments.kit.record import Record
from experiments.kit.settings import SCHEDULE
from minuddm import corrupt, generate, posterior, restore
from minuddm.probes import (
    Curvature,
    Curve,
    conditional_entropy,
    curvature,
    entropy,
    gap_closes,
    mean_interval,
    token_classes,
)
from minuddm.probes.stability import FAILED, RECOVERED
from minuddm.reverse import T_END

GRID = 64  # steps of the reverse chain
BINS = np.linspace(0, 3.4, 69)  # nats
COLUMNS = ["part", "data", "size", "P", "seeds", "split", "kind", "at", "n", *headers(["value"])]
WAY = ("entropy_loo", "entropy_posterior", *Curvature._fields)

Floats = NDArray[np.float64]


def examine(found: Grid, size: str, P: int, seed: int, n: int) -> dict[str, Floats]:
    """Return what one network says: histograms, the way back, and entropies of clean tokens."""
    network = found.network(size, P, seed)
    training, test = found.parts[seed]
    V, L = found.data.corpus.V, test.shape[1]
    alpha, result = float(SCHEDULE.alpha(T)), {}
    for mode, x in (("train", training[:P][:n]), ("test", test[:n])):
        many = np.repeat(x, max(1, n // len(x)), axis=0)
        xt = corrupt(many, alpha, V, generator(seed, f"uncertainty {mode}"))
        chance = generator(seed, f"uncertainty restore {mode}")
        back = restore(network, xt, T, SCHEDULE, GRID, chance)
        H, kind = conditional_entropy(network, xt, alpha).loo, token_classes(many, xt, back)
        for name, which in (("recovered", RECOVERED), ("failed", FAILED)):
            result[f"{mode} {name}"] = np.histogram(H[kind == which], BINS)[0].astype(float)
            result[f"{mode} {name} entropy"] = H[kind == which]
    steps: dict[float, list[Floats]] = {}

    def watch(t: float, rows: slice, tokens: Any, log_p: Any) -> None:
        at = posterior(log_p, tokens, float(SCHEDULE.alpha(t))) if t < 1 else log_p
        numbers = (entropy(log_p), entropy(at), *curvature(log_p))
        steps.setdefault(t, []).append(np.array([x.mean() for x in numbers]))

    generate(network, n, L, V, SCHEDULE, GRID, generator(seed, "way back"), watch=watch)
    result["way t"] = np.array(list(steps))
    result["way"] = np.array([np.mean(parts, axis=0) for parts in steps.values()])
    result["test clean"] = conditional_entropy(network, test[:n], float(SCHEDULE.alpha(T_END))).loo
    return result


def characters(found: Grid, measured: dict[tuple[int, int], Any], n: int) -> dict[int, Floats]:
    """Return for each P the mean entropy of every character in unseen text, (V,)."""
    V, result = found.data.corpus.V, {}
    for P in found.subsets:
        total, number = np.zeros(V), np.zeros(V)
        for seed in found.seeds:
            x, H = found.parts[seed][1][:n], measured[P, seed]["test clean"]
            total += np.bincount(x.ravel(), H.ravel(), V)
            number += np.bincount(x.ravel(), minlength=V)
        result[P] = np.divide(total, number, out=np.full(V, np.nan), where=number > 0)
    return result


def words(found: Grid, measured: dict[tuple[int, int], Any], P: int, n: int) -> list[list[Any]]:
    """Return frequent whole words of unseen text with the mean entropy of their letters."""
    space = found.data.corpus.alphabet.find(" ")
    if space < 0:
        return []
    seen: dict[str, list[float]] = {}
    for seed in found.seeds:
        x, H = found.parts[seed][1][:n], measured[P, seed]["test clean"]
        for text, entropies in zip(found.data.corpus.decode(x), H, strict=True):
            ends = [k for k, letter in enumerate(text) if letter == " "]
            for start, stop in pairwise(ends):
                if stop > start + 2:
                    seen.setdefault(text[start + 1 : stop], []).append(
                        float(entropies[start + 1 : stop].mean())
                    )
    often = sorted(seen, key=lambda word: -len(seen[word]))[:30]
    return [[word, len(seen[word]), float(np.mean(seen[word]))] for word in often]


def rows(found: Grid, size: str, measured: dict[tuple[int, int], Any],
         letters: dict[int, Floats]) -> list[dict[str, Any]]:  # fmt: skip
    """Return the table in long form: one number a row, with its interval where it has one."""
    table: list[dict[str, Any]] = []
    common = {"data": found.name, "size": size, "seeds": len(found.seeds)}

    def add(part: str, P: int, split: str, kind: str, at: Any, values: Any) -> None:
        rng = generator(found.settings.seed, f"uncertainty {part} {P} {split} {kind} {at}")
        row = {"part": part, "P": P, "split": split, "kind": kind, "at": at, "n": np.size(values)}
        table.append(common | row | columns("value", mean_interval(values, rng)))

    for k, P in enumerate(found.subsets):
        pieces = [measured[P, seed] for seed in found.seeds]
        for mode in ("train", "test"):
            for name in ("recovered", "failed"):
                entropies = np.concatenate([m[f"{mode} {name} entropy"] for m in pieces])
                add("density", P, mode, name, T, entropies)
        for name in ("entropy_loo", "entropy_posterior"):
            add("gap", P, "samples", name, T_END, found.values(size, f"samples {name}")[k])
            clean = f"network train clean_{name}"
            add("gap", P, "train", name, T_END, found.values(size, clean)[k])
        for t, *numbers in zip(pieces[0]["way t"], *(m["way"] for m in pieces), strict=True):
            for name, values in zip(WAY, np.array(numbers).T, strict=True):
                add("way", P, "samples", name, float(t), values[:, None])  # one number a seed
        clean = np.concatenate([m["test clean"] for m in pieces])
        for i, values in enumerate(clean.T):
            add("position", P, "test", "entropy_loo", i, values)
        for letter, value in zip(found.data.corpus.alphabet, letters[P], strict=True):
            add("character", P, "test", letter, T_END, value)
    return table


def draw(found: Grid, measured: dict[tuple[int, int], Any], letters: dict[int, Floats],
         table: list[dict[str, Any]]) -> Figure:  # fmt: skip
    """Draw densities, the gap, the way back and the characters."""
    figure, panels = subplots(2, 2, (11.5, 7.8))
    (a, b), (c, d) = panels
    few, many = found.subsets[0], found.subsets[-1]
    middle = (BINS[1:] + BINS[:-1]) / 2
    for P, dash in ((few, (0, (4, 2))), (many, "-")):
        for name, colour in (("recovered", "#009E73"), ("failed", "#D55E00")):
            counts = sum(measured[P, seed][f"test {name}"] for seed in found.seeds)
            density = counts / max(1.0, counts.sum()) / (BINS[1] - BINS[0])
            smooth = np.convolve(density, np.ones(5) / 5, mode="same")
            a.plot(middle, smooth, color=colour, ls=dash, label=f"{name}, P = {P}")
    a.set(title=f"Recovered and lost tokens from t = {T:g}", ylabel="density of unseen tokens")
    a.set_xlabel("leave-one-out entropy (nats)")
    for name, colour in (("entropy_loo", "#0072B2"), ("entropy_posterior", "#CC79A7")):
        for split, dash in (("samples", "-"), ("train", (0, (4, 2)))):
            line = [r for r in table if (r["part"], r["kind"], r["split"]) == ("gap", name, split)]
            label = f"{name.split('_')[1]}, {'samples' if split == 'samples' else 'training data'}"
            band(b, line, "P", "value", color=colour, ls=dash, marker=".", label=label)
    b.set(title="Samples against training data", xscale="log", xlabel="training sequences P")
    b.set_ylabel("entropy at t = 1e-5 (nats per token)")
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(found.subsets)))
    for k, (P, shade) in enumerate(zip(found.subsets, shades, strict=True)):
        t = measured[P, found.seeds[0]]["way t"]
        way = np.mean([measured[P, seed]["way"] for seed in found.seeds], axis=0)
        named = k % 5 == 0 or many == P
        c.plot(t, way[:, 0], color=shade, label=f"P = {P}" if named else None)
        c.plot(t, way[:, 2], color=shade, ls=":", lw=1.2)
    c.set(title="The way back from noise", xlim=(1, 0), xlabel="diffusion time t")
    c.set_ylabel("entropy — (nats), trace of curvature ···")
    alphabet = found.data.corpus.alphabet
    order = np.argsort(np.nan_to_num(letters[many], nan=np.inf))
    place = np.arange(len(order))
    d.bar(place, letters[many][order], color="#0072B2", label=f"P = {many}")
    d.plot(place, letters[few][order], "o", ms=4, color="#D55E00", label=f"P = {few}")
    names = {" ": "␣", "\n": "pad"}
    d.set_xticks(place, [names.get(alphabet[k], alphabet[k]) for k in order], fontsize=8)
    d.set(title="Characters of unseen text", ylabel="leave-one-out entropy (nats)")
    for axes in (a, b, c, d):
        axes.legend(fontsize=8.5, handlelength=3, loc="lower left" if axes is c else "best")
    return figure


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and examine the networks of one size."""
    found = grid.trained(plan, run)
    size, n = found.sizes[0], 50 if run.args.quick else 200
    measured = found.examined(examine, run, n)
    letters = characters(found, measured, n)
    table = rows(found, size, measured, letters)
    few, many = found.subsets[0], found.subsets[-1]
    listed = words(found, measured, many, n)
    of = {(r["part"], r["P"], r["split"], r["kind"]): r["value"] for r in table}
    gap = Curve(list(found.subsets), found.values(size, "network train clean_entropy_loo"),
                found.values(size, "samples entropy_loo"))  # fmt: skip
    closes = gap_closes(gap, generator(found.settings.seed, "gap closes"))
    short = ", ".join(f"{word} {H:.2f}" for word, _, H in sorted(listed, key=lambda w: w[2])[:6])
    posteriors = [of["gap", P, split, "entropy_posterior"]
                  for P in found.subsets for split in ("samples", "train")]  # fmt: skip
    recovered, failed = (of["density", many, "test", name] for name in ("recovered", "failed"))
    loo = [
        of["gap", P, split, "entropy_loo"] for split in ("samples", "train") for P in (few, many)
    ]
    text = (
        f"At t = 1e-5 the leave-one-out entropy of a {size} network's samples rises from "
        f"{loo[0]:.2f} nats per token at P = {few} to {loo[1]:.2f} at P = {many}, beside "
        f"{loo[2]:.2f} and {loo[3]:.2f} on training data. The posterior's is at most "
        f"{max(posteriors):.3f} throughout. Of the frequent words of unseen text the most certain "
        f"are {short or 'none'}."
    )
    return Findings(
        table,
        {"gap_closes": closes, "recovered": recovered, "failed": failed, "words": listed},
        text,
        draw(found, measured, letters, table),
        found.describe() | {"sequences": n, "grid": GRID},
        found.more(f"{grid.OVER_SEEDS}; density, position: bootstrap over tokens"),
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether recovered tokens have the lower entropy, and whether the gap closes."""
    recovered, failed = record.number("recovered"), record.number("failed")
    closes, least = record.interval("gap_closes"), min(record.content["settings"]["subsets"])
    return [
        Verdict(
            "recovered tokens are the certain ones",
            f"entropy {recovered:.2f} nats against {failed:.2f} of lost ones",
            (recovered < failed if np.isfinite(recovered + failed) else None,),
        ),
        Verdict(
            "the entropy gap between samples and training data closes",
            f"P = {show(closes, least)}",
            (crossed(closes, least),),
        ),
    ]


EXPERIMENT = Experiment(
    "uncertainty", __doc__, COLUMNS, measure, verdicts, grid.plan, grid.options(("64x2",)),
    grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
