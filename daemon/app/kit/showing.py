"""`tolokad ledger show` and `tolokad cursor show`: what the daemon's own topics say, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from daemon.app.kit.kafka import ending, reached, records
from daemon.app.kit.progress import Progress
from daemon.app.kit.toloka import toloka_of
from daemon.errors import ConfigurationError
from daemon.flows.collector.cursors import read_cursor
from daemon.flows.collector.ledger import Ledger
from daemon.flows.records import codec, ledger_records
from daemon.model import Cursor, Sight
from daemon.ports import Kafka
from daemon.settings import Settings

# Of what is closed nothing need be remembered.
NEVER_MS = 2**63
UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item that is at Toloka, and whose result is not published yet; `status` where Toloka was asked."""

    item_id: str
    origin: ledger_records.Origin
    submitted_at: datetime
    age_seconds: float
    key: bytes | None
    status: str | None = None

    def as_json(self) -> Mapping[str, object]:
        """As `ledger show --json` prints it."""
        shown = {
            "item_id": self.item_id,
            "origin": self.origin._asdict(),
            "submitted_at": codec.iso(self.submitted_at),
            "age_seconds": round(self.age_seconds, 3),
        }
        return shown if self.status is None else shown | {"status": self.status}

    def line(self) -> str:
        """As people read it."""
        origin = self.origin
        where = f"{origin.topic}-{origin.partition}@{origin.offset}"
        status = "" if self.status is None else f"  {self.status}"
        return f"{self.item_id}  {where}  {codec.iso(self.submitted_at)}  {self.age_seconds:.0f} s{status}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which open items are meant; None leaves a question open.

    Attributes:
        item_id: Toloka's id.
        record: topic, partition and offset of the input record.
        key: of the input record.
        partition: of the input topic.
    """

    item_id: str | None = None
    record: tuple[str, int, int] | None = None
    key: str | None = None
    partition: int | None = None

    @property
    def is_one(self) -> bool:
        """No more than one item can be meant."""
        return self.item_id is not None or self.record is not None

    def __contains__(self, item: OpenItem) -> bool:
        return (
            (self.item_id is None or item.item_id == self.item_id)
            and (self.record is None or item.origin[:3] == self.record)
            and (self.key is None or item.key == self.key.encode(errors="surrogateescape"))
            and (self.partition is None or item.origin.partition == self.partition)
        )

    def __str__(self) -> str:
        if self.item_id is not None:
            return f"the item {self.item_id}"
        if self.record is not None:
            return "the record {}-{}@{}".format(*self.record)
        if self.key is not None:
            return f"the key {self.key}"
        return "the topic" if self.partition is None else f"the partition {self.partition}"


class OpenItems:
    """Everything that is open, oldest first."""

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._now = now

    def __len__(self) -> int:
        return len(self._ledger)

    def chosen(self, wanted: Wanted) -> Iterator[OpenItem]:
        """Those that are wanted."""
        for _, item_id in self._ledger.submitted_when(lambda _: True):
            item = self._item(item_id)
            if item is not None and item in wanted:
                yield item

    def _item(self, item_id: str) -> OpenItem | None:
        if (entry := self._ledger.find(item_id)) is None:
            return None
        told = entry.unpacked()
        age = (self._now - told.submitted_at).total_seconds()
        return OpenItem(item_id, told.origin, told.submitted_at, max(age, 0.0), told.key)


async def open_items(settings: Settings, progress: Progress) -> OpenItems:
    """Read the ledger to its end.

    Raises:
        StartError: Kafka is away or refuses; the ledger is missing or unreadable.
    """
    topic = settings.kafka.ledger_topic
    async with reached(settings) as (cluster, _):
        try:
            ledger = await read_ledger(cluster, topic, progress)
        except codec.UnreadableError as error:
            raise ConfigurationError(f"the ledger {topic} cannot be read: {error}") from error
    return OpenItems(ledger, datetime.now(UTC))


async def read_ledger(kafka: Kafka, topic: str, progress: Progress) -> Ledger:
    """What is open, as the whole ledger tells it.

    Raises:
        Held, Transient: see `daemon.ports.Reader.read`.
        UnreadableError: a record is damaged, or of a newer release.
    """
    ledger = Ledger("", NEVER_MS)
    ends, starts = await kafka.end_offsets(topic), await kafka.start_offsets(topic)
    progress.begin(topic, sum(end - starts[p] for p, end in ends.items()))
    async with aclosing(records(kafka, topic, starts, ends)) as found:
        async for some in found:
            for record in some:
                ledger.note(record)
            progress.add(len(some))
    return ledger


async def with_status(settings: Settings, items: Sequence[OpenItem]) -> Sequence[OpenItem]:
    """Ask Toloka for the status of each; what it does not know is `UNKNOWN`.

    Raises:
        StartError: Toloka is away, refuses, or does not know the project or pool.
    """
    async with AsyncExitStack() as stack:
        toloka = await toloka_of(settings, stack)
        with ending():
            sights: dict[str, Sight | None] = {}
            # One by one: an answer for many may leave some of them out.
            for item in items:
                sights |= await toloka.service.results.by_id([item.item_id])
    statuses = {item_id: UNKNOWN if sight is None else sight.status for item_id, sight in sights.items()}
    return [replace(item, status=statuses.get(item.item_id, UNKNOWN)) for item in items]


async def cursor(settings: Settings) -> Cursor | None:
    """Where the collector stands; None before it first began.

    Raises:
        StartError: Kafka is away or refuses; the topic is missing, unreadable or another project's.
    """
    async with reached(settings) as (cluster, _):
        found, _written_ms = await read_cursor(
            cluster, settings.kafka.cursor_topic, settings.toloka.target_id
        )
    return found


def cursor_as_json(cursor: Cursor) -> Mapping[str, object]:
    """As `cursor show --json` prints it."""
    return {
        "item_id": cursor.item_id,
        "finished_at": codec.iso(cursor.finished_at),
        "published": cursor.published,
    }
