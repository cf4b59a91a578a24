"""A laptop's processor is enough: training here is faster than PyTorch and near the machine's roof.

Measured in one run, the sides in turn, medians of at least 15 steps and 8 seconds, float32:

    step       one training step (draw, corrupt, forward, bound, backward, clip, AdamW, average) of
               this network and of the same in PyTorch, eager and compiled, if `torch` is there
    roof       the step's matrix products alone (`bench/roof.py`): the share of their rate that
               the whole step reaches
    restore    1,000 sequences through the reverse chain
    recall     through the token memory and through Hopfield's, beside its matrix products alone
    threads    the same step on one thread and on two
    grid       the same short trainings as one job at a time and as many at a time
    start      the first training step of a process: with nothing compiled yet, and later
    scale      the ideal memoriser and the token memory against P, L and V, with fitted powers
    memory     the memories, and the same in NumPy and PyTorch; beside the time in which this
               machine reads the patterns once, or does the products that a step cannot do without
"""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from experiments.bench.memories import NUMPY, PRODUCTS, PYTORCH, READ, memory_rows
from experiments.bench.recalls import recall_rows
from experiments.bench.rows import OURS, Rows
from experiments.bench.scale import grid_rows, scale_rows, start_rows
from experiments.bench.steps import (
    ALONE,
    FULL,
    QUICK,
    SIDES,
    TURN,
    Plan,
    restore_rows,
    step_rows,
)
from experiments.kit.commandline import CommandLine
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import subplots
from experiments.kit.progress import watched
from experiments.kit.record import Record
from experiments.kit.table import printed
from minuddm import TrainConfig

COLUMNS = ["what", "size", "side", "threads", "P", "L", "V", "n", "seconds", "low", "high",
           "gflops", "share_of_roof", "ratio"]  # fmt: skip
NEAR_THE_ROOF = 0.85
MEDIANS: dict[str, Callable[[float], str]] = {
    "step": lambda seconds: f"{1e3 * seconds:.{0 if seconds > 0.1 else 1}f} ms",
    "restore": lambda seconds: f"{seconds:.1f} s",
}


def powers(rows: Rows) -> dict[str, dict[str, float]]:
    """Return for each ideal the fitted powers of P, L and V: slopes of log seconds."""
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(r["side"] for r in rows):
        own = [r for r in rows if r["side"] == name]
        found[name] = {}
        for letter in "PLV":
            rest = [other for other in "PLV" if other != letter]
            groups: dict[tuple[int, ...], Rows] = {}
            for r in own:
                groups.setdefault(tuple(r[other] for other in rest), []).append(r)
            line = max(groups.values(), key=len)
            x, y = (np.log([r[key] for r in line]) for key in (letter, "seconds"))
            found[name][letter] = float(np.polyfit(x, y, 1)[0])
    return found


def shown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return medians of steps (milliseconds) and restoring (seconds), here and in PyTorch.

    `rows` are text, as a record holds them.
    """
    lines = []
    measured = [(r["what"], r["size"], r["threads"]) for r in rows if r["what"] in MEDIANS]
    for what, size, threads in dict.fromkeys(measured):
        own = {r["side"]: r for r in rows
               if (r["what"], r["size"], r["threads"]) == (what, size, threads)}  # fmt: skip
        share = own[OURS]["share_of_roof"]
        ratios = [float(r["ratio"]) for side, r in own.items() if "PyTorch" in side]
        medians = [float(own[side]["seconds"]) if side in own else None for side in SIDES]
        lines.append([
            f"{what}, {size}", threads, *("" if x is None else MEDIANS[what](x) for x in medians),
            f"{min(ratios):.2f}" if ratios else "", f"{float(share):.2f}" if share else "",
        ])  # fmt: skip
    titles = ("measured", "threads", "here", "PyTorch, eager", "compiled",
              "faster PyTorch ÷ here", "share of the roof")  # fmt: skip
    return printed(titles, lines, "lrrrrrr")


def memories_shown(rows: Sequence[Mapping[str, str]]) -> str:
    """Return medians of the memories, each beside its twins and beside what no memory can beat."""
    lines = [
        [r["size"], r["P"], r["L"], r["side"], f"{1e3 * float(r['seconds']):.3g} ms",
         f"{float(r['ratio']):.2f}"]
        for r in rows if r["what"] == "memory"
    ]  # fmt: skip
    return printed(("memory", "P", "L", "side", "median", "÷ here"), lines, "lrrlrr")


def draw(table: Rows) -> Figure:
    """Draw the roofline, the seconds of the ideals against P, and the memories under theirs."""
    figure, (left, right, last) = subplots(1, 3, (17, 5), width_ratios=(1.5, 1, 1.4))
    sizes = [r["size"] for r in table if r["what"] == "roof" and r["threads"] == 1]
    look = dict(zip(SIDES, (("#0072B2", "o"), ("#D55E00", "s"), ("#E69F00", "^")), strict=True))
    for threads, ends in ((1, "full"), (2, "none")):
        words = f"{threads} thread{'s' * (threads > 1)}"
        for side, (colour, mark) in look.items():
            points = [(sizes.index(r["size"]), r["gflops"]) for r in table if r["what"] == "step"
                      and (r["side"], r["threads"]) == (side, threads)]  # fmt: skip
            if points:
                left.plot(*zip(*points, strict=True), mark, color=colour, fillstyle=ends, ms=8,
                          label=f"{side}, {words}")  # fmt: skip
    rates = [r["gflops"] for r in table if r["what"] == "roof" and r["threads"] == 1]
    for threads, dash in ((1, "-"), (2, ":")):
        for k, rate in enumerate(rates):
            left.plot([k - 0.35, k + 0.35], [threads * rate] * 2, color="0.3", ls=dash)
        left.plot([], [], color="0.3", ls=dash, label="BLAS alone" + ", twice" * (threads > 1))
    left.set_xticks(range(len(sizes)), [s.replace(", ", "\n") for s in sizes])
    left.set_xlim(-0.6, len(sizes) - 0.4)
    left.set(title="A training step under its roof", xlabel="width x blocks", ylim=(0, None))
    left.set_ylabel("matrix products (GFLOP/s)")
    left.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    scale = [r for r in table if r["what"] == "scale"]
    common = max(r["L"] for r in scale if r["P"] == max(x["P"] for x in scale))
    for name, colour in (("ideal memoriser", "#D55E00"), ("token memory", "#009E73")):
        line = sorted((r["P"], r["seconds"]) for r in scale
                      if (r["side"], r["L"], r["V"]) == (name, common, 28))  # fmt: skip
        right.plot(*zip(*line, strict=True), "o-", color=colour, label=name)
    right.set(title="The ideals grow with their data", xscale="log", yscale="log")
    right.set(xlabel="patterns P", ylabel=f"seconds a query (L = {common}, V = 28)")
    right.legend()
    _memories(last, [r for r in table if r["what"] == "memory"])
    return figure


def _memories(axes: Axes, rows: Rows) -> None:
    """Draw the seconds of each memory, of its twins, and of what no memory can beat."""
    names = list(dict.fromkeys((r["size"], r["P"], r["L"]) for r in rows))
    look = {OURS: ("#0072B2", "o"), NUMPY: ("#E69F00", "^"), PYTORCH: ("#D55E00", "s"),
            READ: ("black", "|"), PRODUCTS: ("black", "x")}  # fmt: skip
    labels = {READ: "reading the patterns once", PRODUCTS: "its matrix products alone"}
    for side, (colour, mark) in look.items():
        own = [(r["seconds"], names.index((r["size"], r["P"], r["L"]))) for r in rows
               if r["side"] == side]  # fmt: skip
        if own:
            axes.plot(*zip(*own, strict=True), mark, color=colour, ms=8, mew=1.5,
                      label=labels.get(side, side))  # fmt: skip
    for r in rows:
        if r["side"] == OURS:
            place = (r["seconds"], names.index((r["size"], r["P"], r["L"])))
            axes.annotate(f" {r['share_of_roof']:.0%}", place, (6, 5), fontsize=8,
                          textcoords="offset points")  # fmt: skip
    axes.set_yticks(range(len(names)), [f"{size}\nP = {P:,}, L = {L}" for size, P, L in names])
    axes.set(xscale="log", xlabel="seconds a batch", ylim=(-0.6, len(names) - 0.2))
    axes.set_title("Memories, and the share of the time nothing can beat")
    axes.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.14))


def headline(table: Rows, jobs: int) -> dict[str, Any]:
    """Return what the table says in short, all of it ratios of medians in it."""
    of = {(r["what"], r.get("size"), r["side"], r["threads"]): r for r in table}
    ratios: dict[str, float] = {}
    for what, size, side, threads in of:
        if side.startswith("PyTorch"):
            name = f"{what} {size}, {threads} thread{'s' * (threads > 1)}"
            ratio = of[what, size, side, threads]["ratio"]
            ratios[name] = min(ratio, ratios.get(name, ratio))
    sizes = [size for what, size, _, threads in of if (what, threads) == ("roof", 1)]
    alone, together = (
        [r["seconds"] for r in table if r["what"] == "grid"] if jobs > 1 else (1.0, 1.0)
    )
    return {
        "ratios": ratios,
        "share_of_roof": {size: of["step", size, OURS, 1]["share_of_roof"] for size in sizes},
        "two_threads": {size: of["step", size, ALONE, 2]["ratio"] for size in sizes},
        "grid": {"jobs": jobs, "gain": alone / together},
        "start": {side.replace(" ", "_"): r["seconds"]
                  for (what, _, side, _), r in of.items() if what == "start"},
        "powers": powers([r for r in table if r["what"] == "scale"]),
    }  # fmt: skip


def paragraph(h: dict[str, Any]) -> str:
    """Say the headline in one paragraph."""

    def listed(values: dict[str, float], form: str, factor: float = 1.0) -> str:
        return ", ".join(f"{factor * value:{form}} ({name})" for name, value in values.items())

    grown = "; ".join(
        f"P^{e['P']:.2f} L^{e['L']:.2f} V^{e['V']:.2f} ({name})" for name, e in h["powers"].items()
    )
    return (
        "The faster PyTorch takes, as a multiple of our time, "
        f"{listed(h['ratios'], '.2f') or '(not installed)'}. A step reaches, in per cent of the "
        f"rate of its matrix products alone, {listed(h['share_of_roof'], '.0f', 100)}; two threads "
        f"make it {listed(h['two_threads'], '.2f')} times as fast, and {h['grid']['jobs']} jobs a "
        f"grid {h['grid']['gain']:.2f} times. The first step of a process comes after "
        f"{h['start']['later']:.1f} s{_cold(h['start'])}. Seconds a query grow like {grown}."
    )


def _cold(start: Mapping[str, float]) -> str:
    seconds = start.get("nothing_compiled")
    return "" if seconds is None else f", {seconds:.0f} s with nothing compiled"


def options(p: CommandLine) -> None:
    """Add the options of this experiment."""
    p.add_argument("--no-compile", action="store_true", help="leave compiled PyTorch out")


def plan(args: Namespace) -> Plan:
    """Return how long to measure."""
    compiled = not (args.no_compile or args.quick)
    return Plan(1, 0, compiled) if args.quick else Plan(5, 8, compiled)


def measure(plan: Plan, run: Run) -> Findings:
    """Measure everything, one thing after the other."""
    quick, jobs = run.args.quick, run.args.jobs
    sizes, rounds = (QUICK, 1) if quick else (FULL, 3)
    n = 20 if quick else 1000
    parts: tuple[Callable[[], Rows], ...] = (
        lambda: scale_rows(quick),
        lambda: step_rows(sizes, plan),
        lambda: restore_rows(n, 4 if quick else 64, rounds, plan.compiled),
        lambda: recall_rows(n, rounds),
        lambda: memory_rows(quick, rounds),
        lambda: grid_rows(*((2, jobs, 3) if quick else (8, jobs, 300))),
        lambda: start_rows(1 if quick else 5, cold=not quick),
    )
    table: Rows = []
    with threadpool_limits(1, user_api="blas"):
        for rows in watched((part() for part in parts), len(parts), "speed"):
            table += rows
    found = headline(table, jobs)
    return Findings(
        table,
        found,
        paragraph(found),
        draw(table),
        {"sizes": [asdict(size) for size in sizes], **asdict(plan), "turn": TURN,
         "shards": TrainConfig().shards},
        {"torch": version("torch") if find_spec("torch") else None,
         "intervals": "quartiles of single steps"},
        shown="\n\n".join(f(Record.of({}, COLUMNS, table).table) for f in (shown, memories_shown)),
    )  # fmt: skip


def verdicts(record: Record) -> list[Verdict]:
    """Judge the ratios to PyTorch, the share of the roof, and the powers of the ideals."""
    h = record.headline
    shares, powers = h["share_of_roof"], h["powers"].values()
    memories = {name: ratio for name, ratio in h["ratios"].items() if name.startswith("memory")}
    networks = {name: x for name, x in h["ratios"].items() if name not in memories}
    return [
        _faster("training and restoring take less time than in PyTorch", networks),
        *([_faster("the memories take less time than in PyTorch", memories)] if memories else []),
        Verdict(
            f"a training step reaches {NEAR_THE_ROOF:.0%} of the rate of its products alone",
            ", ".join(f"{share:.2f} ({size})" for size, share in shares.items()),
            tuple(share >= NEAR_THE_ROOF for share in shares.values()),
        ),
        Verdict(
            "seconds a query of the ideal memoriser and of the token memory",
            "; ".join("P^{P:.2f} L^{L:.2f} V^{V:.2f}".format(**power) for power in powers),
        ),
        Verdict(
            "first training step of a process",
            f"{h['start']['later']:.1f} s{_cold(h['start'])}",
        ),
    ]  # fmt: skip


def _faster(claim: str, ratios: dict[str, float]) -> Verdict:
    if not ratios:
        return Verdict(claim, "PyTorch was not there to compare", (None,))
    least, most = min(ratios.values()), max(ratios.values())
    number = f"the faster PyTorch takes {least:.2f} to {most:.2f} times as long"
    return Verdict(claim, number, tuple(ratio > 1 for ratio in ratios.values()))


EXPERIMENT = Experiment("speed", __doc__, COLUMNS, measure, verdicts, plan, options)

if __name__ == "__main__":
    EXPERIMENT.main()
