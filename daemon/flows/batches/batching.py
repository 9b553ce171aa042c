"""Pure: what has been read and not yet sent, and when it makes a batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.flows.records.items import ReadAll, standing
from daemon.flows.records.windows import Found
from daemon.model import (
    BareRecord,
    Batch,
    Columns,
    DeadLetter,
    Flaw,
    Item,
    PlacedRecord,
    body_bytes,
    in_parts,
)

# What stands around the items in a request's body, with room to spare.
ENVELOPE_BYTES = 64


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large a batch may become: in items, and in bytes of the request's body."""

    max_items: int
    max_bytes: int


class Allowance:
    """Limits that learn: halved below what Toloka calls too large, and growing back step by step."""

    GROWTH = 1.25

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self.max_items = limits.max_items
        self.max_bytes = limits.max_bytes

    def refused(self, batch: Batch) -> None:
        """A request of this size was too large; an item that is too large alone says nothing of batches."""
        if len(batch.items) > 1:
            self.max_items = min(self.max_items, max(len(batch.items) // 2, 1))
            self.max_bytes = min(self.max_bytes, max(_body_bytes(batch) // 2, ENVELOPE_BYTES))

    def accepted(self, batch: Batch) -> None:
        """A request of this size was not; when it used what it was allowed, the next may use more."""
        if self.max_items < self._limits.max_items and len(batch.items) >= self.max_items:
            self.max_items = min(int(self.max_items * self.GROWTH) + 1, self._limits.max_items)
        if self.max_bytes < self._limits.max_bytes and 2 * _body_bytes(batch) >= self.max_bytes:
            self.max_bytes = min(int(self.max_bytes * self.GROWTH), self._limits.max_bytes)


def _body_bytes(batch: Batch) -> int:
    return ENVELOPE_BYTES + body_bytes(batch.items)


class Filling:
    """Sorts records into the next batch of one partition.

    Every record counts as one, whatever becomes of it, so that a transaction stays small even where all are
    dead letters. `first` is where the first batch begins; the limits are asked anew for each.
    """

    def __init__(
        self, topic: str, partition: int, first: int, limits: BatchLimits | Allowance, read_all: ReadAll
    ) -> None:
        self._topic = topic
        self.partition = partition
        self._read_all = read_all
        self._where = standing(topic, partition)
        self._limits = limits
        self._first = first
        self._waiting: list[BareRecord] = []
        self._found: list[Found] = []
        self._begin()

    def _begin(self) -> None:
        self._end = self._first
        # Each in columns, or in a list.
        self._parts: list[Sequence[Item]] = []
        self._dead: list[DeadLetter] = []
        self._skipped = 0
        self._count = 0
        self._bytes = ENVELOPE_BYTES
        self.full = False

    @property
    def empty(self) -> bool:
        """Nothing has been read since the last batch was taken."""
        return self._end == self._first

    @property
    def room(self) -> int:
        """How many more records may be added; never above what the batch may hold."""
        return max(self._limits.max_items - self._count - len(self._waiting), 0)

    @property
    def missing_bytes(self) -> int:
        """About how many bytes more would fill the batch, by the size of what is in it."""
        left = self._limits.max_bytes - self._bytes
        each = self._bytes // max(self._count, 1)
        return max(min(left, self.room * each), 0)

    @property
    def missing_share(self) -> float:
        """How much would fill the batch, as a share of what is in it."""
        return self.missing_bytes / self._bytes

    def add(self, records: Sequence[BareRecord]) -> bool:
        """Take records in, in the order of their offsets; what no longer fits waits for the next batch.

        True where that was done in columns: it takes much less time.
        """
        found = self._read_all(records, self._where)
        if isinstance(found, Columns) and self._fits_whole(found):
            self._parts.append(found)
            self._end = records[-1].offset + 1
            return True
        self._waiting += records
        self._found += found
        if not self.full and self._waiting:
            self._take_in()
        return False

    def _fits_whole(self, found: Columns) -> bool:
        """Count these in, if they are next and there is room for all."""
        size = max(found.body_bytes, found.beside_bytes)
        max_items, max_bytes = self._limits.max_items, self._limits.max_bytes
        is_too_much = self._count + len(found) > max_items or self._bytes + size > max_bytes
        # While anything waits, it is full.
        if self.full or is_too_much:
            return False
        self._count += len(found)
        self._bytes += size
        self.full = self._count >= max_items or self._bytes >= max_bytes
        return True

    def _take_in(self) -> None:
        taken = self._fitting(map(_size, self._waiting, self._found))
        if not taken:
            return
        records, found = self._waiting[:taken], self._found[:taken]
        self._parts.append(list(self._sort(records, found)))
        self._end = records[-1].offset + 1
        del self._waiting[:taken], self._found[:taken]

    def _fitting(self, sizes: Iterable[int]) -> int:
        """Count in as many as there is room for, at least one in all; says how many of these."""
        max_items, max_bytes = self._limits.max_items, self._limits.max_bytes
        before = self._count
        for size in sizes:
            if self._count and (self._bytes + size > max_bytes or self._count >= max_items):
                self.full = True
                break
            self._count += 1
            self._bytes += size
        self.full = self.full or self._count >= max_items or self._bytes >= max_bytes
        return self._count - before

    def _sort(self, records: Iterable[BareRecord], found: Iterable[Found]) -> Iterable[Item]:
        for record, what in zip(records, found, strict=True):
            if what is None:
                self._skipped += 1
            elif isinstance(what, Flaw):
                self._dead.append(DeadLetter(PlacedRecord.of(self._topic, self.partition, record), what))
            else:
                yield what

    def pass_over(self, position: int) -> None:
        """What lies before this offset and behind the last record is for no reader: ends of transactions.

        A range without items: were it not settled, too, the log's retention would one day leave the committed
        offset behind, and it would look as if records had been deleted unread.
        """
        if self.empty and not self._waiting:
            self._end = max(self._end, position)

    def take(self) -> Batch:
        """The batch as it is; the next one begins with what was waiting."""
        batch = Batch(
            self._topic,
            self.partition,
            self._first,
            self._end,
            in_parts(self._parts),
            tuple(self._dead),
            self._skipped,
        )
        self._first = self._end
        self._begin()
        self.add(())
        return batch


def _size(record: BareRecord, found: Found) -> int:
    beside = 0
    if record.key or record.headers:
        beside = len(record.key or b"") + sum(len(name) + len(value or b"") for name, value in record.headers)
    if type(found) is Item:
        return max(len(found.body) + 1, beside)
    return len(record.value or b"") + beside
