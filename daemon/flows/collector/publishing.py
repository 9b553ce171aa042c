"""Pure: a page of finished items becomes one transaction: results, what they close, and the cursor."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from daemon.flows.collector.exchanging import Exchange, rearranged
from daemon.flows.collector.ledger import Ledger, Now, PackedEntry, closed_as_of
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.flows.records.outputs import append_bytes, dead_letter_append, foreign_append, result_append
from daemon.metrics.labels import OTHER, RESULT_STATUSES
from daemon.model import Append, Cursor, DeadLetter, Finished, Transaction
from daemon.ports import TolokaClock

# With one of these an item, or one result of it, has come to its end.
TERMINAL = frozenset(RESULT_STATUSES) - {OTHER}


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the collector writes."""

    project: str
    output_topic: str
    output_partitions: int
    ledger_topic: str
    ledger_partitions: int
    cursor_topic: str
    dead_letter_topic: str
    dead_letter_partitions: int
    max_result_bytes: int

    @property
    def written(self) -> Sequence[tuple[str, int]]:
        """The partitions that the collector writes to and others, or its successor, wait for."""
        counts = {
            self.output_topic: self.output_partitions,
            self.ledger_topic: self.ledger_partitions,
            self.cursor_topic: 1,
            self.dead_letter_topic: self.dead_letter_partitions,
        }
        return [(topic, partition) for topic, count in counts.items() for partition in range(count)]


@dataclass(slots=True)
class Publication:
    """What one transaction is to publish, and what it changes in the ledger.

    `unsure` are open items whose content is not their record's, while other records of their batch are still
    to be read: they are looked at again when those have come.
    `buried` counts, by code, the dead letters of items of which no result will come.
    `oversized` are results that the output topic would refuse: dead letters point at them.
    `strangers` are results of items that others created, which no record asked for.
    `left_out` are those of items that had other results: a dead letter would be a second answer to a record.
    `altered` where Toloka gave back other content than it was sent.
    `closed_ms` tells as of when it closes items.
    """

    results: list[tuple[ledger_records.Entry, Finished]] = field(default_factory=list)
    oversized: list[tuple[ledger_records.Entry, Finished]] = field(default_factory=list)
    strangers: list[Finished] = field(default_factory=list)
    left_out: list[Finished] = field(default_factory=list)
    unsure: list[Finished] = field(default_factory=list)
    changes: dict[str, PackedEntry | None] = field(default_factory=dict)
    appends: list[Append] = field(default_factory=list)
    buried: Counter[str] = field(default_factory=Counter)
    altered: bool = False
    closed_ms: dict[str, int] = field(default_factory=dict)


class Publisher:
    """Builds transactions from what is open; writes nothing and changes nothing."""

    def __init__(self, outlets: Outlets, ledger: Ledger, clock: TolokaClock) -> None:
        self._outlets = outlets
        self._ledger = ledger
        self._clock = clock

    def publication(self, items: Iterable[Finished]) -> Publication:
        """The results among these items: those that are terminal and open, each once."""
        publication = Publication()
        fresh = {(item.item_id, item.share): item for item in items if item.status in TERMINAL}
        found = [(item, entry) for item in fresh.values() if (entry := self._ledger.find(item.item_id))]
        astray = frozenset(entry.batch for item, entry in found if entry.content_hash != item.content_hash)
        exchange, now = Exchange(self._ledger, publication.changes, astray), self._toloka_now()
        for item, entry in found:
            # An earlier item of the page may have taken its record.
            current = publication.changes.get(item.item_id, entry)
            if current is not None and (own := self._own(publication, item, current, exchange)) is not None:
                self._publish(publication, item, own, now)
        return publication

    def _own(
        self, publication: Publication, item: Finished, entry: PackedEntry, exchange: Exchange
    ) -> PackedEntry | None:
        """The record with the item's content, if there is one, else that under its id; None if unsure yet."""
        if entry.content_hash == item.content_hash:
            return entry
        swap = exchange.swap(item.content_hash, entry)
        if swap is None:
            if not self._ledger.has_whole_batch(entry):
                publication.unsure.append(item)
                return None
            publication.altered = True
            # Whatever became of its content, it may have the id that we gave to another of its batch.
            swap = exchange.swap(item.own_id, entry)
        if swap is None:
            return entry
        self._move(publication, swap.other_id, swap.left)
        return swap.taken

    def _publish(self, publication: Publication, item: Finished, packed: PackedEntry, now: Now) -> None:
        entry = packed.unpacked()
        if entry.has_published(item.share):
            return
        out = self._outlets
        result = result_append(out.output_topic, out.output_partitions, entry, item)
        left = ledger_records.publishing(entry, packed.packed, item.share)
        if append_bytes(result) <= out.max_result_bytes:
            publication.results.append((entry, item))
            publication.appends.append(result)
        elif entry.published:
            publication.left_out.append(item)
        else:
            # Its dead letter closes the item: another result of it would have to be another dead letter.
            publication.oversized.append((entry, item))
            left = None
        partition, item_id = packed.ledger_partition, item.item_id
        if left is None:
            self._close(publication, item_id, partition, entry.origin, closed_as_of(item, now))
        else:
            self._move(publication, item_id, PackedEntry(partition, left))

    def _toloka_now(self) -> Now:
        # By Toloka's clock, which is what "finished" is measured by when it is asked how old a closing is.
        return Now.of(self._clock.now())

    def _close(
        self,
        publication: Publication,
        item_id: str,
        ledger_partition: int,
        origin: ledger_records.Origin | None,
        closed_ms: int,
    ) -> None:
        """Close an item by its tombstone, which says as of when, and by whom."""
        headers = (
            tombstones.origin_header(origin),
            tombstones.closed_header(closed_ms),
            *self._ledger.signature(),
        )
        publication.appends.append(
            Append(self._outlets.ledger_topic, ledger_partition, item_id.encode(), None, headers)
        )
        publication.changes[item_id] = None
        publication.closed_ms[item_id] = closed_ms

    def rearranged(self, batch: tuple[int, int], contents: Mapping[str, int]) -> Publication:
        """Give the open items of a batch the records with their content; see `exchanging.rearranged`."""
        publication = Publication()
        mates = dict(self._ledger.of_batches(frozenset({batch})))
        for item_id, entry in rearranged(mates, contents):
            self._move(publication, item_id, entry)
        return publication

    def _move(self, publication: Publication, item_id: str, entry: PackedEntry) -> None:
        """Note down, durably, that an open item has this record."""
        publication.changes[item_id] = entry
        topic, headers = self._outlets.ledger_topic, self._ledger.signature()
        publication.appends.append(
            Append(topic, entry.ledger_partition, item_id.encode(), entry.packed, headers)
        )

    def foreign(self, items: Iterable[Finished]) -> Publication:
        """Results of items that others created; a tombstone remembers each that was published."""
        publication, now = Publication(), self._toloka_now()
        out = self._outlets
        for item in items:
            partition = sum(item.item_id.encode()) % out.ledger_partitions
            result = foreign_append(out.output_topic, out.output_partitions, item)
            # No record asked for it, so there is none to make a dead letter of.
            if append_bytes(result) <= out.max_result_bytes:
                publication.strangers.append(item)
                publication.appends.append(result)
            self._close(publication, item.result_id, partition, None, closed_as_of(item, now))
        return publication

    def point_at(self, publication: Publication, letters: Iterable[DeadLetter]) -> None:
        """Add dead letters to what is published."""
        out, now = self._outlets, self._clock.now()
        for letter in letters:
            publication.appends.append(
                dead_letter_append(out.dead_letter_topic, out.dead_letter_partitions, letter, now)
            )

    def ended(self, gone: Iterable[tuple[str, DeadLetter]]) -> Publication:
        """Close open items of which no further result comes; a dead letter for those that had none."""
        publication, closed_ms = Publication(), self._toloka_now().ms
        for item_id, letter in gone:
            if (entry := self._ledger.find(item_id)) is None:
                continue
            unpacked = entry.unpacked()
            if not unpacked.published:
                self.point_at(publication, [letter])
                publication.buried[letter.flaw.code] += 1
            self._close(publication, item_id, entry.ledger_partition, unpacked.origin, closed_ms)
        return publication

    def transaction(self, publication: Publication, cursor: Cursor | None) -> Transaction:
        """All of it, with the cursor if it moves."""
        appends = list(publication.appends)
        if publication.altered and not self._ledger.altered:
            appends.append(
                Append(self._outlets.ledger_topic, 0, codec.ALTERED_KEY, b"{}", self._ledger.signature())
            )
        if cursor is not None:
            appends.append(cursor_append(self._outlets, cursor))
        return Transaction("results", appends)


def cursor_append(outlets: Outlets, cursor: Cursor) -> Append:
    """The cursor's record."""
    return Append(outlets.cursor_topic, 0, outlets.project.encode(), codec.cursor_value(cursor))
