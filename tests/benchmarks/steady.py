"""Steady state: as many items a second in and out as Toloka documents at most, both flows in one process."""

import asyncio
from collections.abc import AsyncIterator

from tests.benchmarks.feeding import trickle
from tests.benchmarks.running import SELDOM_SECONDS, replica, sink, until
from tests.benchmarks.stage import PARTITIONS, Row, Stage, settings
from tests.benchmarks.watching import latencies, reading, spread

# 100,000 a minute.
PER_SECOND = 100_000 / 60
WORK_SECONDS = 2.0
WARM_SECONDS = 10.0
SECONDS = 60.0


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """The share of one core, and from an item's end to its result being there for readers."""
    group, seconds = await stage.new_group(), stage.seconds(SECONDS)
    topic = f"{group}.items"
    await stage.new_topic(topic)
    async with (
        sink(stage.folder, work_seconds=WORK_SECONDS, per_second=PER_SECOND * 1.02) as toloka,
        replica(stage.folder, settings(stage, topic, toloka.url, group)) as program,
    ):
        await until(program.is_ready, bool)
        feeding = asyncio.ensure_future(trickle(stage.broker, topic, PER_SECOND, PARTITIONS))
        try:
            enough = PER_SECOND * min(WARM_SECONDS, seconds)
            await until(program.published, enough.__le__, SELDOM_SECONDS)
            async with reading(stage.broker, f"{group}.results", PARTITIONS, from_end=True) as results:
                used = program.cpu_seconds
                found = await latencies(results, seconds)
                used = program.cpu_seconds - used
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
        figures = {
            "items_per_second": len(found) / seconds,
            "percent_of_a_core": used / seconds * 100,
            **spread(found),
            "resident_mib": program.resident_mib,
        }
        yield Row("steady", f"{PER_SECOND:.0f}/s in and out", "tolokad", figures)
