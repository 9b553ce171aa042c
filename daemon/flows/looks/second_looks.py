"""Between two looks at the tail: items that became visible late, overdue ones, and somebody else's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.errors import Held
from daemon.flows.collector.state import CollectorState
from daemon.flows.looks.foreign import Foreign
from daemon.flows.looks.sweeping import Sweeping
from daemon.flows.skew import SKEW
from daemon.flows.waiting import pause
from daemon.model import Finished
from daemon.ports import Results

log = structlog.get_logger(__name__)


class SecondLooks:
    """Overlap, sweep and foreign items: whatever is due, between two looks at the tail."""

    def __init__(
        self, state: CollectorState, overlapping: "Overlapping", sweeping: Sweeping, foreign: Foreign
    ) -> None:
        self._state = state
        # A sweep of much that is open may have room for more requests all day; the others are soon done.
        self._looks = (overlapping, foreign, sweeping)

    async def until(self, end: float, stopping: asyncio.Event) -> None:
        """Look, a page at a time, while there is something to look for; return at this time of the loop.

        One look is taken in any case: a tail that is slower than its interval must not put them off.
        """
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            more = await self._look(loop.time())
            left = end - loop.time()
            if not more:
                await pause(max(left, 0), stopping)
            if not more or left <= 0:
                return

    async def once(self) -> None:
        """One look, if one is due."""
        await self._look(asyncio.get_running_loop().time())

    async def _look(self, now: float) -> bool:
        for look in self._looks:
            try:
                if await look.step(self._state, now):
                    return True
            except Held as held:
                # A second look that Toloka does not answer holds nothing up: the next one is due soon.
                log.warning("look_failed", reason=held.reason, detail=held.detail)
        return False


class Overlapping:
    """Reads again, every so often, what finished shortly before the cursor.

    A look begins before the end of the last one, so that a backlog that the tail has run through, with ties
    at the edges of its pages, is seen twice as well. What finished before `looked_until` was looked at twice,
    by a predecessor where there was one.
    """

    def __init__(
        self, api: Results, overlap: timedelta, every_seconds: float, looked_until: datetime
    ) -> None:
        self._api = api
        self._overlap = overlap
        self._every_seconds = every_seconds
        self._due_at = 0.0
        self._looked_until = self._looking_until = looked_until
        self._pages: AsyncIterator[Sequence[Finished]] | None = None

    async def step(self, state: CollectorState, now: float) -> bool:
        """Look at one more page, if a look is due; False when there is nothing to do now."""
        if self._pages is None and not self._begin(state, now):
            return False
        pages, self._pages = self._pages, None
        page = None if pages is None else await anext(pages, None)
        if page is None:
            self._end(state)
            # Counted anew from its end: after a look that took longer than that, the others come first.
            self._due_at = now + self._every_seconds
            return False
        self._pages = pages
        await state.publish(page, "overlap")
        return True

    def _begin(self, state: CollectorState, now: float) -> bool:
        if now < self._due_at:
            return False
        self._due_at = now + self._every_seconds
        until = self._looking_until = state.cursor.finished_at
        if not self._worth_it(state):
            self._end(state)
            return False
        since = min(self._looked_until, until) - self._overlap
        self._pages = self._api.finished(since, until, state.ledger.was_closed)
        return True

    def _end(self, state: CollectorState) -> None:
        self._looked_until = self._looking_until
        state.looked_until(self._looked_until)

    def _worth_it(self, state: CollectorState) -> bool:
        oldest = state.ledger.oldest()
        # What others created is nowhere open.
        return state.publishes_foreign or (oldest is not None and oldest <= state.cursor.finished_at + SKEW)
