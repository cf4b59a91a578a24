"""What is read off lines of entropy against score [T48], one a seed: slope, correlation, rest.

Of several seeds a quantity has Student's interval, of one that of its line. A subject is a model,
the P it was trained on, and the split it is asked about.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.kit.intervals import above, difference, inside, over_seeds
from experiments.kit.settings import SPLITS
from experiments.kit.table import matching
from minuddm.probes import Interval

FREQUENCIES, NETWORK, MEMORY, SOURCE = "frequencies", "network", "dataset_ideal", "source_ideal"
SAID = {NETWORK: "network", MEMORY: "perfect memory", FREQUENCIES: "frequencies alone",
        SOURCE: "ideal generaliser"}  # fmt: skip
LINE = 3  # levels, at least

Rows = list[dict[str, Any]]


def number(rows: Sequence[Mapping[str, Any]], name: str) -> Interval:
    """Return a quantity of the lines of all seeds; of several r the interval of arctanh r."""
    if name != "r" or len(rows) == 1:
        return over_seeds(rows, name)
    z = [{"z": "" if row["r"] == "" else np.arctanh(float(row["r"]))} for row in rows]
    return Interval(*np.tanh(over_seeds(z, "z")).tolist())


def levels(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many levels the line of a subject has, of the seed that has most."""
    return max(int(row["levels"]) for row in rows)


def subjects(table: Sequence[Mapping[str, Any]], **wanted: Any) -> dict[str, dict[str, Rows]]:
    """Return the lines of each subject by estimate, one a seed; those of few levels too."""
    found: dict[str, dict[str, Rows]] = {}
    for row in matching(table, kind="line", **wanted):
        P = f", P = {row['P']}" if row["model"] in (NETWORK, MEMORY) else ""
        split = "training" if row["split"] == "train" else "unseen"
        key = f"{SAID[row['model']]}{P}, {split} {row['data']}"
        found.setdefault(key, {}).setdefault(row["estimate"], []).append(dict(row))
    return found


def nothing(left: Iterable[float], little: float) -> bool | None:
    """Say whether what is left, as (value, low, high), is none of a line.

    It is some if its interval leaves 0 out; if it does not, that interval must be within ± little.
    """
    return False if above(left, 0) is not None else inside(left, -abs(little), abs(little))


def steeper(table: Rows, P: int) -> tuple[Interval, Interval, Interval] | None:
    """Return what is left of a network's lines on training and on unseen text, and by how much
    they differ, seed by seed; None where a seed has no line on both.
    """
    rows = [matching(table, kind="line", estimate="rarefied", model=NETWORK, P=P, split=split)
            for split in SPLITS]  # fmt: skip
    if any(int(row["levels"]) < LINE for of in rows for row in of):
        return None
    one, other = (number(of, "excess") for of in rows)
    if len(rows[0]) == 1:
        return one, other, difference(one, other)
    own, unseen = ({row["seed"]: float(row["excess"]) for row in of} for of in rows)
    return one, other, over_seeds([{"x": own[seed] - unseen[seed]} for seed in own], "x")
