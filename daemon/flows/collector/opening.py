"""The collector's state as it begins: cursor and ledger are read to their ends."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from daemon.flows.collector.cursors import first_cursor, read_cursor
from daemon.flows.collector.ledger import Ledger
from daemon.flows.collector.publishing import cursor_append
from daemon.flows.collector.state import CollectOptions, CollectorState, horizon_ms, noted
from daemon.flows.keeping_up import until_ends
from daemon.flows.records import codec, ledger_records
from daemon.flows.skew import SKEW
from daemon.flows.watching import CollectWatch
from daemon.model import Cursor, Record, Transaction
from daemon.ports import Kafka, Reader, TolokaClock, Writer

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_state(
    kafka: Kafka,
    options: CollectOptions,
    writer: Writer,
    clock: TolokaClock,
    watch: CollectWatch,
    incarnation: str,
) -> AsyncIterator[tuple[CollectorState, Reader, Collection[int]]]:
    """Read cursor and ledger to their ends, after the writer has fenced every predecessor.

    The ends are high watermarks: behind an open transaction of another partition there may be tombstones
    that are committed, and what they closed must not be published again.

    Raises:
        ConfigurationError: the topics hold another project's cursor, or a newer release's records.
        Transient: Kafka failed.
    """
    await writer.seal(options.outlets.written)
    cursor_topic, ledger_topic = options.outlets.cursor_topic, options.outlets.ledger_topic
    found, written_ms = await read_cursor(kafka, cursor_topic, options.outlets.project)
    horizon = 0 if found is None else horizon_ms(found.second_look_from, options.overlap)
    ledger = Ledger(incarnation, horizon, keep_ids=options.publish_foreign)
    ends = await kafka.end_offsets(ledger_topic)
    async with kafka.reader(ledger_topic, await kafka.start_offsets(ledger_topic)) as reader:
        late = _late(found, written_ms, options.overlap)
        overdue = await _read_ledger(reader, ends, ledger, late)
        cursor = found or first_cursor(options.start_at, ledger, clock)
        state = CollectorState(options, ledger, cursor, kafka, writer, clock, watch)
        state.note_overdue(overdue)
        if found is None:
            await writer.transact(Transaction("results", [cursor_append(options.outlets, cursor)]))
        log.info("collecting", open_items=len(ledger), cursor=codec.iso(cursor.finished_at))
        yield state, reader, tuple(ends)


async def _read_ledger(
    reader: Reader, ends: Mapping[int, int], ledger: Ledger, late: Callable[[Record], bool]
) -> Collection[str]:
    """Read the ledger to its ends; returns the ids of the records that are late."""
    recent: set[str] = set()
    async for records in until_ends(reader, ends):
        noted(ledger, records)
        recent.update((record.key or b"").decode() for record in records if late(record))
    return recent


def _late(found: Cursor | None, written_ms: int, overlap: timedelta) -> Callable[[Record], bool]:
    """Whether a record opens what the cursor had passed long before, unseen by whoever wrote the cursor."""
    if found is None:
        # A first cursor stands before all that is open.
        return lambda _: False
    passed = codec.micros(found.finished_at - overlap)
    since_ms = written_ms - SKEW // timedelta(milliseconds=1)

    def late(record: Record) -> bool:
        if record.timestamp < since_ms or record.value is None or codec.is_about_ledger(record.key or b""):
            return False
        return ledger_records.peek_submitted_micros(record.value) < passed

    return late
