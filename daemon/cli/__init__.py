"""The command line: thin; every command hands its work to a room of its own."""

import sys
from collections.abc import Sequence
from importlib import import_module

from daemon.cli.commands import parser
from daemon.errors import StartError

OPTIMISED = 78


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code says how it went (design, section 7)."""
    options = parser().parse_args(arguments)
    if not __debug__:
        sys.stderr.write("tolokad: not with python -O: the Kafka client's own checks are assertions\n")
        return OPTIMISED
    room, _, name = options.work.partition(".")
    try:
        # Only now: most commands need a part of the house, and a healthcheck next to nothing.
        return int(getattr(import_module(f"daemon.cli.{room}"), name)(options))
    except StartError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"tolokad: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
