"""An operation of the tasks API that is there: waited for, until its log says what became of each task."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus

import structlog

from daemon.edges.toloka import operations
from daemon.edges.toloka.answers import complaint
from daemon.edges.toloka.endpoint import path
from daemon.edges.toloka.limits import RequestLimiter
from daemon.edges.toloka.operations import Log, Operation
from daemon.edges.toloka.pools import API
from daemon.edges.toloka.sending import Answer, LineError
from daemon.edges.toloka.transport import Line
from daemon.edges.toloka.wire import MalformedError
from daemon.model import Deadline, InDoubt, Intent, Item, NotNow, Outcome
from daemon.ports import Clock

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0
# What an operation that is there does not tell when asked this often, only a listing can.
PATIENCE_TRIES = 5

log = structlog.get_logger(__name__)


class Following:
    """Follows the operations of one partition's way to their ends.

    `standing` is the operation that is there, empty for none. `unopened` is set once a log tells that a pool
    could not be opened; whoever opens it takes it back.
    """

    def __init__(self, line: Line, requests: RequestLimiter, clock: Clock) -> None:
        self._line = line
        self._requests = requests
        self._clock = clock
        self.standing = ""
        self.unopened = False
        # Whether Toloka has said so, and how often it has not told what became of its tasks.
        self._said_so = False
        self._untold: Counter[str] = Counter()

    def stands(self, operation_id: str, *, said_so: bool) -> None:
        """An operation is there; `said_so` where that is Toloka's word, not only a success without one."""
        self.standing, self._said_so = operation_id, said_so

    async def is_there(self, operation_id: str) -> bool | None:
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

    async def outcome(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """Wait for the end of an operation that is there, and read what its log says of each task."""
        try:
            operation = await self._ended(intent, deadline)
            if isinstance(operation, InDoubt):
                return operation
            if not operation.type:
                # It may be ours: a new attempt would create its tasks once more.
                return self._untold_by(intent, "it is shown without its type")
            if operation.type != operations.TYPE:
                why = f"the operation {intent.attempt} is somebody else's {operation.type}"
                return NotNow("conflict", why, over=True)
            told = await self._log(operation, items, intent)
        except LineError as error:
            return InDoubt(f"the operation {intent.attempt}: {error}")
        except MalformedError as error:
            return self._untold_by(intent, str(error))
        outcome = self._told(operation, told, len(items), intent) if isinstance(told, Log) else told
        if not isinstance(outcome, InDoubt):
            # Nobody asks for it again, and there may be one for every batch.
            self._untold.pop(intent.attempt, None)
        return outcome

    def _told(self, operation: Operation, told: Log, count: int, intent: Intent) -> Outcome:
        """What a log makes of so many tasks; in doubt, where it may not have come yet."""
        self.unopened = self.unopened or bool(told.unopened)
        if told.unopened:
            log.warning("pool_not_opened", detail=told.unopened)
        outcome = operations.outcome(operation, told, count)
        if isinstance(outcome, InDoubt):
            return self._untold_by(intent, outcome.why)
        if isinstance(outcome, NotNow) and not told.refused:
            # A log may come later than the end, and no further attempt would learn any sooner whom it blames.
            doubt = self._untold_by(intent, outcome.detail)
            return outcome if doubt.listing else doubt
        return outcome

    async def _ended(self, intent: Intent, deadline: Deadline) -> Operation | InDoubt:
        """The attempt's operation once it is over; raises LineError as `_operation`."""
        wait_seconds = FIRST_WAIT_SECONDS
        while (operation := await self._operation(intent.attempt)) is not None:
            if operation.over:
                return operation
            if deadline.left(self._clock.elapsed(), self._clock.wall()) <= wait_seconds:
                return InDoubt(f"the operation {intent.attempt} is still {operation.status}")
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, LONGEST_WAIT_SECONDS)
        return self._not_shown(intent)

    async def _operation(self, operation_id: str) -> Operation | None:
        """The operation of this id; None where Toloka does not know it.

        Raises:
            LineError: nothing is said of it: it may be carried out yet, however often that happens.
        """
        answer = await self._asked("operation", path(*API, "operations", operation_id))
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
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

    def _not_shown(self, intent: Intent) -> InDoubt:
        """What follows where Toloka does not know an operation.

        What it has said to be there may be carried out however late, so that a listing does not tell: it is
        sent again, under the same name.
        """
        doubt = self._untold_by(intent, "Toloka does not know it")
        if not (doubt.listing and self._said_so):
            return doubt
        self.standing = ""
        del self._untold[intent.attempt]
        return InDoubt(doubt.why)

    def _untold_by(self, intent: Intent, why: str) -> InDoubt:
        self._untold[intent.attempt] += 1
        listing = self._untold[intent.attempt] >= PATIENCE_TRIES
        return InDoubt(f"the operation {intent.attempt}: {why}", listing=listing)
