"""Low load: one item a second, from its record's timestamp to when Toloka has it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

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
        items = sorted(await toloka.items(), key=_written)[WARM_ITEMS:]
        waited = [_created(item) - _written(item) for item in items]
        figures = {
            **spread(waited),
            "linger_ms": LINGER_SECONDS * 1000,
            "percent_of_a_core": used / (count + WARM_ITEMS) * 100,
        }
        yield Row("low load", f"{PER_SECOND:.0f}/s", "tolokad", figures)


def _created(item: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(f"{item['created_at']}+00:00").timestamp()


def _written(item: Mapping[str, Any]) -> float:
    """See `feeding.trickle`."""
    return float(item["input_data"]["text"].split()[0])
