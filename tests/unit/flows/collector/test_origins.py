"""Reading an input record once more, by where it came from."""

import asyncio

import msgspec
import pytest

from daemon.flows.collector.origins import ASK_AGAIN_SECONDS, MISSING_HEADER, record_of
from daemon.flows.records.ledger_records import Entry, Origin
from tests.doubles import INPUT, START, START_MS, MemoryKafka, in_virtual_time

ENTRY = Entry(Origin(INPUT, 1, 2, START_MS), 10, START, 0, b"k", (("h", b"v"),))


@in_virtual_time
async def test_a_record_that_is_there_comes_back_as_it_was() -> None:
    """Value, key, headers and time are the topic's own."""
    kafka = MemoryKafka.usual()
    records = [kafka.put(INPUT, b"%d" % index, 1, key=b"own") for index in range(4)]
    assert await record_of(kafka, ENTRY) == records[2]


@pytest.mark.parametrize("compacted", [False, True])
@in_virtual_time
async def test_a_record_that_is_gone_keeps_what_the_ledger_remembers(*, compacted: bool) -> None:
    """Its value is null, and a header says that it is missing rather than a tombstone."""
    kafka = MemoryKafka.usual()
    for index in range(4):
        kafka.put(INPUT, b"%d" % index, 1)
    if compacted:
        kafka.logs[INPUT][1][2] = None
    else:
        kafka.starts[INPUT, 1] = 3
    found = await record_of(kafka, ENTRY)
    assert (found.topic, found.partition, found.offset, found.timestamp) == (INPUT, 1, 2, START_MS)
    assert (found.key, found.value) == (b"k", None)
    assert tuple(found.headers) == (("h", b"v"), MISSING_HEADER)


@pytest.mark.parametrize("partition", [1, 7])
@in_virtual_time
async def test_a_topic_that_was_made_anew_does_not_have_the_record(partition: int) -> None:
    """Neither shorter than it was nor with fewer partitions."""
    kafka = MemoryKafka.usual()
    kafka.put(INPUT, b"0", 1)
    kafka.put(INPUT, b"1", 1)
    entry = msgspec.structs.replace(ENTRY, origin=Origin(INPUT, partition, 2, START_MS))
    async with asyncio.timeout(300):
        assert (await record_of(kafka, entry)).value is None


@in_virtual_time
async def test_a_topic_that_was_deleted_does_not_have_the_record() -> None:
    """Once it is certain: a broker that has just started may not have heard of it yet."""
    kafka = MemoryKafka.usual()
    records = [kafka.put(INPUT, b"%d" % index, 1) for index in range(4)]
    logs = kafka.logs.pop(INPUT)
    asyncio.get_running_loop().call_later(ASK_AGAIN_SECONDS / 2, kafka.logs.update, {INPUT: logs})
    assert await record_of(kafka, ENTRY) == records[2]
    del kafka.logs[INPUT]
    found = await record_of(kafka, ENTRY)
    assert (found.key, found.value) == (b"k", None)
    assert tuple(found.headers) == (("h", b"v"), MISSING_HEADER)


@in_virtual_time
async def test_another_record_at_the_same_offset_is_not_taken_for_it() -> None:
    """A topic that was made anew counts from the beginning; its records have other times."""
    kafka = MemoryKafka.usual()
    for index in range(4):
        kafka.put(INPUT, b"%d" % index, 1, timestamp=START_MS + 1)
    assert (await record_of(kafka, ENTRY)).value is None
