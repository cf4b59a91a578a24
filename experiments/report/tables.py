"""Tables of numbers for RESULTS.md, each from the records that it is given."""

import math
from collections.abc import Iterable

from experiments.kit.intervals import recorded, show
from experiments.kit.phases import lines_of, timetable
from experiments.kit.record import Record
from experiments.kit.table import printed

CURVES = (
    ("network", "recovery"),
    ("network", "entropy_loo"),
    ("dataset_ideal", "recovery"),
    ("token_memory", "recovery"),
)


def transition_table(record: Record) -> str:
    """Return recovery and entropy at the first time against P: network, ideal memoriser, memory."""
    t = record.headline["t"]
    lines = []
    for P in dict.fromkeys(row["P"] for row in record.table):
        of = {(row["model"], row["split"]): row for row in record.rows(P=P, t=t)}
        numbers = [of[model, split][name] for model, name in CURVES for split in ("train", "test")]
        lines.append([P, *(f"{float(number):.2f}" for number in numbers)])
    titles = ["P", "network, training", "unseen", "entropy, training", "unseen",
              "memoriser, training", "unseen", "token memory, training", "unseen"]  # fmt: skip
    return printed(titles, lines, "r" * len(titles))


def times_table(records: Iterable[Record]) -> str:
    """Return what is learnt when, and what is left at the end, by P, of phase diagrams."""
    lines = []
    for record in records:
        for row in timetable(lines_of(record.table)):
            steps = (row.remembers, row.generalises, row.memory, row.best)
            lines.append([
                _data(record), str(row.P),
                *(f"{x:,.0f}" if math.isfinite(x) else "–" for x in steps),
                f"{row.largest:.2f}", f"{row.train:.2f}", f"{row.test:.2f}", str(row.still),
            ])  # fmt: skip
    titles = ("data", "P", ".9 of training back after", "τ_gen", "τ_mem", "unseen largest after",
              "there", "training at the end", "unseen", "networks at rest")  # fmt: skip
    return printed(titles, lines, "lrrrrrrrrr")


def capacity_table(records: Iterable[Record]) -> str:
    """Return the capacity of every size, what twice the steps do to it, and what a token costs."""
    lines = []
    for record in records:
        least = min(record.content["settings"]["subsets"])
        before, after = list(record.headline["by_steps"].values())[-2:]
        for size, of in record.headline["capacity"].items():
            twice = recorded(after[size]).value / recorded(before[size]).value
            lines.append([
                _data(record), size, f"{of['weights']:,}",
                show(recorded(record.headline[size]["leaves"]), least), f"x {twice:.2f}",
                f"{of['weights_per_token']:.0f}", f"{of['bits_per_weight']:.3f}",
            ])  # fmt: skip
    titles = ("data", "size", "weights", "P*", "by twice the steps", "weights a training token",
              "bits a weight")  # fmt: skip
    return printed(titles, lines, "llrrrrr")


def _data(record: Record) -> str:
    name = str(record.content["data"]["name"])
    return "text" if name == "pydoc" else name
