"""One kernel, three views: samples follow the laws of corruption, mixing and the bridge.

    corruption   share of changed tokens (1 - α_t)(1 - 1/V)                            [T5]
    mixing       total variation between a law and the uniform one shrinks by α_t         [T1]
    bridge       q(x_s | x_t = z, p) at x_s = z, at the likeliest clean value, at another [T7]

Curves are the closed forms, points are frequencies of compiled draws with their 95 % intervals,
crosses the matrix exponential of the rate [T4]. The record holds the largest deviation in
standard errors, and chi-square p-values.
"""

from argparse import Namespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.stats import chisquare, norm

from experiments.kit import commandline
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOURS, subplots
from experiments.kit.record import Record
from minuddm.schedule import Cosine, Linear, LogLinear, Schedule
from minuddm.transition import bridge, corrupt, propagate, rate, sample_bridge

SCHEDULES: dict[str, Schedule] = {
    "log-linear, ε = 0.1": LogLinear(0.1),
    "linear": Linear(),
    "cosine": Cosine(),
}
COLUMNS = ["law", "schedule", "t", "theory", "sampled", "error", "n"]
Row = dict[str, Any]


def corruption(V: int, n: int, rng: np.random.Generator) -> list[Row]:
    """Compare the share of changed tokens with its law, for every schedule."""
    rows = []
    for name, schedule in SCHEDULES.items():
        for t in np.linspace(0.05, 0.95, 10):
            alpha = float(schedule.alpha(t))
            theory = (1 - alpha) * (1 - 1 / V)
            sampled = float((corrupt(np.zeros((n, 1), int), alpha, V, rng) != 0).mean())
            rows.append(_row("corruption", name, t, theory, sampled, n))
    return rows


def mixing(V: int, n: int, rng: np.random.Generator) -> tuple[list[Row], float]:
    """Compare the distance to uniform of a law that starts as a ramp; return the least p-value too.

    With signs s_v = ±1 where the start lies above or below 1/V, the distance is ½ Σ_v s_v (p_v -
    1/V): linear in the frequencies of all values, so the sampled one is unbiased.
    """
    start = np.arange(1, V + 1) / (V * (V + 1) / 2)
    sign = np.sign(start - 1 / V)
    distance = 0.5 * float(np.abs(start - 1 / V).sum())
    rows, least = [], 1.0
    for name, schedule in SCHEDULES.items():
        for t in np.linspace(0.05, 0.95, 10):
            alpha = float(schedule.alpha(t))
            x0 = rng.choice(V, size=(n, 1), p=start)
            counts = np.bincount(corrupt(x0, alpha, V, rng)[:, 0], minlength=V)
            law = propagate(start, alpha)
            least = min(least, float(chisquare(counts, n * law).pvalue))
            sampled = 0.5 * float(sign @ (counts / n - 1 / V))
            error = 0.5 * np.sqrt((1 - (sign @ law) ** 2) / n)
            row = _row("mixing", name, t, alpha * distance, sampled, n, error)
            kernel = expm(-np.log(alpha) * rate(V))
            row["exponential"] = 0.5 * float(np.abs(start @ kernel - 1 / V).sum())
            row["structured"] = 0.5 * float(np.abs(law - 1 / V).sum())
            rows.append(row)
    return rows, least


def bridges(V: int, n: int, rng: np.random.Generator) -> tuple[list[Row], float]:
    """Compare draws of x_s with the bridge from t to every s < t; return the least p-value too."""
    schedule, t, z = LogLinear(), 0.8, 0
    p = np.array([0.25, 0.5, 0.15, *np.full(V - 3, 0.1 / (V - 3))])
    log_p = np.broadcast_to(np.log(p), (n, 1, V))
    alpha_t, rows, least = float(schedule.alpha(t)), [], 1.0
    for s in np.linspace(0, t, 9):
        alpha_s = float(schedule.alpha(s))
        law = bridge(z, p, alpha_s, alpha_t)
        draws = sample_bridge(np.full((n, 1), z), log_p, alpha_s, alpha_t, rng)
        counts = np.bincount(draws[:, 0], minlength=V)
        if s < t:
            least = min(least, float(chisquare(counts, n * law).pvalue))
        for v, name in enumerate(("z itself", "the likeliest", "another")):
            rows.append(_row("bridge", name, s, float(law[v]), float(counts[v] / n), n))
    return rows, least


def _row(
    law: str,
    name: str,
    t: float,
    theory: float,
    sampled: float,
    n: int,
    error: float | None = None,
) -> Row:
    """Return a row; the standard error is by default that of a share of n draws."""
    return {
        "law": law,
        "schedule": name,
        "t": float(t),
        "theory": theory,
        "sampled": sampled,
        "error": float(np.sqrt(theory * (1 - theory) / n)) if error is None else float(error),
        "n": n,
    }


def draw(rows: list[Row]) -> Figure:
    """Draw the three laws: theory as lines, draws as points."""
    titles = {
        "corruption": ("Corruption", "share of changed tokens", "time t"),
        "mixing": ("Mixing, from a ramp", "distance to uniform (total variation)", "time t"),
        "bridge": ("Bridge from t = 0.8 back to s", "probability of x_s", "time s"),
    }
    figure, panels = subplots(1, 3, (11, 3.7))
    for axes, (law, (title, label, clock)) in zip(panels, titles.items(), strict=True):
        names = dict.fromkeys(row["schedule"] for row in rows if row["law"] == law)
        for colour, name in zip(COLOURS, names, strict=False):
            line = [row for row in rows if (row["law"], row["schedule"]) == (law, name)]
            t = [row["t"] for row in line]
            axes.plot(t, [row["theory"] for row in line], color=colour, lw=1.4, label=name)
            error = [1.96 * row["error"] for row in line]
            sampled = [row["sampled"] for row in line]
            axes.errorbar(t, sampled, error, fmt="o", ms=4, color=colour)
            if law == "mixing":
                axes.plot(t, [row["exponential"] for row in line], "x", ms=7, color="0.2")
        axes.set(title=title, xlabel=clock, ylabel=label)
        axes.set_ylim(-0.01, 0.3 if law == "mixing" else 1.02)
        axes.legend(fontsize=8.5)
    return figure


def deviations(rows: list[Row]) -> NDArray[np.float64]:
    """Return every point's distance from theory, in standard errors."""
    return np.array([abs(row["sampled"] - row["theory"]) / row["error"] for row in rows])


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole = commandline.whole
    p.add_argument("--vocab", type=whole(4, 1000), default=8, help="vocabulary size, V")
    p.add_argument("--draws", type=whole(100),
                   help="draws a point (default: 100,000; 10,000 if --quick)")  # fmt: skip


def measure(args: Namespace, run: Run) -> Findings:
    """Draw from the three laws, and compare frequencies with closed forms."""
    n, rng = args.draws or (10_000 if args.quick else 100_000), np.random.default_rng(args.seed)
    mixed, p_mixing = mixing(args.vocab, n, rng)
    bridged, p_bridge = bridges(args.vocab, n, rng)
    rows = corruption(args.vocab, n, rng) + mixed + bridged
    views = max(abs(row["exponential"] - row["structured"]) for row in mixed)
    far = deviations([row for row in rows if row["theory"] not in (0.0, 1.0)])
    text = (
        f"{len(rows)} frequencies of {n} draws each follow the laws of the kernel for V = "
        f"{args.vocab}: the largest deviation is {far.max():.1f} standard errors (of {len(far)} "
        f"points about {len(far) * 0.0455:.0f} are expected beyond 2, found {(far > 2).sum()}), "
        f"the least chi-square p-value is {p_mixing:.3f} among 30 laws of mixing and "
        f"{p_bridge:.3f} among 8 bridges. The matrix exponential of the rate and the structured "
        f"kernel differ by at most {views:.0e}."
    )
    return Findings(
        rows,
        {
            "largest_deviation_in_standard_errors": float(far.max()),
            "least_p_value_of_mixing": p_mixing,
            "least_p_value_of_the_bridge": p_bridge,
            "exponential_against_structured": views,
        },
        text,
        draw(rows),
        {"V": args.vocab, "draws": n, "seed": args.seed},
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge the largest deviation among all points: with chance .99 it is smaller (Bonferroni)."""
    points = sum(row["theory"] not in ("0", "1") for row in record.table)
    largest = record.headline["largest_deviation_in_standard_errors"]
    return [
        Verdict(
            "draws follow the laws of the kernel",
            f"{largest:.1f} standard errors at most, of {points} frequencies",
            (bool(largest < norm.isf(0.01 / (2 * points))),),
        )
    ]


EXPERIMENT = Experiment("kernel_lab", __doc__, COLUMNS, measure, verdicts, options=options)

if __name__ == "__main__":
    EXPERIMENT.main()
