"""experiments: one claim, one file, one record, one figure. `kit.experiment` runs them."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m experiments.…`, and nothing slow is imported yet
    from experiments.kit import program

    program.begin()
