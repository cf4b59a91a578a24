"""`python -m minuddm`, which is the command `minuddm` (`minuddm.command`)."""

import sys

from minuddm.command.program import main

if __name__ == "__main__":
    sys.exit(main())
