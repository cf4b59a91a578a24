"""Restore a text with errors: what changes, and how certain it is.

The text is taken for one that was corrupted up to --t, the share of its tokens that were drawn
anew, and the reverse chain goes back from there, --draws times. A token's certainty is the share of
the draws that have it in its place; shown is the draw that agrees best with all others. Places
that say _ (--mask), and what the vocabulary does not know, are drawn anew; a network of the masked
process changes these alone. Changed tokens are green from a certainty of .9 on, yellow from .5,
else red; below stands the first digit of the certainty, where it is not 1.

Example:
    minuddm restore "txet wiht erors"
    minuddm restore myrun "t_xt w_th h_les" --known 0-3
"""

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from minuddm.checks import Tokens
from minuddm.command import arguments, display, run
from minuddm.command.arguments import Parser
from minuddm.command.run import Run
from minuddm.command.settings import SCHEDULE
from minuddm.denoiser import Denoiser
from minuddm.process import Process
from minuddm.reverse import restore
from minuddm.samplers import HeatBath
from minuddm.transformer import Transformer
from minuddm.vocabulary import HOLE

_PASSES = 4


def options(parser: Parser) -> None:
    """Add what the command takes."""
    whole = arguments.whole
    parser.add_argument(
        "run", nargs="?", type=arguments.folder, default=run.DEFAULT, metavar="RUN",
        help=f"the folder of a run (default: {run.DEFAULT})",
    )  # fmt: skip
    parser.add_argument("text", metavar="TEXT", help="no longer than the run's sequences")
    parser.add_argument(
        "--t", type=arguments.time, default=0.25, help="the time it comes from (default: 0.25)"
    )
    parser.add_argument(
        "--known", type=arguments.positions, default=[], metavar="POSITIONS",
        help="tokens that are right, as 0-3,7; the first is 0",
    )  # fmt: skip
    parser.add_argument(
        "--mask", metavar="CHARACTER",
        help=f"what stands for a token that is missing (default: {display.MASKED}, unless the run "
        "has it for a token)",
    )  # fmt: skip
    parser.add_argument(
        "--draws", type=whole(1, 1000), default=32, help="restorations (default: 32)"
    )
    parser.add_argument(
        "--steps", type=whole(1, arguments.LONGEST_CHAIN), default=128,
        help="of the reverse chain from noise, of which the last t are taken (default: 128)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, help="of every draw (default: 0)"
    )


def execute(args: argparse.Namespace) -> None:
    """Print the text, what it is restored to, and what has changed."""
    of = run.open_run(args.run)
    seen = encoded(of, args.text, args.mask)
    n = len(seen) - display.filling(seen, of.pad)
    held = np.zeros(len(seen), bool)
    if args.known and args.known[-1] >= len(seen):
        raise ValueError(f"known positions must lie in 0 … {len(seen) - 1}, got {args.known[-1]}")
    held[args.known] = True
    if (seen[held] == HOLE).any():
        missing = np.flatnonzero(held & (seen == HOLE))[0]
        raise ValueError(f"position {missing} cannot be known: it shows no token of the run")
    network, rng = of.network(), np.random.default_rng(args.seed)
    # positions are relative to each other: the same weights read a text that is shorter
    short = Transformer(replace(network.config, length=len(seen)), network.weights)
    drawn = draws(short, of.process, seen, held, args.t, args.steps, args.draws, rng)
    best, certain = consensus(drawn)
    n = max(n, len(best) - display.filling(best, of.pad))
    show(of, seen[:n], best[:n], certain[:n])


def encoded(of: Run, text: str, mask: str | None = None) -> Tokens:
    """Return the tokens of a text, HOLE where it shows none; a line is filled up to L."""
    if not text:
        raise ValueError("there is no text to restore")
    if mask is not None and len(mask) != 1:
        raise ValueError(f"--mask must be one character, got {mask!r}")
    if mask is None and display.MASKED not in of.vocabulary.number:
        mask = display.MASKED
    tokens: list[int] = []
    *before, last = text.split(mask) if mask else [text]
    for part in before:
        whole = part.removesuffix(" ") if of.vocabulary.unit.spaced else part
        tokens += [*of.vocabulary.encode(whole).tolist(), HOLE]
    tokens += of.vocabulary.encode(last).tolist()
    L = of.settings.length
    if not tokens:
        raise ValueError(f"the text {text!r:.80} has none of the run's {of.vocabulary.unit.name}")
    if len(tokens) > L:
        unit = of.vocabulary.unit.name
        raise ValueError(f"the text has {len(tokens)} {unit}, and the run's sequences {L}")
    filling = [] if of.pad is None else [of.pad] * (L - len(tokens))
    return np.array(tokens + filling, np.int32)


def draws(
    denoiser: Denoiser, process: Process, seen: Tokens, held: NDArray[np.bool_], t: float,
    steps: int, n: int, rng: np.random.Generator,
) -> Tokens:  # fmt: skip
    """Return n restorations (n, L) of tokens (L,) seen at time t, those `held` as they are.

    What a hole showed is not known: a heat bath draws it given the others [T43], in a few passes.
    """
    rows, alpha = np.tile(seen, (n, 1)), float(SCHEDULE.alpha(t))
    holes = rows == HOLE
    rows[holes] = process.noise(rows.shape, rng)[holes]
    if number := int(holes[0].sum()):
        fill = HeatBath(_PASSES * number)
        fill(denoiser, process, rows, alpha, holes, rng.spawn(n))
    return restore(denoiser, rows, t, SCHEDULE, steps, rng, process=process, known=held)


def consensus(drawn: Tokens) -> tuple[Tokens, NDArray[np.float64]]:
    """Return of draws (n, L) the one that agrees best with all, and how many agree, (L,)."""
    agree = np.stack([(drawn == row).mean(axis=0) for row in drawn])
    best = int(agree.mean(axis=1).argmax())
    return drawn[best], agree[best]


def show(of: Run, seen: Tokens, best: Tokens, certain: NDArray[np.float64]) -> None:
    """Print three lines, and one for all that has changed."""
    changed = seen != best
    before = display.pieces(of.vocabulary, np.where(seen == HOLE, of.vocabulary.V, seen))
    after = of.vocabulary.spell(best)
    print(f"seen      {display.plain(''.join(before))}")
    print(f"restored  {display.painted(after, changed, certain)}")
    if below := display.tenths(after, certain):
        print(f"certain   {below}")
    each = [
        f"{i} {display.plain(before[i])!r} → {display.plain(after[i])!r} {certain[i]:.2f}"
        for i in np.flatnonzero(changed).tolist()
    ]
    print(f"changed   {', '.join(each) if each else 'nothing'}")
