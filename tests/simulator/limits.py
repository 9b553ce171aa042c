"""Limits on requests and on items, over windows that slide."""

from __future__ import annotations

from collections import defaultdict, deque

from tests.simulator.times import SECOND_US

MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


class Window:
    """How much was let through during the last `length_us`."""

    def __init__(self, length_us: int) -> None:
        self._length_us = length_us
        self._entries: deque[tuple[int, int]] = deque()
        self._total = 0

    def fits(self, amount: int, limit: int | None, now_us: int) -> bool:
        """Return whether `amount` more stays within `limit`; None is no limit."""
        while self._entries and self._entries[0][0] <= now_us - self._length_us:
            self._total -= self._entries.popleft()[1]
        return limit is None or self._total + amount <= limit

    def add(self, amount: int, now_us: int) -> None:
        """Count what was let through."""
        self._entries.append((now_us, amount))
        self._total += amount


class Limits:
    """Requests per client and second; items per minute and per day."""

    def __init__(self) -> None:
        self._requests: defaultdict[str, Window] = defaultdict(lambda: Window(SECOND_US))
        self._minute = Window(MINUTE_US)
        self._hour = Window(HOUR_US)
        self._day = Window(DAY_US)

    def request_fits(self, client: str, limit: int | None, now_us: int) -> bool:
        """Count a request of this client, unless it is one too many."""
        window = self._requests[client]
        fits = window.fits(1, limit, now_us)
        if fits:
            window.add(1, now_us)
        return fits

    def exhausted_quota(
        self,
        items: int,
        per_minute: int | None,
        per_day: int | None,
        now_us: int,
        per_hour: int | None = None,
    ) -> str:
        """Count these items, or return the interval, MIN, HOUR or DAY, whose quota they exceed."""
        if not self._minute.fits(items, per_minute, now_us):
            return "MIN"
        if not self._hour.fits(items, per_hour, now_us):
            return "HOUR"
        if not self._day.fits(items, per_day, now_us):
            return "DAY"
        self._minute.add(items, now_us)
        self._hour.add(items, now_us)
        self._day.add(items, now_us)
        return ""
