"""The collector's state over a Kafka in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from daemon.flows.collector.opening import open_state
from daemon.flows.collector.state import CollectOptions, CollectorState
from daemon.flows.records import codec
from daemon.flows.watching import CollectWatch
from daemon.metrics import Metrics
from daemon.model import Cursor, Item
from daemon.ports import Reader
from tests.doubles import (
    CURSORS,
    INPUT,
    LEDGER,
    PROJECT,
    START,
    START_MS,
    FakeRecord,
    FakeTime,
    MemoryKafka,
    item,
    outlets,
    packed_items,
    turns,
)

OVERLAP = timedelta(seconds=60)
OPENING = CollectOptions(outlets(), OVERLAP, None)


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


def settle(
    kafka: MemoryKafka, ids: Sequence[str], seconds: float = 0, ledger: int = 0, first: int = 0
) -> None:
    """What a way writes for items whose content is their id, submitted so many seconds after START."""
    items = []
    for offset, item_id in enumerate(ids, start=first):
        record = FakeRecord(offset, body(item_id), key=b"k-%d" % offset)
        items.append(Item(record, body(item_id), item(0, body(item_id)).content_hash))
    end = first + len(ids)
    moment = START + timedelta(seconds=seconds)
    for item_id, packed in zip(ids, packed_items(items, end, moment), strict=True):
        kafka.put(LEDGER, packed, ledger, key=item_id.encode(), timestamp=START_MS + int(seconds * 1000))
    kafka.put(LEDGER, codec.mark_value(end), ledger, key=codec.mark_key(INPUT, 0))


def put_cursor(kafka: MemoryKafka, cursor: Cursor, project: str = PROJECT) -> None:
    """Where a predecessor stood."""
    kafka.put(CURSORS, codec.cursor_value(cursor), key=project.encode())


@asynccontextmanager
async def opened(
    kafka: MemoryKafka, opening: CollectOptions = OPENING, incarnation: str = "me", *, follow: bool = False
) -> AsyncIterator[tuple[CollectorState, Reader]]:
    """An open state."""
    watch = CollectWatch(Metrics())
    async with (
        kafka.writer("collect") as writer,
        open_state(kafka, opening, writer, FakeTime(), watch, incarnation) as (state, reader, partitions),
    ):
        task = asyncio.ensure_future(state.follow(reader, partitions) if follow else asyncio.sleep(0))
        await turns()
        yield state, reader
        task.cancel()
        await asyncio.wait({task})


def cursors(kafka: MemoryKafka) -> list[Cursor]:
    """Every cursor that was written."""
    return [codec.read_cursor(record.value or b"") for record in kafka.written(CURSORS)]
