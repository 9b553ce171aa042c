"""A reader of partitions: a client that is given its offsets, and is watched for dying in silence."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain

from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import fetched, kafka_client, silent_brokers
from daemon.errors import Held, Transient
from daemon.model import BareRecord, Record
from daemon.settings import KafkaSettings

# Of all partitions together: after an outage every way reads the ledger through, all at the same time.
FETCH_BYTES = 1024 * 1024
# A fetch waits at the broker for this long when there is nothing; new records end the wait.
FETCH_WAIT_MS = 500
# This many bytes are worth a fetch of their own: some hundred records.
GATHER_BYTES = 64 * 1024
# How often a reader that got nothing asks whether there is something (a fetcher can die in silence).
SUSPECT_SECONDS = 30.0
# A broker that is cut off from its cluster takes itself for the leader for ever, and has nothing new for its
# readers: this often they ask who leads by now.
METADATA_SECONDS = 30.0


@asynccontextmanager
async def reader(
    settings: KafkaSettings, client_id: str, topic: str, offsets: Mapping[int, int]
) -> AsyncIterator["PartitionReader"]:
    """Read these partitions from these offsets: see `daemon.ports.Kafka.reader`.

    Raises:
        Held: `not_permitted`, naming the topic.
        Transient: no start in time.
    """
    fetched.lean()
    consumer = AIOKafkaConsumer(
        **kafka_client.connection(settings, client_id),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        metadata_max_age_ms=int(METADATA_SECONDS * 1000),
    )
    silent_brokers.pass_over_the_silent(consumer._client)  # noqa: SLF001 - what it talks through
    try:
        with kafka_client.translated(f"opening a reader of {topic}"):
            async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
                await consumer.start()
                consumer.assign([TopicPartition(topic, partition) for partition in offsets])
                fetched.bare(consumer)
                for partition, offset in offsets.items():
                    consumer.seek(TopicPartition(topic, partition), offset)
        yield PartitionReader(consumer, topic, dict(offsets))
    finally:
        await kafka_client.stop(consumer)


class PartitionReader:
    """See `daemon.ports.Reader`."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, positions: dict[int, int]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._positions = positions
        self._suspect_at = asyncio.get_running_loop().time() + SUSPECT_SECONDS

    async def read(self, max_records: int, max_wait_seconds: float) -> Sequence[Record]:
        """See `daemon.ports.Reader.read`."""
        found = await self._fetched(max_records, max_wait_seconds)
        groups = [fetched.placed(place, records) for place, records in found.items()]
        return groups[0] if len(groups) == 1 else list(chain.from_iterable(groups))

    async def read_bare(self, max_records: int, max_wait_seconds: float) -> Sequence[BareRecord]:
        """See `daemon.ports.Reader.read_bare`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + max_wait_seconds
        # Ends of transactions alone are something to the client, and nothing to who reads.
        while found := await self._fetched(max_records, max(until - loop.time(), 0)):
            [records] = found.values()
            if len(records) > 0:
                return records
        return ()

    async def _fetched(
        self, max_records: int, max_wait_seconds: float
    ) -> Mapping[TopicPartition, Sequence[BareRecord]]:
        with kafka_client.translated(f"reading {self._topic}"):
            try:
                found: Mapping[TopicPartition, Sequence[BareRecord]] = await self._consumer.getmany(
                    timeout_ms=int(max_wait_seconds * 1000), max_records=max_records
                )
            except kafka_errors.OffsetOutOfRangeError as error:
                raise Held("offset_out_of_range", f"{self._topic}: {error}") from error
            if not found:
                await self._look_alive()
                return {}
        self._suspect_at = asyncio.get_running_loop().time() + SUSPECT_SECONDS
        return found

    def may_gather(self, max_bytes: int, max_wait_seconds: float) -> None:
        """See `daemon.ports.Reader.may_gather`."""
        # The client takes these for all of its life; it looks at them again for each fetch.
        fetcher, wait_ms = self._consumer._fetcher, int(max_wait_seconds * 1000)  # noqa: SLF001 - see above
        gathers = wait_ms > 0
        fetcher._fetch_min_bytes = min(max(max_bytes, 1), GATHER_BYTES) if gathers else 1  # noqa: SLF001 - see above
        fetcher._fetch_max_wait_ms = min(wait_ms, FETCH_WAIT_MS) if gathers else FETCH_WAIT_MS  # noqa: SLF001 - see above

    def position(self, partition: int) -> int:
        """See `daemon.ports.Reader.position`."""
        # Not Consumer.position(): that is a coroutine which waits for a position that is always there.
        state = self._consumer._subscription.subscription.assignment.state_value(  # noqa: SLF001 - see above
            TopicPartition(self._topic, partition)
        )
        position: int = state._position if state._position is not None else self._positions[partition]  # noqa: SLF001 - see above
        return position

    async def _look_alive(self) -> None:
        """Fail when records are there and none come: the client's fetcher can die without a word."""
        if self._consumer._fetcher.error_future.done():  # noqa: SLF001 - the only sign of its death
            raise Transient(f"the reader of {self._topic} has died")
        now = asyncio.get_running_loop().time()
        if now < self._suspect_at:
            return
        self._suspect_at = now + SUSPECT_SECONDS
        before = {p: self.position(p) for p in self._positions}
        async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
            ends = await self._consumer.end_offsets([TopicPartition(self._topic, p) for p in before])
        behind = [p.partition for p, end in ends.items() if before[p.partition] < end]
        if behind and all(self.position(p) == before[p] for p in behind):
            raise Transient(f"the reader of {self._topic} is stuck at {before}")
