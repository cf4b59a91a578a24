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
    source_ideal     the ideal generaliser of a Markov chain, beside a perfect memory of its sequences

and measured by three entropies, each against its null (`minuddm.probes.pooled_entropy`).
"""

import itertools
from argparse import Namespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import commandline, grid
from experiments.kit.data import markov
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.grid import Grid
from experiments.kit.intervals import columns, headers, recorded, spread
from experiments.kit.record import Record
from experiments.kit.settings import SCHEDULE
from minuddm import DatasetIdeal, Denoiser, Uniform, restore
from minuddm.checks import Tokens
from minuddm.probes import trends
from minuddm.probes.pooled_entropy import ESTIMATES, LEAST
from minuddm.probes.stability import entering_time

SUBSETS, GRID = (16, 256, 4096), 64
FREQUENCIES, NETWORK, MEMORY, SOURCE = "frequencies", "network", "dataset_ideal", "source_ideal"
STRONG = 0.8  # a correlation that would be called a law
COLUMNS = ["kind", "data", "model", "P", "seed", "split", "n", "estimate", "score", "sequences",
           "entropy", "levels", *headers(["slope", "r", "null", "excess"]), "steps",
           "finished"]  # fmt: skip

Rows = list[dict[str, Any]]


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


def on_text(found: Grid, size: str, P: int, seed: int, n: int, permutations: int) -> Rows:
    """Return the rows of one network, of the memory of its sequences, and of the frequencies."""
    training, test = found.parts[seed]
    V, most = found.data.corpus.V, found.subsets[-1]
    unseen = np.concatenate([test, training[most : most + max(0, n - len(test))]])
    known: dict[str, Denoiser] = {
        NETWORK: found.network(size, P, seed),
        MEMORY: DatasetIdeal(training[:P], V),
    }
    if most == P:
        known[FREQUENCIES] = frequencies(training[:P], V)
    rows = []
    for (model, denoiser), (split, x) in itertools.product(
        known.items(), (("train", training[:P]), ("test", unseen))
    ):
        own = {"data": found.name, "model": model, "P": P, "seed": seed, "split": split}
        if model == NETWORK:
            own |= found.training(size, P)
        asked = (n, permutations, seed, f"halves {model} {P} {split}")
        rows += [own | row for row in judged(denoiser, x, V, *asked)]
    return rows


def on_a_source(model: str, P: int, n: int, permutations: int, seed: int) -> Rows:
    """Return the rows of one ideal on sequences of a Markov chain, of which a memory has P."""
    data, V = markov(32, seed, n=P + n), 16
    training, unseen = data.corpus.tokens[:P], data.corpus.tokens[P:]
    denoiser = data.ideal if model == SOURCE else DatasetIdeal(training, V)
    assert denoiser is not None
    own = {"data": "markov", "model": model, "P": P, "seed": seed}
    asked = (V, n, permutations, seed)
    return [
        own | {"split": split} | row
        for split, x in (("train", training), ("test", unseen))
        for row in judged(denoiser, x, *asked, f"halves markov {model} {split}")
    ]


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the networks, and look for the line everywhere."""
    found = grid.trained(plan, run)
    n, permutations = (600, 40) if run.args.quick else (2000, 200)
    P, seed = found.subsets[-1], found.settings.seed
    of_text = found.examined(on_text, run, n, permutations)
    asked = [(model, P, n, permutations, seed) for model in (SOURCE, MEMORY)]
    table = [row for rows in (*of_text.values(), *run.spread(on_a_source, asked)) for row in rows]
    lines = {
        f"{r['data']}, {r['model']}, P = {r['P']}, {r['split']}, {r['estimate']}": {
            name: [r[name], r[f"{name}_lo"], r[f"{name}_hi"]]
            for name in ("slope", "r", "null", "excess")
        }
        for r in table
        if (r["kind"], r["seed"]) == ("line", seed)
    }
    return Findings(
        table,
        {"lines": lines, "subsets": found.subsets, "text": found.name},
        paragraph(table, found.name, seed),
        draw(table, found.name, seed),
        found.describe() | {"n": n, "least": LEAST, "permutations": permutations, "grid": GRID},
        found.more("95 %: of a slope Student's over levels, of r Fisher's, of a null and of what "
                   "is beyond it over permutations; one seed"),
    )  # fmt: skip


# ---- what was found -----------------------------------------------------------------------------


def lines(table: Rows, estimate: str, **wanted: Any) -> Rows:
    """Return the rows of the lines that were fitted to an estimate."""
    wanted |= {"kind": "line", "estimate": estimate}
    return [row for row in table if all(str(row[k]) == str(v) for k, v in wanted.items())]
