"""How much of Toloka this replica may use: requests a second, items a minute and a day.

The limits hold for all replicas together; each is told its share, by its assigned partitions.
"""

import asyncio
import math
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from daemon.metrics import Metrics
from daemon.model import Tally
from daemon.ports import TolokaClock

WINDOW_SECONDS = 60.0
# A day's end is a matter of Toloka's clock, which can be corrected: look at it now and then.
LONGEST_NAP_SECONDS = 60.0
# The loop of `tolokad run` rounds to milliseconds: a shorter nap may be none, and the wait a busy one.
SHORTEST_NAP_SECONDS = 0.001
_DAY = timedelta(days=1)
# By so much Toloka's clock may be put back when it is corrected: that brings no day back.
_CORRECTED = timedelta(minutes=1)
# A token that is all there but for rounding.
_ROUNDING = 1e-9


class _Queue:
    """Lets one wait at a time, in the order they came, and wakes it when shares change."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._counted_until: defaultdict[str, float] = defaultdict(float)

    def wake(self) -> None:
        self._changed.set()

    async def nap(self, seconds: float) -> None:
        """Sleep, at most until shares change."""
        self._changed.clear()
        try:
            async with asyncio.timeout(min(max(seconds, SHORTEST_NAP_SECONDS), LONGEST_NAP_SECONDS)):
                await self._changed.wait()
        except TimeoutError:
            return

    def count(self, flow: str, since: float) -> None:
        """Add the time since then to what the flow has waited for limits: once, however many of it wait."""
        now = asyncio.get_running_loop().time()
        waited_seconds = now - max(since, self._counted_until[flow])
        self._counted_until[flow] = now
        self._metrics.throttled_seconds.labels(flow).inc(waited_seconds)


class RequestLimiter:
    """A token bucket that holds one token: requests go out evenly, never above the rate in any second.

    The rate is that of both flows and all replicas together.
    """

    def __init__(self, per_second: float, metrics: Metrics) -> None:
        self._per_second = per_second
        self._fraction = 1.0
        self._tokens = 1.0
        self._counted_at = -math.inf
        self._queue = _Queue(metrics)

    def share(self, fraction: float) -> None:
        """Use this part of the rate from now on, 0 to 1; with 0 no new place comes free."""
        self._refill(asyncio.get_running_loop().time())
        self._fraction = fraction
        self._queue.wake()

    async def take(self, flow: str) -> None:
        """Wait for a place for one request; when cancelled, none is used up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._queue.turn:
                while (wait := self._wait_seconds(loop.time())) > 0:
                    await self._queue.nap(wait)
                self._tokens -= 1
        finally:
            self._queue.count(flow, began)

    def charge(self) -> None:
        """One request more than had a place was made: whoever comes next waits for it, too."""
        self._refill(asyncio.get_running_loop().time())
        self._tokens -= 1

    def _wait_seconds(self, now: float) -> float:
        self._refill(now)
        missing = 1.0 - self._tokens
        if missing <= _ROUNDING:
            return 0.0
        rate = self._per_second * self._fraction
        return missing / rate if rate else math.inf

    def _refill(self, now: float) -> None:
        gained = (now - self._counted_at) * self._per_second * self._fraction if self._fraction else 0.0
        self._tokens = min(self._tokens + gained, 1.0)
        self._counted_at = now


@dataclass(eq=False, slots=True)
class Reservation:
    """Room under the quotas that was taken by some part, for so many items."""

    count: int
    at: float
    day: date
    part: int


class ItemQuota:
    """Never more items than the quotas in any 60 seconds, nor in a day (UTC, by Toloka's clock).

    The quotas are those of all replicas together.
    """

    def __init__(self, per_minute: int, per_day: int, clock: TolokaClock, metrics: Metrics) -> None:
        self._per_minute = per_minute
        self._per_day = per_day
        self._clock = clock
        self._fraction = 1.0
        self._window: deque[Reservation] = deque()
        self._in_window = 0
        self._day = date.min
        self._in_day: dict[int, int] = {}
        self._parts = 0
        self._queue = _Queue(metrics)

    def share(self, fraction: float) -> None:
        """Use this part of the quotas from now on, 0 to 1."""
        self._fraction = fraction
        self._queue.wake()

    @contextmanager
    def part(self) -> Iterator["QuotaPart"]:
        """One way's part, until the block ends: what it has counted leaves with it."""
        self._parts += 1
        number = self._parts
        try:
            yield QuotaPart(self, number)
        finally:
            self._in_day.pop(number, None)
            self._queue.wake()

    def resume(self, tally: Tally, part: int) -> None:
        """Count what a part has submitted before, as far as it was today; never twice."""
        self._turn(self._clock.now())
        if tally.day == self._day:
            self._in_day[part] = max(self._in_day.get(part, 0), tally.items)

    async def take(self, count: int, flow: str, part: int) -> Reservation:
        """Wait for a place for this many items; when cancelled, none is used up.

        More than the whole share fit only where nothing else is counted.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with self._queue.turn:
                while (wait := self.wait_seconds(count)) > 0:
                    await self._queue.nap(wait)
                reservation = Reservation(count, loop.time(), self._day, part)
                self._window.append(reservation)
                self._in_window += count
                self._in_day[part] = self._in_day.get(part, 0) + count
                return reservation
        finally:
            self._queue.count(flow, began)

    def give_back(self, reservation: Reservation) -> None:
        """Toloka has certainly not taken these items: they count no longer."""
        if self._window and self._window[0].at <= reservation.at:
            self._in_window -= reservation.count
        if reservation.day == self._day and reservation.part in self._in_day:
            self._in_day[reservation.part] -= reservation.count
        reservation.count = 0

    def wait_seconds(self, count: int) -> float:
        """How long until this many items fit, were nobody else to take a place; 0 where they fit now."""
        now = asyncio.get_running_loop().time()
        return max(self._window_wait(count, now), self._day_wait(count, self._clock.now()))

    def _window_wait(self, count: int, now: float) -> float:
        while self._window and now - self._window[0].at >= WINDOW_SECONDS:
            self._in_window -= self._window.popleft().count
        fits = max(int(self._per_minute * self._fraction) - count, 0)
        left, wait = self._in_window, 0.0
        for reservation in self._window:
            if left <= fits:
                break
            left -= reservation.count
            wait = reservation.at + WINDOW_SECONDS - now
        return wait

    def _day_wait(self, count: int, now: datetime) -> float:
        self._turn(now)
        if sum(self._in_day.values()) <= max(int(self._per_day * self._fraction) - count, 0):
            return 0.0
        midnight = datetime.combine(now.date() + _DAY, datetime.min.time(), now.tzinfo)
        return (midnight - now).total_seconds()

    def _turn(self, now: datetime) -> None:
        """Begin a new day, if it is one."""
        if self._day not in {now.date(), (now + _CORRECTED).date()}:
            self._day = now.date()
            self._in_day.clear()


class QuotaPart:
    """The quotas as one way uses them; see `ItemQuota`."""

    def __init__(self, quota: ItemQuota, number: int) -> None:
        self._quota = quota
        self._number = number

    def resume(self, tally: Tally) -> None:
        """See `ItemQuota.resume`."""
        self._quota.resume(tally, self._number)

    async def take(self, count: int, flow: str) -> Reservation:
        """See `ItemQuota.take`."""
        return await self._quota.take(count, flow, self._number)

    def give_back(self, reservation: Reservation) -> None:
        """See `ItemQuota.give_back`."""
        self._quota.give_back(reservation)

    def wait_seconds(self, count: int) -> float:
        """See `ItemQuota.wait_seconds`."""
        return self._quota.wait_seconds(count)
