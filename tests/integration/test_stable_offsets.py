"""What a group has committed is read as it certainly is, on every version of Kafka that is supported."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from daemon.app.starting import cursor_is_ours, permissions, topics_in_order
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.metrics import Metrics
from daemon.model import Append, Committed, OffsetCommit, Transaction
from daemon.settings import KafkaSettings, load
from tests.contract.kafka_port.broker import BrokerBench
from tests.kafka import VERSIONS
from tests.kafka.fixtures import StartKafka
from tests.kafka.topics import Topics

PROJECT = "P"
# Below what either of the two would wait for.
SOON_SECONDS = 15.0
KILLS = 2


@pytest.mark.fault(22, 27)
@pytest.mark.parametrize("version", VERSIONS)
async def test_an_offset_is_not_told_while_a_transaction_may_still_change_it(
    private_kafka: StartKafka, version: str
) -> None:
    """An open transaction carries an offset: who asks waits for its end; other partitions do not."""
    servers = (await private_kafka(version=version)).bootstrap_servers
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            KafkaCluster(KafkaSettings(bootstrap_servers=(servers,)), "test", Metrics())
        )
        topics = Topics(servers)
        stack.push_async_callback(topics.delete_all)
        bench = BrokerBench(servers, cluster, topics, stack)
        topic, group = await bench.topic(2), bench.group()
        async with cluster.writer("first") as writer:
            for partition in (0, 1):
                commit = OffsetCommit(group, topic, partition, 5, "before")
                await writer.transact(Transaction("intent", (), commit))
        await bench.leave_open("second", (), OffsetCommit(group, topic, 0, 7, "after"))
        assert await cluster.committed(group, topic, [1]) == {1: Committed(5, "before")}
        asked = asyncio.ensure_future(cluster.committed(group, topic, [0, 1]))
        await asyncio.wait({asked}, timeout=0.5)
        assert not asked.done()
        async with cluster.writer("second"):
            # Its start has ended the predecessor's transaction, which comes to nothing.
            assert await asked == {0: Committed(5, "before"), 1: Committed(5, "before")}


# The client leaves its sockets to a broker that was killed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.fault(18, 27)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", VERSIONS)
async def test_what_was_committed_is_told_after_the_broker_was_killed(
    private_kafka: StartKafka, version: str
) -> None:
    """Kafka 4.3.1 forgets the end of every second such transaction, for good: a successor's seal ends it."""
    kafka = await private_kafka(version=version)
    await Topics(kafka.bootstrap_servers).create("items")
    settings = KafkaSettings(bootstrap_servers=(kafka.bootstrap_servers,))
    for offset in range(1, KILLS + 1):
        async with KafkaCluster(settings, "test", Metrics()) as cluster, cluster.writer("way") as writer:
            await writer.transact(Transaction("intent", (), OffsetCommit("group", "items", 0, offset, "")))
            await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        async with KafkaCluster(settings, "test", Metrics()) as cluster, cluster.writer("way") as successor:
            await successor.seal([], "group")
            assert await cluster.committed("group", "items", [0]) == {0: Committed(offset, "")}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_start_does_not_wait_for_transactions_of_those_who_were_killed(
    private_kafka: StartKafka, version: str
) -> None:
    """A way and a collector left theirs open: the broker ends them later than a start gives up."""
    servers = (await private_kafka(version=version)).bootstrap_servers
    settings = load(
        {
            "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": servers,
            "TOLOKAD_TOLOKA__PROJECT_ID": PROJECT,
            "TOLOKAD_TOLOKA__TOKEN": "y0_made-up",
        }
    )
    kafka = settings.kafka
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(KafkaCluster(kafka, "test", Metrics()))
        topics = Topics(servers)
        stack.push_async_callback(topics.delete_all)
        await topics_in_order(cluster, kafka, create=True)
        bench = BrokerBench(servers, cluster, topics, stack)
        await bench.leave_open("way", (), OffsetCommit(kafka.group_id, kafka.input_topic, 0, 7, "after"))
        await bench.leave_open("collector", [Append(kafka.cursor_topic, 0, PROJECT.encode(), b"{}")])
        async with asyncio.timeout(SOON_SECONDS):
            await permissions(cluster, kafka)
            await cursor_is_ours(cluster, settings)
