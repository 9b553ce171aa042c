"""What happened in a run, in order: hashed always, kept for people where somebody asks for it."""

import hashlib
import marshal
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from structlog.typing import EventDict

from tests.simulation.loop import Process, VirtualLoop, current_process


class Trace:
    """Events of one run.

    Args:
        loop: tells the time.
        show: is given each line; None to keep none.
    """

    def __init__(self, loop: VirtualLoop, show: Callable[[str], None] | None = None) -> None:
        self._loop = loop
        self._show = show
        self._events: list[tuple[float, str, str, str]] = []
        self.counts: Counter[str] = Counter()

    def note(self, process: Process | None, what: str, detail: Any = "") -> None:
        """Something happened; `what` is counted."""
        self.counts[what] += 1
        name = "-" if process is None else process.name
        self._events.append((self._loop.now, name, what, str(detail)))
        if self._show is not None:
            self._show(f"{self._loop.now:11.4f} {name:<12} {what} {detail}")

    def count_rows(self, rows: Iterable[int]) -> None:
        """Rows of the fault matrix have been fired."""
        for row in rows:
            self.counts[f"row {row}"] += 1

    @property
    def digest(self) -> str:
        """Equal for equal runs."""
        return hashlib.blake2b(marshal.dumps(self._events, 0), digest_size=8).hexdigest()

    def listen_to_logs(self) -> None:
        """Take in what the daemon logs, by the process that logs it."""
        structlog.configure(
            processors=[structlog.contextvars.merge_contextvars, self._note_log],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )

    def _note_log(self, _logger: Any, level: str, event: EventDict) -> EventDict:
        name = event.pop("event")
        fields = " ".join(f"{key}={value}" for key, value in sorted(event.items()) if key != "exc_info")
        self.note(current_process(), f"log {name}", f"[{level}] {fields}")
        raise structlog.DropEvent
