"""Several brokers: whom the others have put out of office is not believed, and each may be restarted."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import pytest
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from daemon.edges.kafka import reading
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.errors import Transient
from daemon.metrics import Metrics
from daemon.model import Append, Committed, OffsetCommit, Transaction
from daemon.ports import Reader, Writer
from daemon.settings import KafkaSettings
from tests.kafka.clients import admin_client, read_topic
from tests.kafka.cluster import NODES, EmbeddedCluster
from tests.kafka.topics import Topics
from tests.system.conftest import DeployOn
from tests.system.counting import Counter, until_further
from tests.system.deployment import Deployment, eventually
from tests.system.feed import sources, without_id

PARTITIONS: Final = (0, 1, 2)
GROUP: Final = "group"
# Each may ask somebody else first.
CLIENTS: Final = 20
FEW: Final = 30
# So many that some are writing when a broker is killed.
WAYS: Final = 6

# The clients leave their sockets to a broker that has ended to the garbage collector.
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
async def cluster() -> AsyncIterator[EmbeddedCluster]:
    """Three brokers of the test's own; it is named before what has to end before them."""
    async with EmbeddedCluster() as brokers:
        yield brokers


@asynccontextmanager
async def _client(servers: str) -> AsyncIterator[KafkaCluster]:
    settings = KafkaSettings(bootstrap_servers=tuple(servers.split(",")))
    async with KafkaCluster(settings, "test", Metrics()) as cluster:
        yield cluster


async def _started_writer(cluster: KafkaCluster, stack: AsyncExitStack) -> Writer:
    """One that meets a silent broker does not start in time, and its way begins anew."""
    while True:
        with suppress(Transient):
            return await stack.enter_async_context(cluster.writer("way"))


async def _settle(servers: str, topic: str, end: int) -> None:
    """One more record in each partition, and the group's offset behind it."""
    async with _client(servers) as cluster, AsyncExitStack() as stack:
        writer = await _started_writer(cluster, stack)
        for partition in PARTITIONS:
            commit = OffsetCommit(GROUP, topic, partition, end, "")
            await writer.transact(Transaction("settle", (Append(topic, partition, b"", b""),), commit))


def _beside(cluster: EmbeddedCluster, out: int) -> str:
    return ",".join(cluster.node(number).bootstrap_servers for number in NODES if number != out)


async def _until_out_of_office(cluster: EmbeddedCluster, out: int, topic: str) -> None:
    """Wait until another one says that this broker leads nothing: none of ours, and coordinates nobody."""
    other = NODES[out % len(NODES)]

    async def deposed() -> bool:
        try:
            async with admin_client(cluster.node(other).bootstrap_servers) as admin:
                asked = [topic, "__consumer_offsets", "__transaction_state"]
                question = MetadataRequest(asked, allow_auto_topic_creation=False)
                topics = (await admin._client.send(other, question)).to_object()["topics"]
        except KafkaError:
            # Fenced for a moment itself, on a busy machine, it does not even know itself.
            return False
        return {out, -1}.isdisjoint(part["leader"] for each in topics for part in each["partitions"])

    await eventually(deposed, lambda: f"the broker {out} still leads")


async def _in_sync(cluster: EmbeddedCluster) -> None:
    """Wait until every broker has every record."""

    async def complete() -> bool:
        async with admin_client(cluster.bootstrap_servers) as admin:
            topics = await admin.describe_topics()
        parts = [part for topic in topics for part in topic["partitions"]]
        return all(sorted(part["isr"]) == sorted(part["replicas"]) for part in parts)

    await eventually(complete, lambda: "a broker never comes back")


@pytest.mark.fault(18)
async def test_a_broker_out_of_office_is_not_believed(
    cluster: EmbeddedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen and thawed, or cut off: what it takes for a log's end and a group's offset is old."""
    servers = cluster.bootstrap_servers
    topic = await Topics(servers)("log", partitions=len(PARTITIONS))
    await _settle(servers, topic, 1)
    frozen = cluster.node(2)
    await asyncio.to_thread(frozen.pause)
    await _until_out_of_office(cluster, 2, topic)
    await _settle(_beside(cluster, 2), topic, 2)
    frozen.resume()
    await _insist(servers, topic, Committed(2, ""))
    await _in_sync(cluster)
    monkeypatch.setattr(reading, "METADATA_SECONDS", 1.0)
    async with _client(servers) as client, client.reader(topic, dict.fromkeys(PARTITIONS, 4)) as reader:
        cluster.cut_off(1)
        await _until_out_of_office(cluster, 1, topic)
        await _settle(_beside(cluster, 1), topic, 3)
        for _ in range(CLIENTS):
            await _insist(servers, topic, Committed(3, ""))
        await _until_read(reader)


async def _until_read(reader: Reader) -> None:
    """Wait until a reader that found nothing new has a record of each partition."""
    missing = {*PARTITIONS}

    async def complete() -> bool:
        missing.difference_update(record.partition for record in await reader.read(FEW, 0.1))
        return not missing

    await eventually(complete, lambda: f"nothing new in {missing}")


async def _insist(servers: str, topic: str, committed: Committed) -> None:
    """What whoever takes over has to know: behind each record there is the end of its transaction.

    Kafka may write that end once more, where a partition's leader changes in the midst of it.
    """
    async with _client(servers) as cluster:
        for offsets in (await cluster.end_offsets(topic), await cluster.stable_offsets(topic)):
            assert offsets.keys() == {*PARTITIONS}
            assert min(offsets.values()) >= 2 * committed.offset, offsets
        assert await cluster.committed(GROUP, topic, PARTITIONS) == dict.fromkeys(PARTITIONS, committed)


@pytest.mark.fault(16)
async def test_rolling_restart(cluster: EmbeddedCluster, deploy_on: DeployOn) -> None:
    """Brokers are restarted one after the other while records flow: each has one outcome, and nobody ends."""
    deployment = await deploy_on(cluster, partitions=len(PARTITIONS))
    replica = await deployment.started()
    stopping = asyncio.Event()
    feeding = asyncio.create_task(_flow(deployment, stopping))
    for number in NODES:
        await deployment.until_outcomes(await deployment.outcomes() + FEW)
        await asyncio.to_thread(cluster.node(number).restart)
        await _in_sync(cluster)
    stopping.set()
    await feeding
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert len(list(replica.history("starting"))) == 1


@pytest.mark.fault(16, 18)
async def test_transactions_are_whole_when_brokers_are_killed(cluster: EmbeddedCluster) -> None:
    """Leaders and coordinators die in the midst of them: all below the offset is there, once, in order."""
    servers = cluster.bootstrap_servers
    topic = await Topics(servers)("log", partitions=len(PARTITIONS))
    stopping = asyncio.Event()
    async with _client(servers) as client:
        counters = [Counter(client, topic, PARTITIONS, f"way-{number}") for number in range(WAYS)]
        counting = asyncio.gather(*(counter.count_until(stopping) for counter in counters))
        for number in NODES:
            await until_further(counters, FEW)
            await asyncio.to_thread(cluster.node(number).kill)
            await until_further(counters, FEW)
            await asyncio.to_thread(cluster.node(number).start)
            await _in_sync(cluster)
        stopping.set()
        await counting
    records = await read_topic(servers, topic, partitions=len(PARTITIONS))
    found: defaultdict[tuple[bytes | None, int], list[bytes | None]] = defaultdict(list)
    for record in records:
        found[record.key, record.partition].append(record.value)
    for counter in counters:
        for partition in PARTITIONS:
            written = [b"%d" % number for number in range(counter.count)]
            assert found[counter.name.encode(), partition] == written


async def _flow(deployment: Deployment, stopping: asyncio.Event) -> None:
    """A few records now and then."""
    async with deployment.feeding() as producer:
        while not stopping.is_set():
            await deployment.send(producer, sources(FEW // 3, deployment.fed, kinds=((without_id, 1),)))
            await asyncio.sleep(0.1)
