"""What Kafka has acknowledged of one partition's way, for a broker that forgets the last of it.

Seen with a single broker that was stopped under load: a transaction ends well, and its offset is undone. The
announcement of what was sent is gone with it, so that it would be sent again.
"""

from dataclasses import replace

import structlog

from daemon.flows.records import codec
from daemon.model import Committed, Intent

log = structlog.get_logger(__name__)


class Acknowledged:
    """The last two offsets that were committed, with their metadata; it outlives a take-over."""

    def __init__(self) -> None:
        self._before: Committed | None = None
        self._last: Committed | None = None

    def note(self, committed: Committed) -> None:
        """This has been committed."""
        self._before, self._last = self._last, committed

    def restored(self, shown: Committed) -> Committed:
        """What the brokers show at a take-over; with what was announced last in doubt, where that is undone.

        Raises:
            UnreadableError: the metadata is somebody else's, damaged, or of a newer release.
        """
        before, last = self._before, self._last
        if last is None or shown != before or (undone := codec.read_intent(last.metadata)) is None:
            self._before, self._last = None, shown
            return shown
        log.warning("acknowledged_undone", offset=last.offset)
        # Until something is written, the next take-over is shown the same: this one may come to nothing.
        self._last = last if shown.offset == last.offset else _both(shown, undone)
        return self._last


def _both(before: Committed, behind: Intent) -> Committed:
    """Both announced: the one that stood before, and the other left in doubt behind it."""
    standing = codec.read_intent(before.metadata)
    if standing is None:
        return Committed(before.offset, codec.intent_metadata(_whole(behind)))
    both = replace(
        standing,
        doubt_end=max(standing.reach, behind.reach),
        doubt_at=max(standing.last_at, behind.last_at),
        decided=False,
    )
    return Committed(before.offset, codec.intent_metadata(both))


def _whole(intent: Intent) -> Intent:
    return replace(
        intent, end=intent.reach, at=intent.last_at, once=False, doubt_end=0, doubt_at=None, decided=False
    )
