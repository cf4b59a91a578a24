"""A laptop's processor is enough: training here is faster than PyTorch and near the machine's roof.

Measured in one run, the sides in turn, medians of at least 15 steps and 8 seconds, float32:

    step       one training step (draw, corrupt, forward, bound, backward, clip, AdamW, average) of
               this network and of the same in PyTorch, eager and compiled, if `torch` is there
    roof       the step's matrix products alone (`experiments.roof`): the share of their rate that
               the whole step reaches
    restore    1,000 sequences through the reverse chain; recall, through the token memory
    threads    the same step on one thread and on two
    sweep      the same short trainings as one job at a time and as many at a time
    start      the first training step of a process: with nothing compiled yet, and later
    scale      the ideal memoriser and the token memory against P, L and V, with fitted powers
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from experiments import commandline
from experiments.record import Run, claim
from experiments.roof import flops, roof
from experiments.workers import Workers
from hopfield import TokenMemory
from minuddm import DatasetIdeal, LogLinear, ModelConfig, TrainConfig, Transformer, restore
from minuddm.train import train

COLUMNS = ["what", "size", "side", "threads", "P", "L", "V", "n", "seconds", "low", "high",
           "gflops", "share_of_roof", "ratio"]  # fmt: skip
OURS, SIDES = "minuddm", ("minuddm", "PyTorch eager", "PyTorch compiled")
ALONE, ROOF = "minuddm on one thread", "BLAS"  # in turn with the others
TURN = 4  # steps a side takes before the other's turn; the first of them is not counted

Seconds = NDArray[np.float64]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Size:
    """A network and the batch it is trained with."""

    name: str
    config: ModelConfig
    batch: int


@dataclass(frozen=True)
class Plan:
    """How long to measure: turns and seconds at least; with compiled PyTorch or without."""

    rounds: int
    seconds: float
    compiled: bool


FULL = (
    Size("64 x 2", ModelConfig(28, 32, 64, 2, 4), 64),
    Size("128 x 4", ModelConfig(28, 32, 128, 4, 4), 64),
    Size("256 x 8", ModelConfig(28, 64, 256, 8, 8), 32),
    Size("128 x 4, V = 8192", ModelConfig(8192, 64, 128, 4, 4), 16),
)
QUICK = (Size("16 x 1", ModelConfig(28, 16, 16, 1, 2), 8),)


def steps(size: Size, threads: int, plan: Plan) -> dict[str, Seconds]:
    """Return the seconds of single training steps of every side, taken in turn."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(size.config.vocab, size=(1000, size.config.length)).astype(np.int32)
    model = Transformer.init(size.config, rng)
    sides: dict[str, Callable[[], list[float]]] = {}

    def ours(threads: int) -> list[float]:
        at: list[float] = []
        train(model, tokens, TrainConfig(steps=TURN + 1, batch=size.batch), threads=threads,
              probe=lambda k, network: at.append(time.perf_counter()),
              probe_at=range(TURN + 2))  # fmt: skip
        return np.diff(at).tolist()

    sides[OURS] = lambda: ours(threads)
    if threads > 1:
        sides[ALONE] = lambda: ours(1)
    shards = TrainConfig().shards
    sides[ROOF] = lambda: 2 * [roof(size.config, size.batch, shards, repeats=1)]
    if find_spec("torch") is not None:
        import torch

        from experiments.twin import Training, Twin

        torch.set_num_threads(threads)
        torch.manual_seed(0)
        torch.compiler.reset()
        for side in SIDES[1 : 3 if plan.compiled else 2]:
            theirs = Training(
                Twin(size.config).take(model.weights), tokens, size.batch, "compiled" in side
            )
            sides[side] = lambda theirs=theirs: [_timed(theirs.step) for _ in range(TURN)]
    taken: dict[str, list[float]] = {side: [] for side in sides}
    turn, started = 0, 0.0
    while turn <= plan.rounds or time.perf_counter() - started < plan.seconds:
        for side, work in sides.items():
            found = work()
            if turn > 0:  # the first turn compiles
                taken[side] += found[1:]
        started = started or time.perf_counter()
        turn += 1
    return {side: np.array(values) for side, values in taken.items()}


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def restorings(n: int, grid: int, threads: int, rounds: int, compiled: bool) -> dict[str, Seconds]:
    """Return the seconds that n sequences take from noise to data, by side, in turn."""
    config, rng = ModelConfig(28, 32, 64, 2, 4), np.random.default_rng(0)
    model = Transformer.init(config, rng)
    model.weights.flat += (0.05 * rng.normal(size=model.weights.flat.size)).astype(np.float32)
    noise = rng.integers(28, size=(n, 32)).astype(np.int32)
    schedule = LogLinear()
    sides: dict[str, Callable[[], object]] = {
        OURS: lambda: restore(model, noise, 1.0, schedule, grid, rng, threads=threads)
    }
    if find_spec("torch") is not None:
        import torch

        from experiments.twin import Restoring, Twin

        torch.set_num_threads(threads)
        torch.compiler.reset()
        twin = Twin(config).take(model.weights)
        for side in SIDES[1 : 3 if compiled else 2]:
            theirs = Restoring(twin, "compiled" in side)
            theirs.restore(noise, 1)
            sides[side] = lambda theirs=theirs: theirs.restore(noise, grid)
    restore(model, noise[:8], 1.0, schedule, 1, rng)
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for _, (side, work) in itertools.product(range(rounds), sides.items()):
        taken[side].append(_timed(work))
    return {side: np.array(values) for side, values in taken.items()}


def ideals(P: int, L: int, V: int, repeats: int) -> dict[str, Seconds]:
    """Return the seconds of one query, repeated: all conditionals, and one recall."""
    rng = np.random.default_rng(P + L + V)
    patterns = rng.integers(V, size=(P, L), dtype=np.int32)
    noisy = patterns[:1].copy()
    noisy[0, : L // 4] = rng.integers(V, size=L // 4)
    memoriser, memory = DatasetIdeal(patterns, V), TokenMemory(patterns, V, beta=3.0)
    work = {
        "ideal memoriser": lambda: memoriser(noisy, 0.75),
        "token memory": lambda: memory.recall(noisy),
    }
    for query in work.values():
        query()
    return {name: np.array([_timed(query) for _ in range(repeats)]) for name, query in work.items()}


def powers(rows: Rows) -> dict[str, dict[str, float]]:
    """Return for each ideal the fitted powers of P, L and V: slopes of log seconds."""
    found: dict[str, dict[str, float]] = {}
    for name in {row["side"]: None for row in rows}:
        own = [row for row in rows if row["side"] == name]
        found[name] = {}
        for letter in "PLV":
            rest = [other for other in "PLV" if other != letter]
            groups: dict[tuple[int, ...], Rows] = {}
            for row in own:
                groups.setdefault(tuple(row[other] for other in rest), []).append(row)
            line = max(groups.values(), key=len)
            x, y = (np.log([row[key] for row in line]) for key in (letter, "seconds"))
            found[name][letter] = float(np.polyfit(x, y, 1)[0])
    return found


def short_training(seed: int, count: int) -> float:
    """Train a small network; return its last loss."""
    rng = np.random.default_rng(seed)
    model = Transformer.init(ModelConfig(28, 32, 64, 2, 4), rng)
    tokens = rng.integers(28, size=(64, 32)).astype(np.int32)
    return float(train(model, tokens, TrainConfig(steps=count, batch=16)).losses[-1])


def sweep(count: int, jobs: int, length: int) -> float:
    """Return the seconds of `count` short trainings, `jobs` at a time, workers started before."""
    workers = Workers(jobs)
    list(workers.do(short_training, [(k, 1) for k in range(jobs)]))
    return _timed(lambda: list(workers.do(short_training, [(k, length) for k in range(count)])))


_FIRST_STEP = """
import numpy as np
from minuddm import ModelConfig, TrainConfig, Transformer
from minuddm.train import train
model = Transformer.init(ModelConfig(28, 32, 64, 2, 4), np.random.default_rng(0))
train(model, np.zeros((4, 32), np.int32), TrainConfig(steps=1, batch=16))
"""


def start_rows(repeats: int) -> Rows:
    """Measure the time until a process has taken its first step: nothing compiled, and later."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"NUMBA_CACHE_DIR": cache}

        def first() -> None:
            subprocess.run(
                [sys.executable, "-c", _FIRST_STEP], check=True, env=environment,
                cwd=Path(__file__).parents[1],
            )  # fmt: skip

        cold = np.array([_timed(first)])
        warm = np.array([_timed(first) for _ in range(repeats)])
    return [
        row("start", "nothing compiled", cold, threads=1),
        row("start", "later", warm, threads=1),
    ]


def row(what: str, side: str, taken: Seconds, **more: Any) -> dict[str, Any]:
    """Return a row of the table: the median and the quartiles of what was taken."""
    low, middle, high = np.percentile(taken, [25, 50, 75]).tolist()
    return {"what": what, "side": side, "n": len(taken), "seconds": middle, "low": low,
            "high": high, **more}  # fmt: skip


def step_rows(sizes: Sequence[Size], plan: Plan) -> Rows:
    """Measure the steps of all sizes on one thread and on two."""
    found: Rows = []
    for size, threads in itertools.product(sizes, (1, 2)):
        taken = steps(size, threads, plan)
        own, alone = (float(np.median(taken[side])) for side in (OURS, ROOF))
        for side, values in taken.items():
            middle = float(np.median(values))
            found.append(row(
                "roof" if side == ROOF else "step", side, values, size=size.name, threads=threads,
                gflops=flops(size.config, size.batch) / middle / 1e9, ratio=middle / own,
                share_of_roof=alone / middle if threads == 1 else float("nan"),
            ))  # fmt: skip
    return found


def restore_rows(n: int, grid: int, rounds: int, compiled: bool) -> Rows:
    """Measure the reverse chain on one thread and on two, and a recall of as many sequences."""
    found: Rows = []
    for threads in (1, 2):
        taken = restorings(n, grid, threads, rounds, compiled)
        own = float(np.median(taken[OURS]))
        found += [row("restore", side, values, size="64 x 2", threads=threads,
                      ratio=float(np.median(values)) / own)
                  for side, values in taken.items()]  # fmt: skip
    rng = np.random.default_rng(0)
    memory = TokenMemory(rng.integers(28, size=(1000, 32)), 28, beta=3.0)
    noisy = memory.patterns[rng.integers(1000, size=n)]
    noisy[:, :8] = rng.integers(28, size=(n, 8))
    memory.recall(noisy[:2])
    taken = np.array([_timed(lambda: memory.recall(noisy)) for _ in range(rounds)])
    return [*found, row("recall", OURS, taken, size="P = 1000", threads=1)]


def scale_rows(quick: bool) -> Rows:
    """Measure the ideals along P, L and V."""
    P0, L0, V0 = (1000, 16, 28) if quick else (100_000, 64, 28)
    grid = {
        "P": (300, 1000, 3000) if quick else (10_000, 100_000, 1_000_000),
        "L": (8, 16, 32) if quick else (16, 32, 64),
        "V": (28, 280) if quick else (28, 280, 2800),
    }
    plan = {(P0, L0, V0)}
    plan |= {(P, L0, V0) for P in grid["P"]} | {(P0, L, V0) for L in grid["L"]}
    plan |= {(P0, L0, V) for V in grid["V"]}
    return [
        row("scale", name, taken, threads=1, P=P, L=L, V=V)
        for P, L, V in sorted(plan)
        for name, taken in ideals(P, L, V, 3).items()
    ]


def shown(table: Rows) -> str:
    """Return the steps and restorings as a table to be read in a terminal."""
    lines = [f"{'':24}{'threads':>8}" + "".join(f"{side:>19}" for side in SIDES) + f"{'roof':>7}"]
    for what, size, threads in {(r["what"], r["size"], r["threads"]): None for r in table
                                if r["what"] in ("step", "restore")}:  # fmt: skip
        own = {r["side"]: r for r in table
               if r["what"] == what and (r["size"], r["threads"]) == (size, threads)}  # fmt: skip
        cells = [
            f"{1e3 * own[side]['seconds']:.1f} ms {own[side]['ratio']:5.2f}x" if side in own else ""
            for side in SIDES
        ]
        share = own[OURS].get("share_of_roof", float("nan"))
        end = f"{100 * share:6.0f}%" if np.isfinite(share) else ""
        lines.append(
            f"{what + ' ' + size:24}{threads:>8}" + "".join(f"{c:>19}" for c in cells) + end
        )
    return "\n".join(lines)


def draw(out: Path, table: Rows) -> None:
    """Draw the roofline, and the seconds of the ideals against P."""
    from experiments.figures import plt, save

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), width_ratios=(1.5, 1))
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
    left.set_ylim(bottom=0)
    left.set_xlabel("width x blocks")
    left.set_ylabel("matrix products (GFLOP/s)")
    left.set_title("A training step under its roof")
    left.legend(fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    scale = [r for r in table if r["what"] == "scale"]
    common = max(r["L"] for r in scale if r["P"] == max(x["P"] for x in scale))
    for name, colour in (("ideal memoriser", "#D55E00"), ("token memory", "#009E73")):
        line = sorted((r["P"], r["seconds"]) for r in scale
                      if (r["side"], r["L"], r["V"]) == (name, common, 28))  # fmt: skip
        right.plot(*zip(*line, strict=True), "o-", color=colour, label=name)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("patterns P")
    right.set_ylabel(f"seconds a query (L = {common}, V = 28)")
    right.set_title("The ideals grow with their data")
    right.legend()
    save(out, figure)


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
        [r["seconds"] for r in table if r["what"] == "sweep"] if jobs > 1 else (1.0, 1.0)
    )
    return {
        "ratios": ratios,
        "share_of_roof": {size: of["step", size, OURS, 1]["share_of_roof"] for size in sizes},
        "two_threads": {size: of["step", size, ALONE, 2]["ratio"] for size in sizes},
        "sweep": {"jobs": jobs, "gain": alone / together},
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
        f"make it {listed(h['two_threads'], '.2f')} times as fast, and {h['sweep']['jobs']} jobs a "
        f"sweep {h['sweep']['gain']:.2f} times. The first step of a process comes after "
        f"{h['start']['later']:.1f} s, after {h['start']['nothing_compiled']:.0f} s where nothing "
        f"was compiled. Seconds a query grow like {grown}."
    )


def measure(plan: Plan, quick: bool, jobs: int) -> Rows:
    """Measure everything, one thing after the other."""
    count, length = (2, 3) if quick else (8, 300)
    parts: dict[str, Callable[[], Rows]] = {
        "scale": lambda: scale_rows(quick),
        "step": lambda: step_rows(QUICK if quick else FULL, plan),
        "restore": lambda: restore_rows(20 if quick else 1000, 4 if quick else 64,
                                        1 if quick else 3, plan.compiled),
        "sweep": lambda: [
            row("sweep", OURS, np.array([sweep(count, n, length)]), size="64 x 2", threads=n)
            for n in sorted({1, jobs})
        ],
        "start": lambda: start_rows(1 if quick else 5),
    }  # fmt: skip
    table: Rows = []
    with threadpool_limits(1, user_api="blas"):
        for part in (bar := tqdm(parts, desc="speed", disable=True if quick else None)):
            bar.set_postfix_str(part)
            table += parts[part]()
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("speed", claim(__doc__))
    p.add_argument("--no-compile", action="store_true", help="leave compiled PyTorch out")
    args = p.parse_args(argv)
    run, out = Run("speed", __doc__, argv), p.folder(args)
    compiled = not (args.no_compile or args.quick)
    plan = Plan(1, 0, compiled) if args.quick else Plan(5, 8, compiled)
    table = measure(plan, args.quick, args.jobs)
    found = headline(table, args.jobs)
    print(shown(table))
    draw(out, table)
    run.leave(
        out,
        COLUMNS,
        table,
        {"sizes": [asdict(size) for size in (QUICK if args.quick else FULL)], **asdict(plan),
         "turn": TURN, "shards": TrainConfig().shards},
        found,
        paragraph(found),
        torch=version("torch") if find_spec("torch") else None,
        intervals="quartiles of single steps",
    )  # fmt: skip


if __name__ == "__main__":
    commandline.run(main)
