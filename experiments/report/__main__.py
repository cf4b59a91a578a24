"""Write report.html, one page with everything measured, and RESULTS.md, its tables."""

import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.kit.commandline import CommandLine, InputError, create
from experiments.kit.record import RESULTS, claim, records
from experiments.report import counted, judged
from experiments.report.markdown import results
from experiments.report.page import page
from minuddm.files import write_atomically


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report; see `--help`."""
    p = CommandLine("report", claim(__doc__))
    p.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER",
                   help="where the records are")  # fmt: skip
    args = p.parse_args(argv)
    try:
        found = records(args.results)
        rows = judged(found)
    except ValueError as error:
        p.error(str(error))
    if not found:
        p.error(f"--results {args.results} holds no record.json in its folders")
    out = args.out or RESULTS / "report"
    try:
        create(out)
    except InputError as error:
        p.error(str(error))
    write_atomically(out / "report.html", page(rows, args.results).encode())
    print(f"{len(found)} records in {out / 'report.html'}: {counted(rows)}.")
    markdown = (args.out or RESULTS.parent) / "RESULTS.md"
    try:
        write_atomically(markdown, results(found).encode())
    except ValueError as error:
        print(f"{markdown} is not written: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
