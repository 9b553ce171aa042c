"""Low load: one item a second, from its record's timestamp to when Toloka has it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from tests.benchmarks.feeding import trickle
from tests.benchmarks.running import replica, sink, until
from tests.benchmarks.stage import PARTITIONS, Row, Stage, settings
from tests.benchmarks.watching import spread

PER_SECOND = 1.0
ITEMS = 120
LINGER_SECONDS = 0.5
# The first of each partition may come while that is still being taken over: a start, and no steady state.
WARM_ITEMS = PARTITIONS


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """With the linger that is the default, and a sink that answers at once."""
    group, count = await stage.new_group(), max(round(ITEMS * stage.small), 10)
    topic = f"{group}.items"
    await stage.new_topic(topic)
    async with (
        sink(stage.folder) as toloka,
        replica(stage.folder, settings(stage, topic, toloka.url, group)) as program,
    ):
        await until(program.is_ready, bool)
        await until(lambda: program.metric("tolokad_assigned_partitions"), lambda owned: owned == PARTITIONS)
        feeding = asyncio.ensure_future(trickle(stage.broker, topic, PER_SECOND, PARTITIONS))
        try:
            used = program.cpu_seconds
            await toloka.taken(count + WARM_ITEMS)
            used = program.cpu_seconds - used
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
        waited = [
            datetime.fromisoformat(f"{item['created_at']}+00:00").timestamp()
            - float(item["input_data"]["text"].split()[0])
            for item in await toloka.items()
        ][WARM_ITEMS:]
        figures = {
            **spread(waited),
            "linger_ms": LINGER_SECONDS * 1000,
            "percent_of_a_core": used / (count + WARM_ITEMS) * 100,
        }
        yield Row("low load", f"{PER_SECOND:.0f}/s", "tolokad", figures)
