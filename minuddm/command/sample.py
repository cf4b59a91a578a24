"""Sample new sequences from a trained network.

Each is a line; ↵ stands for the end of a line inside it. The chain starts from noise, or from
MASK, and takes --steps steps. With --prompt every sample begins with a given text: tokens that are
held fixed, and with the uniform process a heat bath draws the others given them.

Example:
    minuddm sample
    minuddm sample myrun -n 3 --prompt "Once upon a "
"""

import argparse

import numpy as np

from minuddm.command import arguments, display, run
from minuddm.command.arguments import Parser
from minuddm.command.settings import SCHEDULE
from minuddm.reverse import generate
from minuddm.vocabulary import HOLE


def options(parser: Parser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "run", nargs="?", type=arguments.folder, default=run.DEFAULT, metavar="RUN",
        help=f"the folder of a run (default: {run.DEFAULT})",
    )  # fmt: skip
    whole = arguments.whole
    parser.add_argument("-n", type=whole(1, 10_000), default=5, help="samples (default: 5)")
    parser.add_argument(
        "--steps",
        type=whole(1, arguments.LONGEST_CHAIN),
        default=128,
        help="of the reverse chain (default: 128)",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="how every sample begins")
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, help="of every draw (default: 0)"
    )


def execute(args: argparse.Namespace) -> None:
    """Print the samples."""
    of = run.open_run(args.run)
    V, L = of.vocabulary.V, of.settings.length
    prompt, known = np.zeros(L, np.int32), np.arange(L) < 0
    if args.prompt:
        begun = of.vocabulary.encode(args.prompt)
        if len(begun) > L or (begun == HOLE).any():
            why = f"has more than {L}" if len(begun) > L else "has others than the run's"
            raise ValueError(f"the prompt {args.prompt!r:.80} {why} {of.vocabulary.unit.name}")
        prompt[: len(begun)], known = begun, np.arange(L) < len(begun)
    found = generate(
        of.network(), args.n, L, V, SCHEDULE, args.steps, np.random.default_rng(args.seed),
        process=of.process, known=known, prompt=prompt,
    )  # fmt: skip
    for row in found:
        print(display.line(of.vocabulary, row, of.pad))
