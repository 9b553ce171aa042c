"""The log: one event a line, from our own code and every library, without secrets, never in the way.

A line on its way: `repetition` (an outage is told a few times only), `redaction` (no secrets), `rendering`
(JSON or columns), `writing` (in a thread). `recent` keeps the last warnings for the status page.
"""

import logging
from collections.abc import Iterable
from typing import Final, Self, TextIO

import structlog
from structlog.typing import Processor

from daemon.logs.recent import Recent
from daemon.logs.redaction import Secrets
from daemon.logs.rendering import console_lines, json_lines
from daemon.logs.repetition import Repetitions
from daemon.logs.writing import LineHandler

__all__ = ["Logs", "Secrets", "configure"]

# Below these levels the clients write out passwords (aiokafka at DEBUG), every step of a rebalance (at INFO)
# and whole URLs (httpx at INFO).
FLOORS: Final = {
    "aiokafka": logging.WARNING,
    "asyncio": logging.INFO,
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}


class Logs:
    """The log as it is configured; closing it writes what is left and undoes the configuration.

    Attributes:
        secrets: add a rotated credential here before it is used.
        recent: the last warnings and errors.
    """

    def __init__(self, handler: LineHandler, secrets: Secrets, recent: Recent) -> None:
        self.secrets = secrets
        self.recent = recent
        self._handler = handler

    def close(self) -> None:
        """Write what is left, within a second, and let go of the stream."""
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()
        structlog.reset_defaults()

    def flush(self) -> None:
        """Wait, at most a second, until what was logged so far is written."""
        self._handler.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def configure(level: str, form: str, stream: TextIO, secrets: Iterable[str] = ()) -> Logs:
    """Send structlog's and the standard library's events through one chain to one stream.

    Args:
        level: the least severe level to write, such as `INFO`.
        form: `json`, `console`, or `auto`: console where the stream is a terminal.
        stream: usually `sys.stdout`; it may get stuck, fill up or close without harm.
        secrets: values to mask wherever they stand.

    Returns:
        The log; close it before the program ends.
    """
    known = Secrets(secrets)
    terminal = _is_terminal(stream)
    console = form == "console" or (form == "auto" and terminal)
    shared = _shared(Repetitions())
    recent = Recent(known)
    handler = LineHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                recent,
                *(console_lines(known, colors=terminal) if console else json_lines(known)),
            ],
        )
    )
    _listen(handler, level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    return Logs(handler, known, recent)


def _shared(repetitions: Repetitions) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        repetitions,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _listen(handler: LineHandler, level: str) -> None:
    """Take the place of an earlier configuration's handler, and keep talkative clients quiet."""
    root = logging.getLogger()
    for earlier in [known for known in root.handlers if isinstance(known, LineHandler)]:
        root.removeHandler(earlier)
        earlier.close()
    root.addHandler(handler)
    root.setLevel(level)
    for name, floor in FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, root.level))


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:
        return False
