"""The cluster: its readers and writers, offsets of groups, ends of logs."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient

from daemon.edges.kafka import (
    bounds,
    broker_refusals,
    kafka_client,
    lost_connections,
    majority,
    reading,
    silent_brokers,
    transactions,
    versions,
)
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
        lost_connections.heed_closed_connections()
        self._admin = AIOKafkaAdminClient(**kafka_client.arguments(settings, client_id))
        kafka_client.keep_current(self._admin._client, settings)  # noqa: SLF001 - what it talks through
        silent_brokers.pass_over_the_silent(self._admin._client)  # noqa: SLF001 - as above
        majority.ask_around(self._admin)
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
                    await self._admin.start()
        except Transient:
            await self.__aexit__()
            await broker_refusals.insist_on_welcome(self._settings, self.client_id)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await kafka_client.stop(self._admin)

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
        return await self._offsets(topic, "beginning offsets", bounds.BEGINNING, partitions)

    async def end_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.end_offsets`."""
        return await self._offsets(topic, "end offsets", bounds.END, partitions)

    async def stable_offsets(self, topic: str) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.stable_offsets`."""
        return await self._offsets(topic, "stable offsets", bounds.END, stable=True)

    async def offsets_at(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.offsets_at`."""
        ends = await self.end_offsets(topic)
        return {**ends, **await self._offsets(topic, "offsets by time", time_ms)}

    async def _offsets(
        self, topic: str, what: str, at: int, partitions: Collection[int] = (), *, stable: bool = False
    ) -> Mapping[int, int]:
        async with self._asking(f"the {what} of {topic}"):
            while True:
                leaders = await self._leaders(topic)
                # The brokers may have an old picture of the topic for some seconds.
                if missing := sorted(set(partitions) - leaders.keys()):
                    raise Transient(f"the {what} of {topic}: Kafka does not show its partitions {missing}")
                # No others: one that has no leader is not answered for.
                asked = {partition: leaders[partition] for partition in partitions or leaders}
                try:
                    return await bounds.offsets(self._admin, topic, asked, at, stable=stable)
                except kafka_errors.KafkaError as error:
                    # It is no longer who leads, or is away.
                    if not error.retriable:
                        raise
                await asyncio.sleep(ASK_AGAIN_SECONDS)

    @asynccontextmanager
    async def _asking(self, what: str) -> AsyncIterator[None]:
        with kafka_client.translated(f"asking for {what}"):
            async with kafka_client.answering(kafka_client.ANSWER_SECONDS, self._admin._client):  # noqa: SLF001 - what it talks through
                yield

    async def _leaders(self, topic: str) -> Mapping[int, int]:
        # Asking for a topic's metadata by name, every time: partitions may have been added.
        while True:
            try:
                return await majority.find_leaders(self._admin, topic)
            except majority.NoMajorityError:
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            except kafka_errors.UnknownTopicOrPartitionError as error:
                raise NoTopic(f"the topic {topic} is not there") from error
