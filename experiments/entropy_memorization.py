"""Text that is got wrong has the higher entropy, whether anything was remembered or not.

Huang et al. 2025 pool the true continuations that a model gets equally wrong, and find a straight
line: the entropy of the pool against the score, with a correlation near .9 [T48]. Here exactly half
of the tokens of a sequence are replaced by others, the reverse chain restores them from the time at
which corruption changes that many [T5], the score is how many of them come back wrong, and the true
tokens in their places are pooled. The line is looked for where there is memory and where there is
none:

    network          trained on P sequences, on these and on unseen ones
    dataset_ideal    the perfect memory of the same, which has one level on what it stores
    frequencies      how often each value occurs, and nothing else: it remembers no sequence
    source_ideal     the ideal generaliser of a Markov chain, beside a perfect memory of as many

and measured by three entropies, each against its null (`minuddm.probes.pooled_entropy`). Few
sequences are damaged several times, and fill pools of several scores: such levels depend on one
another, and intervals of lines through them are too narrow.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import grid
from experiments.kit.data import markov
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, DASH, subplots
from experiments.kit.grid import Grid
from experiments.kit.intervals import above, columns, headers, spread
from experiments.kit.pools import (
    FREQUENCIES,
    LINE,
    MEMORY,
    NETWORK,
    SOURCE,
    Rows,
    levels,
    nothing,
    number,
    steeper,
    subjects,
)
from experiments.kit.record import Record
from experiments.kit.settings import SCHEDULE, SPLITS
from experiments.kit.table import matching
from minuddm import DatasetIdeal, Denoiser, Uniform, restore
from minuddm.checks import Tokens
from minuddm.probes import trends
from minuddm.probes.pooled_entropy import ESTIMATES, LEAST
from minuddm.probes.stability import entering_time

GRID = 64  # steps of the reverse chain over [0, 1]
FULL, QUICK = (2000, 200), (600, 40)  # sequences, permutations
CHAIN = "chain"
STRONG = 0.8  # a correlation that would be called a law
LITTLE = 0.5  # of a line: if more than that may be left, it is not known to be gone
COLUMNS = ["kind", "data", "model", "P", "seed", "split", "n", "estimate", "score", "sequences",
           "entropy", "levels", *headers(["slope", "r", "null", "excess"]), "steps",
           "finished"]  # fmt: skip


def frequencies(x: Tokens, V: int) -> Denoiser:
    """Return the denoiser that knows how often each of V values occurs in sequences x."""
    counts = np.bincount(x.ravel(), minlength=V) + 1.0
    log_p = np.log(counts / counts.sum())

    def denoiser(tokens: Tokens, alpha: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.broadcast_to(log_p, (*tokens.shape, V))

    return denoiser


def halves(
    denoiser: Denoiser, x: Tokens, V: int, n: int, seed: int, purpose: str
) -> tuple[Tokens, NDArray[np.int64]]:
    """Replace half of the tokens of sequences x, taken in turn, and restore them.

    Return the true tokens in these places, (n, L/2), and how many came back wrong, (n,).
    """
    many, chance = np.resize(x, (n, x.shape[1])), generator(seed, purpose)
    L, half = many.shape[1], many.shape[1] // 2
    where = np.argsort(chance.random(many.shape), axis=1) < half
    noisy = np.where(where, Uniform(V).change(many, chance), many)
    t = entering_time(half, L, V, SCHEDULE)
    back = restore(denoiser, noisy, t, SCHEDULE, GRID, chance)
    return many[where].reshape(n, half), (where & (back != many)).sum(axis=1)


def judged(
    denoiser: Denoiser, x: Tokens, V: int, n: int, permutations: int, seed: int, purpose: str
) -> Rows:
    """Return a row for each level and estimate, and one for the line of each estimate."""
    tokens, scores = halves(denoiser, x, V, n, seed, purpose)
    chance = generator(seed, f"pools {purpose}")
    found, lines = trends(tokens, scores, V, chance, permutations=permutations)
    rows: Rows = [
        {"kind": "level", "estimate": name, "score": int(e), "sequences": int(count),
         "entropy": float(H)}
        for name in ESTIMATES
        for e, count, H in zip(found.score, found.sequences, getattr(found, name), strict=True)
    ]  # fmt: skip
    for name, trend in lines.items():
        row = {"kind": "line", "estimate": name, "levels": len(found.score), "n": n}
        rows.append(row | {k: v for part in trend._fields
                           for k, v in columns(part, getattr(trend, part)).items()})  # fmt: skip
    return rows


def on_text(
    found: Grid, size: str, P: int, seed: int, model: str, split: str, n: int, permutations: int
) -> Rows:
    """Return the rows of a model on training or unseen text: a network, a memory, frequencies."""
    training, test = found.parts[seed]
    V, most = found.data.corpus.V, found.subsets[-1]
    own = {"data": found.name, "model": model, "P": P, "seed": seed, "split": split}
    denoiser: Denoiser
    if model == NETWORK:
        denoiser, own = found.network(size, P, seed), own | found.training(size, P)
    else:
        denoiser = (DatasetIdeal if model == MEMORY else frequencies)(training[:P], V)
    unseen = np.concatenate([test, training[most : most + max(0, n - len(test))]])
    x = training[:P] if split == "train" else unseen
    asked = (n, permutations, seed, f"halves {model} {P} {split}")
    return [own | row for row in judged(denoiser, x, V, *asked)]


def on_a_source(model: str, P: int, n: int, permutations: int, seed: int) -> Rows:
    """Return the rows of one ideal on sequences of a Markov chain, of which a memory has P."""
    data, V = markov(32, seed, n=P + n), 16
    training, unseen = data.corpus.tokens[:P], data.corpus.tokens[P:]
    denoiser = data.ideal if model == SOURCE else DatasetIdeal(training, V)
    own = {"data": CHAIN, "model": model, "P": P, "seed": seed}
    return [
        own | {"split": split} | row
        for split, x in zip(SPLITS, (training, unseen), strict=True)
        for row in judged(denoiser, x, V, n, permutations, seed, f"halves {CHAIN} {model} {split}")
    ]


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the networks, and look for the line everywhere."""
    found = grid.trained(plan, run)
    n, permutations = QUICK if run.args.quick else FULL
    P = found.subsets[len(found.subsets) // 2]
    kinds = [(*network, model) for network in found.networks() for model in (NETWORK, MEMORY)]
    kinds += [(*most, FREQUENCIES) for most in found.networks() if most[2] == found.subsets[-1]]
    of_text = run.spread(on_text, [(*k, split, n, permutations) for k in kinds for split in SPLITS])
    asked = [(model, P, n, permutations, seed)
             for model in (SOURCE, MEMORY) for seed in found.seeds]  # fmt: skip
    table = [row for rows in (*of_text, *run.spread(on_a_source, asked)) for row in rows]
    return Findings(
        table,
        {"subsets": found.subsets, "seeds": found.seeds},
        paragraph(table),
        draw(table, found.seeds[0]),
        found.describe() | {"n": n, "least": LEAST, "permutations": permutations, "grid": GRID},
        found.more("95 %: of a row, of a slope Student's over levels, of r Fisher's, of a null and "
                   "of what is beyond it over permutations; of several seeds Student's over them"),
    )  # fmt: skip


def paragraph(table: Rows) -> str:
    """Say where the line is, and what is left of it."""
    said = []
    for key, of in subjects(table).items():
        plug, equal = of["plug_in"], of["rarefied"]
        if levels(plug) < LINE:
            said.append(f"{key}: {levels(plug)} level{'s' * (levels(plug) > 1)}")
            continue
        r, slope, null = (number(plug, name)[0] for name in ("r", "slope", "null"))
        said.append(
            f"{key}: r = {r:.2f} and {slope:.4f} nats a wrong token, "
            f"{null:.4f} of them by chance, {spread(number(equal, 'excess'), 4)} left"
        )
    return (
        "Plug-in entropy of true tokens against the number that came back wrong, of half of the "
        "tokens replaced, and what pools of equal size leave beyond their null: "
        f"{'; '.join(said)}."
    )


def draw(table: Rows, seed: int) -> Figure:
    """Draw the levels of one seed, of all sequences (thick) and of equally many, and all lines."""
    figure, ((a, b), (c, slopes)) = subplots(2, 2, (12.5, 8.4))
    shown = {key: of for key, of in subjects(table).items() if levels(of["plug_in"]) >= LINE}
    hues: dict[Any, str] = {}
    for k, (key, of) in enumerate(shown.items()):
        own = {name: of["plug_in"][0][name] for name in ("data", "model", "P", "split")}
        hue = hues.setdefault(tuple(own.values())[:3], COLOURS[len(hues) % len(COLOURS)])
        axes = c if own["data"] == CHAIN else a if own["model"] == NETWORK else b
        for estimate, more in (("plug_in", {"lw": 1.8, "label": key}), ("rarefied", {"lw": 0.8})):
            level = matching(table, kind="level", estimate=estimate, seed=seed, **own)
            axes.plot([r["score"] for r in level], [r["entropy"] for r in level], color=hue,
                      ls=DASH[own["split"]], **more)  # fmt: skip
        for shift, estimate, name, mark in (
            (-0.2, "plug_in", "slope", "o"), (-0.2, "plug_in", "null", "|"),
            (0.2, "rarefied", "excess", "s"),
        ):  # fmt: skip
            value, low, high = number(of[estimate], name)
            ends = None if name == "slope" else [[value - low], [high - value]]
            slopes.errorbar(value, k + shift, xerr=ends, fmt=mark, ms=5, color=hue)
    for axes, title in ((a, "Networks of text"), (b, "Text, without a network"),
                        (c, "Sequences of a Markov chain")):  # fmt: skip
        axes.set_title(f"{title} (thin: {LEAST} sequences a score)")
        axes.set(xlabel="tokens that came back wrong, of half of them",
                 ylabel="entropy of the true tokens (nats)")  # fmt: skip
        axes.legend(fontsize=8, loc="lower left" if axes is b else "lower right")
    slopes.set_yticks(range(len(shown)), shown, fontsize=8)
    slopes.axvline(0, color="k", lw=0.8)
    slopes.set(title="Slopes: o as pooled, | the same by chance,\n■ equal pools beyond chance",
               xlabel="nats a wrong token", ylim=(len(shown) - 0.5, -0.5))  # fmt: skip
    return figure


def verdicts(record: Record) -> list[Verdict]:
    """Judge where the line is, what is left of it, and whether that is memory."""
    table, data = record.table, record.content["data"]["name"]
    about = "" if data == "pydoc" else f"{data}: "

    def found(estimate: str, name: str, **wanted: Any) -> dict[str, tuple[float, float, float]]:
        return {
            key: number(of[estimate], name)
            for key, of in subjects(table, **wanted).items()
            if levels(of[estimate]) >= LINE
        }

    def listed(of: Mapping[str, tuple[float, ...]], digits: int = 2) -> str:
        return "; ".join(f"{key} {spread(x, digits)}" for key, x in of.items())

    trained, free, left = found("plug_in", "r", model=NETWORK, split="train"), {}, {}
    whole: dict[str, tuple[float, float, float]] = {}
    for model in (FREQUENCIES, SOURCE):
        free |= found("plug_in", "r", model=model, split="test")
        left |= found("rarefied", "excess", model=model)
        whole |= found("plug_in", "slope", model=model)
    both = {f"P = {P}": pair for P in record.headline["subsets"] if (pair := steeper(table, P))}
    stored = matching(table, kind="line", model=MEMORY, split="train")
    counted = {int(row["levels"]) for row in stored}
    return [
        Verdict(
            f"{about}on training text the entropy of a pool rises with the score in a line",
            f"r of networks: {listed(trained)}" if trained else "no network has three levels",
            tuple(above(r, STRONG) for r in trained.values()) or (None,),
        ),
        Verdict(
            f"{about}so it does on unseen sequences, for models that remember nothing",
            f"r: {listed(free)}",
            tuple(above(r, STRONG) for r in free.values()) or (None,),
        ),
        Verdict(
            f"{about}pools of equal size, less their null, leave nothing of the line",
            f"nats a wrong token: {listed(left, 4)}",
            tuple(nothing(x, whole[key][0] * LITTLE) for key, x in left.items()) or (None,),
        ),
        Verdict(
            f"{about}what is left is steeper on training text than on unseen text",
            "nats a wrong token, training against unseen: "
            + "; ".join(
                f"{P} {spread(x, 4)} against {spread(y, 4)}" for P, (x, y, _) in both.items()
            ),
            tuple(above(apart, 0) for *_, apart in both.values()) or (None,),
        ),
        Verdict(
            "a perfect memory has one level on what it stores, and no line",
            f"levels: {', '.join(map(str, sorted(counted)))}",
            (counted == {1},),
        ),
    ]


EXPERIMENT = Experiment(
    "entropy_memorization", __doc__, COLUMNS, measure, verdicts, grid.plan,
    grid.options(("24x2",), (8, 128, 4096), (4, 32), (3, 1), 10_000), grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
