"""The Toloka API v1 (`/api/v1`), as the flows see it: tasks go in, assignments come out."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.edges.toloka import operations, tasks_bulk
from daemon.edges.toloka.created import created
from daemon.edges.toloka.endpoint import path
from daemon.edges.toloka.following import Following
from daemon.edges.toloka.limits import QuotaPart, RequestLimiter
from daemon.edges.toloka.listing import Listing, Rows
from daemon.edges.toloka.pools import API, open_pool
from daemon.edges.toloka.posting import Posting
from daemon.edges.toloka.sending import Answer
from daemon.edges.toloka.tasks_bulk import Parameters
from daemon.edges.toloka.tasks_items import tasks_page
from daemon.edges.toloka.transport import Line
from daemon.model import (
    Created,
    Deadline,
    Finished,
    InDoubt,
    Intent,
    Item,
    NotNow,
    Outcome,
    Rejected,
    Tally,
    TooLarge,
)
from daemon.ports import Clock, TolokaClock, Wanted

PROBING = "asking for the pool"

log = structlog.get_logger(__name__)


def listed_tasks(pool_id: str) -> Rows:
    """The tasks of a pool, as a listing."""
    return Rows("listing tasks", "task_list", tasks_page, "created", {"pool_id": pool_id})


class TasksSubmissions:
    """See `daemon.ports.Submissions`.

    An attempt that Toloka carries out once at most is an operation of the attempt's name; any other is a
    synchronous request. The line is its own, and its probe is `pools.probe_of`; `pools` tells of each
    whether it is Toloka that decides how many results its tasks need. For `fresh_seconds` see `Posting`.
    """

    def __init__(
        self,
        line: Line,
        pools: Mapping[str, bool],
        parameters: Parameters,
        requests: RequestLimiter,
        quota: QuotaPart,
        clock: Clock,
        toloka_clock: TolokaClock,
        fresh_seconds: float,
    ) -> None:
        self._line = line
        self._pools = pools
        self._parameters = parameters
        self._toloka_clock = toloka_clock
        self._posting = Posting(line, requests, quota, toloka_clock, PROBING, tasks_bulk.ASKED, fresh_seconds)
        self._listings = [
            Listing(line, path(*API, "tasks"), requests, "submit", toloka_clock, listed_tasks(pool_id))
            for pool_id in pools
        ]
        self._following = Following(line, requests, clock)

    def resume(self, tally: Tally) -> None:
        """See `daemon.ports.Submissions.resume`."""
        self._posting.resume(tally)

    async def ready(self, count: int) -> NotNow | None:
        """See `daemon.ports.Submissions.ready`; a pool that could not be opened comes first."""
        if (no := await self._posting.ready(count)) is not None or not self._following.unopened:
            return no
        for pool_id in self._pools:
            if (no := await open_pool(self._line, pool_id, self._toloka_clock)) is not None:
                self._posting.give_back()
                return no
        self._following.unopened = False
        return None

    async def submit(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """See `daemon.ports.Submissions.submit`."""
        if intent.once and intent.attempt == self._following.standing:
            # It is there: sending it again would only be answered so.
            self._posting.give_back()
            return await self._following.outcome(items, intent, deadline)
        where = f"{path(*API, 'tasks')}?{self._parameters.query(intent)}"
        came = await self._posting.post("tasks", where, tasks_bulk.body_of(items, intent), deadline)
        outcome = await self._answered(came, items, intent, deadline) if isinstance(came, Answer) else came
        self._posting.came_to(outcome)
        return outcome

    async def _answered(
        self, answer: Answer, items: Sequence[Item], intent: Intent, deadline: Deadline
    ) -> Outcome:
        now = self._toloka_clock.now()
        if not intent.once:
            outcome = tasks_bulk.outcome(answer, len(items), now)
            if answer.succeeded and isinstance(outcome, InDoubt):
                self._line.unreadable("tasks")
            return outcome
        said_so = True
        if tasks_bulk.repeats(answer):
            log.info("operation_exists", operation=intent.attempt)
            # These items were counted when they were sent first.
            self._posting.give_back()
        elif answer.succeeded:
            said_so = operations.is_operation(answer.body, intent.attempt)
        else:
            no = tasks_bulk.refused(answer, len(items), now)
            may_be_there = isinstance(no, Rejected | TooLarge)
            there = await self._following.is_there(intent.attempt) if may_be_there else False
            if not there:
                return no if there is False else InDoubt(f"the operation {intent.attempt} may be there: {no}")
        self._following.stands(intent.attempt, said_so=said_so)
        return await self._following.outcome(items, intent, deadline)

    async def created(
        self,
        since: datetime,
        until: datetime | None,
        within: timedelta | None = None,
        wanted: Wanted | None = None,
    ) -> Sequence[Created]:
        """See `daemon.ports.Submissions.created`."""
        found = (
            _created(item, pool_id, dynamic)
            for listing, (pool_id, dynamic) in zip(self._listings, self._pools.items(), strict=True)
            async for items in created(listing, since, until, within)
            for item in items
        )
        return [each async for each in found if wanted is None or wanted(each)]


def _created(task: Finished, pool_id: str, dynamic: bool) -> Created:  # noqa: FBT001 - its pool's
    """A task of a pool as `daemon.model.Item` would have it."""
    wanted = int(task.raw) if task.raw.isdigit() and not dynamic else 0
    return Created(task.item_id, task.created_at, task.content_hash, task.status, wanted, pool=pool_id)
