"""An outage says the same thing many times a second: the log says it a few times, and how often."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

LIMITED_LEVELS: Final = frozenset({"warning", "error", "critical", "exception"})
# Fields that make two events of one name different; others (a message, an id) may differ in a repetition.
IDENTIFYING_FIELDS: Final = ("flow", "reason", "topic", "partition", "operation", "outcome", "kind")


@dataclass(slots=True)
class _Seen:
    """One event's present window."""

    since: float
    count: int = 0
    suppressed: int = 0


class Repetitions:
    """Lets the first few warnings or errors of a kind pass in each window of time and counts the rest.

    The first one in the next window carries the number as `suppressed`.

    Args:
        burst: how many pass in a window.
        window_seconds: how long a window lasts, from the first event in it.
        capacity: how many kinds are remembered; the one that was quiet for longest is forgotten.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        burst: int = 5,
        window_seconds: float = 60,
        capacity: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst = burst
        self._window_seconds = window_seconds
        self._capacity = capacity
        self._clock = clock
        self._seen: OrderedDict[tuple[object, ...], _Seen] = OrderedDict()
        # Reentrant: a finalizer or signal handler may log in the middle of this.
        self._lock = threading.RLock()

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A processor for structlog."""
        if method in LIMITED_LEVELS:
            with self._lock:
                suppressed = self._passing(_identity(logger, event))
            if suppressed:
                event["suppressed"] = suppressed
        return event

    def _passing(self, identity: tuple[object, ...]) -> int:
        """Count one event; how many were suppressed before it, if it may pass."""
        now = self._clock()
        seen = self._seen.setdefault(identity, _Seen(now))
        self._seen.move_to_end(identity)
        if len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        before = 0
        if now - seen.since >= self._window_seconds:
            before = seen.suppressed
            seen.since, seen.count, seen.suppressed = now, 0, 0
        seen.count += 1
        if seen.count > self._burst:
            seen.suppressed += 1
            raise structlog.DropEvent
        return before


def _identity(logger: Any, event: MutableMapping[str, Any]) -> tuple[object, ...]:
    """What two repetitions have in common; of the standard library's, the text before its arguments."""
    record = event.get("_record")
    name, text = (record.name, record.msg) if record else (getattr(logger, "name", ""), event.get("event"))
    fields = (event.get(field) for field in IDENTIFYING_FIELDS)
    return (name, *(value if isinstance(value, str | int) else None for value in (text, *fields)))
