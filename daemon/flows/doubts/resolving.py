"""An intent in doubt, resolved by the means that its attempt allows: by sending it again, or by looking.

Where Toloka carries an attempt out once at most, the same items are sent again under it, however often, until
a clear answer tells what became of it. Every other attempt may be carried out each time it is sent: what
it has done must be looked for (`daemon.flows.doubts.searching`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import structlog

from daemon.flows.doubts.claiming import Note
from daemon.flows.doubts.scanning import unaccounted
from daemon.flows.doubts.searching import Search
from daemon.flows.place import Place
from daemon.flows.waiting import Backoff, pause
from daemon.metrics import Metrics
from daemon.model import Accepted, Batch, Divided, InDoubt, Intent, NotNow, Outcome, Rejected, TooLarge
from daemon.ports import Kafka

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 10.0

# Announces the intent's attempt once more and sends these items under it: as what it was announced, and what
# that came to; None when stopped first.
Again = Callable[[Batch], Awaitable[tuple[Intent, Outcome] | None]]

log = structlog.get_logger(__name__)


class Resolver:
    """Resolves the intents of one partition's way."""

    def __init__(self, kafka: Kafka, place: Place, search: Search, metrics: Metrics, rng: Random) -> None:
        self._kafka = kafka
        self._place = place
        self._search = search
        self._metrics = metrics
        self._rng = rng
        self._counted = ""

    async def resolve(
        self, batch: Batch, intent: Intent, again: Again, note: Note, until: asyncio.Event
    ) -> Batch | None:
        """What of the batch is still to be sent, with the rest adopted; None when the event came first.

        Raises:
            Transient: Kafka failed; the intent stands, and a take-over finds it again.
        """
        self._metrics.intents_in_doubt.inc()
        try:
            if intent.once:
                resolved = await self._repeat(batch, intent, again, note, until)
            else:
                resolved = await self._search.resolve(batch, intent, note, until)
        finally:
            self._metrics.intents_in_doubt.dec()
        if resolved is not None:
            self._count(batch, intent, resolved)
        return resolved

    def _count(self, batch: Batch, intent: Intent, resolved: Batch) -> None:
        outcome = "partial"
        if not resolved.items:
            outcome = "adopted"
        elif len(resolved.items) == len(batch.items):
            outcome = "resubmitted"
        # What could not be written down is resolved once more, and is one doubt all the same.
        if intent.attempt != self._counted:
            self._metrics.intents_resolved.labels(outcome).inc()
            self._counted = intent.attempt
        log.info("intent_resolved", outcome=outcome, items=len(batch.items), absent=len(resolved.items))

    async def unaccounted(self, batch: Batch, intent: Intent) -> Batch:
        """Of a predecessor's batch that is to be sent again: what the ledger does not have already.

        An attempt before the one that stands may have created a part: it went to the ledger with the intent.
        """
        if not (intent.once or intent.decided):
            return batch
        return await unaccounted(self._kafka, self._place, batch, intent.since)

    async def _repeat(
        self, batch: Batch, intent: Intent, again: Again, note: Note, until: asyncio.Event
    ) -> Batch | None:
        """Send until the answer is clear; None when the event came first.

        Of the requests whose answers were not, the last one counts: it may be carried out as long after it.
        """
        backoff = Backoff(self._rng, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS)
        quarantine = self._search.quarantine(intent)
        while batch.items:
            if until.is_set() or (sent := await again(batch)) is None:
                return None
            latest, outcome = sent
            if isinstance(outcome, InDoubt):
                quarantine = self._search.quarantine(latest)
                if outcome.listing:
                    return await self._search.resolve(batch, latest, note, until)
            if (told := self._told(outcome, batch, believable=quarantine.is_over)) is not None:
                return told
            await pause(backoff.seconds(), until)
        return batch

    @staticmethod
    def _told(outcome: Outcome, batch: Batch, *, believable: bool) -> Batch | None:
        """What an answer tells of the attempt; None where it tells only of the last request.

        A no to this request says nothing of one before it: `believable` once that one has landed or died.
        """
        match outcome:
            case Accepted(ids):
                return batch.adopting(dict(enumerate(ids)))
            case Divided(ids, culprits):
                return batch.divided(ids, culprits)
            case Rejected(culprits, over=over) if over or believable:
                return batch.without(culprits)
            case NotNow(over=over) if over:
                return batch
            case TooLarge() if believable:
                return batch
        return None
