"""What the ledger knows of some items: which are taken, and by whom."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.errors import Held
from daemon.flows.keeping_up import until_ends
from daemon.flows.place import Place
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.model import EPOCH, Batch, Record, items
from daemon.ports import Kafka

# A ledger record may be this much older than the first attempt of its range, and tells only milliseconds.
OLDER = items.OLDER + timedelta(seconds=1)


def earliest(since: datetime) -> datetime:
    """Since when what was first attempted then may have been created, by a clock that is behind."""
    return max(since, EPOCH + OLDER) - OLDER


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer of a scan.

    Attributes:
        accounted: offsets of the asked range that the ledger has, open or closed, with the item's id; less
            those from before the topic was made anew.
        elsewhere: those of the asked ids that belong to other origins.
        altered: Toloka was seen to give back other content than it was sent.
        marked: something of the asked partition was settled.
        partitions: those of the asked topic that have a mark, if only for having been there at the beginning.
        began: where the group began with the asked partition, if it was behind what was there.
    """

    accounted: Mapping[int, str]
    elsewhere: Collection[str]
    altered: bool
    marked: bool
    partitions: Collection[int]
    began: int | None = None


class _Scan:
    def __init__(
        self, topic: str, partition: int, offsets: range, ids: Collection[bytes], since: datetime
    ) -> None:
        self._place = (topic, partition)
        self._offsets = offsets
        self._ids = ids
        # A topic that is made anew begins at 0 again: what its offsets were before does not account for them.
        self._since_ms = codec.micros(earliest(since)) // 1000
        self._owners: dict[bytes, tuple[str, int, int]] = {}
        self._outlived: set[bytes] = set()
        self._altered = False
        self._marks: dict[int, int] = {}
        self._began: int | None = None

    def note(self, record: Record) -> None:
        key = record.key or b""
        if key.startswith(codec.MARK_PREFIX):
            topic, partition = codec.read_mark_key(key)
            if topic == self._place[0]:
                settled = self._marks.get(partition, codec.NOTHING_SETTLED)
                self._marks[partition] = max(settled, codec.read_mark(record.value))
            if (topic, partition) == self._place and (began := codec.read_began(record.value)) is not None:
                self._began = began
        elif key == codec.ALTERED_KEY:
            # A tombstone takes it back, once Toloka gives back what it is sent.
            self._altered = record.value is not None
        elif (owner := _owner(record)) is not None:
            self._note_owner(key, owner, record)

    def _note_owner(self, key: bytes, owner: tuple[str, int, int], record: Record) -> None:
        # The last record of an id counts: two records may have changed places.
        if key in self._owners or key in self._ids or self._asks_for(owner):
            self._owners[key] = owner
            known_ms = _known_ms(record)
            if known_ms is not None and known_ms < self._since_ms:
                self._outlived.add(key)
            elif record.value is not None:
                # What was submitted long before may be closed at any time.
                self._outlived.discard(key)

    def _asks_for(self, owner: tuple[str, int, int]) -> bool:
        return owner[2] in self._offsets and owner[:2] == self._place

    def answer(self) -> Taken:
        fresh = {key: owner for key, owner in self._owners.items() if key not in self._outlived}
        ours = {owner[2]: key.decode() for key, owner in fresh.items() if self._asks_for(owner)}
        accounted = set(ours.values())
        elsewhere = frozenset(name for key in self._owners if (name := key.decode()) not in accounted)
        marked = self._marks.get(self._place[1], codec.NOTHING_SETTLED) > codec.NOTHING_SETTLED
        return Taken(ours, elsewhere, self._altered, marked, frozenset(self._marks), self._began)


def _owner(record: Record) -> tuple[str, int, int] | None:
    if record.value is None:
        return tombstones.origin_of(record.headers)
    ledger_records.check(record.value)
    return ledger_records.peek_origin(record.value)


def _known_ms(record: Record) -> int | None:
    """When a ledger record's item was submitted, or closed, by Toloka's clock; None where it is not said.

    In milliseconds since 1970.
    """
    if record.value is None:
        return tombstones.named_closed_ms(record)
    return ledger_records.peek_submitted_micros(record.value) // 1000


async def scan(
    kafka: Kafka,
    ledger_topic: str,
    topic: str,
    partition: int,
    offsets: range,
    ids: Collection[str],
    since: datetime = EPOCH,
) -> Taken:
    """Read the ledger to its end, open transactions included, looking for these offsets and ids.

    `since` is when these offsets were first sent; for `ids` see `Taken`.

    Raises:
        Held: `ledger_unreadable`, a record is damaged or of a newer release.
        Transient: the ledger cannot be read now.
    """
    found = _Scan(topic, partition, offsets, frozenset(item_id.encode() for item_id in ids), since)
    ends = await kafka.end_offsets(ledger_topic)
    async with kafka.reader(ledger_topic, await kafka.start_offsets(ledger_topic)) as reader:
        async for records in until_ends(reader, ends):
            for record in records:
                try:
                    found.note(record)
                except codec.UnreadableError as error:
                    raise Held("ledger_unreadable", f"{ledger_topic}: {error}") from error
    return found.answer()


async def unaccounted(kafka: Kafka, place: Place, batch: Batch, since: datetime) -> Batch:
    """Of a batch that was first sent then, what the ledger does not have already; raises as `scan`."""
    offsets = range(batch.first, batch.end)
    taken = await scan(kafka, place.ledger_topic, place.topic, place.partition, offsets, (), since)
    return batch.besides(taken.accounted)
