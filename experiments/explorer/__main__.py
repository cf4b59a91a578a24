"""A page to play with: what networks, ideal memoriser and token memory make of the same tokens.

It is served to this machine alone, or written into a file that needs no server. The networks are
those of the main job; its options say of which one. Where there are none, small ones are trained.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from experiments import transition
from experiments.explorer import checkpoints, messages
from experiments.explorer.page import page
from experiments.explorer.server import Server
from experiments.kit.commandline import CommandLine, create, whole
from experiments.kit.record import claim
from experiments.kit.workers import WorkersError
from minuddm.files import write_atomically

PORT = 8642


def command_line() -> CommandLine:
    """Return the command line: that of the main job, and a few words more."""
    p = CommandLine("transition", claim(__doc__))  # whose folder --out is
    p.prog = "python -m experiments.explorer"
    p.epilog = f"{p.epilog} Ctrl-C is how the server ends, with 0."
    p.add_argument("runs", type=Path, nargs="*", metavar="RUN", default=argparse.SUPPRESS,
                   help="the folder of a minuddm train; or a checkpoint (*.safetensors) or a "
                   "folder of some, whose text --data names (without any: those of the main job, "
                   "in its folder's cells)")  # fmt: skip
    p.add_argument("--port", type=whole(0, 65535), default=PORT, help="of the page; 0 is any free")
    p.add_argument("--export", type=Path, metavar="FILE",
                   help="write a page with recorded runs, from --times, and end")  # fmt: skip
    transition.options(p)
    return p


def main(argv: Sequence[str] | None = None) -> None:
    """Serve or write the page; see `--help`."""
    p = command_line()
    args = p.parse_args(argv)
    runs, times = getattr(args, "runs", []), sorted(set(args.times))
    try:
        if args.export is not None:
            create(args.export.absolute().parent)
        paths = checkpoints.files(runs) if runs else checkpoints.of_main_job(args)
        subjects = checkpoints.subjects(paths, args)
        for subject in subjects:
            if subject.training is None:
                print(f"{subject.name}: its sequences are not those of {args.data} (--data, "
                      "--lines, --sequences); it is shown alone", file=sys.stderr)  # fmt: skip
        if args.export is not None:
            content = messages.recorded(subjects, times, args.grid)
            write_atomically(args.export, page(content).encode())
            print(f"{len(content['recorded'])} recorded runs in {args.export}")
            return
        answer = partial(messages.answer, subjects=subjects, grid=args.grid)
        server = Server(args.port, page(messages.data(subjects)), answer)
    except (ValueError, TypeError, WorkersError) as error:
        p.error(str(error))
    except OSError as error:
        where = error.filename or f"port {args.port}"
        p.error(f"{where} cannot be had: {error.strerror}")
    server.until_interrupted()


if __name__ == "__main__":
    main()
