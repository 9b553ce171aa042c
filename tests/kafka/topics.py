"""Topics with names of their own, so that tests can share a broker."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.errors import for_code

from tests.kafka.clients import admin_client

READY_TIMEOUT_SECONDS = 20.0
MOST_REPLICAS = 3
_POLL_SECONDS = 0.02


@dataclass
class Topics:
    """Creates topics, a copy on each of up to three brokers, and deletes at the end those that it created.

    `name = await topics("input", partitions=4, configs={"cleanup.policy": "compact"})`

    Attributes:
        bootstrap_servers: a plaintext listener; of a protected broker, the internal one.
    """

    bootstrap_servers: str
    _created: list[str] = field(default_factory=list, init=False)

    async def __call__(
        self, name: str = "topic", *, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> str:
        """Create `<name>-<random>`; returns the name once every partition has a leader.

        Raises:
            aiokafka.errors.KafkaError: the broker refused the topic or a setting.
            TimeoutError: no leader within 20 s.
        """
        unique = f"{name}-{uuid.uuid4().hex[:8]}"
        await self.create(unique, partitions=partitions, configs=configs)
        return unique

    async def create(
        self, name: str, *, partitions: int = 1, configs: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic of exactly this name; otherwise as the call itself."""
        async with admin_client(self.bootstrap_servers) as admin:
            replicas = min(len((await admin.describe_cluster())["brokers"]), MOST_REPLICAS)
            topic = NewTopic(name, partitions, replicas, topic_configs=dict(configs or {}))
            answer = await admin.create_topics([topic])
            for _name, error_code, *message in answer.topic_errors:
                if error_code:
                    raise for_code(error_code)(*message)
            self._created.append(name)
            async with asyncio.timeout(READY_TIMEOUT_SECONDS):
                # The broker tells nobody when its metadata has caught up; it can only be asked.
                while not _has_leaders(await admin.describe_topics([name]), partitions):  # noqa: ASYNC110 - see above
                    await asyncio.sleep(_POLL_SECONDS)

    async def delete_all(self) -> None:
        """Delete what this object created."""
        if self._created:
            async with admin_client(self.bootstrap_servers) as admin:
                await admin.delete_topics(self._created)
            self._created.clear()


def _has_leaders(topics: list[dict[str, Any]], partitions: int) -> bool:
    led = [part for topic in topics for part in topic["partitions"] if part["leader"] >= 0]
    return len(led) == partitions
