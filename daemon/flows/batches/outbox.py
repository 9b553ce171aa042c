"""What one partition's way writes to Kafka: its intents, and what a batch has come to."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from daemon.flows.batches.acknowledged import Acknowledged
from daemon.flows.batches.budgeting import Purse
from daemon.flows.batches.tallying import NOTHING
from daemon.flows.place import Place
from daemon.flows.records import codec, ledger_records
from daemon.flows.records.outputs import dead_letter_append
from daemon.model import (
    Append,
    Appends,
    Batch,
    Column,
    Committed,
    Intent,
    Item,
    OffsetCommit,
    Tally,
    Transaction,
)
from daemon.ports import TolokaClock, Writer


class Outbox:
    """A writer, speaking of batches.

    Its methods that write raise what `daemon.ports.Writer.transact` raises. `once` where Toloka carries an
    attempt out once at most, however often it is sent; `acknowledged` is what an outbox of the same way has
    written before.
    """

    def __init__(
        self,
        writer: Writer,
        place: Place,
        clock: TolokaClock,
        new_attempt: Callable[[], str],
        *,
        once: bool = False,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self.acknowledged = acknowledged or Acknowledged()
        self._writer = writer
        self._place = place
        self._clock = clock
        self._new_attempt = new_attempt
        self._once = once
        self._tally = Tally(clock.now().date(), 0)
        self._is_marked = True
        self._purse: Purse | None = None
        self.last_seconds = 0.0
        """How long the last transaction took."""

    def spend_from(self, purse: Purse) -> None:
        """From here on, write down what is reserved and spent."""
        self._purse = purse

    def room(self) -> int | None:
        """About how many items the budget leaves; None for any number."""
        return None if self._purse is None else self._purse.room(self._clock.now())

    async def fits(self, intent: Intent, seconds: float) -> bool:
        """Whether an intent that was written stays within the budget."""
        return self._purse is None or await self._purse.fits(intent.attempt, seconds)

    async def seal(self, besides: Collection[tuple[str, int]]) -> None:
        """See that all that was committed, there and here, is seen: see `daemon.ports.Writer.seal`."""
        await self._writer.seal([*self._place.written, *besides], self._place.group)

    def resume(self, tally: Tally) -> None:
        """Go on counting from here what is submitted in a day; nothing, where there is no mark."""
        self._tally = tally
        self._is_marked = tally != NOTHING

    async def announce(self, batch: Batch, again: Intent | None = None) -> Intent:
        """Write down that the batch is about to be sent. A successor's start makes this fail: the fence.

        What was adopted goes to the ledger along with it: once another attempt has been made, this one would
        no longer tell of it. With `again`, the attempt of that intent is sent once more.
        """
        intent = self.intent(batch, again)
        await self._announce(batch, intent, len(batch.items))
        return intent

    async def record(self, batch: Batch, intent: Intent) -> None:
        """Write down what is known of a batch that cannot be settled yet; `intent` is the one that stands.

        What was adopted of a batch in doubt, or created behind a batch that failed: until the ledger has it,
        other partitions' ways have to wait.
        """
        since = min(intent.since, batch.reaches_back_to or intent.since)
        await self._announce(batch, replace(intent, since=since), 0)

    async def _announce(self, batch: Batch, intent: Intent, items: int) -> None:
        opened: tuple[Append, ...] = ()
        # Without a mark a group that loses its offset, and the intent with it, would be taken for a new one.
        if batch.adopted or not self._is_marked:
            mark = self._mark(intent.first, self._clock.now(), batch)
            opened = (*self._adopted(batch, intent.since), mark)
        if self._purse is not None:
            purse, adopted = self._purse, len(batch.adopted)
            opened = (*opened, purse.reserving(intent.attempt, items, adopted, intent.at))
        await self._commit(intent.first, codec.intent_metadata(intent), opened)
        self._is_marked = True

    async def note(self, offset: int, intent: Intent) -> None:
        """Write an intent down as it is, where it stands; see `daemon.flows.doubts.claiming`."""
        await self._commit(offset, codec.intent_metadata(intent))

    def intent(self, batch: Batch, again: Intent | None = None) -> Intent:
        """What would announce the batch now; nothing is written. See `announce`."""
        now = self._clock.now()
        attempt, once = (self._new_attempt(), self._once) if again is None else (again.attempt, again.once)
        # A clock that was set back since: what is created from now on is older than the first attempt.
        since = min(batch.reaches_back_to or now, now)
        return Intent(attempt, batch.end, since, now, once, batch.first, batch.doubt_end, batch.doubt_at)

    def behind(self, batch: Batch, at: datetime | None) -> Intent | None:
        """The intent that still stands for what lies behind a settled piece of a range in doubt, if anything.

        It is no attempt's: whatever was sent of this range was sent under others. `at` is when the piece was
        last announced itself; None for never.
        """
        if batch.since is None or not batch.has_doubt_behind:
            return None
        sent_at = batch.doubt_at or at or self._clock.now()
        return Intent(self._new_attempt(), batch.doubt_end, batch.since, sent_at)

    async def decide(self, batch: Batch, doubt: Intent) -> None:
        """Write down an operator's word: what the ledger does not have of a batch in doubt is sent again."""
        intent = replace(self.intent(doubt.doubting(batch)), once=False, decided=True)
        # What Toloka may have of it stays counted as spent.
        kept = () if self._purse is None else (self._purse.settling(len(batch.items)),)
        await self._commit(batch.first, codec.intent_metadata(intent), kept)

    async def withdraw(self, offset: int) -> None:
        """Take an intent back whose request was certainly not carried out."""
        released = () if self._purse is None else (self._purse.settling(0),)
        await self._commit(offset, "", released)

    async def go_astray(self, offset: int) -> None:
        """Write down that the log ends before the offset at which this partition goes on."""
        await self._commit(offset, codec.ASTRAY)

    async def start_at(self, offset: int) -> None:
        """Write down where a new group begins, so that a restart begins there, too."""
        await self._commit(offset, "")

    async def start_behind(self, offset: int, partitions: Collection[int]) -> None:
        """As `start_at`, behind what is there: remembered for when the group has lost this offset.

        `partitions` of the topic are to be remembered as those that were there.
        """
        place = self._place
        nothing = codec.mark_value(codec.NOTHING_SETTLED)
        values = dict.fromkeys(sorted(partitions), nothing)
        values[place.partition] = codec.mark_value(codec.NOTHING_SETTLED, began=offset)
        marks = [
            Append(place.ledger_topic, place.ledger_partition, codec.mark_key(place.topic, partition), value)
            for partition, value in values.items()
        ]
        await self._commit(offset, "", marks)

    async def _commit(self, offset: int, metadata: str, appends: Sequence[Append] = ()) -> None:
        await self._transact(Transaction("intent", appends, self._offset(offset, metadata)))

    async def settle(
        self,
        batch: Batch,
        ids: Iterable[str],
        submitted_at: datetime | None,
        then: Intent | None,
        lost: int = 0,
    ) -> None:
        """Everything the batch has come to, at once: open items, dead letters, the partition's offset.

        `ids` are those of its items, in their order, which were announced at `submitted_at`. `then` is the
        intent that stands from now on: of the batch that follows, or of what lies in doubt behind this piece.
        `lost` is how many items Toloka may have besides, without anybody ever knowing: they count as spent.
        """
        now = self._clock.now()
        records: list[Append | Column] = [
            *self._adopted(batch, batch.since or now),
            self._opened(batch.items, ids, batch.end, submitted_at or now),
            *self._dead(batch, now),
            self._mark(batch.end, now, batch, len(batch.items)),
        ]
        if self._purse is not None:
            records.append(self._purse.settling(len(batch.items) + len(batch.adopted) + lost))
        offset = self._offset(batch.end, "" if then is None else codec.intent_metadata(then))
        await self._transact(Transaction("settle", Appends(records), offset))

    def _opened(self, items: Sequence[Item], ids: Iterable[str], end: int, submitted_at: datetime) -> Column:
        values = ledger_records.pack(self._place.topic, self._place.partition, items, end, submitted_at)
        keys = list(map(str.encode, ids))
        if len(keys) != len(values):
            raise ValueError(f"{len(keys)} ids for {len(values)} items")
        return Column(self._place.ledger_topic, self._place.ledger_partition, keys, values)

    def _adopted(self, batch: Batch, since: datetime) -> Iterable[Append]:
        items, ids = zip(*batch.adopted, strict=True) if batch.adopted else ((), ())
        # Never later than they were sent: the collector takes it for the earliest they can have ended.
        submitted_at = since if batch.oldest is None else min(since, batch.oldest)
        return self._opened(items, ids, batch.end, submitted_at).each()

    def _dead(self, batch: Batch, now: datetime) -> Iterable[Append]:
        topic, partitions = self._place.dead_letter_topic, self._place.dead_letter_partitions
        return (dead_letter_append(topic, partitions, letter, now) for letter in batch.dead_letters)

    def _mark(self, offset: int, now: datetime, batch: Batch, accepted: int = 0) -> Append:
        self._tally = self._tally.more(now.date(), accepted + len(batch.adopted))
        key = codec.mark_key(self._place.topic, self._place.partition)
        value = codec.mark_value(offset, self._tally)
        return Append(self._place.ledger_topic, self._place.ledger_partition, key, value)

    async def _transact(self, transaction: Transaction) -> None:
        began = asyncio.get_running_loop().time()
        await self._writer.transact(transaction)
        self.last_seconds = asyncio.get_running_loop().time() - began
        if (commit := transaction.offset) is not None:
            self.acknowledged.note(Committed(commit.offset, commit.metadata))

    def _offset(self, offset: int, metadata: str) -> OffsetCommit:
        return OffsetCommit(self._place.group, self._place.topic, self._place.partition, offset, metadata)
