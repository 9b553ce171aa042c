"""Pure: which of Toloka's items nothing accounts for, although their content is that of a record of ours."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from daemon.flows import codec
from daemon.flows.items import Read, standing
from daemon.model import Committed, Created, Item, Record


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

    Args:
        committed: of each partition of the input.
        read: turns a record into an item.

    Raises:
        UnreadableError: the metadata of an offset is no intent.
    """

    def __init__(self, committed: Mapping[int, Committed], read: Read) -> None:
        self._committed = committed
        intents = {p: codec.read_intent(found.metadata) for p, found in committed.items()}
        self.announced = {p: intent.reach for p, intent in intents.items() if intent is not None}
        self._read = read
        self._settled: set[int] = set()
        self._under_way: set[int] = set()

    def note(self, record: Record) -> None:
        """Take in a record of the input."""
        settled = record.offset < self._committed[record.partition].offset
        if record.value is None or not (settled or record.offset < self.announced.get(record.partition, 0)):
            return
        item = self._read(record, standing(record.topic, record.partition))
        if isinstance(item, Item):
            (self._settled if settled else self._under_way).add(item.content_hash)

    def orphans(self, items: Iterable[Created], accounted: Callable[[str], bool]) -> Iterator[Orphan]:
        """Those of Toloka's items that were submitted for a settled record, and that nobody knows."""
        for item in items:
            ours = item.content_hash in self._settled and item.content_hash not in self._under_way
            if ours and not accounted(item.item_id):
                yield Orphan(item.item_id, item.status, codec.iso(item.created_at))
