"""Writers that count, whose records tell whether any is missing, or there twice."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from daemon.edges.kafka.cluster import KafkaCluster
from daemon.errors import Transient
from daemon.model import Append, OffsetCommit, Transaction
from daemon.ports import Writer
from tests.system.deployment import eventually


class Counter:
    """Writes one number after the other to each partition, as a way does: a failed writer is replaced.

    Attributes:
        count: so many are written: those below it.
        name: of its producer and its group; its records' key.
    """

    def __init__(self, client: KafkaCluster, topic: str, partitions: Sequence[int], name: str) -> None:
        self.count = 0
        self.name = name
        self._client = client
        self._topic = topic
        self._partitions = partitions

    async def count_until(self, stopping: asyncio.Event) -> None:
        """Go on until then."""
        while not stopping.is_set():
            with suppress(Transient):
                async with self._client.writer(self.name) as writer:
                    await writer.seal([(self._topic, partition) for partition in self._partitions], self.name)
                    await self._look()
                    while not stopping.is_set():
                        await self._write(writer)

    async def _look(self) -> None:
        """What was under way when the last writer failed has come to one of two ends."""
        committed = (await self._client.committed(self.name, self._topic, [0]))[0].offset
        assert max(committed, 0) in {self.count, self.count + 1}, self.name
        self.count = max(committed, 0)

    async def _write(self, writer: Writer) -> None:
        key, value = self.name.encode(), b"%d" % self.count
        numbers = [Append(self._topic, partition, key, value) for partition in self._partitions]
        end = OffsetCommit(self.name, self._topic, 0, self.count + 1, "")
        await writer.transact(Transaction("settle", numbers, end))
        self.count += 1


async def until_further(counters: Sequence[Counter], more: int) -> None:
    """Wait until each has written some more."""
    enough = [counter.count + more for counter in counters]

    async def written() -> bool:
        return all(counter.count >= end for counter, end in zip(counters, enough, strict=True))

    await eventually(written, lambda: f"they stay at {[counter.count for counter in counters]}")
