"""Reverse diffusion of a memorised data set *is* annealed retrieval from an associative memory.

The ideal memoriser's conditionals and the token memory's heat bath at β_t = log(1 + V α_t/(1 -
α_t)) are two programs written without each other; [T16] says that heat bath = α_t p + (1 -
α_t)/V. So one can run the reverse chain twice on the same uniforms: once with p from the
memoriser, once with p taken out of the heat bath,

    p_i(v) = (P_β(x_i = v | rest) - (1 - α_t)/V) / α_t

and compare every conditional and every token of every step. Under the cooling schedule β_t the
state falls from noise into a stored pattern. Beside them runs the memory's own dynamics: at every
step all sites are drawn from their heat bath at β_t, with no bridge; it condenses too.
"""

from argparse import Namespace
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.kit import commandline
from experiments.kit.data import Data, describe, label
from experiments.kit.experiment import Experiment, Findings, Run, Verdict
from experiments.kit.figures import COLOUR, subplots
from experiments.kit.record import Record
from hopfield import TokenMemory
from minuddm import Corpus, DatasetIdeal, LogLinear, inverse_temperature, load
from minuddm.reverse import time_grid
from minuddm.transition import sample_bridge

SCHEDULE = LogLinear()
ROUNDING = 1e-10  # of conditionals, in float64
COLUMNS = [
    *("t", "alpha", "beta", "overlap", "heat_bath_overlap", "overlap_lo", "overlap_hi"),
    *("conditional_error", "tokens_differing"),
]


class HeatBath:
    """The token memory seen as a Denoiser: its heat bath with the noise taken out."""

    def __init__(self, patterns: NDArray[np.int32], V: int) -> None:
        self.patterns, self.V = patterns, V

    def __call__(
        self, tokens: NDArray[np.int32], alpha: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Tokens (B, L), one alpha for all → log-probabilities (B, L, V)."""
        a = float(alpha[0])
        memory = TokenMemory(self.patterns, self.V, float(inverse_temperature(a, self.V)))
        p = np.maximum((memory.conditionals(tokens) - (1 - a) / self.V) / a, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(p / p.sum(axis=-1, keepdims=True)))

    def sample(
        self, tokens: NDArray[np.int32], alpha: float, rng: np.random.Generator
    ) -> NDArray[np.int32]:
        """Draw every token anew from its heat bath, all at once."""
        memory = TokenMemory(self.patterns, self.V, float(inverse_temperature(alpha, self.V)))
        cumulative = memory.conditionals(tokens).cumsum(axis=-1)
        u = rng.random((*tokens.shape, 1)) * cumulative[..., -1:]
        return np.asarray((cumulative <= u).sum(axis=-1), dtype=np.int32)


def _overlap(x: NDArray[np.int32], patterns: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the share of tokens that each state has in common with its nearest pattern."""
    return np.asarray((x[:, None, :] == patterns[None]).mean(axis=2).max(axis=1))


def follow(
    patterns: NDArray[np.int32], V: int, n: int, steps: int, seed: int
) -> tuple[list[dict[str, float]], NDArray[np.float64]]:
    """Run both chains on the same uniforms; return a row a step, and overlaps (steps, n)."""
    memoriser, heat_bath = DatasetIdeal(patterns, V), HeatBath(patterns, V)
    one_rng, other_rng = np.random.default_rng(seed), np.random.default_rng(seed)
    bath_rng = np.random.default_rng([seed, 1])
    one = one_rng.integers(V, size=(n, patterns.shape[1])).astype(np.int32)
    other = other_rng.integers(V, size=one.shape).astype(np.int32)
    bath = one.copy()  # the memory's own dynamics: every site drawn from its heat bath at β_t
    times = time_grid(1.0, steps)
    alphas = np.append(SCHEDULE.alpha(times), 1.0)
    rows, overlaps = [], []
    for t, alpha_t, alpha_s in zip(times, alphas[:-1], alphas[1:], strict=True):
        alpha = np.full(n, alpha_t)
        overlap = _overlap(one, patterns)
        log_p, log_q = memoriser(one, alpha), heat_bath(other, alpha)
        rows.append(
            {
                "t": float(t),
                "alpha": float(alpha_t),
                "beta": float(inverse_temperature(alpha_t, V)),
                "overlap": float(overlap.mean()),
                "heat_bath_overlap": float(_overlap(bath, patterns).mean()),
                "overlap_lo": float(np.quantile(overlap, 0.025)),
                "overlap_hi": float(np.quantile(overlap, 0.975)),
                "conditional_error": float(np.abs(np.exp(log_p) - np.exp(log_q)).max()),
                "tokens_differing": int((one != other).sum()),
            }
        )
        overlaps.append(overlap)
        one = sample_bridge(one, log_p, alpha_s, alpha_t, one_rng)
        other = sample_bridge(other, log_q, alpha_s, alpha_t, other_rng)
        bath = heat_bath.sample(bath, alpha_t, bath_rng)
    rows[-1]["tokens_differing"] += int((one != other).sum())
    return rows, np.array(overlaps)


def draw(rows: list[dict[str, float]], overlaps: NDArray[np.float64]) -> Figure:
    """Draw β and the overlap against t, and what separates the two chains."""
    figure, (left, middle, right) = subplots(1, 3, (11, 3.6))
    t = [row["t"] for row in rows]
    left.plot(t, [row["beta"] for row in rows], color="0.2")
    left.set(title="Cooling", ylabel="inverse temperature β")
    middle.plot(t, overlaps[:, :25], color=COLOUR["dataset_ideal"], lw=0.7, alpha=0.45)
    middle.plot(t, [row["overlap"] for row in rows], color="0.2", lw=2, label="reverse chain")
    bath = [row["heat_bath_overlap"] for row in rows]
    middle.plot(t, bath, color=COLOUR["token_memory"], lw=2, ls="--", label="heat bath at β")
    middle.legend(fontsize=9)
    middle.set(title="Retrieval: 25 chains and the mean", ylabel="overlap with the nearest pattern")
    error = np.maximum([row["conditional_error"] for row in rows], 1e-17)
    right.semilogy(t, error, ".", ms=4, color=COLOUR["token_memory"])
    right.set(title="Two programs, one chain", ylabel="largest difference of a conditional")
    right.set_ylim(1e-17, 1)
    for axes in (left, middle, right):
        axes.set(xlabel="diffusion time t", xlim=(1, 0))
    return figure


def options(p: commandline.CommandLine) -> None:
    """Add the options of this experiment."""
    whole = commandline.whole
    p.add_argument("--patterns", type=whole(1), help="stored, P (default: 500; 100 if --quick)")
    p.add_argument("--chains", type=whole(2), help="chains (default: 200; 50 if --quick)")
    p.add_argument("--length", type=whole(2, 1024), default=32, help="tokens per sequence, L")
    p.add_argument("--steps", type=whole(1), default=128, help="steps of the reverse chain")
    p.add_argument("--data", default="pydoc", help="pydoc, names, or a UTF-8 text file")


class Plan(NamedTuple):
    """What is run: the stored patterns of a corpus, and how many chains."""

    corpus: Corpus
    patterns: NDArray[np.int32]
    chains: int


def plan(args: Namespace) -> Plan:
    """Return what is run."""
    corpus = load(args.data, args.length)
    P = args.patterns or (100 if args.quick else 500)
    patterns = corpus.split(1, args.seed)[0].subset(P).tokens
    return Plan(corpus, patterns, args.chains or (50 if args.quick else 200))


def measure(plan: Plan, run: Run) -> Findings:
    """Follow both chains, and compare them."""
    steps, seed, n, (P, L) = run.args.steps, run.args.seed, plan.chains, plan.patterns.shape
    rows, overlaps = follow(plan.patterns, plan.corpus.V, n, steps, seed)
    worst = max(row["conditional_error"] for row in rows)
    differing = sum(int(row["tokens_differing"]) for row in rows)
    first, last = rows[0], rows[-1]
    text = (
        f"Over {len(rows)} steps of {n} chains from noise, with P = {P} stored sequences of {L} "
        f"tokens, the ideal memoriser's conditionals and the memory's heat bath differ by at most "
        f"{worst:.1e}, and {differing} of {len(rows) * n * L} tokens differ on the same uniforms. "
        f"The mean overlap with the nearest pattern rises from {first['overlap']:.2f} at β = "
        f"{first['beta']:.2f} to {last['overlap']:.2f} at β = {last['beta']:.1f} "
        f"({last['heat_bath_overlap']:.2f} for the heat bath)."
    )
    return Findings(
        rows,
        {"largest_difference": worst, "tokens_differing": differing},
        text,
        draw(rows, overlaps),
        {"P": P, "chains": n, "steps": steps, "seed": seed},
        {"data": describe(Data(plan.corpus))},
    )


def verdicts(record: Record) -> list[Verdict]:
    """Judge whether the two chains are one: no token differs, nor a conditional beyond rounding."""
    differing, worst = (record.headline[k] for k in ("tokens_differing", "largest_difference"))
    tokens = len(record.table) * record.content["settings"]["chains"] * record.content["data"]["L"]
    return [
        Verdict(
            "reverse diffusion with perfect memory is annealed retrieval",
            f"{differing} of {tokens:,} tokens differ, conditionals by at most {worst:.0e}",
            (differing == 0, worst < ROUNDING),
        )
    ]


EXPERIMENT = Experiment(
    "keystone", __doc__, COLUMNS, measure, verdicts, plan, options, lambda args: label(args.data)
)

if __name__ == "__main__":
    EXPERIMENT.main()
