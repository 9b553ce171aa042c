"""The command line: thin; every command hands its work to a room of its own.

`commands` is what can be said, in the `grammar` of all commands, and `answers` how they start and what they
print. Each begins in one of these: `running`, `looking`, `steering`, `mending`, `basics`, `health`.
"""

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from types import ModuleType

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
    if isinstance(sys.stdout, TextIOWrapper):
        # Where the locale has no letter for a tick or a text of Toloka's, its code is an answer, too.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    if not __debug__:
        sys.stderr.write("tolokad: not with python -O: the Kafka client's own checks are assertions\n")
        return ConfigurationError.exit_code
    room, _, name = options.work.partition(".")
    if options.work == RUN:
        # Until the daemon listens itself; a container's first process would not even be ended by the signal.
        signal.signal(signal.SIGTERM, _stopped)
    try:
        code = int(getattr(_entered(room), name)(options))
        sys.stdout.flush()
    except StartError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"tolokad: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has had enough, as `head` has; what is left unwritten must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CUT_SHORT
    except Exception as error:  # noqa: BLE001 - a defect, which is told from an answer of 1
        sys.stderr.write(f"tolokad: {options.work}: a defect: {type(error).__name__}: {error}\n")
        return INTERNAL_ERROR
    return code


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
