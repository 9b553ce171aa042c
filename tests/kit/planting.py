"""Topics as a daemon leaves them, written at once: many records, and then what is wrong with them."""

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from daemon.flows.records import codec
from daemon.flows.records.outputs import dead_letter_append
from daemon.model import Append, DeadLetter, Flaw, Headers, Intent, Item, Record
from tests.canary import CANARY
from tests.doubles import packed_items
from tests.kafka.topics import Topics
from tests.simulator.world import MODERATION_PROJECT

SUBMITTED = datetime(2026, 1, 31, 12, tzinfo=UTC)
# Older records might be deleted for their age.
NOW_MS = int(time.time() * 1000)
CREDENTIAL = f"ApiKey {CANARY}"
WEEK_MS = 604_800_000
COMPACTED = {
    "cleanup.policy": "compact",
    "delete.retention.ms": str(WEEK_MS),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
}
# What becomes of the largest input record fits.
ROOMY = {"max.message.bytes": "2097164"}


@dataclass(frozen=True)
class Source:
    """An input record with its place."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    timestamp: int = NOW_MS
    key: bytes | None = None
    headers: Headers = ()

    @property
    def place(self) -> dict[str, object]:
        """As the commands name it."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}


@dataclass
class Plot:
    """The topics of one group, and where their next records will stand.

    Attributes:
        servers: the brokers.
        toloka: the address of Toloka.
        group: how all names begin.
        partitions: of every topic but the cursors'.
    """

    servers: str
    toloka: str
    partitions: int = 2
    group: str = field(default_factory=lambda: f"kit-{uuid.uuid4().hex[:8]}")
    ends: dict[int, int] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a command is given."""
        return {
            "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "TOLOKAD_KAFKA__GROUP_ID": self.group,
            "TOLOKAD_KAFKA__INPUT_TOPIC": self.topic("items"),
            "TOLOKAD_KAFKA__OUTPUT_TOPIC": self.topic("results"),
            "TOLOKAD_KAFKA__DEAD_LETTER_TOPIC": self.topic("dead-letters"),
            "TOLOKAD_TOLOKA__URL": self.toloka,
            "TOLOKAD_TOLOKA__PROJECT_ID": MODERATION_PROJECT,
            "TOLOKAD_TOLOKA__TOKEN": CANARY,
        }

    def topic(self, name: str) -> str:
        """The name of one of the topics."""
        return f"{self.group}.{name}"

    async def lay_out(self, retention_ms: int = WEEK_MS) -> None:
        """Make the topics; that of the input keeps records for so long."""
        topics = Topics(self.servers)
        kept = {"retention.ms": str(retention_ms)}
        await topics.create(self.topic("items"), partitions=self.partitions, configs=kept)
        for name in ("results", "dead-letters"):
            await topics.create(self.topic(name), partitions=self.partitions, configs=ROOMY)
        await topics.create(self.topic("ledger"), partitions=self.partitions, configs=COMPACTED)
        await topics.create(self.topic("cursors"), configs=COMPACTED)

    def sources(self, values: Iterable[bytes | None]) -> list[Source]:
        """Input records of these values, with the places that they will have."""
        made = []
        for number, value in enumerate(values):
            partition = number % self.partitions
            offset = self.ends.get(partition, 0)
            self.ends[partition] = offset + 1
            made.append(Source(self.topic("items"), partition, offset, value))
        return made

    async def feed(self, sources: Iterable[Source]) -> None:
        """Write input records."""
        await self.write(
            Append(s.topic, s.partition, s.key, s.value, s.headers, s.timestamp) for s in sources
        )

    async def settle(self, intent: Intent | None = None) -> None:
        """Commit the group's offsets at the ends of what was fed; an intent at the start of partition 0."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, transactional_id=f"{self.group}.planting")
        await producer.start()
        try:
            async with producer.transaction():
                offsets = {
                    TopicPartition(self.topic("items"), p): OffsetAndMetadata(end, "")
                    for p, end in self.ends.items()
                }
                if intent is not None:
                    noted = OffsetAndMetadata(0, codec.intent_metadata(intent))
                    offsets[TopicPartition(self.topic("items"), 0)] = noted
                await producer.send_offsets_to_transaction(offsets, self.group)
        finally:
            await producer.stop()

    def result(self, source: Source, item_id: str | None = None) -> Append:
        """The result of a record."""
        origin = {**source.place, "timestamp": source.timestamp}
        name = item_id or f"item-{source.partition}-{source.offset}"
        value = {"origin": origin, "submitted_at": codec.iso(SUBMITTED), "item": {"id": name}}
        headers = (("toloka-item-id", name.encode()), ("toloka-status", b"COMPLETED"))
        return Append(self.topic("results"), source.partition, None, json.dumps(value).encode(), headers)

    def dead_letter(self, source: Record, code: str = "VALIDATION_ERROR") -> Append:
        """The dead letter of a record."""
        letter = DeadLetter(source, Flaw(code, "not to be submitted"))
        return dead_letter_append(self.topic("dead-letters"), self.partitions, letter, SUBMITTED)

    def opened(self, sources: Sequence[Source]) -> Iterable[Append]:
        """The ledger records of items that are open, called `open-<partition>-<offset>`."""
        for source in sources:
            # One at a time: what is packed together is a batch, of one partition.
            (value,) = packed_items([Item(source, source.value or b"", 17)], 10**6, SUBMITTED)
            name = f"open-{source.partition}-{source.offset}".encode()
            yield Append(self.topic("ledger"), source.partition, name, value)

    async def write(self, appends: Iterable[Append]) -> None:
        """Write records, whole batches at a time."""
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, max_batch_size=500_000)
        await producer.start()
        sent = []
        try:
            builders: dict[tuple[str, int], object] = {}
            for append in appends:
                place = append.topic, append.partition
                builder = builders.setdefault(place, producer.create_batch())
                if _add(builder, append) is None:
                    sent.append(await producer.send_batch(builder, place[0], partition=place[1]))
                    builders[place] = producer.create_batch()
                    _add(builders[place], append)
            for (topic, partition), builder in builders.items():
                sent.append(await producer.send_batch(builder, topic, partition=partition))
            for delivery in sent:
                await delivery
        finally:
            await producer.stop()


def _add(builder: object, append: Append) -> object:
    added: object = builder.append(  # type: ignore[attr-defined] # aiokafka has no types
        key=append.key, value=append.value, timestamp=append.timestamp_ms, headers=list(append.headers)
    )
    return added


async def submit(toloka: str, item: dict[str, object]) -> str:
    """Submit an item behind the daemon's back; returns its id."""
    async with httpx.AsyncClient(trust_env=False, headers={"Authorization": CREDENTIAL}) as client:
        path = f"/api/app/v0/app-projects/{MODERATION_PROJECT}/items"
        answer = await client.post(toloka + path, json={"input_data": item})
        assert answer.is_success, answer.text
        return str(answer.json()["id"])
