"""Whose turn it is where items may have equal content and several partitions are in doubt.

Two ways that look for equal items must not adopt the same one. A way writes down that it is in doubt and,
just before it adopts, that it claims what it sees; each is a transaction behind its fence, and what others
have written is read after it. So of two ways at least one sees the other, and the higher one steps back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from daemon.errors import Held
from daemon.flows.doubts.terms import Term
from daemon.flows.holding import ShownHold
from daemon.flows.place import Place
from daemon.flows.records import codec
from daemon.flows.waiting import pause
from daemon.model import Committed, Intent
from daemon.ports import Kafka, TolokaClock

# The broker has aborted what is not committed this long after it was begun.
ABORTING = timedelta(seconds=30)
# What another way's requests came to may be committed this long after the last of them, and longer where it
# may be frozen for longer: it may have to settle a batch before, which takes 20 s at most.
SETTLING = ABORTING + timedelta(seconds=20)
OTHERS_LOOK_SECONDS = 0.5

Announced = tuple[str, datetime, datetime | None]
# Writes an intent down as it is.
Note = Callable[[Intent], Awaitable[None]]


class Claim:
    """An intent in doubt, and what is written down of it.

    Raises, in all its methods: what the writer raises; the way then starts over.
    """

    def __init__(self, intent: Intent, note: Note) -> None:
        self._written = intent
        self._note = note

    async def doubt(self) -> None:
        """No answer settles it any more, and nothing is claimed."""
        await self._write(replace(self._written, doubted=True, claiming=False))

    async def claim(self) -> None:
        """What is seen is about to be adopted."""
        await self._write(replace(self._written, doubted=True, claiming=True))

    async def _write(self, intent: Intent) -> None:
        if intent != self._written:
            await self._note(intent)
            self._written = intent


class Turns:
    """What one partition's way knows of the doubts of the others.

    Once `over_after` has passed since its last announcement, nobody settles an intent any more. `shown` shows
    for whom the way waits, where it would get on without them, and `shows` tells whether it does: whoever
    sees to `shown` takes it back.
    """

    def __init__(
        self, kafka: Kafka, clock: TolokaClock, place: Place, over_after: timedelta, shown: ShownHold
    ) -> None:
        self._kafka = kafka
        self._clock = clock
        self._place = place
        self._over_after = over_after
        self._shown = shown
        # By partition, with what tells its announcement from the next: behind both may lie the same batch.
        self._terms: dict[int, tuple[Announced, Term]] = {}
        self.shows = False

    async def come(self, until: asyncio.Event, own: Term) -> bool:
        """Wait for the intents that other partitions have now: theirs may be the items that we see.

        False when the event came first. Once our `own` attempt is over nothing of ours can land any more:
        others are all that we wait for.

        Raises:
            Held: `intent_unreadable`.
        """
        blocking = {p: intent.reach for p, intent in (await self._blocking()).items()}
        while blocking:
            if until.is_set():
                return False
            if own.is_over:
                self._show(blocking)
            await pause(OTHERS_LOOK_SECONDS, until)
            standing = await self._blocking()
            # What was sent behind the first batch is awaited, too: it may have been listed as well.
            blocking = {
                p: reach for p, reach in blocking.items() if p in standing and standing[p].first < reach
            }
        self.shows = False
        return True

    async def take(self, claim: Claim, *, believable: bool) -> bool:
        """Claim what we see; False where somebody else's turn has come meanwhile, or not ended yet.

        While a request of ours may still land, what we see may be what another way looks for: were it adopted
        now, that way would believe its own to be absent, and what we have sent would be too much.
        `believable` where nothing of ours can land any more.

        Raises:
            Held: `intent_unreadable`.
        """
        if (other := await self._waits_for(believable=believable)) is None:
            await claim.claim()
            other = await self._waits_for(believable=believable)
        if other is not None and believable:
            self._show([other])
        return other is None

    def _show(self, partitions: Collection[int]) -> None:
        who = ", ".join(map(str, sorted(partitions)))
        detail = (
            f"items without an id may be alike, and those of partition {who} are not settled yet: it goes on"
            f" once they are, by themselves or by `tolokad resolve --partition {min(partitions)}`"
        )
        self._shown.begin(Held("others_in_doubt", detail))
        self.shows = True

    async def _waits_for(self, *, believable: bool) -> int | None:
        """One partition that has to end its turn first; None where none has."""
        own = self._place.partition
        for partition, intent in (await self._others()).items():
            if intent.claiming:
                return partition
            # Behind a batch that is decided something is in doubt which is not looked for yet: it goes last.
            goes_first = partition < own and not intent.decided
            is_doubt = intent.doubted or intent.decided or self._is_over(partition, intent)
            if is_doubt and (goes_first or not believable):
                return partition
        return None

    async def _blocking(self) -> Mapping[int, Intent]:
        """The intents to wait for. Of those in doubt the lowest partition goes first."""
        return {p: each for p, each in (await self._others()).items() if self._blocks(p, each)}

    def _blocks(self, partition: int, intent: Intent) -> bool:
        if intent.decided:
            return False
        if partition < self._place.partition:
            return True
        if intent.doubted:
            return intent.claiming
        return not self._is_over(partition, intent)

    def _is_over(self, partition: int, intent: Intent) -> bool:
        """Whether no answer can settle it any more, nor what was sent behind it."""
        announced = intent.attempt, intent.at, intent.doubt_at
        known = self._terms.get(partition)
        if known is None or known[0] != announced:
            known = self._terms[partition] = announced, Term(intent.last_at, self._over_after, self._clock)
        return known[1].is_over

    async def _others(self) -> Mapping[int, Intent]:
        partitions = await self._kafka.partitions(self._place.topic)
        others = [p for p in partitions if p != self._place.partition]
        committed = await self._kafka.committed(self._place.group, self._place.topic, others)
        intents = ((p, _read(p, found)) for p, found in committed.items())
        return {p: intent for p, intent in intents if intent is not None and _is_looked_for(intent)}


def _is_looked_for(intent: Intent) -> bool:
    """Whether anything that is there now may be adopted for it, or for what lies behind it.

    What is decided is sent anew without another look.
    """
    return not intent.decided or intent.reach > intent.end


def _read(partition: int, found: Committed) -> Intent | None:
    try:
        intent = codec.read_intent(found.metadata)
    except codec.UnreadableError as error:
        raise Held("intent_unreadable", f"partition {partition}: {error}") from error
    return None if intent is None else replace(intent, first=found.offset)
