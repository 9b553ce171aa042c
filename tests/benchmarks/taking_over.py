"""Taking over: a new replica with so many open items in its ledger; how long until it collects; memory.

That is measured then, and again once free pages have been given back.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from daemon.app.memory import GIVE_BACK_SECONDS
from daemon.flows.records import codec
from daemon.model import Cursor
from tests.benchmarks.open_items import OPEN, ledger_rows
from tests.benchmarks.running import Program, replica, sink, until
from tests.benchmarks.stage import PARTITIONS, Row, Stage, settings
from tests.kafka.clients import started_producer

BEFORE_SECONDS = 600


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """With none open, which is what a start takes anyway, then with many."""
    row = await _taken_over(stage, 0)
    yield row
    for count in map(stage.count, OPEN):
        yield await _taken_over(stage, count, row.figures["resident_mib"])


async def _taken_over(stage: Stage, count: int, empty_mib: float = 0.0) -> Row:
    group = await stage.new_group()
    topic = f"{group}.items"
    await stage.new_topic(topic)
    await _plant(stage, f"{group}.ledger", topic, count)
    await _settle(stage, group, topic)
    async with sink(stage.folder) as toloka:
        began = time.monotonic()
        async with replica(stage.folder, settings(stage, topic, toloka.url, group)) as program:
            await until(lambda: _collects(program), bool)
            seconds, resident = time.monotonic() - began, program.resident_mib
            figures = {"seconds": seconds, "cpu_seconds": program.cpu_seconds, "resident_mib": resident}
            if count:
                assert await program.metric("tolokad_open_items") == count
                figures["bytes_each"] = (resident - empty_mib) * 2**20 / count
                await asyncio.sleep(GIVE_BACK_SECONDS)
                figures["later_bytes_each"] = (program.resident_mib - empty_mib) * 2**20 / count
    return Row("take over", f"{count} open", "tolokad", figures)


async def _collects(program: Program) -> bool:
    return await program.is_ready() and await program.metric("tolokad_cursor_timestamp_seconds") > 0


async def _plant(stage: Stage, ledger: str, topic: str, count: int) -> None:
    """The ledger, written before the cursor was."""
    written_ms = int((time.time() - BEFORE_SECONDS) * 1000)
    async with started_producer(stage.broker, max_batch_size=900_000) as producer:
        for number, rows in enumerate(ledger_rows(topic, count)):
            batch = producer.create_batch()
            for key, value in rows:
                if batch.append(key=key, value=value, timestamp=written_ms) is None:
                    await producer.send_batch(batch, ledger, partition=number % PARTITIONS)
                    batch = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=written_ms)
            await producer.send_batch(batch, ledger, partition=number % PARTITIONS)
        await producer.flush()


async def _settle(stage: Stage, group: str, topic: str) -> None:
    """What else a predecessor leaves: offsets that are not in doubt, and a cursor."""
    settled = {TopicPartition(topic, number): OffsetAndMetadata(0, "") for number in range(PARTITIONS)}
    name = f"{group}.planting"
    async with started_producer(stage.broker, transactional_id=name) as producer, producer.transaction():
        await producer.send_offsets_to_transaction(settled, group)
        cursor = codec.cursor_value(Cursor(None, datetime.now(UTC)))
        await producer.send(f"{group}.cursors", cursor, key=b"P")
