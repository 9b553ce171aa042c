"""An intent in doubt: look at what Toloka has, adopt it, and send again only what is certainly absent.

Presence is believed at once, absence only after the quarantine (`daemon.flows.doubts.quarantine`).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from random import Random

import structlog

from daemon.errors import Fenced, Held
from daemon.flows.doubts.claiming import Claim, Note, Turns
from daemon.flows.doubts.matching import alike, are_all_among, matched, plausible
from daemon.flows.doubts.quarantine import Patience, Quarantine
from daemon.flows.doubts.scanning import Taken, scan
from daemon.flows.holding import Holds, ShownHold
from daemon.flows.place import Place
from daemon.flows.records import codec
from daemon.flows.skew import FARTHEST, SKEW
from daemon.flows.waiting import LONGEST_OBEYED_SECONDS, Backoff, pause, unless
from daemon.metrics import Metrics
from daemon.model import Batch, Created, Intent
from daemon.ports import Kafka, Submissions, TolokaClock

FIRST_LOOK_SECONDS = 0.5
LONGEST_LOOK_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Search:
    """Resolves the intents of one partition's way by what Toloka shows, and the ledger knows."""

    def __init__(
        self,
        kafka: Kafka,
        api: Submissions,
        clock: TolokaClock,
        place: Place,
        patience: Patience,
        holds: Holds,
        metrics: Metrics,
        rng: Random,
    ) -> None:
        self._kafka = kafka
        self._api = api
        self._clock = clock
        self._place = place
        self._patience = patience
        self._shown = ShownHold("submit", holds, place.partition)
        self._metrics = metrics
        self._rng = rng
        self._turns = Turns(kafka, clock, place, patience.request + patience.settling, self._shown)

    async def resolve(self, batch: Batch, intent: Intent, note: Note, until: asyncio.Event) -> Batch | None:
        """What of the batch is still to be sent, with the rest adopted; None when the event came first.

        What was adopted may be claimed: the next transaction of the way has to write it down.

        Raises:
            Fenced: somebody else has decided what becomes of it.
            Transient: Kafka failed; the intent stands, and a take-over finds it again.
        """
        shown, turns = self._shown, self._turns
        backoff = Backoff(self._rng, FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS)
        claim = Claim(intent, note)
        reasons: set[str] = set()
        quarantine = self.quarantine(intent)
        await claim.doubt()
        try:
            while not until.is_set():
                turns.shows, asked_seconds = False, 0.0
                try:
                    resolved = await self._look(batch, quarantine, claim, until)
                    if not turns.shows:
                        shown.end()
                except Held as held:
                    shown.begin(held)
                    if held.reason not in reasons:
                        # Once for each reason, however its details change.
                        reasons.add(held.reason)
                        self._metrics.intents_resolved.labels("held").inc()
                    resolved, asked_seconds = None, held.wait_seconds
                if resolved is None or not resolved.adopted:
                    await claim.doubt()
                if resolved is not None:
                    return resolved
                wait_seconds = max(quarantine.look_seconds(backoff.seconds()), asked_seconds)
                await self._rest(min(wait_seconds, LONGEST_OBEYED_SECONDS), intent, until)
            return None
        finally:
            shown.end()

    async def present(self, batch: Batch, intent: Intent, note: Note, until: asyncio.Event) -> Batch | None:
        """The batch with everything adopted that Toloka shows now; None where it is not our turn until then.

        Raises:
            Held: `listing_failed`, `content_altered`, `intent_unreadable` or `ledger_unreadable`.
            Transient: Kafka failed.
        """
        claim = Claim(intent, note)
        await claim.doubt()
        quarantine = self.quarantine(intent)
        found = await self._found(batch, quarantine, claim, until, believable=True, landed=quarantine.is_over)
        if found is None or not found[0].adopted:
            await claim.doubt()
        return None if found is None else found[0]

    def quarantine(self, intent: Intent) -> Quarantine:
        """That of an intent, which has begun by now."""
        return Quarantine(intent, self._patience, self._clock)

    async def _rest(self, seconds: float, intent: Intent, until: asyncio.Event) -> None:
        """Wait for the next look, with an eye on what an operator decides meanwhile.

        Raises:
            Fenced: as `_insist_undecided`.
        """
        while seconds > 0:
            await pause(min(seconds, LONGEST_LOOK_SECONDS), until)
            await self._insist_undecided(intent)
            seconds = 0 if until.is_set() else seconds - LONGEST_LOOK_SECONDS

    async def _insist_undecided(self, intent: Intent) -> None:
        """An operator may have decided meanwhile: then the committed metadata tells what is left to do.

        Raises:
            Fenced: another intent stands, or none, or one that we cannot read.
        """
        place = self._place
        committed = await self._kafka.committed(place.group, place.topic, [place.partition])
        try:
            standing = codec.read_intent(committed[place.partition].metadata)
        except codec.UnreadableError as error:
            raise Fenced(f"the batch in doubt, up to {intent.end}, is a newer release's: {error}") from error
        if standing is None or standing.attempt != intent.attempt:
            raise Fenced(f"the batch in doubt, up to {intent.end}, was decided by somebody else")

    async def _look(
        self, batch: Batch, quarantine: Quarantine, claim: Claim, until: asyncio.Event
    ) -> Batch | None:
        """One look; None where it is too early to say.

        Raises:
            Held: it cannot be decided now, or by us.
        """
        # Read before the listing: what was absent from it was absent at this time.
        over = quarantine.is_over
        seen = await self._found(batch, quarantine, claim, until, believable=over, landed=over)
        if seen is None:
            return None
        found, contested = seen
        # What may have been sent was sent with the rest, and is shown along with it.
        absent = found.items or (not batch.items and len(found.adopted) < len(batch.possible))
        # Once more, for the listing's answers may have set a clock right that one before had set forward.
        over = over and quarantine.is_over
        return None if absent and (contested or not over) else found

    async def _found(
        self,
        batch: Batch,
        quarantine: Quarantine,
        claim: Claim,
        until: asyncio.Event,
        *,
        believable: bool,
        landed: bool,
    ) -> tuple[Batch, bool] | None:
        """What Toloka shows, and whether another way has taken some of it since it was listed.

        That may have been ours, and what is listed next its own: absence can be told only by another look.
        It comes to an end, for after the quarantine nothing new of ours appears.
        """
        intent = quarantine.intent
        sought = batch.with_possible()
        listed = await unless(until, self._listed(sought, quarantine, believable=believable))
        if listed is None:
            return None
        candidates = plausible(sought, intent.since, listed)
        if not candidates and not believable:
            return None
        before = None
        if candidates and not sought.identified:
            before = await self._taken(sought, intent, candidates)
            if not believable and matched(batch, candidates, before).items:
                return None
            turns = self._turns
            if not (await turns.come(until, quarantine) and await turns.take(claim, believable=landed)):
                return None
        taken = await self._taken(sought, intent, candidates)
        contested = before is not None and self._is_contested(intent, candidates, before, taken)
        found = matched(batch, candidates, taken)
        if taken.altered and found.items and believable:
            raise _altered()
        return found, contested

    async def _listed(self, batch: Batch, quarantine: Quarantine, *, believable: bool) -> Sequence[Created]:
        """What Toloka shows that may be the batch's, of the time when it may have been created, or more.

        Before absence is believed, more must be seen: what was created since, for the clock that dates it may
        differ from ours; and where items are alike, the one that another way has left behind because it has
        adopted one of ours. It has taken the nearest to its own time, so that what it left is as near to
        ours, or younger.
        """
        intent, now, wanted = quarantine.intent, self._clock.now(), alike(batch)
        end = self._end(intent)
        if batch.identified or not believable:
            until = end if end < now else None
            listed = await self._api.created(intent.since - SKEW, until, None, wanted)
            if not believable or are_all_among(batch, listed):
                return listed
        before = SKEW if batch.identified else 3 * SKEW
        # A clock that was set back tells too little of the time that has passed.
        within = max(now, quarantine.undisturbed, quarantine.ends_at) - intent.since + before
        if quarantine.was_set_back:
            # What was created since is older than the newest item, nobody knows by how much.
            within = FARTHEST
        return await self._api.created(intent.since - before, None, within, wanted)

    def _end(self, intent: Intent) -> datetime:
        """Nothing of this range is created later."""
        return intent.at + self._patience.quarantine + SKEW

    def _is_contested(
        self, intent: Intent, candidates: Sequence[Created], before: Taken, taken: Taken
    ) -> bool:
        """Whether another way has taken what may have been ours, between these two readings of the ledger."""
        end, lately = self._end(intent), set(taken.elsewhere) - set(before.elsewhere)
        return any(each.item_id in lately and each.created_at <= end for each in candidates)

    async def _taken(self, batch: Batch, intent: Intent, candidates: Sequence[Created]) -> Taken:
        offsets = range(batch.first, batch.end)
        ids = [created.item_id for created in candidates]
        ledger, topic, partition = self._place.ledger_topic, self._place.topic, self._place.partition
        taken = await scan(self._kafka, ledger, topic, partition, offsets, ids, intent.since)
        if taken.altered and not batch.identified:
            raise _altered()
        return taken


def _altered() -> Held:
    return Held(
        "content_altered", "Toloka gives back other content than it was sent: comparing proves nothing"
    )
