"""Attempts: when one may begin, and what is written down before it does."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from daemon.flows.guarding import RejectionGuard
from daemon.flows.holding import Gate
from daemon.flows.outbox import Outbox
from daemon.flows.watching import SubmitWatch
from daemon.model import Batch, Deadline, Intent
from daemon.ports import Clock, Submissions


class Attempt(NamedTuple):
    """What is left to be sent of a batch, the intent that was written, and when its request must be over."""

    batch: Batch
    intent: Intent
    deadline: Deadline


class Following:
    """The batch behind the one under way, and its attempt where that has been announced already.

    Args:
        due: that batch, where it need not be waited for.
        stopping: when set, no further batch is sent.
    """

    def __init__(self, due: Callable[[], Batch | None], stopping: asyncio.Event) -> None:
        self._due = due
        self._stopping = stopping
        self._attempt: Attempt | None = None

    def due(self) -> Batch | None:
        """The batch, where it may be sent next and need not be waited for."""
        return None if self._stopping.is_set() else self._due()

    def announced(self, attempt: Attempt | None) -> None:
        """Its intent stands."""
        self._attempt = attempt

    def take(self) -> Attempt | None:
        """The attempt that was announced, once."""
        attempt, self._attempt = self._attempt, None
        return attempt


class Announcer:
    """Begins the attempts of one partition's way.

    Args:
        api: the way's connection to Toloka.
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

    async def begin(
        self, outbox: Outbox, batch: Batch, following: Following, stopping: asyncio.Event
    ) -> Attempt | None:
        """The batch's attempt, announced by the settlement before it or else now; None if stopped first.

        Raises:
            Held: `rejected_ratio`.
        """
        if (ahead := following.take()) is not None and await self._in_time(outbox, ahead):
            return ahead
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
            attempt = Attempt(batch, intent, deadline)
            if await self._in_time(outbox, attempt):
                return attempt

    async def ahead(self, outbox: Outbox, settled: Batch, due: Batch | None) -> Attempt | None:
        """An attempt of the batch that follows, to be announced by the transaction that settles this one.

        None where it has to wait for anything: then it is announced by itself, when it may be sent.
        """
        # What is left of a budget is known once the batch before is settled, and not earlier.
        if outbox.room() is not None:
            return None
        if due is None or not due.items or not self._gate.is_open or not self._guard.allows(settled, due):
            return None
        try:
            async with asyncio.timeout(0):
                no = await self._api.ready(len(due.items))
        except TimeoutError:
            return None
        if no is not None:
            return None
        # The time that is allowed begins before the intent names its own.
        deadline = self._deadline()
        return Attempt(due, outbox.intent(due), deadline)

    async def step_back(self, outbox: Outbox, batch: Batch) -> None:
        """Take back the intent of a first attempt that certainly came to nothing.

        A range that has been in doubt keeps its intent: a successor must look for what it may have created.
        """
        if batch.since is None:
            await outbox.withdraw(batch.first)

    async def _in_time(self, outbox: Outbox, attempt: Attempt) -> bool:
        """Whether its intent was written soon enough to send it; where not, that is taken back."""
        left = attempt.deadline.left(self._clock.elapsed(), self._clock.wall())
        if left >= self._request_seconds / 2:
            return True
        await self.step_back(outbox, attempt.batch)
        return False

    def _deadline(self) -> Deadline:
        return Deadline(self._clock.elapsed(), self._clock.wall(), self._request_seconds)
