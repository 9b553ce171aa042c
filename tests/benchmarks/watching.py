"""What has come of it, as the topics say: to ask tolokad itself would be a part of its cost."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from statistics import quantiles

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from daemon.flows.records import codec

WAIT_MS = 50


@asynccontextmanager
async def reading(
    broker: str, topic: str, partitions: int, *, from_end: bool = False
) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of what is committed."""
    reader = AIOKafkaConsumer(
        bootstrap_servers=broker,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=WAIT_MS,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await reader.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        reader.assign(places)
        await (reader.seek_to_end if from_end else reader.seek_to_beginning)(*places)
        yield reader
    finally:
        await reader.stop()


class Published:
    """How many results a collector has published of what its tail has shown: its cursor says so."""

    def __init__(self, cursors: AIOKafkaConsumer) -> None:
        self._cursors = cursors
        self._count = 0

    async def __call__(self) -> int:
        """So far."""
        (place,) = self._cursors.assignment()
        end = (await self._cursors.end_offsets([place]))[place]
        while await self._cursors.position(place) < end:
            for records in (await self._cursors.getmany(timeout_ms=WAIT_MS)).values():
                self._count = codec.read_cursor(records[-1].value).published
        return self._count


async def latencies(results: AIOKafkaConsumer, seconds: float) -> list[float]:
    """For so long, of each result: seconds from its item's end to when a reader had it."""
    end, found = time.monotonic() + seconds, list[float]()
    while time.monotonic() < end:
        batches = (await results.getmany(timeout_ms=WAIT_MS)).values()
        now = time.time()
        for records in batches:
            for record in records:
                finished = msgspec.json.decode(record.value)["item"]["finished_at"]
                found.append(now - datetime.fromisoformat(f"{finished}+00:00").timestamp())
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in milliseconds."""
    hundredths = quantiles(values, n=100)
    return {"p50_ms": hundredths[49] * 1000, "p99_ms": hundredths[98] * 1000}
