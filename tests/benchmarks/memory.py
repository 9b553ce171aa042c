"""Memory: both flows at work for two million items, each of which finishes; how much it still grows."""

from collections.abc import AsyncIterator
from statistics import linear_regression

from tests.benchmarks.running import SELDOM_SECONDS, replica, sink, until
from tests.benchmarks.stage import Row, Stage, settings

ITEMS = 2_000_000
# What was closed is remembered for as long as a second look may show it again, which is a minute of clocks
# that differ and this overlap. At this pace the collector keeps up, and what is remembered is soon as much
# as it will be.
PER_MINUTE = 120_000
OVERLAP_SECONDS = 5
STEP = 100_000
WARM_SHARE = 0.4


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """Resident memory each time that a step of items has been published."""
    items = stage.count(ITEMS)
    topic, group, step = await stage.topic("plain", items), await stage.new_group(), min(STEP, items // 10)
    told = {
        "TOLOKA__ITEMS_PER_MINUTE": str(PER_MINUTE),
        "COLLECT__OVERLAP_SECONDS": str(OVERLAP_SECONDS),
        "COLLECT__OVERLAP_EVERY_SECONDS": str(OVERLAP_SECONDS),
        "COLLECT__START_AT": "earliest",
    }
    async with (
        sink(stage.folder) as toloka,
        replica(stage.folder, settings(stage, topic, toloka.url, group, **told)) as program,
    ):
        seen: list[tuple[float, float]] = []
        for mark in range(step, items + 1, step):
            count = await until(program.published, float(mark).__le__, SELDOM_SECONDS)
            seen.append((count, program.resident_mib))
        warm = [(count, mib) for count, mib in seen if count >= items * WARM_SHARE]
        line = linear_regression([count for count, _ in warm], [mib for _, mib in warm])
        figures = {
            "mib_at_first": seen[0][1],
            "mib_warm": warm[0][1],
            "mib_at_last": seen[-1][1],
            "growth_mib_per_100k": line.slope * 100_000,
            "open_items": await program.metric("tolokad_open_items"),
        }
        yield Row("memory", f"{items} items in and out", "tolokad", figures)
