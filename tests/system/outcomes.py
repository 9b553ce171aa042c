"""Counting what comes out while it comes out."""

import asyncio
from collections.abc import Iterable
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

TRIES = 30
AGAIN_SECONDS = 0.5


class Outcomes:
    """Counts what a `read_committed` reader sees in some topics, from the beginning.

    Attributes:
        count: how many records so far.
    """

    def __init__(self, bootstrap_servers: str, topics: Iterable[str]) -> None:
        self._servers = bootstrap_servers
        self._topics = tuple(topics)
        self.count = 0

    async def __aenter__(self) -> Self:
        """Open it; a broker that has just started again may not be ready yet.

        Raises:
            KafkaError: it is away for long.
        """
        for tries in range(TRIES):
            try:
                await self._open()
                break
            except KafkaError:
                await self._consumer.stop()
                if tries == TRIES - 1:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)
        self._task = asyncio.create_task(self._read())
        return self

    async def _open(self) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await self._consumer.start()
        self._consumer.assign(await _places(self._servers, self._topics))

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._consumer.stop()

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=500)
            self.count += sum(map(len, batches.values()))


async def _places(bootstrap_servers: str, topics: Iterable[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    return [
        TopicPartition(topic["topic"], part["partition"])
        for topic in described
        for part in topic["partitions"]
    ]
