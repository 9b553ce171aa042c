"""The collector's state: what is open, where the cursor stands, and the one pen that changes both."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from daemon.errors import ConfigurationError, Fenced, Transient
from daemon.flows.collector.early import Early
from daemon.flows.collector.ledger import Ledger, Now, closed_as_of
from daemon.flows.collector.origins import record_of
from daemon.flows.collector.publishing import TERMINAL, Outlets, Publication, Publisher
from daemon.flows.records import codec
from daemon.flows.skew import FUTURE, SKEW
from daemon.flows.waiting import REST_SECONDS
from daemon.flows.watching import CollectWatch
from daemon.model import Cursor, DeadLetter, Finished, Flaw, Record
from daemon.ports import Kafka, Reader, TolokaClock, Writer

READ_RECORDS = 1000
READ_SECONDS = 1.0
# How often it is asked whether the ledger has been given more partitions.
PARTITIONS_SECONDS = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """Where the collector writes, how far back it looks, and where a new cursor starts.

    `publish_foreign` where items that somebody else created are published, too.
    """

    outlets: Outlets
    overlap: timedelta
    start_at: datetime | None
    publish_foreign: bool = False


class CollectorState:
    """What the collector knows. Memory changes when, and only when, a transaction has committed.

    `waiting` holds finished items whose ledger record has not come yet, and `overdue` ids of items whose
    record came when the cursor had long passed them; `taken_in` tells up to which offset of each ledger
    partition the state has followed.
    """

    def __init__(
        self,
        options: CollectOptions,
        ledger: Ledger,
        cursor: Cursor,
        kafka: Kafka,
        writer: Writer,
        clock: TolokaClock,
        watch: CollectWatch,
    ) -> None:
        self._kafka = kafka
        self._overlap = options.overlap
        self.publishes_foreign = options.publish_foreign
        self.ledger_topic = options.outlets.ledger_topic
        self._writer = writer
        self._written = options.outlets.written
        # By the loop's clock, unless something is written before; None once it was done.
        self._seal_at: float | None = None
        self._clock = clock
        self._watch = watch
        self._publisher = Publisher(options.outlets, ledger, clock)
        self._pen = asyncio.Lock()
        self.ledger = ledger
        self.cursor = cursor
        self._seen_until = cursor.finished_at
        self.waiting = Early()
        self._unsure: dict[tuple[str, str], Finished] = {}
        self.overdue: set[str] = set()
        self.taken_in: dict[int, int] = {}

    async def publish(self, items: Sequence[Finished], found_by: str, cursor: Cursor | None = None) -> int:
        """Publish what is open among these and move the cursor; returns how many results that made.

        Raises:
            Fenced, Held, Transient: nothing is known to have been written; the state must be read anew.
        """
        async with self._pen:
            publication = self._publisher.publication(items)
            await self._point_at_oversized(publication)
            await self._commit(publication, found_by, cursor)
            for item in publication.left_out:
                log.warning(
                    "result_left_out", item_id=item.item_id, assignment=item.share, bytes=len(item.raw)
                )
            # Those of the others whose ledger record has not come yet.
            at_their_end = (item for item in items if item.status in TERMINAL and not self._was_seen(item))
            self.waiting.add(self._unknown(at_their_end))
            self._unsure.update(((item.item_id, item.share), item) for item in publication.unsure)
        return len(publication.results)

    async def _point_at_oversized(self, publication: Publication) -> None:
        """A result that its topic would refuse becomes a dead letter that names Toloka's item."""
        letters = []
        for entry, item in publication.oversized:
            message = (
                f"the result of the item {item.item_id} has {len(item.raw)} bytes, too many for its topic"
            )
            flaw = Flaw("RESULT_TOO_LARGE", message)
            letters.append(DeadLetter(await record_of(self._kafka, entry), flaw, item.item_id))
        self._publisher.point_at(publication, letters)

    def tailed(self, moment: datetime) -> None:
        """There was nothing more behind the cursor then: what had come to a status before has been shown."""
        self._seen_until = max(self._seen_until, moment - self._overlap)

    def looked_until(self, moment: datetime) -> None:
        """All that finished before has been looked at twice: what was closed long before may be forgotten.

        A successor learns of it with the next cursor. It has to look again at what waits to be published as
        somebody else's, for neither ledger nor sweep would show that.
        """
        ends = self.waiting.ends() if self.publishes_foreign else ()
        self.cursor = replace(self.cursor, looked_until=min([moment, *ends]))
        latest = max(self._clock.now(), self.cursor.finished_at) + FUTURE
        self.ledger.forget_before(horizon_ms(moment, self._overlap), codec.micros(latest) // 1000)

    def dismiss(self, items: Sequence[Finished]) -> None:
        """These are somebody else's: they wait no longer, and seen again, they are known.

        Where such items are not published, neither are further results of theirs.
        """
        now = Now.of(self._clock.now())
        closed_ms = {
            item.result_id if self.publishes_foreign else item.item_id: closed_as_of(item, now)
            for item in self._unknown(items)
        }
        self.ledger.apply(dict.fromkeys(closed_ms), closed_ms)
        self.waiting.let_go(items)

    async def publish_foreign(self, items: Sequence[Finished]) -> None:
        """Publish items that somebody else created; until that has committed they wait."""
        async with self._pen:
            await self._commit(self._publisher.foreign(self._unknown(items)), "tail", None)
        self.waiting.let_go(items)

    def _was_seen(self, item: Finished) -> bool:
        """It was shown with an earlier status, to us or to a predecessor."""
        return item.shown_since is not None and item.shown_since <= self._seen_until

    def _unknown(self, items: Iterable[Finished]) -> list[Finished]:
        return [item for item in items if not self._knows_result(item)]

    async def rearrange(self, batch: tuple[int, int], contents: Mapping[str, int]) -> None:
        """Give the open items of a batch the records with their content."""
        async with self._pen:
            await self._commit(self._publisher.rearranged(batch, contents), "sweep", None)

    async def bury(self, gone: Iterable[tuple[str, DeadLetter]]) -> None:
        """Close open items of which no further result comes, with these letters for those that had none."""
        async with self._pen:
            await self._commit(self._publisher.ended(gone), "sweep", None)

    async def _commit(self, publication: Publication, found_by: str, cursor: Cursor | None) -> None:
        if cursor is not None:
            published = self.cursor.published + len(publication.results)
            cursor = replace(cursor, published=published, looked_until=self.cursor.looked_until)
        if not publication.appends and cursor in {None, self.cursor}:
            return
        await self._writer.transact(self._publisher.transaction(publication, cursor))
        self._seal_at = asyncio.get_running_loop().time() + REST_SECONDS
        self.ledger.apply(publication.changes, publication.closed_ms)
        self.ledger.altered = self.ledger.altered or publication.altered
        if cursor is not None:
            self.cursor = cursor
        self._watch.published(publication, found_by, self._clock.now())

    def knows(self, item_id: str) -> bool:
        """Open, or closed not long ago."""
        # In this order, for most of what is asked about has just been published.
        return self.ledger.was_closed(item_id) or item_id in self.ledger

    def _knows_result(self, item: Finished) -> bool:
        """Its item is known, or it was published as one of several of somebody else's."""
        return self.knows(item.item_id) or (bool(item.share) and self.ledger.was_closed(item.result_id))

    async def follow(self, reader: Reader, partitions: Collection[int]) -> None:
        """Read on in the ledger for ever; publish what has waited for its record.

        Raises:
            Fenced, Held, Transient: the state must be read anew.
        """
        loop = asyncio.get_running_loop()
        look_at = loop.time() + PARTITIONS_SECONDS
        self._seal_at = loop.time() + REST_SECONDS
        while True:
            self.taken_in = {partition: reader.position(partition) for partition in partitions}
            records = await reader.read(READ_RECORDS, READ_SECONDS)
            if any(record.key == codec.REOPEN_KEY for record in records):
                raise Fenced("an operator has set the cursor")
            if loop.time() >= look_at:
                look_at = loop.time() + PARTITIONS_SECONDS
                await self._insist_on_all(partitions)
            async with self._pen:
                opened = noted(self.ledger, records)
            waited = [item for item_id in opened for item in self.waiting.pop(item_id, {}).values()]
            self.note_overdue(opened)
            if records and self._unsure:
                waited.extend(self._unsure.values())
                self._unsure.clear()
            if waited:
                await self.publish(waited, "tail")
            if self._seal_at is not None and loop.time() >= self._seal_at:
                await self._seal()

    async def _seal(self) -> None:
        """See that all that was published is seen though nothing follows: see `daemon.ports.Writer.seal`."""
        async with self._pen:
            await self._writer.seal(self._written)
            self._seal_at = None

    async def _insist_on_all(self, partitions: Collection[int]) -> None:
        """The ledger may be given more partitions: whoever starts later writes to them."""
        if added := sorted((await self._kafka.end_offsets(self.ledger_topic)).keys() - set(partitions)):
            raise Transient(f"{self.ledger_topic} has new partitions, {added}: the state is read anew")

    def note_overdue(self, opened: Iterable[str]) -> None:
        """Of these, remember what the cursor had passed long before its record came."""
        passed = self.cursor.finished_at - self._overlap
        self.overdue.update(self.ledger.submitted_before(passed, opened))


def noted(ledger: Ledger, records: Sequence[Record]) -> list[str]:
    """Take records in; returns the ids of the items that they open."""
    try:
        return [key.decode() for record in records if (key := ledger.note(record)) is not None]
    except codec.UnreadableError as error:
        raise ConfigurationError(f"the ledger cannot be read: {error}") from error


def horizon_ms(looked_until: datetime, overlap: timedelta) -> int:
    """What finished before it is looked at no more; milliseconds since 1970."""
    return codec.micros(looked_until - overlap - SKEW) // 1000
