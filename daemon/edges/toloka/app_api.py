"""The App API v0 (`/api/app/v0`), as the flows see it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import takewhile

from daemon.edges.toloka import app_bulk
from daemon.edges.toloka.answers import no_answer, refusal
from daemon.edges.toloka.app_items import page_of, shows_content, skimmed, the_item
from daemon.edges.toloka.asking import ask_twice, insist
from daemon.edges.toloka.created import created
from daemon.edges.toloka.limits import QuotaPart, RequestLimiter
from daemon.edges.toloka.listing import Listing, Rows, floor
from daemon.edges.toloka.posting import Posting
from daemon.edges.toloka.project import PROBING, hiding, items_path, probe_of
from daemon.edges.toloka.sending import Answer, LineError
from daemon.edges.toloka.transport import Line
from daemon.edges.toloka.wire import MalformedError, filter_time
from daemon.errors import Held
from daemon.model import (
    Created,
    Cursor,
    Deadline,
    Finished,
    InDoubt,
    Intent,
    Item,
    NotNow,
    Outcome,
    Page,
    Sight,
    Tally,
    UnknownCursor,
)
from daemon.ports import Known, TolokaClock, Wanted

# How often a tail that shows nothing asks whether the cursor's item still stands where it was seen.
DOUBT_SECONDS = 30.0
# It is not documented whether a listing has what is archived.
ITEMS = Rows("listing items", "list", page_of, "finished", skim=skimmed, left_out={"status": "ARCHIVE"})


class AppSubmissions:
    """See `daemon.ports.Submissions`.

    The line is its own, and its probe is `project.probe_of`; for `fresh_seconds` see `Posting`.
    """

    def __init__(
        self,
        line: Line,
        project_id: str,
        requests: RequestLimiter,
        quota: QuotaPart,
        clock: TolokaClock,
        *,
        force_new_original: bool,
        fresh_seconds: float,
    ) -> None:
        self._line = line
        self._project_id = project_id
        self._path = items_path(project_id, "bulk")
        self._requests = requests
        self._clock = clock
        self._force_new_original = force_new_original
        self._posting = Posting(line, requests, quota, clock, PROBING, app_bulk.ASKED, fresh_seconds)
        self._listing = Listing(line, items_path(project_id), requests, "submit", clock, ITEMS)

    def resume(self, tally: Tally) -> None:
        """See `daemon.ports.Submissions.resume`."""
        self._posting.resume(tally)

    async def ready(self, count: int) -> NotNow | None:
        """See `daemon.ports.Submissions.ready`; leaves the line with an open connection."""
        return await self._posting.ready(count)

    async def submit(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """See `daemon.ports.Submissions.submit`."""
        del intent  # The App API has no place for an attempt's name: what was sent is found by its content.
        body = app_bulk.body_of(items, force_new_original=self._force_new_original)
        came = await self._posting.post("bulk", self._path, body, deadline)
        outcome = self._outcome(came, len(items)) if isinstance(came, Answer) else came
        self._posting.came_to(outcome)
        return outcome

    def _outcome(self, answer: Answer, count: int) -> Outcome:
        outcome = app_bulk.outcome(answer, count, self._clock.now())
        if answer.succeeded and isinstance(outcome, InDoubt):
            self._line.unreadable("bulk")
        return outcome

    async def created(
        self,
        since: datetime,
        until: datetime | None,
        within: timedelta | None = None,
        wanted: Wanted | None = None,
    ) -> Sequence[Created]:
        """See `daemon.ports.Submissions.created`."""
        is_whole = within is not None
        if is_whole:
            await self._insist_shown()
        listed = created(self._listing, since, until, within)
        each_of = (_created(item) async for items in listed for item in items)
        found = [each async for each in each_of if wanted is None or wanted(each)]
        if is_whole:
            # Once more, for it may have been archived meanwhile.
            await self._insist_shown()
        return found

    async def _insist_shown(self) -> None:
        """What is not listed may be sent again: not where the project may hide it.

        Raises:
            Held: `listing_failed`.
        """
        await self._requests.take("submit")
        await insist(partial(hiding, self._line, self._project_id, self._clock))


class AppResults:
    """See `daemon.ports.Results`.

    The line is its own, and its probe is `project.probe_of`.
    """

    def __init__(self, line: Line, project_id: str, requests: RequestLimiter, clock: TolokaClock) -> None:
        self._line = line
        self._project_id = project_id
        self._probe = probe_of(project_id)
        self._requests = requests
        self._clock = clock
        self._listing = Listing(line, items_path(project_id), requests, "collect", clock, ITEMS)
        self._trusted_at: float | None = None

    async def tail(self, cursor: Cursor, limit: int) -> Page | UnknownCursor | NotNow:
        """See `daemon.ports.Results.tail`.

        The time is asked for as well, though the cursor alone says where to go on: some servers would list
        the unfinished first, or last.
        """
        since = filter_time(cursor.finished_at.replace(microsecond=0))
        query = {"sort": "finished,id", "limit": str(limit), "finished_gte": since}
        if cursor.item_id is None:
            found = await self._listing.ask(query)
            if isinstance(found, Page) and _ends_before(found, cursor):
                # More than a page finished in the cursor's second before it: each would be asked for again.
                query["finished_gte"] = filter_time(floor(cursor.finished_at))
                return await self._listing.ask(query)
            return found
        found = await self._listing.ask(query | {"after_id": cursor.item_id})
        if isinstance(found, NotNow) and found.reason in ("not_found", "refused"):
            # As the project is there, it is the cursor that Toloka does not know.
            return await self._project_refusal() or UnknownCursor()
        if isinstance(found, Page) and not await self._stands(cursor, found):
            return UnknownCursor()
        return found

    async def _stands(self, cursor: Cursor, page: Page) -> bool:
        """Whether the cursor can be trusted: behind an item that went back to work there may be no page."""
        now = asyncio.get_running_loop().time()
        if page.items or cursor.item_id is None or self._trusted_at is None:
            self._trusted_at = now
        elif now - self._trusted_at >= DOUBT_SECONDS:
            self._trusted_at = now
            item = await self._item(cursor.item_id)
            return isinstance(item, NotNow) or (item is not None and item.finished_at == cursor.finished_at)
        return True

    def finished(
        self, since: datetime, until: datetime, known: Known | None = None
    ) -> AsyncIterator[Sequence[Finished]]:
        """See `daemon.ports.Results.finished`."""
        return self._listing.finished(since, until, known)

    async def created_items(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Mapping[str, Sight], None]:
        """See `daemon.ports.Results.created_items`."""
        async for items in created(self._listing, since, until):
            yield {item.item_id: _sight(item) for item in items}

    @property
    def requests_by_id(self) -> int:
        """See `daemon.ports.Results.requests_by_id`."""
        return 1

    async def by_id(self, item_ids: Collection[str]) -> Mapping[str, Sight | None]:
        """See `daemon.ports.Results.by_id`; one request each, and one more where an item is not known."""
        found: dict[str, Sight | None] = {}
        for item_id in item_ids:
            item = await ask_twice(partial(self._item, item_id))
            if isinstance(item, NotNow):
                if not found:
                    raise Held("listing_failed", item.detail)
                break
            found[item_id] = None if item is None else _sight(item)
        if None in found.values():
            # Where the project is gone, or archived, no item can be called unknown.
            await self._requests.take("collect")
            no = await ask_twice(partial(hiding, self._line, self._project_id, self._clock))
            if no is not None:
                found = dict(takewhile(lambda each: each[1] is not None, found.items()))
                if not found:
                    raise Held("listing_failed", no.detail)
        return found

    async def _item(self, item_id: str) -> Finished | NotNow | None:
        asked = f"the item {item_id}"
        await self._requests.take("collect")
        try:
            answer = await self._line.request("item", "GET", items_path(self._project_id, item_id))
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            if not answer.succeeded:
                return refusal(asked, answer, self._clock.now())
            return the_item(answer.body, item_id)
        except LineError as error:
            return no_answer(asked, error)
        except MalformedError as error:
            self._line.unreadable("item")
            return NotNow("unreachable", f"{asked}: {error}")

    async def _project_refusal(self) -> NotNow | None:
        """What Toloka has against the project itself."""
        await self._requests.take("collect")
        try:
            answer = await self._line.request(self._probe.operation, "GET", self._probe.path)
        except LineError as error:
            return no_answer(PROBING, error)
        return None if answer.succeeded else refusal(PROBING, answer, self._clock.now())


def _ends_before(page: Page, cursor: Cursor) -> bool:
    """Whether a page that was cut does not reach the cursor, so that nothing leads on from it."""
    times = [item.finished_at for item in page.items if item.finished_at is not None]
    return page.has_more and bool(times) and max(times) < cursor.finished_at


def _created(item: Finished) -> Created:
    if not shows_content(item):
        raise Held(
            "listing_failed",
            f"Toloka shows the item {item.item_id} without its content: it may be one that is looked for",
        )
    return Created(item.item_id, item.created_at, item.content_hash, item.status, own_id=item.own_id)


def _sight(item: Finished) -> Sight:
    return Sight(item.status, item.content_hash, (item,))
