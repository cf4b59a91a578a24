"""The probe is right about networks whose state is known, without their training data.

Networks of one size trained on P sequences are probed as a stranger would (`minuddm.probes`): from
their own samples alone, verdict by verdict [T46]. What each of them is, its samples tell beside the
training data:

    remembers      .9 of them or more are copies of training sequences (≤ 10 % changed)
    generalises    hardly any is: .02 or fewer
    in between     any other share; the probe may say what it likes

A verdict at t = 1 is right, wrong (remembers for generalises, or the reverse), or undecided.
"""

from collections import Counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.kit import grid
from experiments.kit.course import told
from experiments.kit.draws import generator
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import subplots
from experiments.kit.grid import Grid
from experiments.kit.record import Record
from experiments.kit.settings import SCHEDULE
from minuddm.probes import copies
from minuddm.probes.deployed import STARTS, probe
from minuddm.probes.verdicts import BETWEEN, GENERALISES, NEARLY_ALL, REMEMBERS, verdicts

STEPS = 64  # of the reverse chain
NONE = 0.02  # share of copies that is as good as none
WORDS = tuple(f"says_{t:g}" for t in STARTS)
COLUMNS = ["data", "size", "P", "seed", "copies", "is", "settled", "entropy", *WORDS]
COLOUR = {REMEMBERS: "#D55E00", BETWEEN: "#E69F00", GENERALISES: "#0072B2"}

Row = dict[str, Any]


def state(copied: float) -> str:
    """Return what a network is, by the share of its samples that are copies."""
    return REMEMBERS if copied >= NEARLY_ALL else GENERALISES if copied <= NONE else BETWEEN


def examine(found: Grid, size: str, P: int, seed: int, n: int) -> Row:
    """Probe one network, and say what it is."""
    corpus, cell = found.data.corpus, found.cells[size, P, seed]
    V, L = corpus.V, corpus.tokens.shape[1]
    chance = generator(seed, f"probed {P}")
    read = probe(found.network(size, P, seed), V, L, SCHEDULE, STEPS, chance, samples=n)
    said = {v.t: v for v in verdicts(read) if v.subject == "samples"}
    copied = float(copies(cell["samples"], found.parts[seed][0][:P]).mean())
    return {
        "data": found.name, "size": size, "P": P, "seed": seed, "copies": copied,
        "is": state(copied), "settled": said[1.0].share.value,
        "entropy": float(read.own[1.0].entropy.mean()),
        **{name: said[t].word for t, name in zip(STARTS, WORDS, strict=True)},
    }  # fmt: skip


def judged(row: Row) -> str:
    """Return whether the verdict at t = 1 is right, wrong or undecided; "open" in between."""
    if row["is"] == BETWEEN:
        return "open"
    said = row[WORDS[-1]]
    if said == row["is"]:
        return "right"
    return "wrong" if said in (REMEMBERS, GENERALISES) else "undecided"


def draw(table: list[Row]) -> Figure:
    """Draw the share of certain samples against that of copies, and both against P."""
    figure, (left, right) = subplots(1, 2, (10.5, 4.2))
    for said in dict.fromkeys(row[WORDS[-1]] for row in table):
        of = [row for row in table if row[WORDS[-1]] == said]
        look = {"ms": 6, "alpha": 0.75, "color": COLOUR.get(said, "0.4")}
        settled = [row["settled"] for row in of]
        left.plot([row["copies"] for row in of], settled, "o", label=f"the probe: {said}", **look)
        right.plot([row["P"] for row in of], settled, "o", **look)
    for share in (NONE, NEARLY_ALL):
        left.axvline(share, color="0.4", ls=":", lw=1)
    left.set(xlabel="copies of training sequences among samples (share)")
    left.set(ylabel="samples certain of their tokens (share)", title="Known and probed")
    sizes = sorted({row["P"] for row in table})
    means = [np.mean([row["copies"] for row in table if row["P"] == P]) for P in sizes]
    right.plot(sizes, means, color="0.3", ls="--", label="copies among samples")
    right.set(xscale="log", xlabel="training sequences P", ylim=(-0.03, 1.03))
    right.set_title("Certain samples ●, copies - -")
    for axes in (left, right):
        axes.legend(fontsize=8.5)
    return figure


def measure(plan: grid.Plan, run: Run) -> Findings:
    """Train the grid, and probe the networks of one size."""
    found = grid.trained(plan, run)
    table = list(found.examined(examine, run, 20 if run.args.quick else 64).values())
    count = Counter(judged(row) for row in table)
    known = {word: sum(row["is"] == word for row in table) for word in COLOUR}
    text = (
        f"Of {len(table)} networks of {found.sizes[0]}, {known[REMEMBERS]} remember by the copies "
        f"among their samples, {known[GENERALISES]} make hardly any, {known[BETWEEN]} are in "
        f"between. At t = 1 the probe, which sees no training data, is right about "
        f"{count['right']}, wrong about {count['wrong']} and undecided about "
        f"{count['undecided']} of the {known[REMEMBERS] + known[GENERALISES]} that are either."
    )
    return Findings(
        table,
        {"known": known, **{word: count[word] for word in ("right", "wrong", "undecided")}},
        text + told(found.over()),
        draw(table),
        found.describe() | {"steps": STEPS, "none": NONE},
        found.more("none: every network is one case"),
    )  # fmt: skip


def verdicts_of(record: Record) -> list[Verdict]:
    """Judge whether no verdict is wrong, and most are given."""
    name = record.content["data"]["name"]
    right, wrong, undecided = (record.headline[w] for w in ("right", "wrong", "undecided"))
    known = right + wrong + undecided > 0
    return [
        Verdict(
            f"{'' if name == 'pydoc' else f'{name}: '}the probe tells networks that remember from "
            "those that do not, by their own samples",
            f"right {right}, wrong {wrong}, undecided {undecided}",
            (wrong == 0 and right > undecided if known else None,),
        )
    ]


EXPERIMENT = Experiment(
    "probed", __doc__, COLUMNS, measure, verdicts_of, grid.plan, grid.options(("64x2",)),
    grid.variant,
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
