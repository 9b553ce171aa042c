"""Taking over: a new replica with so many open items in its ledger; how long until it collects; memory."""

import time
from collections.abc import AsyncIterator

from tests.benchmarks.books import OPEN, ledger_rows
from tests.benchmarks.running import Program, replica, sink, until
from tests.benchmarks.stage import PARTITIONS, Row, Stage, settings
from tests.kafka.clients import started_producer


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
    async with sink(stage.folder) as toloka:
        began = time.monotonic()
        async with replica(stage.folder, settings(stage, topic, toloka.url, group)) as program:
            await until(lambda: _collects(program), bool)
            seconds, resident = time.monotonic() - began, program.resident_mib
            figures = {"seconds": seconds, "cpu_seconds": program.cpu_seconds, "resident_mib": resident}
            if count:
                assert await program.metric("tolokad_open_items") == count
                figures["bytes_each"] = (resident - empty_mib) * 2**20 / count
    return Row("take over", f"{count} open", "tolokad", figures)


async def _collects(program: Program) -> bool:
    return await program.is_ready() and await program.metric("tolokad_cursor_timestamp_seconds") > 0


async def _plant(stage: Stage, ledger: str, topic: str, count: int) -> None:
    async with started_producer(stage.broker, max_batch_size=900_000) as producer:
        for number, rows in enumerate(ledger_rows(topic, count)):
            batch = producer.create_batch()
            for key, value in rows:
                if batch.append(key=key, value=value, timestamp=None) is None:
                    await producer.send_batch(batch, ledger, partition=number % PARTITIONS)
                    batch = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
            await producer.send_batch(batch, ledger, partition=number % PARTITIONS)
        await producer.flush()
