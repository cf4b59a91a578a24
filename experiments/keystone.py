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

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments import commandline
from experiments.data import Data, describe
from experiments.record import Run, claim
from hopfield import TokenMemory
from minuddm import DatasetIdeal, LogLinear, inverse_temperature, load
from minuddm.reverse import time_grid
from minuddm.transition import sample_bridge

SCHEDULE = LogLinear()
COLUMNS = [
    "t",
    "alpha",
    "beta",
    "overlap",
    "heat_bath_overlap",
    "overlap_lo",
    "overlap_hi",
    "conditional_error",
    "tokens_differing",
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


def draw(out: Any, rows: list[dict[str, float]], overlaps: NDArray[np.float64]) -> None:
    """Draw β and the overlap against t, and what separates the two chains."""
    from experiments.figures import COLOUR, plt, save

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6))
    t = [row["t"] for row in rows]
    left.plot(t, [row["beta"] for row in rows], color="0.2")
    left.set_ylabel("inverse temperature β")
    left.set_title("Cooling")
    middle.plot(t, overlaps[:, :25], color=COLOUR["dataset_ideal"], lw=0.7, alpha=0.45)
    middle.plot(t, [row["overlap"] for row in rows], color="0.2", lw=2, label="reverse chain")
    bath = [row["heat_bath_overlap"] for row in rows]
    middle.plot(t, bath, color=COLOUR["token_memory"], lw=2, ls="--", label="heat bath at β")
    middle.legend(fontsize=9)
    middle.set_ylabel("overlap with the nearest pattern")
    middle.set_title("Retrieval: 25 chains and the mean")
    error = np.maximum([row["conditional_error"] for row in rows], 1e-17)
    right.semilogy(t, error, ".", ms=4, color=COLOUR["token_memory"])
    right.set_ylabel("largest difference of a conditional")
    right.set_title("Two programs, one chain")
    right.set_ylim(1e-17, 1)
    for axes in (left, middle, right):
        axes.set_xlabel("diffusion time t")
        axes.set_xlim(1, 0)
    save(out, figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the experiment; see `--help`."""
    p = commandline.CommandLine("keystone", claim(__doc__))
    whole = commandline.whole
    p.add_argument("--patterns", type=whole(1), help="stored, P (default: 500; 100 if --quick)")
    p.add_argument("--chains", type=whole(2), help="chains (default: 200; 50 if --quick)")
    p.add_argument("--length", type=whole(2, 1024), default=32, help="tokens per sequence, L")
    p.add_argument("--steps", type=whole(1), default=128, help="steps of the reverse chain")
    p.add_argument("--data", default="pydoc", help="pydoc, names, or a UTF-8 text file")
    args = p.parse_args(argv)
    run = Run("keystone", __doc__, argv)
    P = args.patterns or (100 if args.quick else 500)
    n = args.chains or (50 if args.quick else 200)
    try:
        corpus = load(args.data, args.length)
        patterns = corpus.split(1, args.seed)[0].subset(P).tokens
    except ValueError as error:
        p.error(str(error))
    out = p.folder(args)
    rows, overlaps = follow(patterns, corpus.V, n, args.steps, args.seed)
    worst = max(row["conditional_error"] for row in rows)
    differing = sum(int(row["tokens_differing"]) for row in rows)
    text = (
        f"Over {len(rows)} steps of {n} chains from noise, with P = {P} stored sequences of "
        f"{args.length} tokens, the ideal memoriser's conditionals and the memory's heat "
        f"bath differ by at most {worst:.1e}, and {differing} of "
        f"{len(rows) * n * args.length} tokens differ on the same uniforms. The mean overlap "
        f"with the nearest pattern rises from "
        f"{rows[0]['overlap']:.2f} at β = {rows[0]['beta']:.2f} to {rows[-1]['overlap']:.2f} at "
        f"β = {rows[-1]['beta']:.1f} ({rows[-1]['heat_bath_overlap']:.2f} for the heat bath): "
        f"reverse diffusion with perfect memory is annealed retrieval."
    )
    draw(out, rows, overlaps)
    run.leave(
        out,
        COLUMNS,
        rows,
        {"P": P, "chains": n, "steps": args.steps, "seed": args.seed},
        {"largest_difference": worst, "tokens_differing": differing},
        text,
        data=describe(Data(corpus)),
    )


if __name__ == "__main__":
    commandline.run(main)
