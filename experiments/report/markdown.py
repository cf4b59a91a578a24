"""RESULTS.md: texts from `RESULTS.template.md`, every number in them from a record.

The template names tables of numbers (`tables.py`), a table of verdicts for each part, and single
numbers as places in a record: {r[keystone].headline[tokens_differing]}.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from experiments.kit.record import Record
from experiments.kit.table import printed
from experiments.report import PARTS, Judged, judged
from experiments.report.tables import capacity_table, times_table, transition_table
from experiments.speed import memories_shown, shown

TEMPLATE = Path(__file__).with_name("RESULTS.template.md")
TRANSITIONS = ("transition", "transition-finished")
DIAGRAMS = ("phase_diagram", "phase_diagram-hierarchy")
SWEEPS = ("size_sweep", "size_sweep-hierarchy")


def results(found: dict[str, Record]) -> str:
    """Return RESULTS.md. Raises `ValueError` if a record that the template names is missing."""
    template = TEMPLATE.read_text("utf-8")
    named = {"speed", *TRANSITIONS, *DIAGRAMS, *SWEEPS, *re.findall(r"\{r\[(.*?)\]", template)}
    if missing := sorted(named - found.keys()):
        raise ValueError(f"RESULTS.md needs the records of {', '.join(missing)}")
    rows = judged(found)
    parts = {
        part.lower().replace(" ", "_"): verdict_table(row for row in rows if row.part == part)
        for part in PARTS
    }
    sizes = "; ".join(
        "{name}: V = {config[vocab]}, L = {config[length]}, batch {batch}".format(**size)
        for size in found["speed"].content["settings"]["sizes"]
    )
    return template.format(
        r=found,
        transition_table=transition_table(found[TRANSITIONS[0]]),
        finished_table=transition_table(found[TRANSITIONS[1]]),
        times_table=times_table(found[name] for name in DIAGRAMS),
        capacity_table=capacity_table(found[name] for name in SWEEPS),
        speed_table=shown(found["speed"].table),
        memories_table=memories_shown(found["speed"].table),
        sizes=sizes,
        **parts,
    )


def verdict_table(rows: Iterable[Judged]) -> str:
    """Return one line for each verdict: claim, number, verdict, command, time."""
    lines = []
    for row in rows:
        said, took = "not run", ""
        if row.record is not None:
            words = re.sub(r" --jobs \d+", "", row.record.command).removeprefix("python -m ")
            said, took = f"`{words.removeprefix('experiments.')}`", time(row.record)
        for verdict in row.verdicts:
            lines.append((verdict.claim, verdict.number, verdict.word, said, took))
            said, took = "the same", ""
    titles = ("claim", "number (95 % interval)", "verdict", "`python -m experiments.` …", "time")
    return printed(titles, lines)


def time(record: Record) -> str:
    """Say how long a run took, and its cells, in minutes of one thread, where these took longer.

    Then they ran side by side, or were found.
    """
    content, seconds = record.content, record.content["wall_seconds"]
    cells = content["settings"].get("cell_seconds", content.get("cell_seconds"))
    took = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
    took += ", 1 job" if "--jobs 1" in record.command else ""
    each = cells.values() if isinstance(cells, dict) else [cells or 0]
    together = sum(float(np.sum(of)) for of in each)
    return took if together <= seconds else f"{took}; cells: {together / 60:.0f} min"
