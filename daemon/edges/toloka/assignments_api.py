"""The results of tasks: workers' assignments, by status and by the time of it (`GET /assignments`)."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus

from daemon.edges.toloka.answers import no_answer, refusal
from daemon.edges.toloka.asking import insist
from daemon.edges.toloka.created import FARTHEST
from daemon.edges.toloka.endpoint import path
from daemon.edges.toloka.limits import RequestLimiter
from daemon.edges.toloka.listing import MILLISECOND, Listing, Rows, floor
from daemon.edges.toloka.pools import API, Pool, pool
from daemon.edges.toloka.sending import LineError
from daemon.edges.toloka.tasks_items import assignments_page, task_of
from daemon.edges.toloka.transport import Line
from daemon.edges.toloka.wire import MalformedError, filter_time
from daemon.errors import Held
from daemon.model import EPOCH, Cursor, Finished, NotNow, Page, Sight, UnknownCursor
from daemon.ports import Known, TolokaClock

# Statuses of assignments that can come to another one.
_ON_THE_WAY = ("ACTIVE", "SUBMITTED")


class TasksResults:
    """See `daemon.ports.Results`.

    A pool's assignments of one status are a stream of their own, by the time of that status; the streams
    are merged by their times, as far as all of them are known.
    """

    def __init__(
        self,
        line: Line,
        pools: Sequence[str],
        statuses: Sequence[str],
        requests: RequestLimiter,
        clock: TolokaClock,
    ) -> None:
        self._line = line
        self._pools = pools
        self._statuses = statuses
        self._requests = requests
        self._clock = clock
        self._streams = [
            _Stream(self._listing(status, {"pool_id": pool_id}), status)
            for pool_id in pools
            for status in statuses
        ]

    def _listing(self, status: str, filters: Mapping[str, str]) -> Listing:
        rows = Rows(
            "listing assignments",
            "assignments",
            assignments_page(status, self._statuses),
            status.lower(),
            {**filters, "status": status},
        )
        return Listing(self._line, path(*API, "assignments"), self._requests, "collect", self._clock, rows)

    async def tail(self, cursor: Cursor, limit: int) -> Page | UnknownCursor | NotNow:
        """See `daemon.ports.Results.tail`; there is no cursor that Toloka could forget."""
        pages = []
        for stream in self._streams:
            page = await stream.after(cursor, limit)
            if isinstance(page, NotNow):
                return page
            pages.append(page)
        return _merged(pages, limit)

    async def finished(
        self, since: datetime, until: datetime, known: Known | None = None
    ) -> AsyncIterator[Sequence[Finished]]:
        """See `daemon.ports.Results.finished`; one stream after another, each oldest first."""
        # A task may have further results when one of them is known: all of them are read.
        del known
        for stream in self._streams:
            async for items in stream.listing.finished(since, until):
                yield items

    async def created_items(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Mapping[str, Sight], None]:
        """See `daemon.ports.Results.created_items`: a listing of tasks does not show their results."""
        del since, until
        return
        yield {}

    @property
    def requests_by_id(self) -> int:
        """See `daemon.ports.Results.requests_by_id`: the task, and its assignments by their status."""
        return 1 + len(self._statuses)

    async def by_id(self, item_ids: Collection[str]) -> Mapping[str, Sight | None]:
        """See `daemon.ports.Results.by_id`; a few requests each."""
        # Asked for first: where a pool is gone, none of its tasks can be called unknown.
        asking = [partial(pool, self._line, pool_id, self._clock) for pool_id in self._pools]
        pools = {found.id: found for ask in asking for found in [await insist(ask)]}
        found: dict[str, Sight | None] = {}
        for item_id in item_ids:
            try:
                found[item_id] = await self._sight(item_id, pools)
            except Held:
                if not found:
                    raise
                break
        return found

    async def _sight(self, task_id: str, pools: Mapping[str, Pool]) -> Sight | None:
        found = await insist(partial(self._task, task_id))
        if found is None:
            return None
        task, members = found
        about = pools.get(str(members.get("pool_id")))
        archived = about is not None and about.status == "ARCHIVED"
        completed = _is_completed(about, members)
        # Asked before the results: what becomes one in between is among these.
        awaited = (archived or completed) and await self._is_awaited(task_id)
        results: list[Finished] = []
        # What is left out of a task that is over is lost, and Toloka's times may be ahead of what we know.
        until = self._clock.now() + FARTHEST
        for status in self._statuses:
            listing = self._listing(status, {"task_id": task_id})
            async for items in listing.finished(EPOCH, until):
                results += [item for item in items if item.item_id == task_id]
        over = not awaited and (archived or bool(completed and results))
        return Sight(_doing(about), task.content_hash, tuple(results), over)

    async def _is_awaited(self, task_id: str) -> bool:
        """Whether an assignment of the task may still become a result."""
        coming = ",".join(name for name in _ON_THE_WAY if name not in self._statuses)
        if not coming:
            return False
        page = await self._listing(coming, {"task_id": task_id}).insist({"limit": "1"})
        return bool(page.items)

    async def _task(self, task_id: str) -> "tuple[Finished, Mapping[str, object]] | NotNow | None":
        asked = f"the task {task_id}"
        await self._requests.take("collect")
        try:
            answer = await self._line.request("task_list", "GET", path(*API, "tasks", task_id))
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            if not answer.succeeded:
                return refusal(asked, answer, self._clock.now())
            task, members = task_of(answer.body)
        except LineError as error:
            return no_answer(asked, error)
        except MalformedError as error:
            self._line.unreadable("task_list")
            return NotNow("unreachable", f"{asked}: {error}")
        if task.item_id != task_id:
            return NotNow("unreachable", f"{asked}: another task than was asked for")
        return task, members


class _Stream:
    """The assignments of one pool that have come to one status."""

    def __init__(self, listing: Listing, status: str) -> None:
        self.listing = listing
        self._event = status.lower()

    async def after(self, cursor: Cursor, limit: int) -> Page | NotNow:
        """What came to the status behind the cursor, oldest first."""
        page = await self._from(floor(cursor.finished_at), limit)
        if isinstance(page, NotNow):
            return page
        new = _behind(page.items, cursor)
        if new or not page.has_more:
            return Page(new, page.has_more)
        # A page full of ties, all of them known: there is no cursor that leads past them but their ids.
        try:
            tied = [item async for items in self.listing.tie(cursor.finished_at) for item in items]
        except Held as held:
            return NotNow("unreachable", held.detail)
        if new := _behind(tied, cursor):
            return Page(new, has_more=True)
        return await self._from(floor(cursor.finished_at) + MILLISECOND, limit)

    async def _from(self, since: datetime, limit: int) -> Page | NotNow:
        event = self._event
        query = {"sort": f"{event},id", "limit": str(limit), f"{event}_gte": filter_time(since)}
        return await self.listing.ask(query)


def _behind(items: Sequence[Finished], cursor: Cursor) -> tuple[Finished, ...]:
    at = (cursor.finished_at, cursor.item_id or "")
    new = [item for item in items if item.finished_at is not None and (item.finished_at, item.bookmark) > at]
    return tuple(sorted(new, key=_order))


def _order(item: Finished) -> tuple[datetime, str]:
    return item.finished_at or EPOCH, item.bookmark


def _merged(pages: Sequence[Page], limit: int) -> Page:
    """Streams as one, up to where the first that was cut ends, and no assignment cut in two."""
    has_more = any(page.has_more for page in pages)
    if any(page.has_more and not page.items for page in pages):
        # One of them says that there is more, and does not show it: the others must not pass it by.
        return Page((), has_more)
    items = sorted((item for page in pages for item in page.items), key=_order)
    ends = [_order(page.items[-1]) for page in pages if page.has_more]
    if ends:
        items = [item for item in items if _order(item) <= min(ends)]
    if len(items) > limit:
        # The same assignment may come to another status much later: the cursor must not go there yet.
        last = _order(items[limit - 1])
        items = [item for item in items if _order(item) <= last]
        has_more = True
    return Page(tuple(items), has_more)


def _is_completed(about: Pool | None, members: Mapping[str, object]) -> bool:
    """Whether Toloka, which decides how many results the task has, has come to an end with its pool.

    A pool that was closed for another reason goes on when it is opened again.
    """
    if about is None or (about.status, about.close_reason) != ("CLOSED", "COMPLETED"):
        return False
    return about.dynamic or members.get("infinite_overlap") is True


def _doing(about: Pool | None) -> str:
    """What a task that is open is doing, in the words of an item's statuses: its pool tells."""
    if about is None:
        return "NEW"
    if about.status == "OPEN":
        return "PROCESSING"
    return "NO_MONEY" if about.close_reason == "NOT_ENOUGH_BALANCE" else "STOPPED"
