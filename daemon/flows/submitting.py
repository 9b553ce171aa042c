"""One input partition's way: fill a batch, announce it, post it once, settle what became of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

import structlog
from structlog.contextvars import bound_contextvars

from daemon.errors import Fenced, Held, Transient
from daemon.flows.batching import Allowance, BatchLimits, Filling
from daemon.flows.filling import Source, filled
from daemon.flows.guarding import RejectionGuard
from daemon.flows.holding import Backoff, Gate, Holds, ShownHold
from daemon.flows.outbox import Outbox, Place
from daemon.flows.pieces import Pieces
from daemon.flows.repeating import Resolution
from daemon.flows.taking_over import take_over
from daemon.flows.tallying import last_tally
from daemon.flows.waiting import pause
from daemon.flows.watching import SubmitWatch
from daemon.model import (
    Accepted,
    Batch,
    Deadline,
    Divided,
    Flaw,
    InDoubt,
    Intent,
    Item,
    NotNow,
    Outcome,
    Record,
    Rejected,
    TooLarge,
)
from daemon.ports import Clock, Kafka, Submissions, TolokaClock, Writer

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
    """What all ways of one replica share; `look_again` asks Toloka anew what an item must look like."""

    kafka: Kafka
    clock: Clock
    toloka_clock: TolokaClock
    gate: Gate
    holds: Holds
    watch: SubmitWatch
    guard: RejectionGuard
    rng: Random
    read: Callable[[Record], Item | Flaw]
    look_again: Callable[[], Awaitable[None]]
    new_attempt: Callable[[], str]


class Attempt(NamedTuple):
    """What is left to be sent of a batch, the intent that was written, and when its request must be over."""

    batch: Batch
    intent: Intent
    deadline: Deadline


class Submitting:
    """The way of one partition, from take-over until it is told to stop.

    Args:
        place: the partition, and where it writes.
        company: what it shares with the other ways.
        api: its own connection to Toloka.
        resolver: what to do with an intent in doubt.
        manner: how it begins, cuts and waits.
        still_ours: returns once the group has confirmed that the partition is ours, or the event is set.
    """

    def __init__(
        self,
        place: Place,
        company: Company,
        api: Submissions,
        resolver: Resolution,
        manner: Manner,
        still_ours: Callable[[asyncio.Event], Awaitable[None]],
    ) -> None:
        self._place = place
        self._all = company
        self._api = api
        self._resolver = resolver
        self._manner = manner
        self._still_ours = still_ours
        self._allowance = Allowance(manner.limits)
        self._shown = ShownHold("submit", company.holds, place.partition)

    async def run(self, stopping: asyncio.Event) -> None:
        """Submit until the event is set; after any failure start over from what Kafka says."""
        backoff = Backoff(self._all.rng)
        with bound_contextvars(topic=self._place.topic, partition=self._place.partition):
            try:
                while not stopping.is_set():
                    await self._once(backoff, stopping)
            finally:
                self._shown.end()

    async def _once(self, backoff: Backoff, stopping: asyncio.Event) -> None:
        try:
            async with self._all.kafka.writer(self._place.transactional_id) as writer:
                await self._go(writer, backoff, stopping)
        except Fenced as fenced:
            log.warning("fenced", detail=str(fenced))
            await self._still_ours(stopping)
        except Held as held:
            self._all.gate.leave()
            self._shown.begin(held)
            await pause(backoff.seconds(), stopping)
            await self._all.look_again()
        except Transient as failure:
            self._all.gate.leave()
            log.warning("starting_over", detail=str(failure))
            await pause(backoff.seconds(), stopping)

    async def _go(self, writer: Writer, backoff: Backoff, stopping: asyncio.Event) -> None:
        place, company = self._place, self._all
        outbox = Outbox(
            writer, place, company.toloka_clock, company.new_attempt, once=self._manner.attempts_once
        )
        beginning = await take_over(company.kafka, place, outbox, self._manner.start_from, company.read)
        tally = await last_tally(company.kafka, place)
        outbox.resume(tally)
        self._api.resume(tally)
        log.info("taken_over", offset=beginning.offset, in_doubt=beginning.found is not None)
        self._shown.end_unless("rejected_ratio", "too_large")
        if beginning.found and not await self._resume(outbox, *beginning.found, stopping):
            return
        filling = Filling(place.topic, place.partition, beginning.offset, self._allowance, company.read)
        async with company.kafka.reader(place.topic, {place.partition: beginning.offset}) as reader:
            source = Source(reader, filling, self._manner.linger_seconds)
            async with filled(source, stopping) as batches:
                async for batch in batches:
                    company.watch.consumed(batch)
                    if not await self._deliver(outbox, batch, stopping):
                        return
                    backoff.reset()
                    self._shown.end()

    async def _resume(self, outbox: Outbox, intent: Intent, batch: Batch, stopping: asyncio.Event) -> bool:
        """Finish what a predecessor announced; False when stopped first."""
        batch = await self._resolver.unaccounted(batch, intent)
        if intent.decided:
            return await self._deliver(outbox, replace(batch, since=intent.since), stopping)
        resolved = await self._resolve(outbox, batch, intent, stopping)
        return resolved is not None and await self._deliver(outbox, resolved, stopping)

    async def _resolve(
        self, outbox: Outbox, batch: Batch, intent: Intent, stopping: asyncio.Event
    ) -> Batch | None:
        """What is still to be sent of a batch in doubt; None when stopped first."""

        async def again(whole: Batch) -> Outcome | None:
            if (attempt := await self._announce(outbox, whole, stopping, intent)) is None:
                return None
            outcome = await self._post(attempt)
            if isinstance(outcome, NotNow):
                self._all.gate.shut(outcome)
            return outcome

        doubtful = replace(batch, since=intent.since)
        return await self._resolver.resolve(doubtful, intent, again, stopping)

    async def _deliver(self, outbox: Outbox, whole: Batch, stopping: asyncio.Event) -> bool:
        """See a batch to its end, in as many requests as Toloka makes necessary; False when stopped first."""
        pieces = Pieces(whole)
        while (batch := pieces.next()) is not None:
            self._all.guard.insist(batch)
            if not batch.items:
                await self._settle(outbox, batch, Accepted(()), None, pieces)
                continue
            if (attempt := await self._announce(outbox, batch, stopping)) is None:
                return False
            batch = attempt.batch
            match await self._post(attempt):
                case Accepted() as accepted:
                    await self._settle(outbox, batch, accepted, attempt.intent, pieces)
                case Divided(ids, culprits):
                    pieces.again(replace(batch.divided(ids, culprits), since=attempt.intent.since))
                case Rejected(culprits) if culprits:
                    await self._step_back(outbox, batch)
                    pieces.again(batch.without(culprits))
                case Rejected(flaw=flaw):
                    pieces.refused(batch, flaw)
                case TooLarge(flaw):
                    self._allowance.refused(batch)
                    pieces.too_large(batch, flaw)
                case InDoubt():
                    resolved = await self._resolve(outbox, batch, attempt.intent, stopping)
                    if resolved is None:
                        return False
                    pieces.again(resolved)
                case NotNow() as no:
                    self._all.gate.shut(no)
                    await self._step_back(outbox, batch)
                    pieces.again(batch)
        return True

    async def _announce(
        self, outbox: Outbox, batch: Batch, stopping: asyncio.Event, again: Intent | None = None
    ) -> Attempt | None:
        """Wait until Toloka may be asked, then write an intent, or this one again; None if stopped first."""
        clock, seconds = self._all.clock, self._manner.request_seconds
        while True:
            await self._all.gate.wait(stopping)
            if stopping.is_set():
                return None
            if (no := await self._api.ready(len(batch.items))) is not None:
                self._all.gate.shut(no)
                continue
            self._all.gate.reached()
            deadline = Deadline(clock.elapsed(), clock.wall(), seconds)
            intent = await outbox.announce(batch, again)
            self._all.watch.recorded(batch)
            batch = batch.recorded()
            if deadline.left(clock.elapsed(), clock.wall()) >= seconds / 2:
                return Attempt(batch, intent, deadline)
            # It took long to write and leaves too little of the attempt's time: write another.
            await self._step_back(outbox, batch)

    async def _post(self, attempt: Attempt) -> Outcome:
        batch = attempt.batch
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
        self, outbox: Outbox, batch: Batch, accepted: Accepted, intent: Intent | None, pieces: Pieces
    ) -> None:
        # What was adopted of a range in doubt is in no ledger until its own piece is settled.
        rest = None
        if batch.since is not None and batch.end < pieces.end:
            rest = outbox.rest(pieces.end, batch.since, intent.at if intent else None)
        await outbox.settle(batch, accepted.ids, intent.at if intent else None, rest)
        pieces.settled(batch)
        self._allowance.accepted(batch)
        self._all.guard.count(batch)
        self._all.watch.settled(batch)

    async def _step_back(self, outbox: Outbox, batch: Batch) -> None:
        """Take back the intent of a first attempt that certainly came to nothing.

        A range that has been in doubt keeps its intent: a successor must look for what it may have created.
        """
        if batch.since is None:
            await outbox.withdraw(batch.first)
