"""What time it is: for this process, by the machine's clock, and at Toloka."""

import re
import time
from datetime import UTC, datetime, timedelta

from daemon.ports import Clock

# Counts the seconds of a suspended machine, where the system has such a clock.
_ELAPSED_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# IMF-fixdate, the only form that a server may generate (RFC 7231, 7.1.1.1).
_DATE_FORM = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_FIRST_YEAR, _LAST_YEAR = 2020, 2200
# A `Date` header leaves out the fraction of its second.
_RESOLUTION = timedelta(seconds=1)
# No clock drifts this far between two answers: what stands in front of Toloka may have another time.
_STEP = timedelta(seconds=5)
# Unless all answers have said the same for this long.
_CONFIRMED_SECONDS = 10.0
# What has shown the same second for this long stands still, such as the header of an answer out of a cache: a
# clock that was held back by it would never see a quarantine's end.
_STOPPED_SECONDS = 10.0


class SystemClock:
    """See `daemon.ports.Clock`."""

    def elapsed(self) -> float:
        """See `daemon.ports.Clock.elapsed`."""
        return time.clock_gettime(_ELAPSED_CLOCK)

    def wall(self) -> float:
        """See `daemon.ports.Clock.wall`."""
        return time.time()


class DateClock:
    """See `daemon.ports.TolokaClock`: what the `Date` headers of Toloka's answers leave possible."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: tuple[datetime, float] | None = None
        # Until two answers agree, the later one is believed.
        self._is_agreed = False
        self._doubted: tuple[datetime, float] | None = None
        # What was stated last, and since when.
        self._stated: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """See `daemon.ports.TolokaClock.now`; aware, in UTC."""
        if self._told is None:
            return datetime.fromtimestamp(self._clock.wall(), UTC)
        moment, at = self._told
        return moment + timedelta(seconds=self._clock.elapsed() - at)

    @property
    def is_unsure(self) -> bool:
        """Whether no two answers agree yet, so that one that is wrong may be believed."""
        return self._told is not None and not self._is_agreed

    def hear(self, date: str | None, took_seconds: float) -> None:
        """Learn from the answer that has just come.

        The clock is moved by no more than the header proves: when the answer was written, Toloka's clock
        showed the header's second, and since then no more than the request's time has passed. A quarantine
        goes by this clock, so that one answer alone, which a proxy may have written, does not make it jump.

        Args:
            date: the answer's `Date` header; one that is missing, always the same, or no plausible date
                teaches nothing.
            took_seconds: from sending the request to this answer.
        """
        stated = parse_date(date)
        if stated is None:
            return
        at = self._clock.elapsed()
        if self._stands_still(stated, at):
            return
        if self._told is None:
            self._told = stated, at
            return
        latest = stated + _RESOLUTION + timedelta(seconds=took_seconds)
        moment = min(max(self.now(), stated), latest)
        is_near = abs(moment - self.now()) <= _STEP
        if is_near or not self._is_agreed or self._is_confirmed(moment, at):
            self._is_agreed = self._is_agreed or is_near
            self._told, self._doubted = (moment, at), None

    def _stands_still(self, stated: datetime, at: float) -> bool:
        if self._stated is None or self._stated[0] != stated:
            self._stated = stated, at
        return at - self._stated[1] > _STOPPED_SECONDS

    def _is_confirmed(self, moment: datetime, at: float) -> bool:
        """Whether answers have told of a time that is far from ours for long enough to believe it."""
        if self._doubted is not None:
            first, since = self._doubted
            if abs(moment - first - timedelta(seconds=at - since)) <= _STEP:
                return at - since >= _CONFIRMED_SECONDS
        self._doubted = moment, at
        return False


def parse_date(text: str | None) -> datetime | None:
    """The moment of an HTTP date (RFC 7231, 7.1.1.1), in UTC; None where it is no plausible one."""
    if text is None or not _DATE_FORM.fullmatch(text):
        return None
    try:
        moment = datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None
