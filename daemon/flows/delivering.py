"""One batch's journey: announced, posted once, settled by what became of it; in pieces, where it must be."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import structlog
from structlog.contextvars import bound_contextvars

from daemon.flows.announcing import Announcer, Attempt, Following
from daemon.flows.batching import Allowance, BatchLimits
from daemon.flows.budgeting import Budget
from daemon.flows.guarding import RejectionGuard
from daemon.flows.holding import Gate, Holds
from daemon.flows.items import ReadAll
from daemon.flows.outbox import Outbox
from daemon.flows.pieces import Pieces
from daemon.flows.repeating import Resolution
from daemon.flows.watching import SubmitWatch
from daemon.model import (
    Accepted,
    Batch,
    Divided,
    InDoubt,
    Intent,
    NotNow,
    Outcome,
    Rejected,
    TooLarge,
)
from daemon.ports import Clock, Kafka, Submissions, TolokaClock

SPENT = NotNow(
    "budget",
    "the limit of TOLOKAD_BUDGET__… is reached: a daily one ends with Toloka's day (UTC); raise it to go on",
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a way begins, how it cuts batches, and how long an attempt may take.

    `attempts_once` where Toloka carries an attempt out once at most, however often it is sent.
    """

    start_from: str
    limits: BatchLimits
    linger_seconds: float
    request_seconds: float
    attempts_once: bool = False


@dataclass(frozen=True, slots=True)
class Company:
    """What all ways of one replica share.

    `look_again` asks Toloka anew what an item must look like; for `turn` see `daemon.flows.filling.Source`.
    """

    kafka: Kafka
    clock: Clock
    toloka_clock: TolokaClock
    gate: Gate
    holds: Holds
    watch: SubmitWatch
    guard: RejectionGuard
    rng: Random
    read_all: ReadAll
    look_again: Callable[[], Awaitable[None]]
    new_attempt: Callable[[], str]
    turn: asyncio.Lock
    budget: Budget | None = None


class Delivery:
    """Sees the batches of one partition's way to their ends.

    Args:
        company: what it shares with the other ways.
        api: the way's connection to Toloka.
        resolver: what to do with an intent in doubt.
        manner: how it cuts, and how long an attempt may take.
    """

    def __init__(self, company: Company, api: Submissions, resolver: Resolution, manner: Manner) -> None:
        self._all = company
        self._api = api
        self._resolver = resolver
        self._request_seconds = manner.request_seconds
        self.allowance = Allowance(manner.limits)
        self._announcer = Announcer(
            api, company.gate, company.guard, company.watch, company.clock, manner.request_seconds
        )

    async def finish(self, outbox: Outbox, intent: Intent, batch: Batch, stopping: asyncio.Event) -> bool:
        """Finish what a predecessor announced; False when stopped first."""
        batch = await self._resolver.unaccounted(batch, intent)
        batch = replace(batch, since=intent.since, doubt_end=intent.doubt_end)
        resolved = batch if intent.decided else await self._resolve(outbox, batch, intent, stopping)
        if resolved is None:
            return False
        return await self.deliver(outbox, resolved, stopping, Following(lambda: None, stopping))

    async def _resolve(
        self, outbox: Outbox, batch: Batch, intent: Intent, stopping: asyncio.Event
    ) -> Batch | None:
        """What is still to be sent of a batch in doubt; None when stopped first."""

        async def again(whole: Batch) -> Outcome | None:
            attempt = await self._announcer.announce(outbox, whole, stopping, intent)
            if attempt is None:
                return None
            outcome = await self._post(outbox, attempt)
            if isinstance(outcome, NotNow):
                self._all.gate.shut(outcome)
            return outcome

        doubtful = replace(batch, since=intent.since)
        note = partial(outbox.note, batch.first)
        resolved = await self._resolver.resolve(doubtful, intent, again, note, stopping)
        if resolved is not None and resolved.adopted and resolved.items:
            # The rest may have to wait for long before it is announced.
            await outbox.record(resolved, replace(intent, once=False, doubted=True, claiming=False))
            self._all.watch.recorded(resolved)
            resolved = resolved.recorded()
        return resolved

    async def deliver(
        self, outbox: Outbox, whole: Batch, stopping: asyncio.Event, following: Following
    ) -> bool:
        """See a batch to its end, in as many requests as Toloka makes necessary; False when stopped first.

        Under a backlog its settlement announces the batch that follows.
        """
        pieces = Pieces(whole)
        while (batch := pieces.next()) is not None:
            if not batch.items:
                self._all.guard.insist(batch)
                await self._settle(outbox, batch, Accepted(()), None, pieces, following)
                continue
            if (attempt := await self._begin(outbox, batch, pieces, following, stopping)) is None:
                return False
            batch = attempt.batch
            match await self._post(outbox, attempt):
                case Accepted() as accepted:
                    await self._settle(outbox, batch, accepted, attempt.intent, pieces, following)
                case Divided(ids, culprits):
                    pieces.again(replace(batch.divided(ids, culprits), since=attempt.intent.since))
                case Rejected(culprits) if culprits:
                    await self._announcer.step_back(outbox, batch)
                    pieces.again(batch.without(culprits))
                case Rejected(flaw=flaw):
                    pieces.refused(batch, flaw)
                case TooLarge(flaw):
                    self.allowance.refused(batch)
                    pieces.too_large(batch, flaw)
                case InDoubt():
                    resolved = await self._resolve(outbox, batch, attempt.intent, stopping)
                    if resolved is None:
                        return False
                    pieces.again(resolved)
                case NotNow() as no:
                    self._all.gate.shut(no)
                    await self._announcer.step_back(outbox, batch)
                    pieces.again(batch)
        return True

    async def _begin(
        self, outbox: Outbox, batch: Batch, pieces: Pieces, following: Following, stopping: asyncio.Event
    ) -> Attempt | None:
        """Announce as much of the batch as the budget has room for, the rest put back; None if stopped."""
        holds_others_up = batch.since is not None
        while (room := outbox.room()) is not None and room < len(batch.items):
            if room:
                batch, rest = batch.split(room)
                pieces.again(rest)
                break
            if holds_others_up:
                batch, holds_others_up = await self._give_way(outbox, batch), False
            self._all.gate.shut(SPENT)
            await self._all.gate.wait(stopping)
            if stopping.is_set():
                return None
        return await self._announcer.begin(outbox, batch, following, stopping)

    async def _give_way(self, outbox: Outbox, batch: Batch) -> Batch:
        """Write down that what is left of a batch in doubt is absent, and release what it has reserved.

        While it was in doubt others with equal items waited for it; what they reserved may be all the room
        that there is, so that it would wait for them.
        """
        await outbox.record(batch, replace(outbox.intent(batch), once=False, decided=True))
        self._all.watch.recorded(batch)
        return batch.recorded()

    async def _post(self, outbox: Outbox, attempt: Attempt) -> Outcome:
        batch = attempt.batch
        if not await outbox.fits(attempt.intent, self._request_seconds / 2):
            # Another partition was faster, or takes an attempt of its own back in a moment.
            return SPENT
        with bound_contextvars(attempt=attempt.intent.attempt, batch=f"{batch.first}-{batch.end}"):
            began = asyncio.get_running_loop().time()
            self._all.watch.posted(batch)
            outcome = await self._api.submit(batch.items, attempt.intent, attempt.deadline)
            if isinstance(outcome, Accepted):
                log.debug("accepted", items=len(batch.items))
            else:
                log.warning("not_accepted", outcome=type(outcome).__name__, detail=str(outcome)[:300])
        if isinstance(outcome, InDoubt):
            self._all.gate.leave()
        elif not isinstance(outcome, NotNow):
            self._all.gate.open(began)
        return outcome

    async def _settle(
        self,
        outbox: Outbox,
        batch: Batch,
        accepted: Accepted,
        intent: Intent | None,
        pieces: Pieces,
        following: Following,
    ) -> None:
        at = intent.at if intent else None
        then, ahead = outbox.behind(batch, at), None
        if then is None and batch.end == pieces.end:
            ahead = await self._announcer.ahead(outbox, batch, following.due())
            then = ahead.intent if ahead else None
        await outbox.settle(batch, accepted.ids, at, then)
        following.announced(ahead)
        pieces.settled(batch)
        self.allowance.accepted(batch)
        self._all.guard.count(batch)
        self._all.watch.settled(batch)

    async def leave(self, outbox: Outbox, following: Following) -> None:
        """Take back what was announced along with the last batch, for it will not be sent."""
        if (unsent := following.take()) is not None:
            await self._announcer.step_back(outbox, unsent.batch)
