"""`python -m daemon` is the same program as `tolokad`."""

import sys

from daemon.cli import main

if __name__ == "__main__":
    sys.exit(main())
