"""Reading an input record once more, by where it came from."""

import asyncio
from contextlib import suppress

from daemon.errors import NoTopic
from daemon.flows.records.ledger_records import Entry, Origin
from daemon.model import PlacedRecord, Record
from daemon.ports import Kafka

READ_RECORDS = 1
READ_SECONDS = 1.0
# A broker that has just started may not have heard of a topic yet.
ASK_AGAIN_SECONDS = 1.0
MISSING_HEADER = ("tolokad-value", b"missing")


async def record_of(kafka: Kafka, entry: Entry) -> Record:
    """The input record of an open item; with a null value and a header that says so where it is gone.

    Raises:
        Held: `not_permitted`.
        Transient: Kafka cannot say now.
    """
    origin = entry.origin
    found = None
    try:
        found = await _in_log(kafka, origin)
    except NoTopic:
        await asyncio.sleep(ASK_AGAIN_SECONDS)
        # Or else it was deleted, with all that was in it.
        with suppress(NoTopic):
            found = await _in_log(kafka, origin)
    if found is not None:
        return found
    # What the ledger remembers of it.
    headers = (*entry.headers, MISSING_HEADER)
    return PlacedRecord(
        origin.topic, origin.partition, origin.offset, origin.timestamp, entry.key, None, headers
    )


async def _in_log(kafka: Kafka, origin: Origin) -> Record | None:
    first = (await kafka.start_offsets(origin.topic)).get(origin.partition, 0)
    end = (await kafka.end_offsets(origin.topic)).get(origin.partition, 0)
    if first <= origin.offset < end:
        async with kafka.reader(origin.topic, {origin.partition: origin.offset}) as reader:
            while reader.position(origin.partition) <= origin.offset:
                for record in await reader.read(READ_RECORDS, READ_SECONDS):
                    # In a topic that was made anew another record has the offset.
                    if (record.offset, record.timestamp) == (origin.offset, origin.timestamp):
                        return record
    return None
