"""The command line: thin; every command hands its work to a room of its own.

`commands` is what can be said, in the `grammar` of all commands, and `answers` how they start and what they
print; `streams` may be closed or full. Each begins in one of these: `running`, `looking`, `steering`,
`mending`, `basics`, `health`.
"""

import errno
import gc
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from types import ModuleType

from daemon.cli import streams
from daemon.cli.commands import parser
from daemon.errors import ConfigurationError, StartError

INTERRUPTED = 130  # What a shell shows for SIGINT.
CUT_SHORT = 141  # And for SIGPIPE.
INTERNAL_ERROR = 70
# Libraries here draw tracebacks and command lines of their own with these, where somebody has installed them;
# nothing of that is used, and importing them takes a quarter of a start.
ORNAMENTS = ("rich", "pygments", "click")
RUN = "running.run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code says how it went (README.md, the table of exit codes)."""
    streams.open_what_is_closed()
    if isinstance(sys.stdout, TextIOWrapper):
        # Where the locale has no letter for a tick or a text of Toloka's, its code is an answer, too.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _carried_out(parser().parse_args(arguments))
        finally:
            # Here, and not when the interpreter ends, where nothing more can be said of it.
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in streams.UNWRITABLE:
            raise
        streams.silence(sys.stdout)
        if error.errno != errno.EPIPE:
            streams.complain(f"tolokad: the answer cannot be written: {error.strerror}\n")
        # Otherwise the reader has had enough, as `head` has.
        return CUT_SHORT


def _carried_out(options: Namespace) -> int:
    if not __debug__:
        streams.complain("tolokad: not with python -O: the Kafka client's own checks are assertions\n")
        return ConfigurationError.exit_code
    room, _, name = options.work.partition(".")
    if options.work == RUN:
        # Until the daemon listens itself; a container's first process would not even be ended by the signal.
        signal.signal(signal.SIGTERM, _stopped)
    try:
        return int(getattr(_entered(room), name)(options))
    except StartError as error:
        for line in str(error).splitlines():
            streams.complain(f"tolokad: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in streams.UNWRITABLE:
            raise
        # A defect, which is told from an answer of 1.
        streams.complain(f"tolokad: {options.work}: a defect: {type(error).__name__}: {error}\n")
        return INTERNAL_ERROR


def _stopped(*_: object) -> None:
    """Nothing has begun that would have to come to its end: leave at once, as after a drain."""
    os.write(2, b"tolokad: stopped before anything had begun\n")
    os._exit(0)


def _entered(room: str) -> ModuleType:
    """The module of a command, only now: most need a part of the house, and a healthcheck next to nothing."""
    # What an import makes is there to stay: to look for garbage in it takes a sixth of a start's time.
    gc.disable()
    try:
        with _unadorned():
            return import_module(f"daemon.cli.{room}")
    finally:
        gc.enable()


@contextmanager
def _unadorned() -> Iterator[None]:
    """What is imported here finds no ornaments."""
    absent = [name for name in ORNAMENTS if name not in sys.modules]
    # An entry that is None makes an import fail at once.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # see above
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
