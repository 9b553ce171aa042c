"""What a contract test may do to a cluster besides using the ports."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from daemon.model import Append, OffsetCommit, Record
from daemon.ports import Kafka, Membership, Reader

PATIENCE_SECONDS = 20.0


class Bench(Protocol):
    """A cluster, in front of which the ports' implementation under test stands."""

    @property
    def kafka(self) -> Kafka:
        """The port under test."""

    async def topic(self, partitions: int = 1) -> str:
        """Make a topic of its own; a record may have a million bytes."""

    def group(self) -> str:
        """A group's name of its own, which serves as a transactional id as well."""

    async def produce(self, topic: str, partition: int, *values: bytes) -> None:
        """Write records without a transaction."""

    async def leave_open(
        self, transactional_id: str, appends: Sequence[Append], offset: OffsetCommit | None = None
    ) -> None:
        """Start a producer, write in a transaction, and leave that open, as one who is killed does."""

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Have retention take everything below an offset."""

    def join(self, group: str, topic: str, client_id: str) -> AbstractAsyncContextManager[Membership]:
        """A place in a group: the port under test."""

    async def put_out(self, group: str, membership: Membership) -> None:
        """Have the group forget a member, which is not told."""


Check = Callable[[Bench], Awaitable[None]]


@dataclass(frozen=True)
class Contents:
    """What a reader found from an offset on to where the log ended when it was asked."""

    values: list[bytes | None]
    records: list[Record]
    position: int


async def read_all(bench: Bench, topic: str, partition: int = 0, start: int = 0) -> Contents:
    """Read a partition to its high watermark; fails if that takes too long."""
    end = (await bench.kafka.end_offsets(topic))[partition]
    async with bench.kafka.reader(topic, {partition: start}) as reader, asyncio.timeout(PATIENCE_SECONDS):
        return await read_to(reader, partition, end)


async def read_to(reader: Reader, partition: int, end: int) -> Contents:
    """Read until the reader stands at an offset."""
    records: list[Record] = []
    while reader.position(partition) < end:
        records += await reader.read(100, 0.2)
    return Contents([record.value for record in records], records, reader.position(partition))


def append(topic: str, value: bytes | None, key: bytes | None = None, partition: int = 0) -> Append:
    """A record to be written."""
    return Append(topic, partition, key, value)
