"""What every way of creating things at Toloka has in common: a place under the limits, and one request."""

import asyncio

from daemon.edges.toloka.answers import no_answer, refusal
from daemon.edges.toloka.limits import QuotaPart, RequestLimiter, Reservation
from daemon.edges.toloka.sending import Answer, LineError, NotSent, Unclear
from daemon.edges.toloka.transport import Line
from daemon.model import Deadline, InDoubt, NotNow, Outcome, Rejected, Tally, TooLarge
from daemon.ports import TolokaClock

# Longer waits for our own limits are shown as a hold, which also hears when it is time to stop.
PATIENCE_SECONDS = 5.0


class Posting:
    """One way's requests, one at a time.

    Args:
        line: a connection of its own.
        requests: shared by everything that asks Toloka.
        quota: its part of what is shared by everything that submits.
        clock: Toloka's.
        probing: what the line's probe asks, for the operator.
        asked: what is posted, likewise.
        fresh_seconds: an attempt older than this does not finish its request: the shorter of the request's
            timeout and the time after which Kafka gives our partition to another.
    """

    def __init__(
        self,
        line: Line,
        requests: RequestLimiter,
        quota: QuotaPart,
        clock: TolokaClock,
        probing: str,
        asked: str,
        fresh_seconds: float,
    ) -> None:
        self._line = line
        self._requests = requests
        self._quota = quota
        self._clock = clock
        self._probing = probing
        self._asked = asked
        self._fresh_seconds = fresh_seconds
        self._reservation: Reservation | None = None

    def resume(self, tally: Tally) -> None:
        """See `daemon.ports.Submissions.resume`."""
        self._quota.resume(tally)

    async def ready(self, count: int) -> NotNow | None:
        """See `daemon.ports.Submissions.ready`; leaves the line with an open connection."""
        self.give_back()
        is_ready = False
        try:
            no = await self._take_places(count) or await self._warm()
            is_ready = no is None
        finally:
            if not is_ready:
                self.give_back()
        return no

    async def _take_places(self, count: int) -> NotNow | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._reservation = await self._quota.take(count, "submit")
                await self._requests.take("submit")
        except TimeoutError:
            return NotNow("throttled", "the limits of our own settings", self._quota.wait_seconds(count))
        return None

    async def _warm(self) -> NotNow | None:
        try:
            answer = await self._line.warm()
        except LineError as error:
            return no_answer(self._probing, error)
        if answer is None:
            return None
        # It is not waited for: what has a place by now would lose it to those behind.
        self._requests.charge()
        if answer.succeeded:
            return None
        return refusal(self._probing, answer, self._clock.now())

    async def post(
        self, operation: str, path: str, body: bytes, deadline: Deadline
    ) -> Answer | InDoubt | NotNow:
        """The answer, or what it comes to that there is none; see `Line.post`."""
        try:
            return await self._line.post(operation, path, body, deadline, self._fresh_seconds)
        except NotSent as error:
            return no_answer(self._asked, error)
        except Unclear as error:
            return InDoubt(str(error))

    def came_to(self, outcome: Outcome) -> None:
        """The items of a definite no count no longer; those of any other request do."""
        if isinstance(outcome, Rejected | TooLarge | NotNow):
            self.give_back()
        self._reservation = None

    def give_back(self) -> None:
        """The items of the last request, if it still has a place, were certainly not taken by it."""
        if self._reservation is not None:
            self._quota.give_back(self._reservation)
            self._reservation = None
