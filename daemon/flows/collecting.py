"""One project's way back: tail what finishes, publish what is open, in one transaction a page."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

import structlog

from daemon.errors import Fenced, Held, Transient
from daemon.flows.collector.opening import open_state
from daemon.flows.collector.paging import Pages
from daemon.flows.collector.state import CollectOptions, CollectorState
from daemon.flows.gate import Gate
from daemon.flows.holding import Holds, ShownHold
from daemon.flows.looks.foreign import Foreign
from daemon.flows.looks.second_looks import Overlapping, SecondLooks
from daemon.flows.looks.sweeping import Sweeping
from daemon.flows.skew import FUTURE
from daemon.flows.waiting import LONGEST_PROBE_SECONDS, Backoff, pause, unless
from daemon.flows.watching import CollectWatch
from daemon.model import Cursor, Finished, NotNow, Page, UnknownCursor
from daemon.ports import Kafka, Results, TolokaClock

# After this many pages without any progress the tail goes on by time.
PATIENCE_PAGES = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CollectIntervals:
    """How often the collector looks, and how much at a time."""

    interval_seconds: float
    page_size: int
    overlap_every_seconds: float
    sweep_after: timedelta
    sweep_every_seconds: float
    sweep_requests_per_second: float


@dataclass(frozen=True, slots=True)
class CollectorParts:
    """What the collector works with.

    `new_incarnation` names a collector from one take-over to the next, so that it knows its own records
    again: see `daemon.flows.collector.ledger.Ledger`.
    """

    kafka: Kafka
    api: Results
    toloka_clock: TolokaClock
    gate: Gate
    holds: Holds
    watch: CollectWatch
    rng: Random
    new_incarnation: Callable[[], str]


class Collecting:
    """The collector, from take-over until it is told to stop.

    `still_ours` returns once the group has confirmed that we collect, or the event is set.
    """

    def __init__(
        self,
        transactional_id: str,
        options: CollectOptions,
        parts: CollectorParts,
        intervals: CollectIntervals,
        foreign: Foreign,
        still_ours: Callable[[asyncio.Event], Awaitable[None]],
    ) -> None:
        self._id = transactional_id
        self._options = options
        self._parts = parts
        self._intervals = intervals
        self._foreign = foreign
        self._still_ours = still_ours
        self._shown = ShownHold("collect", parts.holds)

    async def run(self, stopping: asyncio.Event) -> None:
        """Collect until the event is set; after any failure start over from what Kafka says."""
        backoff = Backoff(self._parts.rng)
        with self._parts.gate.used():
            while not stopping.is_set():
                await self._once(backoff, stopping)
        self._shown.end()

    async def _once(self, backoff: Backoff, stopping: asyncio.Event) -> None:
        try:
            await self._go(backoff, stopping)
        except Fenced as fenced:
            log.warning("fenced", detail=str(fenced))
            await self._still_ours(stopping)
        except Held as held:
            self._shown.begin(held)
            await pause(backoff.seconds(), stopping)
        except Transient as failure:
            log.warning("starting_over", flow="collect", detail=str(failure))
            self._shown.stumble(failure)
            await pause(backoff.seconds(LONGEST_PROBE_SECONDS), stopping)
        finally:
            self._parts.watch.released()

    async def _go(self, backoff: Backoff, stopping: asyncio.Event) -> None:
        parts = self._parts
        async with (
            parts.kafka.writer(self._id) as writer,
            open_state(
                parts.kafka, self._options, writer, parts.toloka_clock, parts.watch, parts.new_incarnation()
            ) as (state, reader, partitions),
            Pages(parts.api, self._intervals.page_size) as pages,
        ):
            parts.watch.active()
            following = asyncio.ensure_future(state.follow(reader, partitions))
            tailing = asyncio.ensure_future(self._tail(state, pages, backoff, stopping))
            try:
                await asyncio.wait({following, tailing}, return_when=asyncio.FIRST_COMPLETED)
                (tailing if tailing.done() else following).result()
            finally:
                for task in (following, tailing):
                    task.cancel()
                await asyncio.wait({following, tailing})

    async def _tail(
        self, state: CollectorState, pages: Pages, backoff: Backoff, stopping: asyncio.Event
    ) -> None:
        """Page after page; when there is none for now, second looks until the next is due."""
        parts, intervals, stuck = self._parts, self._intervals, 0
        looks = self._second_looks(state)
        due = asyncio.get_running_loop().time()
        while not stopping.is_set():
            await parts.gate.wait(stopping)
            began, moment = asyncio.get_running_loop().time(), parts.toloka_clock.now()
            answer = await unless(stopping, pages.behind(state.cursor))
            if answer is None:
                return
            if isinstance(answer, NotNow):
                parts.gate.shut(answer)
                parts.watch.waiting(state.ledger, parts.toloka_clock.now())
                continue
            parts.gate.open(began)
            more = False
            match answer:
                case UnknownCursor():
                    await self._go_on_by_time(state)
                case Page(items, has_more):
                    if has_more:
                        pages.ask_ahead(state.cursor, self._behind(state.cursor, items))
                    progress = await self._publish(state, items)
                    if not has_more:
                        state.tailed(moment)
                    stuck = 0 if progress or not (has_more or any(map(self._is_due, items))) else stuck + 1
                    if stuck >= PATIENCE_PAGES:
                        await self._go_on_by_time(state)
                        stuck = 0
                    more = progress and has_more
            backoff.reset()
            parts.watch.looked(state.cursor, state.ledger, parts.toloka_clock.now())
            # While there is more, one second look a page: neither puts the other off.
            if not more:
                # Counted from when it was due, so that the time an answer takes does not come on top.
                due = max(due + intervals.interval_seconds, began)
            await unless(stopping, looks.once() if more else looks.until(due, stopping))
            # Only now: a second look that fails each time would keep what it finds from ever being published.
            self._shown.end()

    def _second_looks(self, state: CollectorState) -> SecondLooks:
        parts, intervals = self._parts, self._intervals
        # From the first page on the cursor tells a successor how far the second looks have come.
        state.looked_until(state.cursor.second_look_from)
        overlapping = Overlapping(
            parts.api, self._options.overlap, intervals.overlap_every_seconds, state.cursor.second_look_from
        )
        sweeping = Sweeping(
            parts.api,
            parts.kafka,
            parts.toloka_clock,
            parts.watch,
            intervals.sweep_after,
            intervals.sweep_every_seconds,
            intervals.sweep_requests_per_second,
        )
        return SecondLooks(state, overlapping, sweeping, self._foreign)

    async def _publish(self, state: CollectorState, items: Sequence[Finished]) -> bool:
        """Publish a page and move the cursor to its end; False where nothing came of it."""
        before, cursor = state.cursor, self._behind(state.cursor, items)
        results = await state.publish(items, "tail", cursor)
        return results > 0 or (cursor.finished_at, cursor.item_id) != (before.finished_at, before.item_id)

    async def _go_on_by_time(self, state: CollectorState) -> None:
        """Leave the item behind that Toloka no longer knows, or that it answers with again and again."""
        self._parts.watch.fell_back()
        log.warning("cursor_fallback", item_id=state.cursor.item_id)
        since = state.cursor.finished_at - self._options.overlap
        await state.publish((), "tail", replace(state.cursor, item_id=None))
        async for items in self._parts.api.finished(since, self._parts.toloka_clock.now()):
            await state.publish(items, "tail", self._behind(state.cursor, items))

    def _behind(self, cursor: Cursor, items: Sequence[Finished]) -> Cursor:
        """The cursor behind the last of these items that has finished; never going back, nor ahead of time.

        Behind an item whose end lies in the future nothing would be found until then.
        """
        for item in reversed(items):
            if item.finished_at is not None and item.finished_at >= cursor.finished_at and self._is_due(item):
                return replace(cursor, item_id=item.bookmark, finished_at=item.finished_at)
        return cursor

    def _is_due(self, item: Finished) -> bool:
        """Whether its end does not lie further ahead than a second look reaches back from there."""
        ahead = min(FUTURE, self._options.overlap)
        return item.finished_at is None or item.finished_at <= self._parts.toloka_clock.now() + ahead
