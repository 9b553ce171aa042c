"""The Toloka API v1 (`/api/v1`), as the flows see it: tasks go in, assignments come out."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus

import structlog

from daemon.edges import operations, tasks_bulk
from daemon.edges.answers import complaint, no_answer
from daemon.edges.endpoint import path
from daemon.edges.limits import QuotaPart, RequestLimiter
from daemon.edges.listing import Listing, Rows
from daemon.edges.operations import Log, Operation
from daemon.edges.pools import API, open_pool
from daemon.edges.posting import Posting
from daemon.edges.sending import Answer, LineError, NotSent, Unclear
from daemon.edges.tasks_bulk import Parameters
from daemon.edges.tasks_items import tasks_page
from daemon.edges.transport import Line
from daemon.edges.wire import MalformedError
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
from daemon.ports import Clock, TolokaClock

PROBING = "asking for the pool"
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0
# What an operation that is there does not tell, asked so often, only a listing can.
PATIENCE_TRIES = 5


log = structlog.get_logger(__name__)


def listed_tasks(pool_id: str) -> Rows:
    """The tasks of a pool, as a listing."""
    return Rows("listing tasks", "task_list", tasks_page, "created", {"pool_id": pool_id})


class TasksSubmissions:
    """See `daemon.ports.Submissions`.

    An attempt that Toloka carries out once at most is an operation of the attempt's name; any other is a
    synchronous request.

    Args:
        line: a connection of its own, whose probe is `daemon.edges.pools.probe_of`.
        pools: where tasks go, and whether it is Toloka that decides how many results they need.
        parameters: of every request.
        requests: shared by everything that asks Toloka.
        quota: its part of what is shared by everything that submits.
        clock: this process's.
        toloka_clock: Toloka's.
        fresh_seconds: see `daemon.edges.posting.Posting`.
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
        self._requests = requests
        self._clock = clock
        self._toloka_clock = toloka_clock
        self._posting = Posting(line, requests, quota, toloka_clock, PROBING, fresh_seconds)
        self._listings = [
            Listing(line, path(*API, "tasks"), requests, "submit", toloka_clock, listed_tasks(pool_id))
            for pool_id in pools
        ]
        # The operation that is certainly there, and how often it has not told what became of its tasks.
        self._standing = ""
        self._untold: Counter[str] = Counter()
        self._unopened = False

    def resume(self, tally: Tally) -> None:
        """See `daemon.ports.Submissions.resume`."""
        self._posting.resume(tally)

    async def ready(self, count: int) -> NotNow | None:
        """See `daemon.ports.Submissions.ready`; a pool that could not be opened comes first."""
        if (no := await self._posting.ready(count)) is not None or not self._unopened:
            return no
        for pool_id in self._pools:
            if (no := await open_pool(self._line, pool_id, self._toloka_clock)) is not None:
                self._posting.give_back()
                return no
        self._unopened = False
        return None

    async def submit(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """See `daemon.ports.Submissions.submit`."""
        if intent.once and intent.attempt == self._standing:
            # It is there: sending it again would only be answered so.
            self._posting.give_back()
            return await self._follow(items, intent, deadline)
        where = f"{path(*API, 'tasks')}?{self._parameters.query(intent)}"
        outcome: Outcome
        try:
            body = tasks_bulk.body_of(items, intent)
            answer = await self._posting.post("tasks", where, body, deadline)
        except NotSent as error:
            outcome = no_answer(tasks_bulk.ASKED, error)
        except Unclear as error:
            outcome = InDoubt(str(error))
        else:
            outcome = await self._answered(answer, items, intent, deadline)
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
        if tasks_bulk.repeats(answer):
            log.info("operation_exists", operation=intent.attempt)
            # These items were counted when they were sent first.
            self._posting.give_back()
        elif not answer.succeeded:
            no = tasks_bulk.refused(answer, len(items), now)
            there = await self._is_there(intent.attempt) if isinstance(no, Rejected | TooLarge) else False
            if not there:
                return no if there is False else InDoubt(f"the operation {intent.attempt} may be there: {no}")
        self._standing = intent.attempt
        return await self._follow(items, intent, deadline)

    # --- an operation -------------------------------------------------------------------------------------

    async def _is_there(self, operation_id: str) -> bool | None:
        """Whether an operation was made of an earlier request of its name; None where nobody can say.

        A refusal speaks of one request only, though the attempt may have been sent before.
        """
        try:
            answer = await self._asked("operation", path(*API, "operations", operation_id))
        except LineError:
            return None
        if answer.status == HTTPStatus.NOT_FOUND:
            return False
        return True if answer.succeeded else None

    async def _follow(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """Wait for the end of an operation that is there, and read what its log says of each task."""
        wait_seconds = FIRST_WAIT_SECONDS
        try:
            while not (operation := await self._operation(intent.attempt)).over:
                if deadline.left(self._clock.elapsed(), self._clock.wall()) <= wait_seconds:
                    return InDoubt(f"the operation {intent.attempt} is still {operation.status}")
                await asyncio.sleep(wait_seconds)
                wait_seconds = min(wait_seconds * 2, LONGEST_WAIT_SECONDS)
            if operation.type != operations.TYPE:
                why = f"the operation {intent.attempt} is somebody else's {operation.type}"
                return NotNow("conflict", why, over=True)
            told = await self._log(operation, items, intent)
        except LineError as error:
            return InDoubt(f"the operation {intent.attempt}: {error}")
        except MalformedError as error:
            return self._untold_by(intent, str(error))
        if isinstance(told, Log):
            self._unopened = self._unopened or bool(told.unopened)
            if told.unopened:
                log.warning("pool_not_opened", detail=told.unopened)
            outcome = operations.outcome(operation, told, len(items))
            return self._untold_by(intent, outcome.why) if isinstance(outcome, InDoubt) else outcome
        return told

    async def _operation(self, operation_id: str) -> Operation:
        """The operation of this id.

        Raises:
            LineError: nothing is said of it: it may be carried out yet, however often that happens.
            MalformedError: Toloka does not know it.
        """
        answer = await self._asked("operation", path(*API, "operations", operation_id))
        if answer.status == HTTPStatus.NOT_FOUND:
            raise MalformedError(f"answered {answer.status} {complaint(answer).code}")
        if not answer.succeeded:
            raise LineError("unreadable", f"answered {answer.status} {complaint(answer).code}".strip())
        try:
            return operations.operation_of(answer.body, operation_id)
        except MalformedError as error:
            self._line.unreadable("operation")
            raise LineError("unreadable", str(error)) from error

    async def _log(self, operation: Operation, items: Sequence[Item], intent: Intent) -> Log | Outcome:
        answer = await self._asked("operation_log", path(*API, "operations", intent.attempt, "log"))
        if answer.succeeded:
            try:
                return operations.log_of(answer.body, items, intent.first)
            except MalformedError:
                self._line.unreadable("operation_log")
                raise
        said = complaint(answer)
        if said.code == operations.ARCHIVED:
            why = f"the log of the operation {intent.attempt} is archived"
            if operation.status == "FAIL":
                return NotNow("refused", why, over=True)
            return InDoubt(why, listing=True)
        raise MalformedError(f"its log: answered {answer.status} {said.code}")

    async def _asked(self, operation: str, where: str) -> Answer:
        await self._requests.take("submit")
        return await self._line.request(operation, "GET", where)

    def _untold_by(self, intent: Intent, why: str) -> InDoubt:
        self._untold[intent.attempt] += 1
        listing = self._untold[intent.attempt] >= PATIENCE_TRIES
        return InDoubt(f"the operation {intent.attempt}: {why}", listing=listing)

    # --- what is there ------------------------------------------------------------------------------------

    async def created(self, since: datetime, until: datetime | None) -> Sequence[Created]:
        """See `daemon.ports.Submissions.created`."""
        return [
            Created(item.item_id, item.created_at, item.content_hash, item.status, _wanted(item, dynamic))
            for listing, dynamic in zip(self._listings, self._pools.values(), strict=True)
            async for items in listing.created(since, until)
            for item in items
        ]


def _wanted(task: Finished, dynamic: bool) -> int:  # noqa: FBT001 - its pool's
    """How many results of a task are awaited; see `daemon.model.Item`."""
    return int(task.raw) if task.raw.isdigit() and not dynamic else 0
