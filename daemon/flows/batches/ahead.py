"""What is sent ahead: the batch behind the one under way, before that one's answer has come.

It is announced first, as everything is: by the transaction that settles the batch before, or behind the
intent that stands. What it comes to is looked at when its turn comes, so that batches are settled in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, Protocol, Self

from daemon.flows.gate import Gate
from daemon.model import Accepted, Batch, Deadline, Intent, NotNow, Outcome
from daemon.ports import Submissions


class Attempt(NamedTuple):
    """One request for what is left of a batch: announced by its intent, sent, and over by its deadline."""

    batch: Batch
    intent: Intent
    deadline: Deadline
    connection: Submissions


class Sent(NamedTuple):
    """An attempt whose request is under way, and what that comes to.

    `outcome` gives None where nothing was sent, and where the ledger already has what was created.
    """

    attempt: Attempt
    outcome: asyncio.Future[Outcome | None]


class Supply(Protocol):
    """Where batches come from: see `daemon.flows.batches.filling.Source`."""

    def due(self, others: int) -> Batch | None:
        """The batch that comes after so many others; None where it would have to be waited for."""

    async def soon(self, seconds: float) -> None:
        """Wait for a batch that is full in so many seconds."""


class Nothing:
    """A supply of nothing."""

    def due(self, others: int) -> None:
        """See `Supply.due`."""

    async def soon(self, seconds: float) -> None:
        """See `Supply.soon`."""


class Ahead:
    """What one partition's way has sent and not looked at yet, in order. What is left at its end is given up.

    As many requests can be under way as there are connections. When `stopping` is set, no further batch of
    the supply is sent.
    """

    def __init__(
        self,
        connections: Sequence[Submissions],
        supply: Supply,
        post: Callable[[Attempt], Coroutine[Any, Any, Outcome | None]],
        gate: Gate,
        stopping: asyncio.Event,
    ) -> None:
        self._connections = connections
        self._supply = supply
        self._post = post
        self._gate = gate
        self._stopping = stopping
        self._sent: deque[Sent] = deque()
        self._tasks: set[asyncio.Task[Outcome | None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        # Whatever they come to now, their intent says that it is to be looked for.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def due(self) -> Batch | None:
        """The first batch that is not sent yet, where it may be and need not be waited for."""
        return None if self._stopping.is_set() else self._supply.due(len(self._sent))

    async def soon(self, seconds: float) -> None:
        """Wait until a batch is due, where one is about to be full."""
        if self.due() is None and not self._stopping.is_set():
            await self._supply.soon(seconds)

    def free(self, besides: Submissions | None) -> Submissions | None:
        """A connection that nothing is sent over, and that is not this one."""
        used = [besides, *(attempt.connection for attempt in self.attempts)]
        return next((each for each in self._connections if all(each is not other for other in used)), None)

    def send(self, attempt: Attempt) -> Sent:
        """Send an attempt that was announced; it is not one of those that are sent ahead."""
        return self._started(attempt, self._post(attempt))

    def send_behind(self, attempt: Attempt) -> None:
        """Send an attempt that was announced behind all others."""
        self._sent.append(self._started(attempt, self._post_behind(attempt)))

    async def _post_behind(self, attempt: Attempt) -> Outcome | None:
        outcome = await self._post(attempt)
        if isinstance(outcome, NotNow):
            # Said to everybody, and now: its batch's turn may come much later.
            self._gate.shut(outcome)
            return None
        return outcome

    def _started(self, attempt: Attempt, sending: Coroutine[Any, Any, Outcome | None]) -> Sent:
        task = asyncio.ensure_future(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return Sent(attempt, task)

    def take(self) -> Sent | None:
        """The first that was sent ahead: its turn has come."""
        return self._sent.popleft() if self._sent else None

    @property
    def next(self) -> Sent | None:
        """The first that was sent ahead."""
        return self._sent[0] if self._sent else None

    def known(self, batch: Batch) -> None:
        """The ledger knows by now what was created of the first that was sent ahead; this is what is left."""
        sent = self._sent.popleft()
        outcome: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        outcome.set_result(None)
        self._sent.appendleft(Sent(sent.attempt._replace(batch=batch), outcome))

    def not_before(self, at: datetime) -> None:
        """Of what was sent ahead, absence is not believed before that of what was announced at this time.

        Its items may have been adopted for an equal batch before it, whose own may land until then.
        """
        for index, sent in enumerate(self._sent):
            intent = replace(sent.attempt.intent, at=max(sent.attempt.intent.at, at))
            self._sent[index] = sent._replace(attempt=sent.attempt._replace(intent=intent))

    @property
    def attempts(self) -> Sequence[Attempt]:
        """What was sent ahead."""
        return [sent.attempt for sent in self._sent]

    @property
    def is_well(self) -> bool:
        """Whether nothing else than success is known of what was sent ahead."""
        known = (sent.outcome.result() for sent in self._sent if sent.outcome.done())
        return all(isinstance(outcome, Accepted) for outcome in known)


def covering(first: Attempt, *others: Attempt) -> Intent:
    """One intent that announces all of these: the first one's, with the others left in doubt behind it."""
    if not others:
        return first.intent
    last = others[-1]
    return replace(first.intent, doubt_end=last.batch.end, doubt_at=last.intent.at)
