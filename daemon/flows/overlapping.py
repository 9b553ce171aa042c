"""The overlap: what finished shortly before the cursor is read again, for some of it became visible late."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from daemon.flows.collector_state import CollectorState
from daemon.flows.cursors import SKEW
from daemon.model import Finished
from daemon.ports import Results


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
