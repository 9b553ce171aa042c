"""The last warnings and errors, for the status page."""

from collections import deque
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from daemon.logs.redaction import ESCAPES, Redaction, Secrets

KEPT: Final = 20
LEVELS: Final = frozenset({"warning", "error", "critical"})
# In this order, the first that is there says best what happened.
SAYING: Final = ("detail", "problem", "error", "reason")


class Recent:
    """Remembers the last few events that somebody should know of, redacted as the log is.

    It may be read from any thread.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._redaction = Redaction(secrets, ESCAPES)
        self._last: deque[Mapping[str, Any]] = deque(maxlen=KEPT)

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A processor for structlog: takes nothing away and changes nothing."""
        if event.get("level") in LEVELS:
            self._last.append(self._short(event))
        return event

    def last(self) -> list[Mapping[str, Any]]:
        """The events, latest first: `at`, `level`, `event`, and in `detail` what it says, if anything."""
        return list(self._last)[::-1]

    def _short(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        detail = next((event[name] for name in SAYING if event.get(name)), "")
        parts = {"at": event.get("timestamp"), "level": event["level"], "event": event.get("event")}
        where = {name: event[name] for name in ("flow", "partition") if event.get(name) is not None}
        return self._redaction(None, "", {**parts, **where, "detail": detail})
