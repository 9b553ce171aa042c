"""Limits: requests a second, items a minute and a day, each replica within its share."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.edges.toloka.limits import ItemQuota, QuotaPart, RequestLimiter
from daemon.metrics import Metrics
from daemon.model import Tally

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class QuickLoop(asyncio.SelectorEventLoop):
    """Time passes only when everybody sleeps, and then at once."""

    def __init__(self) -> None:
        super().__init__(_QuickSelector(self))
        self.now = 500.0

    def time(self) -> float:
        """Seconds since some moment."""
        return self.now


class _QuickSelector(selectors.DefaultSelector):
    def __init__(self, loop: QuickLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self._loop.now += timeout or 0.0
        return super().select(0 if timeout is not None else 0.01)


@pytest.fixture
def loop() -> Iterator[QuickLoop]:
    """A loop whose waits take no time."""
    loop = QuickLoop()
    yield loop
    loop.close()


@dataclass
class TolokaTime:
    """Toloka's clock, as far as the loop's time has gone from noon."""

    loop: QuickLoop
    start: datetime = NOON
    began: float = field(default=500.0)

    def now(self) -> datetime:
        """See `daemon.ports.TolokaClock.now`."""
        return self.start + timedelta(seconds=self.loop.now - self.began)


def run(loop: QuickLoop, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run to the end."""

    async def wrapped() -> Any:
        return await main()

    return loop.run_until_complete(wrapped())


def most_within(times: list[tuple[float, int]], seconds: float) -> int:
    """The most that was counted in any span of this length."""
    return max(sum(n for at, n in times if start <= at < start + seconds) for start, _ in times)


# --- requests --------------------------------------------------------------------------------------------


def test_requests_never_exceed_the_rate(loop: QuickLoop) -> None:
    """However many ask at once, no second sees more than the rate, and none of it goes to waste."""
    metrics = Metrics()
    limiter = RequestLimiter(10, metrics)
    times: list[tuple[float, int]] = []

    async def one(flow: str) -> None:
        await limiter.take(flow)
        times.append((loop.time(), 1))

    async def main() -> None:
        await asyncio.gather(*(one("submit" if n % 2 else "collect") for n in range(51)))

    run(loop, main)
    assert most_within(times, 0.999) <= 10
    assert loop.now == pytest.approx(505.0)
    waited = [metrics.throttled_seconds.labels(flow)._value.get() for flow in ("submit", "collect")]
    # The share of time that a flow waits, however many of it do.
    assert waited == pytest.approx([4.9, 5.0])


async def test_a_wait_that_is_shorter_than_the_loop_can_tell_is_no_busy_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop counts milliseconds: what is left of one is not waited for by asking over and over."""
    limiter, naps = RequestLimiter(300, Metrics()), 0
    nap = limiter._queue.nap

    async def counted(seconds: float) -> None:
        nonlocal naps
        naps += 1
        await nap(seconds)

    monkeypatch.setattr(limiter._queue, "nap", counted)
    for _ in range(20):
        await limiter.take("submit")
    assert naps <= 40


def test_a_request_that_had_no_place_is_waited_for_by_the_next(loop: QuickLoop) -> None:
    """So many in a second stay so many, whoever made them."""
    limiter = RequestLimiter(2, Metrics())

    async def main() -> None:
        began = loop.now
        await limiter.take("submit")
        limiter.charge()
        await limiter.take("submit")
        assert loop.now == pytest.approx(began + 1.0)

    run(loop, main)


def test_an_idle_limiter_saves_up_one_request(loop: QuickLoop) -> None:
    """After a pause the first request goes at once, and the second waits its turn."""
    limiter = RequestLimiter(2, Metrics())

    async def main() -> None:
        await limiter.take("collect")
        await asyncio.sleep(60)
        began = loop.now
        await limiter.take("collect")
        assert loop.now == began
        await limiter.take("collect")
        assert loop.now == pytest.approx(began + 0.5)

    run(loop, main)


def test_a_request_share_changes_at_once(loop: QuickLoop) -> None:
    """Those who wait go by the new share from the moment it is set; with none, everybody waits."""
    limiter = RequestLimiter(10, Metrics())

    async def main() -> None:
        await limiter.take("submit")
        limiter.share(0.0)
        waiting = asyncio.ensure_future(limiter.take("submit"))
        await asyncio.sleep(100)
        assert not waiting.done()
        limiter.share(0.5)
        began = loop.now
        await waiting
        assert loop.now == pytest.approx(began + 0.2)

    run(loop, main)


def test_a_cancelled_request_uses_nothing_up(loop: QuickLoop) -> None:
    """One that stops waiting leaves its place to the next."""
    limiter = RequestLimiter(1, Metrics())

    async def main() -> None:
        await limiter.take("submit")
        began = loop.now
        given_up = [asyncio.ensure_future(limiter.take("submit")) for _ in range(5)]
        await asyncio.sleep(0.5)
        for task in given_up:
            task.cancel()
        await limiter.take("submit")
        assert loop.now == pytest.approx(began + 1.0)

    run(loop, main)


# --- items -----------------------------------------------------------------------------------------------


def quota(loop: QuickLoop, per_minute: int, per_day: int = 10**9, start: datetime = NOON) -> ItemQuota:
    """A quota by Toloka's time."""
    return ItemQuota(per_minute, per_day, TolokaTime(loop, start), Metrics())


def part(loop: QuickLoop, per_minute: int, per_day: int = 10**9, start: datetime = NOON) -> QuotaPart:
    """The only part of a quota by Toloka's time; it is never left."""
    return QuotaPart(quota(loop, per_minute, per_day, start), 1)


def test_items_never_exceed_the_quota_in_any_minute(loop: QuickLoop) -> None:
    """Whatever the batches, no 60 seconds see more than the quota."""
    limit = part(loop, 100)
    times: list[tuple[float, int]] = []

    async def one(count: int) -> None:
        await limit.take(count, "submit")
        times.append((loop.time(), count))
        await asyncio.sleep(count % 7)

    async def main() -> None:
        await asyncio.gather(*(one(1 + n * 37 % 60) for n in range(60)))

    run(loop, main)
    assert len(times) == 60
    assert most_within(times, 60.0) <= 100


def test_a_batch_above_the_share_goes_alone(loop: QuickLoop) -> None:
    """What could never fit is let through once nothing else is counted, and counts in full."""
    limit = part(loop, 10)

    async def main() -> None:
        await limit.take(1, "submit")
        await limit.take(25, "submit")
        assert loop.now == pytest.approx(560.0)
        await limit.take(1, "submit")
        assert loop.now == pytest.approx(620.0)

    run(loop, main)


def test_items_given_back_count_no_longer(loop: QuickLoop) -> None:
    """A definite no frees exactly its own place, once, whatever has been taken since."""
    limit = part(loop, 10)

    async def main() -> None:
        first = await limit.take(6, "submit")
        await asyncio.sleep(10)
        await limit.take(4, "submit")
        limit.give_back(first)
        limit.give_back(first)
        await limit.take(6, "submit")
        assert loop.now == pytest.approx(510.0)
        assert limit.wait_seconds(1) == pytest.approx(60.0)

    run(loop, main)


def test_a_place_given_back_late_frees_nothing(loop: QuickLoop) -> None:
    """Once a minute has passed there is nothing left to give back."""
    limit = part(loop, 10)

    async def main() -> None:
        first = await limit.take(6, "submit")
        await asyncio.sleep(61)
        await limit.take(10, "submit")
        limit.give_back(first)
        assert limit.wait_seconds(1) == pytest.approx(60.0)

    run(loop, main)


def test_a_large_batch_is_not_overtaken_for_ever(loop: QuickLoop) -> None:
    """First come, first served, however many small batches would fit meanwhile."""
    limit = part(loop, 10)
    order: list[int] = []

    async def one(count: int) -> None:
        await limit.take(count, "submit")
        order.append(count)

    async def main() -> None:
        await limit.take(5, "submit")
        await asyncio.gather(one(10), *(one(1) for _ in range(5)))

    run(loop, main)
    assert order == [10, 1, 1, 1, 1, 1]


def test_the_item_share_changes_at_once(loop: QuickLoop) -> None:
    """Partitions that come and go change what this replica may take, for those who wait, too."""
    whole = quota(loop, 100)
    limit = QuotaPart(whole, 1)

    async def main() -> None:
        whole.share(0.1)
        await limit.take(10, "submit")
        waiting = asyncio.ensure_future(limit.take(10, "submit"))
        await asyncio.sleep(5)
        assert not waiting.done()
        whole.share(0.2)
        await waiting
        assert loop.now == pytest.approx(505.0)
        whole.share(0.1)
        # Both batches must have left the minute before another fits the smaller share.
        assert limit.wait_seconds(10) == pytest.approx(60.0)

    run(loop, main)


def test_a_batch_waits_for_as_many_to_leave_the_minute_as_it_needs(loop: QuickLoop) -> None:
    """And for no more of them."""
    limit = part(loop, 10)

    async def main() -> None:
        await limit.take(6, "submit")
        await asyncio.sleep(20)
        await limit.take(4, "submit")
        assert limit.wait_seconds(5) == pytest.approx(40.0)
        assert limit.wait_seconds(7) == pytest.approx(60.0)

    run(loop, main)


def test_a_cancelled_batch_uses_nothing_up(loop: QuickLoop) -> None:
    """One that stops waiting for the quota has taken none of it."""
    limit = part(loop, 10)

    async def main() -> None:
        await limit.take(10, "submit")
        waiting = asyncio.ensure_future(limit.take(10, "submit"))
        await asyncio.sleep(30)
        waiting.cancel()
        await asyncio.sleep(30)
        assert limit.wait_seconds(10) == 0.0

    run(loop, main)


def test_the_day_ends_at_midnight(loop: QuickLoop) -> None:
    """The day's quota is full until Toloka's clock shows another day."""
    limit = part(loop, 10**9, 100, start=NOON.replace(hour=23))

    async def main() -> None:
        await limit.take(90, "submit")
        assert limit.wait_seconds(10) == 0.0
        assert limit.wait_seconds(11) == pytest.approx(3600.0)
        place = await limit.take(10, "submit")
        limit.give_back(place)
        await limit.take(10, "submit")
        await limit.take(100, "submit")
        assert loop.now == pytest.approx(4100.0)
        limit.give_back(place)
        assert limit.wait_seconds(1) == pytest.approx(86_400.0)

    run(loop, main)


def test_who_waits_for_midnight_notices_that_tolokas_clock_was_corrected(loop: QuickLoop) -> None:
    """Within a minute: that one may have been hours behind."""
    clock = TolokaTime(loop)
    limit = QuotaPart(ItemQuota(10**6, 100, clock, Metrics()), 1)

    async def main() -> None:
        await limit.take(100, "submit")
        waiting = asyncio.ensure_future(limit.take(1, "submit"))
        await asyncio.sleep(30)
        clock.start += timedelta(hours=12)
        await waiting
        assert loop.now <= 560.0

    run(loop, main)


def test_a_clock_that_is_put_back_across_midnight_brings_no_day_back(loop: QuickLoop) -> None:
    """By a second, as each answer may correct it: what was submitted on the new day stays counted."""
    clock = TolokaTime(loop, NOON.replace(hour=23, minute=59, second=59))
    limit = QuotaPart(ItemQuota(10**6, 100, clock, Metrics()), 1)

    async def main() -> None:
        await limit.take(100, "submit")
        await limit.take(100, "submit")
        clock.start -= timedelta(seconds=1)
        assert limit.wait_seconds(1) > 0
        await asyncio.sleep(5)
        assert limit.wait_seconds(1) == pytest.approx(86_400.0, abs=10)
        clock.start -= timedelta(hours=12)
        assert limit.wait_seconds(1) == 0

    run(loop, main)


def test_waiting_is_counted(loop: QuickLoop) -> None:
    """The seconds that a flow waits for the quota are seen."""
    metrics = Metrics()
    limit = QuotaPart(ItemQuota(10, 10**9, TolokaTime(loop), metrics), 1)

    async def main() -> None:
        await limit.take(10, "submit")
        await limit.take(10, "submit")

    run(loop, main)
    assert metrics.throttled_seconds.labels("submit")._value.get() == pytest.approx(60.0)


# --- parts -------------------------------------------------------------------------------------------------


def test_what_was_submitted_before_a_restart_counts(loop: QuickLoop) -> None:
    """As far as it was today; a way that starts over counts nothing twice."""
    whole = quota(loop, per_minute=10**6, per_day=100)

    async def main() -> None:
        with whole.part() as part:
            part.resume(Tally(NOON.date(), 60))
            assert part.wait_seconds(40) == 0
            await part.take(40, "submit")
            part.resume(Tally(NOON.date(), 60))
            assert part.wait_seconds(1) == pytest.approx(12 * 3600)
            part.resume(Tally(NOON.date(), 100))
            assert part.wait_seconds(1) == pytest.approx(12 * 3600)
        with whole.part() as other:
            other.resume(Tally(NOON.date() - timedelta(days=1), 100))
            assert other.wait_seconds(100) == 0

    run(loop, main)


def test_what_a_way_has_counted_leaves_with_it(loop: QuickLoop) -> None:
    """The replica that takes its partition over counts it on."""
    whole = quota(loop, per_minute=10**6, per_day=100)

    async def main() -> None:
        with whole.part() as stays:
            await stays.take(30, "submit")
            with whole.part() as leaves:
                await leaves.take(60, "submit")
                assert whole.wait_seconds(20) > 0
            assert whole.wait_seconds(70) == 0
            assert whole.wait_seconds(71) > 0

    run(loop, main)


def test_what_a_part_has_counted_leaves_with_it(loop: QuickLoop) -> None:
    """Those who wait for the day go on at once; what is given back afterwards was counted no longer."""
    whole = quota(loop, per_minute=10**6, per_day=100)

    async def main() -> None:
        with whole.part() as other:
            with whole.part() as part:
                place = await part.take(100, "submit")
                waiting = asyncio.ensure_future(other.take(100, "submit"))
                await asyncio.sleep(30)
                assert not waiting.done()
            await waiting
            assert loop.now == pytest.approx(530.0)
            part.give_back(place)
            assert other.wait_seconds(1) == pytest.approx(12 * 3600 - 30)

    run(loop, main)
