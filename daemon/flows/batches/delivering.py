"""One batch's journey: announced, posted once, settled by what became of it; in pieces, where it must be."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import structlog
from structlog.contextvars import bound_contextvars

from daemon.flows.batches.ahead import Ahead, Attempt, Nothing, Sent, Supply, covering
from daemon.flows.batches.announcing import SPENT, Announcer
from daemon.flows.batches.batching import Allowance
from daemon.flows.batches.outbox import Outbox
from daemon.flows.batches.pieces import Pieces
from daemon.flows.batches.shared_parts import SharedParts, SubmitOptions
from daemon.flows.batches.unanswered import show
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.holding import ShownHold
from daemon.model import Accepted, Batch, Divided, InDoubt, Intent, NotNow, Outcome, Rejected, TooLarge
from daemon.ports import Submissions

# As many requests of a partition can be under way.
CONNECTIONS = 2
# To announce a batch by itself takes as long as the last transaction did, and this at least: it does not pay
# where the answer comes sooner.
PROMPT_SECONDS = 0.02

log = structlog.get_logger(__name__)


class Delivery:
    """Sees the batches of one partition's way to their ends.

    The outbox is that of one take-over, the allowance outlives it. When `stopping` is set, nothing further is
    sent; `shown` is the way's hold.
    """

    def __init__(
        self,
        outbox: Outbox,
        allowance: Allowance,
        shared: SharedParts,
        connections: Sequence[Submissions],
        resolver: Resolver,
        options: SubmitOptions,
        stopping: asyncio.Event,
        shown: ShownHold,
    ) -> None:
        self._outbox = outbox
        self._allowance = allowance
        self._shared = shared
        self._shown = shown
        self._connections = connections
        self._resolver = resolver
        self._request_seconds = options.request_seconds
        self._stopping = stopping
        self._announcer = Announcer(outbox, connections[0], shared, options.request_seconds, stopping)

    def ahead(self, supply: Supply) -> Ahead:
        """What may be sent while an answer is awaited."""
        return Ahead(self._connections, supply, self._post_in_time, self._shared.gate, self._stopping)

    async def finish(self, intent: Intent, batch: Batch) -> bool:
        """Finish what a predecessor announced; False when stopped first."""
        batch = await self._resolver.unaccounted(batch, intent)
        batch = intent.doubting(batch)
        resolved = batch if intent.decided else await self._resolve(batch, intent)
        if resolved is None:
            return False
        async with self.ahead(Nothing()) as nothing:
            return await self.deliver(resolved, nothing)

    async def _resolve(self, batch: Batch, intent: Intent) -> Batch | None:
        """What is still to be sent of a batch in doubt; None when stopped first."""

        async def again(whole: Batch) -> tuple[Intent, Outcome] | None:
            attempt = await self._announcer.announce(whole, intent)
            if attempt is None:
                return None
            outcome = await self._post(attempt)
            if isinstance(outcome, NotNow):
                self._shared.gate.shut(outcome)
            elif isinstance(outcome, InDoubt):
                self._shared.gate.leave()
            show(self._shown, whole, outcome)
            return self._announcer.dated(attempt, attempt.intent), outcome

        doubtful = replace(batch, since=intent.since)
        note = partial(self._outbox.note, batch.first)
        resolved = await self._resolver.resolve(doubtful, intent, again, note, self._stopping)
        if resolved is None:
            return None
        if resolved.doubt_at is not None:
            # What was sent behind it may have given its items away: what replaces them may land as late.
            resolved = replace(resolved, doubt_at=intent.last_at)
        return await self._recorded(resolved, replace(intent, doubted=True, claiming=False))

    async def _recorded(self, batch: Batch, intent: Intent) -> Batch:
        """Write what was adopted to the ledger now, for what is left may have to wait; returns the batch."""
        if not (batch.adopted and batch.items):
            return batch
        await self._outbox.record(batch, replace(intent, once=False))
        self._shared.watch.recorded(batch)
        return batch.recorded()

    async def deliver(self, whole: Batch, ahead: Ahead) -> bool:
        """See a batch to its end, in as many requests as Toloka makes necessary; False when stopped first.

        Under a backlog its settlement announces a batch behind it, or there is one on its way already.
        """
        sent = ahead.take()
        pieces = Pieces(whole if sent is None else sent.attempt.batch)
        while (batch := pieces.next()) is not None:
            if not batch.items:
                self._shared.guard.insist(batch)
                await self._settle(batch, Accepted(()), None, pieces, ahead)
                continue
            if sent is None and (attempt := await self._announcer.begin(batch, pieces)) is not None:
                sent = ahead.send(attempt)
            if sent is None or not await self._see_through(sent, pieces, ahead):
                return False
            sent = None
        return True

    async def _see_through(self, sent: Sent, pieces: Pieces, ahead: Ahead) -> bool:
        """Wait for what an attempt comes to, and do what follows; False when stopped first."""
        if sent.attempt.batch.end == pieces.end:
            await self._send_behind(sent, ahead)
        outcome = await sent.outcome
        show(self._shown, sent.attempt.batch, outcome)
        if isinstance(outcome, Accepted):
            await self._settle(sent.attempt.batch, outcome, sent.attempt.intent, pieces, ahead)
            return True
        if isinstance(outcome, InDoubt):
            self._shared.gate.leave()
        if isinstance(outcome, NotNow):
            # At once: what was sent behind it may take as long as a request can.
            self._shared.gate.shut(outcome)
        batch, intent = await self._come_to_rest(sent.attempt, outcome, ahead)
        match outcome:
            case Divided(ids, culprits):
                divided = replace(batch.divided(ids, culprits), since=intent.since)
                pieces.again(await self._recorded(divided, replace(intent, decided=True)))
            case Rejected(culprits) if culprits:
                await self._announcer.step_back(batch)
                pieces.again(batch.without(culprits))
            case Rejected(flaw=flaw):
                pieces.refused(batch, flaw)
            case TooLarge(flaw):
                self._allowance.refused(batch)
                pieces.too_large(batch, flaw)
            case InDoubt():
                intent = self._announcer.dated(sent.attempt, intent)
                resolved = await self._resolve(batch, intent)
                if resolved is None:
                    return False
                ahead.not_before(intent.at)
                pieces.unanswered(resolved, repeatedly=sent.attempt.batch.since is not None)
            case NotNow() | None:
                await self._announcer.step_back(batch)
                pieces.again(batch)
        return True

    async def _send_behind(self, sent: Sent, ahead: Ahead) -> None:
        """Announce and send what waits behind an attempt whose answer takes its time."""
        attempt = sent.attempt
        if attempt.batch.since is not None or ahead.free(attempt.connection) is None:
            return
        await asyncio.wait({sent.outcome}, timeout=max(PROMPT_SECONDS, self._outbox.last_seconds))
        if sent.outcome.done():
            return
        if (behind := await self._announcer.behind_attempt(attempt, ahead)) is not None:
            await self._outbox.note(attempt.batch.first, covering(attempt, behind))
            ahead.send_behind(behind)

    async def _come_to_rest(
        self, attempt: Attempt, outcome: Outcome | None, ahead: Ahead
    ) -> tuple[Batch, Intent]:
        """What there is to do of an attempt that did not succeed, once what was sent behind it has ended.

        What was created of that goes to the ledger first. Otherwise it might be taken for an equal item of
        this batch, or of another partition, that is looked for.
        """
        if (behind := ahead.next) is None or attempt.batch.has_doubt_behind:
            return attempt.batch, attempt.intent
        batch, known = behind.attempt.batch, None
        match await behind.outcome:
            case Accepted(ids):
                known = batch.adopting(dict(enumerate(ids)))
            case Divided(ids, culprits):
                known = replace(batch.divided(ids, culprits), since=behind.attempt.intent.since)
            case InDoubt():
                pass
            case Rejected() | TooLarge() | NotNow() | None:
                # It certainly came to nothing, and is like any batch that waits.
                ahead.take()
                return attempt.batch, attempt.intent
        intent = covering(attempt, behind.attempt)
        if known is not None:
            if not isinstance(outcome, InDoubt | Divided):
                # Nothing is in doubt, and nothing unwritten: nobody has to look for it, or to wait for us.
                intent = replace(intent, decided=True)
            await self._outbox.record(known, intent)
            self._shared.watch.recorded(known)
            ahead.known(known.recorded())
        return intent.doubting(attempt.batch), intent

    async def _post_in_time(self, attempt: Attempt) -> Outcome | None:
        return await self._post(attempt) if self._announcer.is_in_time(attempt) else None

    async def _post(self, attempt: Attempt) -> Outcome:
        batch = attempt.batch
        if not await self._outbox.fits(attempt.intent, self._request_seconds / 2):
            # Another partition was faster, or takes an attempt of its own back in a moment.
            return SPENT
        with bound_contextvars(attempt=attempt.intent.attempt, batch=f"{batch.first}-{batch.end}"):
            began = asyncio.get_running_loop().time()
            self._shared.watch.posted(batch)
            outcome = await attempt.connection.submit(batch.items, attempt.intent, attempt.deadline)
            if isinstance(outcome, Accepted):
                log.debug("accepted", items=len(batch.items))
            else:
                log.warning("not_accepted", outcome=type(outcome).__name__, detail=str(outcome)[:300])
        if not isinstance(outcome, InDoubt | NotNow):
            self._shared.gate.open(began)
        return outcome

    async def _settle(
        self, batch: Batch, accepted: Accepted, intent: Intent | None, pieces: Pieces, ahead: Ahead
    ) -> None:
        at, behind = intent.at if intent else None, None
        then = self._outbox.behind(batch, at)
        if batch.end == pieces.end:
            behind = await self._announcer.behind_settlement(batch, ahead)
            attempts = [*ahead.attempts, *([behind] if behind else [])]
            then = covering(*attempts) if attempts else then
        await self._outbox.settle(batch, accepted.ids, at, then)
        if behind is not None:
            ahead.send_behind(behind)
        self._allowance.accepted(batch)
        self._shared.guard.count(batch)
        self._shared.watch.settled(batch)

    async def drain(self, ahead: Ahead) -> None:
        """See to its end what was sent before it was time to stop."""
        while (sent := ahead.next) is not None:
            self._shared.watch.consumed(sent.attempt.batch)
            if not await self.deliver(sent.attempt.batch, ahead):
                return
