"""Listings: one page, or everything in a time span whatever the server makes of ties and pages.

Only documented filters are used: by the last time of a page, floored to a millisecond; a page full of
ties by id.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from daemon.edges.toloka.answers import no_answer, refusal
from daemon.edges.toloka.asking import insist
from daemon.edges.toloka.limits import RequestLimiter
from daemon.edges.toloka.page_size import PageSize
from daemon.edges.toloka.sending import LineError
from daemon.edges.toloka.transport import Line
from daemon.edges.toloka.wire import MalformedError, filter_time
from daemon.errors import Held
from daemon.model import Finished, NotNow, Page
from daemon.ports import Known, TolokaClock

PAGE_ITEMS = 1000
LIST_SECONDS = 30.0
FIRST_WAIT_SECONDS = 0.25
# A page that brings nothing new although there is more is asked for again this often.
PATIENCE_PAGES = 3
WINDOWS = 64
MILLISECOND = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)

log = structlog.get_logger(__name__)


class _NothingNewError(Held):
    """Toloka says that there is more, and does not give it."""

    def __init__(self) -> None:
        super().__init__("listing_failed", "Toloka says that there are more items, and gives none")


@dataclass(frozen=True, slots=True)
class Rows:
    """What is listed.

    Attributes:
        asked: what is done, for the operator.
        operation: as in `daemon.metrics.OPERATIONS`.
        page_of: reads an answer's body, given how many rows were asked for; raises MalformedError.
        ended: what filters and sorts call the time at which a row came to its end.
        filters: go along with every question.
        skim: reads a body in which all is known; None where something is not.
        left_out: filters that name what a listing may leave out unless it is asked for by name.
    """

    asked: str
    operation: str
    page_of: Callable[[bytes, int], Page]
    ended: str
    filters: Mapping[str, str] = field(default_factory=dict)
    skim: Callable[[bytes, Known], Page | None] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


class Listing:
    """Lists the rows of one kind.

    `flow` is whose waiting for `requests` it is.
    """

    def __init__(
        self, line: Line, path: str, requests: RequestLimiter, flow: str, clock: TolokaClock, rows: Rows
    ) -> None:
        self._line = line
        self._path = path
        self._requests = requests
        self._flow = flow
        self._clock = clock
        self._rows = rows
        self.left_out = rows.left_out
        self._size = PageSize(PAGE_ITEMS)

    async def ask(self, query: Mapping[str, str], known: Known | None = None) -> Page | NotNow:
        """One page, asked for once; `query` has a `limit`. Where all in it is known, it is only skimmed.

        Fewer are asked for at a time, for a while, where so many make an answer that is too large.
        """
        await self._requests.take(self._flow)
        limit = min(int(query["limit"]), self._size.rows)
        rows, query = self._rows, {**self._rows.filters, **query, "limit": str(limit)}
        try:
            answer = await self._line.request(rows.operation, "GET", self._path, query, LIST_SECONDS)
        except LineError as error:
            if self._size.failed(limit, error) and error.is_too_large:
                return await self.ask(query, known)
            return no_answer(rows.asked, error)
        if not answer.succeeded:
            return refusal(rows.asked, answer, self._clock.now())
        self._size.succeeded()
        if known and rows.skim and (page := rows.skim(answer.body, known)) is not None:
            return page
        try:
            page = rows.page_of(answer.body, limit)
            return replace(page, full=len(page.items) >= limit)
        except MalformedError as error:
            self._line.unreadable(rows.operation)
            return NotNow("unreachable", f"{rows.asked}: {error}")

    async def insist(self, query: Mapping[str, str], known: Known | None = None) -> Page:
        """One page; what may pass is waited out once.

        Raises:
            Held: `listing_failed`.
        """
        return await insist(lambda: self.ask(query, known))

    async def finished(
        self, since: datetime, until: datetime, known: Known | None = None
    ) -> AsyncIterator[Sequence[Finished]]:
        """Everything that finished in this time, each at least once; of a page of known items alone, nothing.

        Raises:
            Held: `listing_failed`.
        """
        at, before, stalled = since, frozenset[tuple[str, str]](), 0
        while at <= until and stalled < PATIENCE_PAGES:
            page = await self.insist(self._ended(at, until) | {"sort": self._rows.ended}, known)
            if page.items:
                yield () if page.known else page.items
            if not page.has_more:
                return
            ids = frozenset((item.bookmark, item.item_id) for item in page.items)
            ends = [floor(item.finished_at) for item in page.items if item.finished_at is not None]
            if not ends or ids <= before:
                stalled += 1
                await asyncio.sleep(FIRST_WAIT_SECONDS * 2**stalled)
                continue
            before, stalled = ids, 0
            if ends[-1] > max(at, ends[0]):
                at = ends[-1]
                continue
            start, end = _tie(ends[-1], at)
            try:
                async for items in self.walk(self._ended(start, end)):
                    yield items
                at = end
            except _NothingNewError:
                stalled = PATIENCE_PAGES
        if stalled:
            async for items in self._by_windows(at, until):
                yield items

    async def walk(self, filters: Mapping[str, str]) -> AsyncIterator[Sequence[Finished]]:
        """What these filters let through, page by id; exact for a set that does not change meanwhile.

        Raises:
            Held: `listing_failed`.
        """
        # As hashes of 64 bits: in a time of days there may be a million.
        seen: set[int] = set()
        query = {**filters, "sort": "id", "limit": str(PAGE_ITEMS)}
        while True:
            page = await self.insist(query)
            new = [item for item in page.items if key_of(item) not in seen]
            seen.update(map(key_of, new))
            if new:
                yield new
                query["id_gt"] = new[-1].bookmark
            # A full page is not believed to be the last one: what it hides would be taken for absent.
            if not (page.has_more or (new and page.full)):
                return
            if not new:
                raise _NothingNewError

    async def _by_windows(self, since: datetime, until: datetime) -> AsyncIterator[Sequence[Finished]]:
        """Step by time where pages lead nowhere; what a window does not give is left to the sweep."""
        self._line.metrics.cursor_fallbacks.inc()
        log.warning("listing_by_windows", since=since.isoformat(), until=until.isoformat())
        step = max((until - since) / WINDOWS, _SECOND)
        while since <= until:
            try:
                async for items in self.walk(self._ended(since, min(since + step, until))):
                    yield items
            except _NothingNewError as error:
                log.warning("listing_incomplete", since=since.isoformat(), detail=error.detail)
            since += step

    def tie(self, moment: datetime) -> AsyncIterator[Sequence[Finished]]:
        """Everything that ended in the millisecond of this moment, by id.

        Raises:
            Held: `listing_failed`.
        """
        start = floor(moment)
        return self.walk(self._ended(start, start + MILLISECOND))

    def _ended(self, since: datetime, until: datetime) -> dict[str, str]:
        name = self._rows.ended
        return {
            f"{name}_gte": filter_time(since),
            f"{name}_lte": filter_time(until),
            "limit": str(PAGE_ITEMS),
        }


def key_of(item: Finished) -> int:
    """What tells a row from another."""
    return hash((item.bookmark, item.item_id))


def _tie(end: datetime, at: datetime) -> tuple[datetime, datetime]:
    """Where a page full of ties is walked by id, to be left behind: its millisecond.

    It is a whole second where times are shown less exactly than they are compared.
    """
    start = max(end, floor(at))
    return start, start + (MILLISECOND if end == start else _SECOND)


def floor(moment: datetime) -> datetime:
    """The millisecond that a moment lies in."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
