"""The cluster: its readers and writers, offsets of groups, ends of logs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import broker_refusals, kafka_client, majority, reading, transactions, versions
from daemon.edges.kafka.offsets import committed_offsets
from daemon.edges.kafka.packing import BatchBytes
from daemon.edges.kafka.reading import PartitionReader
from daemon.edges.kafka.rights import Rights
from daemon.edges.kafka.topics import Topics
from daemon.edges.kafka.transactions import TransactionalWriter
from daemon.errors import NoTopic, Transient
from daemon.metrics import Metrics
from daemon.model import Committed
from daemon.settings import KafkaSettings

ASK_AGAIN_SECONDS = 0.05


class KafkaCluster:
    """See `daemon.ports.Kafka`. Enter it to connect; it owns one client for questions.

    `client_id` names this replica to the brokers, and begins its names in groups.

    Raises:
        ConfigurationError: a file that the settings name cannot be used.
    """

    def __init__(self, settings: KafkaSettings, client_id: str, metrics: Metrics) -> None:
        self._settings = settings
        self.client_id = client_id
        self._metrics = metrics
        connection = kafka_client.arguments(settings, client_id)
        # No group, no topics: it only answers where logs begin and end, open transactions included.
        self._probe = AIOKafkaConsumer(
            **connection, isolation_level="read_uncommitted", enable_auto_commit=False
        )
        # The same for those who wait for transactions to end.
        self._patient_probe = AIOKafkaConsumer(
            **connection, isolation_level="read_committed", enable_auto_commit=False
        )
        self._admin = AIOKafkaAdminClient(**connection)
        for client in (self._probe, self._patient_probe, self._admin):
            kafka_client.keep_current(client._client, settings)  # noqa: SLF001 - what it talks through
        self.topics = Topics(self._admin)
        self.rights = Rights(self._admin)
        self.batch_bytes = BatchBytes()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConfigurationError, NotPermittedAtStart: the brokers are there, and nothing will come of waiting.
            Transient: no broker answers.
        """
        where = ", ".join(self._settings.bootstrap_servers)
        try:
            with kafka_client.translated(f"connecting to Kafka at {where}"):
                async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
                    await self._probe.start()
                    await self._patient_probe.start()
                    await self._admin.start()
        except Transient:
            await self.__aexit__()
            await broker_refusals.insist_on_welcome(self._settings, self.client_id)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        # At once: each takes its time where the brokers are away, and the process has a deadline to end by.
        clients = (self._probe, self._patient_probe, self._admin)
        await asyncio.gather(*map(kafka_client.stop, clients))

    def reader(self, topic: str, offsets: Mapping[int, int]) -> AbstractAsyncContextManager[PartitionReader]:
        """See `daemon.ports.Kafka.reader`."""
        return reading.reader(self._settings, self.client_id, topic, offsets)

    def writer(self, transactional_id: str) -> AbstractAsyncContextManager[TransactionalWriter]:
        """See `daemon.ports.Kafka.writer`."""
        return transactions.writer(
            self._settings,
            self.client_id,
            transactional_id,
            self._metrics,
            self.batch_bytes,
            self.partitions,
        )

    async def committed(
        self, group: str, topic: str, partitions: Collection[int], *, stable: bool = True
    ) -> Mapping[int, Committed]:
        """See `daemon.ports.Kafka.committed`."""
        found: dict[int, Committed] = {}
        async with self._asking(f"the committed offsets of {topic} in {group}"):
            # One partition after the other comes to rest; all at once they may never do.
            while missing := [partition for partition in partitions if partition not in found]:
                found.update(await self._ask_committed(group, topic, missing, stable=stable))
                if len(found) < len(partitions):
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
        return found

    async def insist_on_offsets(self, group: str, topic: str) -> None:
        """See that the offsets of a group may be asked for, whatever a transaction may still change of them.

        Raises:
            Held: `not_permitted`, naming the group.
            Transient: Kafka failed.
        """
        async with self._asking(f"the committed offsets of {topic} in {group}"):
            await self._ask_committed(group, topic, [0], stable=True)

    async def _ask_committed(
        self, group: str, topic: str, partitions: Collection[int], *, stable: bool
    ) -> Mapping[int, Committed]:
        try:
            return await committed_offsets(self._admin, group, topic, partitions, stable=stable)
        except kafka_errors.KafkaError as error:
            # A coordinator that is still loading, or elsewhere now: that is not "none".
            if not error.retriable:
                raise
            return {}

    async def releases(self) -> Mapping[int, str]:
        """See `daemon.edges.kafka.versions.releases`."""
        return await versions.releases(self._admin)

    async def partitions(self, topic: str) -> frozenset[int]:
        """See `daemon.ports.Kafka.partitions`."""
        async with self._asking(f"the partitions of {topic}"):
            return frozenset(await self._leaders(topic))

    async def start_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.start_offsets`."""
        ask = self._probe.beginning_offsets
        return await self._offsets(topic, "beginning offsets", self._probe, ask, partitions)

    async def end_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.end_offsets`."""
        return await self._offsets(topic, "end offsets", self._probe, self._probe.end_offsets, partitions)

    async def stable_offsets(self, topic: str) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.stable_offsets`."""
        probe = self._patient_probe
        return await self._offsets(topic, "stable offsets", probe, probe.end_offsets)

    async def offsets_at(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.offsets_at`."""
        ends = await self.end_offsets(topic)

        async def ask(places: list[TopicPartition]) -> Mapping[TopicPartition, int]:
            found = await self._probe.offsets_for_times(dict.fromkeys(places, time_ms))
            return {place: found[place].offset for place in places if found.get(place) is not None}

        return {**ends, **await self._offsets(topic, "offsets by time", self._probe, ask)}

    async def _offsets(
        self,
        topic: str,
        what: str,
        probe: AIOKafkaConsumer,
        ask: Callable[[list[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]],
        partitions: Collection[int] = (),
    ) -> Mapping[int, int]:
        async with self._asking(f"the {what} of {topic}"):
            shown = await self._heard_of(topic, probe)
            # The brokers may have an old picture of the topic for some seconds.
            if missing := sorted(set(partitions) - shown):
                raise Transient(f"the {what} of {topic}: Kafka does not show its partitions {missing}")
            # No others: one that has no leader is not answered for.
            answer = await ask([TopicPartition(topic, p) for p in sorted(partitions or shown)])
        return {place.partition: offset for place, offset in answer.items()}

    @asynccontextmanager
    async def _asking(self, what: str) -> AsyncIterator[None]:
        clients = (self._probe._client, self._patient_probe._client, self._admin._client)  # noqa: SLF001 - what they talk through
        with kafka_client.translated(f"asking for {what}"):
            async with kafka_client.answering(kafka_client.ANSWER_SECONDS, *clients):
                yield

    async def _heard_of(self, topic: str, probe: AIOKafkaConsumer) -> frozenset[int]:
        """The topic's partitions, once this client asks their leaders, and none that only was one."""
        client = probe._client  # noqa: SLF001 - the client shows it nowhere else
        while True:
            leaders = await self._leaders(topic)
            known = {p: client.cluster.leader_for_partition(TopicPartition(topic, p)) for p in leaders}
            # What it does not know yet it asks for by itself.
            if all(leader is None or leader == leaders[p] for p, leader in known.items()):
                return frozenset(leaders)
            await client.force_metadata_update()
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _leaders(self, topic: str) -> Mapping[int, int]:
        # Asking for a topic's metadata by name, every time: partitions may have been added.
        while True:
            try:
                return await majority.find_leaders(self._admin, topic)
            except majority.NoMajorityError:
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            except kafka_errors.UnknownTopicOrPartitionError as error:
                raise NoTopic(f"the topic {topic} is not there") from error
