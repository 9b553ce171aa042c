"""One input partition's way: fill a batch, announce it, post it once, settle what became of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import structlog
from structlog.contextvars import bound_contextvars

from daemon.errors import Fenced, Held, Transient
from daemon.flows.announcing import Announcer, Attempt, Following
from daemon.flows.batching import Allowance, BatchLimits, Filling
from daemon.flows.budgeting import Budget
from daemon.flows.filling import Source, filled
from daemon.flows.guarding import RejectionGuard
from daemon.flows.holding import Backoff, Gate, Holds, ShownHold
from daemon.flows.items import ReadAll
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
    Divided,
    InDoubt,
    Intent,
    NotNow,
    Outcome,
    Rejected,
    TooLarge,
)
from daemon.ports import Clock, Kafka, Submissions, TolokaClock, Writer

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
    """What all ways of one replica share; `look_again` asks Toloka anew what an item must look like."""

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
    budget: Budget | None = None


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
        self._announcer = Announcer(
            api, company.gate, company.guard, company.watch, company.clock, manner.request_seconds
        )
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
            self._all.gate.leave()
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
        take = partial(take_over, company.kafka, place, outbox, self._manner.start_from, company.read_all)
        beginning = await take()
        tally = await last_tally(company.kafka, place)
        outbox.resume(tally)
        if company.budget is not None:
            outbox.spend_from(await company.budget.purse(place.name))
        self._api.resume(tally)
        log.info("taken_over", offset=beginning.offset, in_doubt=beginning.found is not None)
        self._shown.end_unless("rejected_ratio", "too_large")
        while beginning.found is not None:
            if not await self._resume(outbox, *beginning.found, stopping):
                return
            # There may have been more in doubt behind it.
            beginning = await take()
        filling = Filling(place.topic, place.partition, beginning.offset, self._allowance, company.read_all)
        async with company.kafka.reader(place.topic, {place.partition: beginning.offset}) as reader:
            source = Source(reader, filling, self._manner.linger_seconds)
            async with filled(source, stopping) as batches:
                following = Following(source.due, stopping)
                async for batch in batches:
                    company.watch.consumed(batch)
                    if not await self._deliver(outbox, batch, stopping, following):
                        return
                    backoff.reset()
                    self._shown.end()
                if (unsent := following.take()) is not None:
                    await self._announcer.step_back(outbox, unsent.batch)

    async def _resume(self, outbox: Outbox, intent: Intent, batch: Batch, stopping: asyncio.Event) -> bool:
        """Finish what a predecessor announced; False when stopped first."""
        batch = await self._resolver.unaccounted(batch, intent)
        batch = replace(batch, since=intent.since, doubt_end=intent.doubt_end)
        resolved = batch if intent.decided else await self._resolve(outbox, batch, intent, stopping)
        if resolved is None:
            return False
        return await self._deliver(outbox, resolved, stopping, Following(lambda: None, stopping))

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

    async def _deliver(
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
                    self._allowance.refused(batch)
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
        while (room := outbox.room()) is not None and room < len(batch.items):
            if room:
                batch, rest = batch.split(room)
                pieces.again(rest)
                break
            self._all.gate.shut(SPENT)
            await self._all.gate.wait(stopping)
            if stopping.is_set():
                return None
        return await self._announcer.begin(outbox, batch, following, stopping)

    async def _post(self, outbox: Outbox, attempt: Attempt) -> Outcome:
        batch = attempt.batch
        if not await outbox.fits(attempt.intent, self._manner.request_seconds / 2):
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
        self._allowance.accepted(batch)
        self._all.guard.count(batch)
        self._all.watch.settled(batch)
