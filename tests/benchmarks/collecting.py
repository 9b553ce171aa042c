"""The way back: items that have finished and wait, until the last of them is published."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.benchmarks.running import Program, Sink, reference, replica, sink, until
from tests.benchmarks.stage import PARTITIONS, Row, Stage, plain_settings, settings
from tests.benchmarks.watching import Published, reading

ITEMS = 200_000


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """Submit the items, then start anew and publish what they all came to; the same without a promise."""
    items = stage.count(ITEMS)
    topic, group = await stage.topic("plain", items), await stage.new_group()
    async with sink(stage.folder) as toloka:
        submitting = settings(stage, topic, toloka.url, group, COLLECT__ENABLED="false")
        async with replica(stage.folder, submitting):
            # The topic may hold more: whatever was taken is collected.
            await toloka.taken(items)
        waiting = int((await toloka.stats())["items"])
        told = {"SUBMIT__ENABLED": "false", "COLLECT__START_AT": "earliest"}
        async with (
            reading(stage.broker, f"{group}.cursors", 1) as cursors,
            replica(stage.folder, settings(stage, topic, toloka.url, group, **told)) as program,
        ):
            yield await _timed("tolokad", program, toloka, waiting, Published(cursors))
        output = f"{group}.plain"
        await stage.new_topic(output)
        plain = plain_settings(stage, topic, toloka.url, group, 1000) | {"OUTPUT": output}
        async with (
            reading(stage.broker, output, PARTITIONS) as results,
            reference("poll", stage.folder, plain) as program,
        ):

            async def written() -> int:
                return sum((await results.end_offsets(results.assignment())).values())

            yield await _timed("poll", program, toloka, waiting, written)


async def _timed(
    name: str, program: Program, toloka: Sink, waiting: int, done: Callable[[], Awaitable[int]]
) -> Row:
    """From the first result to the last: starting, and reading the ledger, is measured by `taking_over`."""
    first = await until(done, lambda count: count > 0)
    began, used, served = time.monotonic(), program.cpu_seconds, toloka.program.cpu_seconds
    await until(done, lambda count: count >= waiting)
    seconds, count = max(time.monotonic() - began, 1e-3), max(waiting - first, 1)
    figures = {
        "items_per_second": count / seconds,
        "cpu_seconds_per_million": (program.cpu_seconds - used) / count * 1e6,
        "sink_cpu_seconds_per_million": (toloka.program.cpu_seconds - served) / count * 1e6,
        "resident_mib": program.resident_mib,
    }
    return Row("collect", f"{waiting} waiting", name, figures)
