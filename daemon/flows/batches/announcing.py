"""Attempts: when one may begin, and what is written down before it does."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from daemon.flows.batches.ahead import Ahead, Attempt
from daemon.flows.batches.outbox import Outbox
from daemon.flows.batches.pieces import Pieces
from daemon.flows.batches.shared_parts import SharedParts
from daemon.flows.doubts.terms import CORRECTED
from daemon.model import Batch, Deadline, Intent, NotNow
from daemon.ports import Submissions

SPENT = NotNow(
    "budget",
    "the limit of TOLOKAD_BUDGET__… is reached: a daily one ends with Toloka's day (UTC); raise it to go on",
)
# A settlement waits so long for a batch that is nearly full: to announce that by itself would cost as much.
SOON_SECONDS = 0.06
# A connection that has been idle for a while is tried out first.
WARMING_SECONDS = 1.0


class Announcer:
    """Begins the attempts of one partition's way.

    `api` is the connection of what is sent by itself; an attempt may take `request_seconds`, from before its
    intent. When `stopping` is set, no further one begins.
    """

    def __init__(
        self,
        outbox: Outbox,
        api: Submissions,
        shared: SharedParts,
        request_seconds: float,
        stopping: asyncio.Event,
    ) -> None:
        self._outbox = outbox
        self._api = api
        self._gate = shared.gate
        self._guard = shared.guard
        self._watch = shared.watch
        self._clock = shared.clock
        self._toloka_clock = shared.toloka_clock
        self._request_seconds = request_seconds
        self._stopping = stopping

    async def begin(self, batch: Batch, pieces: Pieces) -> Attempt | None:
        """Announce as much of the batch as the budget has room for, the rest put back; None if stopped first.

        Raises:
            Held: `rejected_ratio`.
        """
        holds_others_up = batch.since is not None
        while (room := self._outbox.room()) is not None and room < len(batch.items):
            if room:
                batch, rest = batch.split(room)
                pieces.again(rest)
                break
            if holds_others_up:
                batch, holds_others_up = await self._give_way(batch), False
            self._gate.shut(SPENT)
            await self._gate.wait(self._stopping)
            if self._stopping.is_set():
                return None
        self._guard.insist(batch)
        return await self.announce(batch)

    async def _give_way(self, batch: Batch) -> Batch:
        """Write down that what is left of a batch in doubt is absent, and release what it has reserved.

        While it was in doubt others with equal items waited for it; what they reserved may be all the room
        that there is, so that it would wait for them.
        """
        intent = replace(self._outbox.intent(batch), decided=True)
        await self._outbox.record(batch, intent)
        self._watch.recorded(batch)
        return batch.recorded()

    async def announce(self, batch: Batch, again: Intent | None = None) -> Attempt | None:
        """Wait until Toloka may be asked, then write an intent, or this one again; None if stopped first."""
        while True:
            await self._gate.wait(self._stopping)
            if self._stopping.is_set():
                return None
            if (no := await self._api.ready(len(batch.items))) is not None:
                self._gate.shut(no)
                continue
            self._gate.reached()
            deadline = self._deadline()
            intent = await self._outbox.announce(batch, again)
            self._watch.recorded(batch)
            batch = batch.recorded()
            attempt = Attempt(batch, intent, deadline, self._api)
            if self.is_in_time(attempt):
                return attempt
            await self.step_back(batch)

    async def behind_settlement(self, settled: Batch, ahead: Ahead) -> Attempt | None:
        """An attempt of the batch that waits, to be announced by the transaction that settles this one.

        None where it has to wait for anything else than to be full soon: then it is announced by itself, when
        it may be sent. Nor is anything sent behind what did not succeed.
        """
        if ahead.is_well and ahead.free(None) is not None and self._may_be_sent:
            await ahead.soon(SOON_SECONDS)
        connection = ahead.free(None) if ahead.is_well else None
        before = [settled, *(attempt.batch for attempt in ahead.attempts)]
        return await self._possible(before, ahead.due(), connection, 0)

    async def behind_attempt(self, first: Attempt, ahead: Ahead) -> Attempt | None:
        """An attempt of the batch that waits, to be announced behind this one, which is under way."""
        connection = ahead.free(first.connection)
        return await self._possible([first.batch], ahead.due(), connection, WARMING_SECONDS)

    async def _possible(
        self,
        before: Sequence[Batch],
        due: Batch | None,
        connection: Submissions | None,
        patience_seconds: float,
    ) -> Attempt | None:
        """An attempt of the batch that is due; None where it would have to wait, for longer than that.

        The dead letters of the batches `before`, under way or being settled, count for the guard.
        """
        if due is None or not due.items or connection is None or not self._may_be_sent:
            return None
        if not self._guard.allows(*before, due):
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
        return Attempt(due, self._outbox.intent(due), deadline, connection)

    @property
    def _may_be_sent(self) -> bool:
        """Whether anything may be sent behind a batch, as far as gate and budget are concerned."""
        # What is left of a budget is known once the batch before is settled, and not earlier.
        return self._gate.is_open and self._outbox.room() is None

    async def step_back(self, batch: Batch) -> None:
        """Take back the intent of a first attempt that certainly came to nothing.

        A range that has been in doubt keeps its intent: a successor must look for what it may have created.
        """
        if batch.since is None:
            await self._outbox.withdraw(batch.first)

    def is_in_time(self, attempt: Attempt) -> bool:
        """Whether its intent was written soon enough to send it."""
        left = attempt.deadline.left(self._clock.elapsed(), self._clock.wall())
        return left >= self._request_seconds / 2

    def dated(self, attempt: Attempt, intent: Intent) -> Intent:
        """The intent that stands for an attempt, with the time that Toloka's clock would now give it.

        A clock that was set forward while the request was under way would end its quarantine at once.
        """
        age = timedelta(seconds=self._clock.elapsed() - attempt.deadline.elapsed)
        at = self._toloka_clock.now() - age
        return replace(intent, at=at) if at > intent.at + CORRECTED else intent

    def _deadline(self) -> Deadline:
        return Deadline(self._clock.elapsed(), self._clock.wall(), self._request_seconds)
