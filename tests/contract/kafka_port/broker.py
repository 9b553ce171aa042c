"""The real adapters in front of a real broker as a bench."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from uuid import uuid4

from aiokafka import AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.protocol.group import LeaveGroupRequest

from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.membership import GroupMembership, membership
from daemon.metrics import Metrics
from daemon.model import Append, OffsetCommit
from daemon.ports import Kafka, Membership
from daemon.settings import KafkaSettings
from tests.contract.kafka_port.bench import Check
from tests.kafka.clients import admin_client, started_producer
from tests.kafka.topics import Topics

SESSION_SECONDS = 6.0


class BrokerBench:
    """See `tests.contract.kafka_port.bench.Bench`."""

    def __init__(self, servers: str, cluster: KafkaCluster, topics: Topics, stack: AsyncExitStack) -> None:
        self._servers = servers
        self._cluster = cluster
        self._topics = topics
        self._stack = stack

    @property
    def kafka(self) -> Kafka:
        """See `Bench`."""
        return self._cluster

    async def topic(self, partitions: int = 1) -> str:
        """See `Bench`."""
        return await self._topics("contract", partitions=partitions)

    def group(self) -> str:
        """See `Bench`."""
        return f"contract-{uuid4().hex[:8]}"

    async def produce(self, topic: str, partition: int, *values: bytes) -> None:
        """See `Bench`."""
        async with started_producer(self._servers) as producer:
            for value in values:
                await producer.send_and_wait(topic, value, partition=partition)

    async def leave_open(
        self, transactional_id: str, appends: Sequence[Append], offset: OffsetCommit | None = None
    ) -> None:
        """See `Bench`."""
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, transactional_id=transactional_id)
        await producer.start()
        self._stack.push_async_callback(_end, producer)
        await producer.begin_transaction()
        for each in appends:
            await producer.send_and_wait(each.topic, each.value, each.key, partition=each.partition)
        if offset is not None:
            place = TopicPartition(offset.topic, offset.partition)
            what = OffsetAndMetadata(offset.offset, offset.metadata)
            await producer.send_offsets_to_transaction({place: what}, offset.group)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """See `Bench`."""
        async with admin_client(self._servers) as admin:
            await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(offset)})

    def join(self, group: str, topic: str, client_id: str) -> AbstractAsyncContextManager[Membership]:
        """See `Bench`."""
        return membership(_settings(self._servers), client_id, group, topic)

    async def put_out(self, group: str, membership: Membership) -> None:
        """See `Bench`."""
        assert isinstance(membership, GroupMembership)
        coordinator = membership._consumer._coordinator
        request = LeaveGroupRequest(group, coordinator.member_id)
        await coordinator._send_req(request)


async def _end(producer: AIOKafkaProducer) -> None:
    """Close a producer whose transaction somebody else has ended, or nobody."""
    producer._sender.sender_task.cancel()
    await asyncio.wait({producer._sender.sender_task})
    await producer.client.close()
    producer._closed = True


def _settings(servers: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=(servers,), session_timeout_seconds=SESSION_SECONDS)


def run(check: Check, servers: str) -> None:
    """Run a test on the broker."""

    async def main() -> None:
        topics = Topics(servers)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(topics.delete_all)
            settings = _settings(servers)
            cluster = await stack.enter_async_context(KafkaCluster(settings, "contract", Metrics()))
            await check(BrokerBench(servers, cluster, topics, stack))

    asyncio.run(main())
