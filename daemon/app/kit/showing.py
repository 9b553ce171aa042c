"""`tolokad ledger show` and `tolokad cursor show`: what the daemon's own topics say, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.app.kit.kafka import reached, records
from daemon.app.kit.progress import Progress
from daemon.errors import ConfigurationError
from daemon.flows import codec
from daemon.flows.cursors import read_cursor
from daemon.flows.ledger import Ledger
from daemon.model import Cursor, Record
from daemon.settings import Settings

# Of what is closed nothing need be remembered.
NEVER_MS = 2**63


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item that is at Toloka, and whose result is not published yet."""

    item_id: str
    origin: codec.Origin
    submitted_at: datetime
    age_seconds: float

    def as_json(self) -> Mapping[str, object]:
        """As `ledger show --json` prints it."""
        return {
            "item_id": self.item_id,
            "origin": self.origin._asdict(),
            "submitted_at": codec.iso(self.submitted_at),
            "age_seconds": round(self.age_seconds, 3),
        }

    def line(self) -> str:
        """As people read it."""
        origin = self.origin
        where = f"{origin.topic}-{origin.partition}@{origin.offset}"
        return f"{self.item_id}  {where}  {codec.iso(self.submitted_at)}  {self.age_seconds:.0f} s"


class OpenItems:
    """Everything that is open, oldest first."""

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._now = now

    def __len__(self) -> int:
        return len(self._ledger)

    def oldest(self, count: int | None = None) -> Iterator[OpenItem]:
        """So many of them, or all."""
        found = self._ledger.submitted_when(lambda _: True)
        for _, item_id in list(found)[:count]:
            if (item := self.find(item_id)) is not None:
                yield item

    def find(self, item_id: str) -> OpenItem | None:
        """The open item with Toloka's id."""
        if (entry := self._ledger.find(item_id)) is None:
            return None
        told = codec.unpack_entry(entry.packed)
        age = (self._now - told.submitted_at).total_seconds()
        return OpenItem(item_id, told.origin, told.submitted_at, max(age, 0.0))


async def open_items(settings: Settings, progress: Progress) -> OpenItems:
    """Read the ledger to its end.

    Raises:
        StartError: Kafka is away or refuses; the ledger is missing or unreadable.
    """
    ledger = Ledger("", NEVER_MS)
    topic = settings.kafka.ledger_topic
    async with reached(settings) as (cluster, _):
        ends, starts = await cluster.end_offsets(topic), await cluster.start_offsets(topic)
        progress.begin(topic, sum(end - starts[p] for p, end in ends.items()))
        try:
            async with aclosing(records(cluster, topic, starts, ends)) as found:
                async for some in found:
                    _note(ledger, some, progress)
        except codec.UnreadableError as error:
            raise ConfigurationError(f"the ledger {topic} cannot be read: {error}") from error
    return OpenItems(ledger, datetime.now(UTC))


def _note(ledger: Ledger, some: Sequence[Record], progress: Progress) -> None:
    for record in some:
        ledger.note(record)
    progress.add(len(some))


async def cursor(settings: Settings) -> Cursor | None:
    """Where the collector stands; None before it first began.

    Raises:
        StartError: Kafka is away or refuses; the topic is missing, unreadable or another project's.
    """
    async with reached(settings) as (cluster, _):
        found, _written_ms = await read_cursor(cluster, settings.kafka.cursor_topic, settings.toloka.place)
    return found


def cursor_as_json(cursor: Cursor) -> Mapping[str, object]:
    """As `cursor show --json` prints it."""
    return {
        "item_id": cursor.item_id,
        "finished_at": codec.iso(cursor.finished_at),
        "published": cursor.published,
    }
