"""Attempts: when one may begin, and what is written down before it does."""

import asyncio
from collections.abc import Sequence

from daemon.flows.ahead import Ahead, Attempt
from daemon.flows.guarding import RejectionGuard
from daemon.flows.holding import Gate
from daemon.flows.outbox import Outbox
from daemon.flows.watching import SubmitWatch
from daemon.model import Batch, Deadline, Intent
from daemon.ports import Clock, Submissions

# A connection that nothing has been sent over for a while is tried out first.
WARMING_SECONDS = 1.0


class Announcer:
    """Begins the attempts of one partition's way.

    Args:
        api: the connection of what is sent by itself.
        gate: the door to Toloka that all ways share.
        guard: says what may not be sent for all the dead letters around it.
        watch: hears what went to the ledger.
        clock: by which attempts grow old.
        request_seconds: how long an attempt may take, from before its intent.
    """

    def __init__(
        self,
        api: Submissions,
        gate: Gate,
        guard: RejectionGuard,
        watch: SubmitWatch,
        clock: Clock,
        request_seconds: float,
    ) -> None:
        self._api = api
        self._gate = gate
        self._guard = guard
        self._watch = watch
        self._clock = clock
        self._request_seconds = request_seconds

    async def begin(self, outbox: Outbox, batch: Batch, stopping: asyncio.Event) -> Attempt | None:
        """The batch's attempt, announced by itself; None if stopped first.

        Raises:
            Held: `rejected_ratio`.
        """
        self._guard.insist(batch)
        return await self.announce(outbox, batch, stopping)

    async def announce(
        self, outbox: Outbox, batch: Batch, stopping: asyncio.Event, again: Intent | None = None
    ) -> Attempt | None:
        """Wait until Toloka may be asked, then write an intent, or this one again; None if stopped first."""
        while True:
            await self._gate.wait(stopping)
            if stopping.is_set():
                return None
            if (no := await self._api.ready(len(batch.items))) is not None:
                self._gate.shut(no)
                continue
            self._gate.reached()
            deadline = self._deadline()
            intent = await outbox.announce(batch, again)
            self._watch.recorded(batch)
            batch = batch.recorded()
            attempt = Attempt(batch, intent, deadline, self._api)
            if self.is_in_time(attempt):
                return attempt
            await self.step_back(outbox, batch)

    async def behind_settlement(self, outbox: Outbox, settled: Batch, ahead: Ahead) -> Attempt | None:
        """An attempt of the batch that waits, to be announced by the transaction that settles this one.

        None where it has to wait for anything: then it is announced by itself, when it may be sent. Nor is
        anything sent behind what did not succeed.
        """
        connection = ahead.free(None) if ahead.is_well else None
        before = [settled, *(attempt.batch for attempt in ahead.attempts)]
        return await self._possible(outbox, before, ahead.due(), connection, 0)

    async def behind_attempt(self, outbox: Outbox, first: Attempt, ahead: Ahead) -> Attempt | None:
        """An attempt of the batch that waits, to be announced behind this one, which is under way."""
        connection = ahead.free(first.connection)
        return await self._possible(outbox, [first.batch], ahead.due(), connection, WARMING_SECONDS)

    async def _possible(
        self,
        outbox: Outbox,
        before: Sequence[Batch],
        due: Batch | None,
        connection: Submissions | None,
        patience_seconds: float,
    ) -> Attempt | None:
        # What is left of a budget is known once the batch before is settled, and not earlier.
        if due is None or not due.items or connection is None or outbox.room() is not None:
            return None
        if not self._gate.is_open or not self._guard.allows(*before, due):
            return None
        try:
            async with asyncio.timeout(patience_seconds):
                no = await connection.ready(len(due.items))
        except TimeoutError:
            return None
        if no is not None:
            return None
        # The time that is allowed begins before the intent names its own.
        deadline = self._deadline()
        return Attempt(due, outbox.intent(due), deadline, connection)

    async def step_back(self, outbox: Outbox, batch: Batch) -> None:
        """Take back the intent of a first attempt that certainly came to nothing.

        A range that has been in doubt keeps its intent: a successor must look for what it may have created.
        """
        if batch.since is None:
            await outbox.withdraw(batch.first)

    def is_in_time(self, attempt: Attempt) -> bool:
        """Whether its intent was written soon enough to send it."""
        left = attempt.deadline.left(self._clock.elapsed(), self._clock.wall())
        return left >= self._request_seconds / 2

    def _deadline(self) -> Deadline:
        return Deadline(self._clock.elapsed(), self._clock.wall(), self._request_seconds)
