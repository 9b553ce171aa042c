"""Kafka clients for tests: short, plain, and closed at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, OffsetAndMetadata, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from daemon.edges.kafka import kafka_client

READ_TIMEOUT_SECONDS = 30.0
# From the first try on; a broker that is restarted on a busy machine may take most of it.
START_TIMEOUT_SECONDS = 90.0
TRY_SECONDS = 10.0
TRY_AGAIN_SECONDS = 0.2
# Where only ends of transactions are left to read, the client waits for so long, and gives nothing.
READ_MS = 20


@asynccontextmanager
async def admin_client(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client, for a plaintext listener."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def started_producer(bootstrap_servers: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer; with `transactional_id`, one that has fenced its predecessors."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, retry_backoff_ms=5, **options)
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def patient_producer(
    bootstrap_servers: str, try_seconds: float = TRY_SECONDS, **options: Any
) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer, although the broker may just be going or coming; it appends each record once.

    A single broker that is being stopped says that there are no brokers at all. A client that was told so and
    then lost its connection knows nobody to ask any more, and would start for ever: each try is a new one.

    Raises:
        TimeoutError: no start within 90 s.
    """
    async with asyncio.timeout(START_TIMEOUT_SECONDS):
        # A broker that comes back tells nobody.
        while (producer := await _tried(bootstrap_servers, try_seconds, **options)) is None:  # noqa: ASYNC110 - see above
            await asyncio.sleep(TRY_AGAIN_SECONDS)
    try:
        yield producer
    finally:
        await kafka_client.stop(producer)


async def _tried(bootstrap_servers: str, seconds: float, **options: Any) -> AIOKafkaProducer | None:
    # Only one that wants an id of its own notices: any other starts without having reached a broker.
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True, **options)
    try:
        async with asyncio.timeout(seconds):
            await producer.start()
    except (TimeoutError, KafkaError):
        await kafka_client.stop(producer)
        return None
    except BaseException:
        await kafka_client.stop(producer)
        raise
    return producer


async def read_topic(
    bootstrap_servers: str, topic: str, *, partitions: int = 1, isolation_level: str = "read_committed"
) -> list[ConsumerRecord[bytes, bytes]]:
    """Every record from the beginning to the high watermark as it is now, partition by partition.

    With `read_committed` it waits until the transactions that are open below have ended. A commit
    is answered before its markers are written, so the last stable offset could lack it still.

    Raises:
        TimeoutError: after 30 s, for example because a transaction hangs.
    """
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    async with _reader(bootstrap_servers, parts, "read_uncommitted") as watermarks:
        ends = await watermarks.end_offsets(parts)
    async with _reader(bootstrap_servers, parts, isolation_level) as reader:
        return await _read(reader, ends)


async def read_stable(
    bootstrap_servers: str, topic: str, *, partitions: int = 1
) -> list[ConsumerRecord[bytes, bytes]]:
    """What a read_committed reader can see now: everything below the first open transaction."""
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    async with _reader(bootstrap_servers, parts, "read_committed") as reader:
        return await _read(reader, await reader.end_offsets(parts))


async def committed_offset(
    bootstrap_servers: str, group: str, partition: TopicPartition
) -> OffsetAndMetadata | None:
    """The group's offset and metadata; None while its coordinator is loading."""
    async with admin_client(bootstrap_servers) as admin:
        offsets = await admin.list_consumer_group_offsets(group, partitions=[partition])
    found: OffsetAndMetadata | None = offsets.get(partition)
    return found


@asynccontextmanager
async def _reader(
    bootstrap_servers: str, partitions: list[TopicPartition], isolation_level: str
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, isolation_level=isolation_level, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield consumer
    finally:
        await consumer.stop()


async def _read(
    reader: AIOKafkaConsumer, ends: dict[TopicPartition, int]
) -> list[ConsumerRecord[bytes, bytes]]:
    records: dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]] = {partition: [] for partition in ends}
    async with asyncio.timeout(READ_TIMEOUT_SECONDS):
        while [partition for partition, end in ends.items() if await reader.position(partition) < end]:
            for partition, batch in (await reader.getmany(timeout_ms=READ_MS)).items():
                records[partition] += [record for record in batch if record.offset < ends[partition]]
    return [record for batch in records.values() for record in batch]
