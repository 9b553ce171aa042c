"""Pure: what is open, as the ledger topic tells it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import takewhile
from typing import NamedTuple

from daemon.flows.collector.id_set import IdSet
from daemon.flows.records import codec, ledger_records, short_forms, tombstones
from daemon.flows.records.items import identity_of, standing
from daemon.model import Finished, Headers, Record

BY_HEADER = "tolokad-by"


# What tells a record from the others of its batch: its content's hash, or the id that we give to its item.
Mark = int | str


class PackedEntry(NamedTuple):
    """An open item: the ledger partition it was read from, and its record's packed value."""

    ledger_partition: int
    packed: bytes

    @property
    def content_hash(self) -> int:
        """See `ledger_records.Entry`."""
        return ledger_records.peek_hash(self.packed)

    @property
    def batch(self) -> tuple[int, int]:
        """What entries of one batch have in common: the input partition and the batch's end."""
        return ledger_records.peek_batch(self.packed)

    @property
    def marks(self) -> tuple[Mark, Mark]:
        """See `Mark`."""
        topic, partition, offset = ledger_records.peek_origin(self.packed)
        return self.content_hash, identity_of(standing(topic, partition), offset)

    @property
    def submitted_at(self) -> datetime:
        """See `ledger_records.Entry`."""
        return ledger_records.peek_submitted(self.packed)

    def unpacked(self) -> ledger_records.Entry:
        """All that the record says.

        Raises:
            UnreadableError: it is damaged.
        """
        return ledger_records.unpack(self.packed)


class Ledger:
    """The open items, one table of short forms for each ledger partition.

    Short, for there may be a million. What was closed since `horizon_ms` is remembered too, for a second
    look sees it again.

    Args:
        incarnation: names the collector that writes: its own records, read back later, are passed over,
            for it knows already what they say.
        horizon_ms: milliseconds since 1970; nothing that finished earlier is ever looked at again.
        keep_ids: of everything that was ever closed, for `may_have_closed`.
    """

    def __init__(self, incarnation: str, horizon_ms: int, *, keep_ids: bool = False) -> None:
        self._by = incarnation.encode()
        self._tables: dict[int, dict[bytes, bytes]] = {}
        self._forms = short_forms.ShortForms()
        self._closed: dict[bytes, int] = {}
        self._ever_closed = IdSet() if keep_ids else None
        self._settled: dict[tuple[str, int], int] = {}
        self._horizon_ms = horizon_ms
        self.altered = False

    def signature(self) -> Headers:
        """The header that the collector's own ledger records carry."""
        return ((BY_HEADER, self._by),)

    def note(self, record: Record) -> bytes | None:
        """Take in a record of the topic; returns the key of an item that it opens."""
        key = record.key or b""
        if key.startswith(codec.MARK_PREFIX):
            # The ledger may have been given partitions: of two marks the one read last may be the older.
            place, settled = codec.read_mark_key(key), codec.read_mark(record.value)
            self._settled[place] = max(self._settled.get(place, settled), settled)
            return None
        if (BY_HEADER, self._by) in record.headers or key == codec.REOPEN_KEY:
            return None
        if key == codec.ALTERED_KEY:
            # A tombstone takes it back, once Toloka gives back what it is sent.
            self.altered = record.value is not None
            return None
        table = self._tables.setdefault(record.partition, {})
        if record.value is None:
            table.pop(key, None)
            self._close(key, tombstones.closed_ms(record))
            return None
        ledger_records.check(record.value)
        table[key] = self._forms.shortened(record.value)
        # It may have been taken for somebody else's before its record came.
        self._closed.pop(key, None)
        return key

    def find(self, item_id: str) -> PackedEntry | None:
        """The open item of this id."""
        key = item_id.encode()
        for partition, table in self._tables.items():
            if (short := table.get(key)) is not None:
                return PackedEntry(partition, self._forms.whole(short))
        return None

    def __contains__(self, item_id: str) -> bool:
        """Whether the item of this id is open."""
        key = item_id.encode()
        return any(key in table for table in self._tables.values())

    def submitted_before(self, moment: datetime, item_ids: Iterable[str]) -> Iterator[str]:
        """Those of these that are open and were submitted before then."""
        limit = codec.micros(moment)
        for item_id in item_ids:
            key = item_id.encode()
            for table in self._tables.values():
                short = table.get(key)
                if short is not None and short_forms.submitted_micros(short) < limit:
                    yield item_id

    def _close(self, key: bytes, closed_ms: int) -> None:
        if self._ever_closed is not None:
            self._ever_closed.add(key)
        self._remember(key, closed_ms)

    def _remember(self, key: bytes, closed_ms: int) -> None:
        if closed_ms >= self._horizon_ms:
            self._closed[key] = closed_ms

    def was_closed(self, item_id: str) -> bool:
        """This item's result is published, since the horizon."""
        return item_id.encode() in self._closed

    def may_have_closed(self, item_id: str) -> bool:
        """Whether this item's result may be published, however long ago; False is certain."""
        return self._ever_closed is None or self._ever_closed.may_have(item_id.encode())

    def forget_before(self, horizon_ms: int, latest_ms: int) -> None:
        """Nothing that finished before the horizon is looked at again, nothing was closed after the latest.

        What says that it was, by a clock that was far ahead once, is not kept until then.
        """
        self._horizon_ms = max(self._horizon_ms, horizon_ms)
        odd = takewhile(lambda entry: not self._horizon_ms <= entry[1] <= latest_ms, self._closed.items())
        for key, closed_ms in tuple(odd):
            del self._closed[key]
            self._remember(key, min(closed_ms, latest_ms))

    def apply(self, changes: Mapping[str, PackedEntry | None], closed_ms: Mapping[str, int]) -> None:
        """Follow a committed transaction: None closes an item, anything else replaces its record.

        `closed_ms` says as of when those are closed that are: see `closed_as_of`.
        """
        for item_id, change in changes.items():
            key = item_id.encode()
            if change is None:
                for table in self._tables.values():
                    table.pop(key, None)
                self._close(key, closed_ms[item_id])
            else:
                # In its old place: a table begins with what has been open for longest.
                short = self._forms.shortened(change.packed)
                self._tables.setdefault(change.ledger_partition, {})[key] = short

    def __len__(self) -> int:
        return sum(len(table) for table in self._tables.values())

    def has_mark(self, topic: str, partition: int) -> bool:
        """Whether anything of this partition was ever settled."""
        return self._settled.get((topic, partition), -1) >= 0

    def has_whole_batch(self, entry: PackedEntry) -> bool:
        """Whether all records of this one's batch have been read: their mark comes behind them."""
        topic, partition, _ = ledger_records.peek_origin(entry.packed)
        return self._settled.get((topic, partition), -1) >= entry.batch[1]

    def of_batches(self, batches: frozenset[tuple[int, int]]) -> Iterator[tuple[str, PackedEntry]]:
        """The open items of these batches; a walk through everything that is open."""
        for partition, table in self._tables.items():
            for key, short in table.items():
                packed = self._forms.whole(short)
                if ledger_records.peek_batch(packed) in batches:
                    yield key.decode(), PackedEntry(partition, packed)

    def oldest(self) -> datetime | None:
        """When the item was submitted that has been open for longest."""
        firsts = (next(iter(table.values()), None) for table in self._tables.values())
        moments = [short_forms.submitted_micros(short) for short in firsts if short is not None]
        return codec.from_micros(min(moments)) if moments else None

    def submitted_when(self, due: Callable[[datetime], bool]) -> Iterable[tuple[datetime, str]]:
        """The open items whose time of submission is due, oldest first."""
        found: list[tuple[datetime, str]] = []
        # Asked once for each batch, not for each item: there may be a million.
        answers: dict[int, datetime | None] = {}
        for table in self._tables.values():
            for key, short in table.items():
                micros = short_forms.submitted_micros(short)
                if micros not in answers:
                    moment = codec.from_micros(micros)
                    answers[micros] = moment if due(moment) else None
                if (submitted := answers[micros]) is not None:
                    found.append((submitted, key.decode()))
        return sorted(found)


class Now(NamedTuple):
    """Toloka's time, in both of its forms: one of them would have to be made for each item."""

    moment: datetime
    ms: int

    @classmethod
    def of(cls, moment: datetime) -> "Now":
        """Of a moment."""
        return cls(moment, codec.micros(moment) // 1000)


def closed_as_of(item: Finished, now: Now) -> int:
    """Now, or at its end where that lies ahead by another clock: until then it is shown again and again."""
    end = item.finished_at
    return now.ms if end is None or end <= now.moment else codec.micros(end) // 1000
