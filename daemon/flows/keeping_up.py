"""Reading topics: to ends that were looked up before, and on from there as long as this replica runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from daemon.errors import Held, Transient
from daemon.flows.waiting import LONGEST_PROBE_SECONDS, Backoff, pause, unless
from daemon.model import Record
from daemon.ports import Kafka, Reader

READ_RECORDS = 1000
READ_SECONDS = 1.0
# At the end, where nothing else is waited for.
AT_REST_SECONDS = 10.0
PARTITION = 0


async def until_ends(reader: Reader, ends: Mapping[int, int]) -> AsyncIterator[Sequence[Record]]:
    """What a reader gives until it stands at these ends; open transactions below them are waited for.

    Raises:
        Held, Transient: see `daemon.ports.Reader.read`.
    """
    while any(reader.position(p) < end for p, end in ends.items()):
        yield await reader.read(READ_RECORDS, READ_SECONDS)


@dataclass(frozen=True, slots=True)
class Reading:
    """What becomes of what is read.

    Attributes:
        begin: the topic is read from its beginning, for the first time or again.
        note: some records, and whether they reach to where the end was when reading began; may raise Held.
        failed: it cannot be read now, and why; it is tried again.
    """

    begin: Callable[[], None]
    note: Callable[[Sequence[Record], bool], None]
    failed: Callable[[str], None]


async def keep_up(kafka: Kafka, topic: str, reading: Reading, rng: Random, stopping: asyncio.Event) -> None:
    """Read until the event is set; a failure is waited out, and the topic read anew."""
    backoff = Backoff(rng)
    while not stopping.is_set():
        try:
            await _read(kafka, topic, reading, backoff, stopping)
        except (Transient, Held) as failure:
            reading.failed(str(failure))
            await pause(backoff.seconds(LONGEST_PROBE_SECONDS), stopping)


async def _read(
    kafka: Kafka, topic: str, reading: Reading, backoff: Backoff, stopping: asyncio.Event
) -> None:
    start = (await kafka.start_offsets(topic))[PARTITION]
    end = (await kafka.end_offsets(topic))[PARTITION]
    reading.begin()
    records: Sequence[Record] = ()
    async with kafka.reader(topic, {PARTITION: start}) as reader:
        while not stopping.is_set():
            caught_up = reader.position(PARTITION) >= end
            reading.note(records, caught_up)
            if caught_up:
                backoff.reset()
            records = await unless(stopping, reader.read(READ_RECORDS, AT_REST_SECONDS)) or ()
