"""Pure: which of Toloka's items nothing accounts for, although their content is that of a record of ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from daemon.flows.records import codec
from daemon.flows.records.items import Read, standing
from daemon.model import EPOCH, Committed, Created, Item, Record

# No producer's clock is ahead by more.
CLOCKS_APART = timedelta(hours=1)
# What was created in this time is held in memory at once; more, where that would take too many requests.
SPAN = timedelta(hours=1)
MOST_SPANS = 1000


class Orphan(NamedTuple):
    """An item that was paid for, or will be, and of which no result will be published."""

    item_id: str
    status: str
    created_at: str

    def as_json(self) -> dict[str, object]:
        """As `audit --json` prints it."""
        return self._asdict()


class Contents:
    """The contents of settled records, and of those that an intent speaks of and that may be under way.

    Raises:
        UnreadableError: the metadata of an offset is no intent.
    """

    def __init__(self, committed: Mapping[int, Committed], read: Read) -> None:
        self._committed = committed
        intents = {p: codec.read_intent(found.metadata) for p, found in committed.items()}
        self.announced = {p: intent.reach for p, intent in intents.items() if intent is not None}
        self._read = read
        self._oldest_ms: int | None = None
        self._settled: set[int] = set()
        self._under_way: set[int] = set()

    def note(self, record: Record) -> None:
        """Take in a record of the input."""
        if self._oldest_ms is None or record.timestamp < self._oldest_ms:
            self._oldest_ms = record.timestamp
        settled = record.offset < self._committed[record.partition].offset
        if record.value is None or not (settled or record.offset < self.announced.get(record.partition, 0)):
            return
        item = self._read(record, standing(record.topic, record.partition))
        if isinstance(item, Item):
            (self._settled if settled else self._under_way).add(item.content_hash)

    def spans(self, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """When what was submitted for these records can have been created, a part at a time."""
        if self._oldest_ms is None:
            return
        # One that lies ahead is no time in milliseconds, and tells nothing; nor does one before 1970.
        oldest_ms = max(self._oldest_ms if self._oldest_ms <= codec.micros(until) // 1000 else 0, 0)
        since = max(EPOCH + timedelta(milliseconds=oldest_ms) - CLOCKS_APART, EPOCH)
        step = max((until - since) / MOST_SPANS, SPAN)
        while since < until:
            end = min(since + step, until)
            yield since, end
            since = end

    def orphans(self, items: Iterable[Created], accounted: Callable[[str], bool]) -> Iterator[Orphan]:
        """Those of Toloka's items that were submitted for a settled record, and that nobody knows."""
        for item in items:
            ours = item.content_hash in self._settled and item.content_hash not in self._under_way
            if ours and not accounted(item.item_id):
                yield Orphan(item.item_id, item.status, codec.iso(item.created_at))
