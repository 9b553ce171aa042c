"""Reading what the judge judges: topics as a `read_committed` reader sees them, the simulator's record."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.checker.facts import Record, Rules
from tests.checker.judge import Judge
from tests.checker.verdict import Progress, Verdict

# Where only ends of transactions are left to read, the client waits for so long, and gives nothing.
READ_MS = 20
# An open transaction below the end is ended by the broker after its timeout of 30 s, at the latest.
STALLED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be checked.

    Attributes:
        bootstrap_servers: a plaintext listener.
        group: the daemon's consumer group.
        rules: what the deployment does on purpose; names the input topic.
        output_topic: where results go.
        dead_letter_topic: where dead letters go.
        ledger_topic: what is open.
        record: the file that the simulator appends each new item to.
        simulator_url: where it listens, to compare the ends of its items, too; "" where it is gone.
    """

    bootstrap_servers: str
    group: str
    rules: Rules
    output_topic: str
    dead_letter_topic: str
    ledger_topic: str
    record: Path
    simulator_url: str = ""


async def check(subject: Subject) -> Verdict:
    """Read everything up to where it ends now, and judge it.

    Raises:
        TimeoutError: a topic cannot be read to its end: a transaction stays open.
    """
    judge = Judge(subject.rules)
    await _feed(subject, subject.rules.input_topic, judge.asked)
    # The ledger before the results: what is published in between is open in neither.
    parts = await progress(subject)
    opened = [record async for record in records(subject.bootstrap_servers, subject.ledger_topic)]
    await _creations(subject, judge)
    for record in opened:
        judge.kept(record)
    await _feed(subject, subject.dead_letter_topic, judge.dead_letter)
    await _feed(subject, subject.output_topic, judge.result)
    return judge.verdict(parts)


async def records(bootstrap_servers: str, topic: str) -> AsyncIterator[Record]:
    """Every committed record up to the high watermark as it is now, each partition in order.

    Raises:
        TimeoutError: no progress for a minute.
    """
    ends = await _ends(bootstrap_servers, topic)
    async with _consumer(bootstrap_servers, "read_committed") as reader:
        reader.assign(list(ends))
        await reader.seek_to_beginning(*ends)
        while [place for place, end in ends.items() if await reader.position(place) < end]:
            async with asyncio.timeout(STALLED_SECONDS):
                batches = await _next(reader, ends)
            for batch in batches:
                for record in batch:
                    if record.offset < ends[TopicPartition(topic, record.partition)]:
                        yield record


async def _next(reader: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> list[list[Record]]:
    """The next records, or none where only the ends of transactions were left to read."""
    before = {place: await reader.position(place) for place in ends}
    while True:
        found = await reader.getmany(timeout_ms=READ_MS)
        if found or before != {place: await reader.position(place) for place in ends}:
            return [[_record(each) for each in batch] for batch in found.values()]


def _record(read: Record) -> Record:
    return Record(
        read.topic, read.partition, read.offset, read.timestamp, read.key, read.value, tuple(read.headers)
    )


async def _feed(subject: Subject, topic: str, take: Callable[[Record], None]) -> None:
    async for record in records(subject.bootstrap_servers, topic):
        take(record)


async def _creations(subject: Subject, judge: Judge) -> None:
    with subject.record.open("rb") as file:
        for line in file:
            judge.created(json.loads(line))
    listing = "tasks" if subject.rules.tasks else "record"
    if subject.simulator_url:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as http,
            http.stream("GET", f"{subject.simulator_url}/_simulator/{listing}") as answer,
        ):
            answer.raise_for_status()
            async for line in _lines(answer):
                judge.created(json.loads(line))


async def _lines(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Lines that end in LF: httpx's own also end at U+2028, which JSON may hold."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


async def progress(subject: Subject) -> tuple[Progress, ...]:
    """How far each partition of the input is settled now."""
    ends = await _ends(subject.bootstrap_servers, subject.rules.input_topic)
    async with _admin(subject.bootstrap_servers) as admin:
        committed = await admin.list_consumer_group_offsets(subject.group, partitions=list(ends))
    return tuple(
        Progress(place.partition, committed[place].offset, end, committed[place].metadata)
        for place, end in ends.items()
    )


async def _ends(bootstrap_servers: str, topic: str) -> dict[TopicPartition, int]:
    """Each partition's high watermark."""
    async with _admin(bootstrap_servers) as admin:
        (described,) = await admin.describe_topics([topic])
    places = [TopicPartition(topic, part["partition"]) for part in described["partitions"]]
    async with _consumer(bootstrap_servers, "read_uncommitted") as consumer:
        consumer.assign(places)
        found = await consumer.end_offsets(places)
    return {place: found[place] for place in sorted(places)}


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _consumer(bootstrap_servers: str, isolation_level: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers, isolation_level=isolation_level, enable_auto_commit=False
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()
