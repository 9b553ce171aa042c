"""Scale-out: the same items by 1, 2 and 4 replicas, and what each item costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from tests.benchmarks.running import Program, replica, sink, until
from tests.benchmarks.stage import Row, Stage, settings

ITEMS = 1_000_000
PARTITIONS = 8
REPLICAS = (1, 2, 4)


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """One round."""
    items = stage.count(ITEMS)
    topic = await stage.topic("plain", items, PARTITIONS)
    for count in REPLICAS:
        group = await stage.new_group()
        async with sink(stage.folder) as toloka, AsyncExitStack() as stack:
            told = settings(
                stage, topic, toloka.url, group, SUBMIT__MAX_ITEMS="5000", COLLECT__ENABLED="false"
            )
            programs = [await stack.enter_async_context(replica(stage.folder, told)) for _ in range(count)]
            starts = await asyncio.gather(*map(_started, programs))
            done = await toloka.taken(items)
            used = sum(program.cpu_seconds for program in programs) - sum(starts)
        seconds = max(done["last"] - done["first"], 1e-3)
        figures = {
            "items_per_second": done["items"] / seconds,
            "cpu_seconds_per_million": used / done["items"] * 1e6,
            "requests": done["requests"],
        }
        yield Row("scale-out", f"{count} replicas", "tolokad", figures)


async def _started(program: Program) -> float:
    """What its start has cost, which is not the items'."""
    await until(program.is_ready, bool)
    return program.cpu_seconds
