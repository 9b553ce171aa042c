"""How many items one partition's way has submitted in a day: kept in its mark, so that a restart knows."""

import asyncio
from datetime import date

import structlog

from daemon.flows.place import Place
from daemon.flows.records import codec
from daemon.model import Tally
from daemon.ports import Kafka

READ_RECORDS = 1000
READ_SECONDS = 0.5
# Somebody's open transaction may hide the end of the ledger: what stands before it is nearly as good.
PATIENCE_SECONDS = 3.0
# A mark ends each settlement: it is near the end, but for what others have written since.
FIRST_STEP_RECORDS = 5_000
GROWTH = 4

NOTHING = Tally(date.min, 0)

log = structlog.get_logger(__name__)


async def last_tally(kafka: Kafka, place: Place) -> Tally:
    """The count in the partition's last mark; looked for from the ledger's end, in growing steps.

    Raises:
        Transient: the ledger cannot be read now.
    """
    topic, partition = place.ledger_topic, place.ledger_partition
    start = (await kafka.start_offsets(topic, [partition]))[partition]
    end = (await kafka.end_offsets(topic, [partition]))[partition]
    step = FIRST_STEP_RECORDS
    while end > start:
        begin = max(start, end - step)
        if (found := await _between(kafka, place, begin, end)) is not None:
            return found
        end, step = begin, step * GROWTH
    return NOTHING


async def _between(kafka: Kafka, place: Place, begin: int, end: int) -> Tally | None:
    key, partition = codec.mark_key(place.topic, place.partition), place.ledger_partition
    loop, found = asyncio.get_running_loop(), None
    moved_at = loop.time()
    async with kafka.reader(place.ledger_topic, {partition: begin}) as reader:
        while (before := reader.position(partition)) < end:
            for record in await reader.read(READ_RECORDS, READ_SECONDS):
                if record.key == key and record.value is not None and record.offset < end:
                    found = codec.read_tally(record.value) or found
            if reader.position(partition) > before:
                moved_at = loop.time()
            elif loop.time() - moved_at > PATIENCE_SECONDS:
                log.warning("tally_incomplete", ledger_partition=partition, read_until=before)
                break
    return found
