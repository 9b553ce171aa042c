"""What the Kafka clients hold at a time, and what is left of them."""

import gc
import logging
import tracemalloc

import pytest

from daemon.edges.kafka import reading
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.errors import Transient
from daemon.metrics import Metrics
from daemon.model import Append, Transaction
from daemon.settings import KafkaSettings
from tests.kafka.broker import QUICK_JAVA_OPTIONS
from tests.kafka.clients import started_producer
from tests.kafka.fixtures import Cluster
from tests.kafka.proxy import proxied_kafka
from tests.kafka.topics import Topics
from tests.system.deployment import eventually

KIBIBYTE = 1024
FETCH_BYTES = 256 * KIBIBYTE
PARTITIONS = 12
RESETS = 15


def cluster(servers: str) -> KafkaCluster:
    """The cluster at this address."""
    return KafkaCluster(KafkaSettings(bootstrap_servers=(servers,)), "test", Metrics())


async def test_a_reader_of_many_partitions_takes_in_little_at_a_time(
    kafka: Cluster, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve partitions with a fetch's bytes each need the memory of a few fetches, not of twelve."""
    monkeypatch.setattr(reading, "FETCH_BYTES", FETCH_BYTES)
    topic = await topics("memory", partitions=PARTITIONS)
    async with started_producer(kafka.bootstrap_servers) as producer:
        for partition in range(PARTITIONS):
            for _ in range(FETCH_BYTES // (16 * KIBIBYTE)):
                await producer.send(topic, bytes(16 * KIBIBYTE), partition=partition)
        await producer.flush()
    async with cluster(kafka.bootstrap_servers) as connected:
        ends = await connected.end_offsets(topic)
        tracemalloc.start()
        try:
            async with connected.reader(topic, dict.fromkeys(ends, 0)) as reader:
                while any(reader.position(partition) < end for partition, end in ends.items()):
                    await reader.read(1, 1.0)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    print(f"at most {peak / FETCH_BYTES:.1f} fetches at a time")
    assert peak < PARTITIONS * FETCH_BYTES / 2


def clients_objects() -> int:
    """How many objects of the client's there are, connections among them."""
    gc.collect()
    return sum(str(type(each).__module__).startswith("aiokafka.") for each in gc.get_objects())


async def test_connections_that_broke_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    """However often a reader, a writer and the cluster's own clients lose theirs, no object of them stays."""
    # What pytest keeps of the log holds the errors, and these hold the connections.
    caplog.set_level(logging.CRITICAL, "aiokafka")
    async with proxied_kafka(java_options=QUICK_JAVA_OPTIONS) as (kafka, proxy):
        topics = Topics(kafka.internal_servers)
        topic = await topics("memory")
        async with cluster(kafka.bootstrap_servers) as connected, connected.reader(topic, {0: 0}) as reader:

            async def passes(number: int) -> None:
                value = b"%d" % number
                try:
                    async with connected.writer("memory") as writer:
                        proxy.reset()
                        await writer.transact(Transaction("settle", [Append(topic, 0, None, value)]))
                except Transient:
                    async with connected.writer("memory") as writer:
                        await writer.transact(Transaction("settle", [Append(topic, 0, None, value)]))

                async def read() -> bool:
                    return value in {record.value for record in await reader.read(100, 0.1)}

                await eventually(read, lambda: "what was written is not read")
                await connected.end_offsets(topic)

            for number in range(5):
                await passes(number)
            before = clients_objects()
            for number in range(5, 5 + RESETS):
                await passes(number)

            async def as_many() -> bool:
                await connected.end_offsets(topic)
                return clients_objects() < before + RESETS

            await eventually(as_many, lambda: f"{clients_objects()} objects, {before} before")
