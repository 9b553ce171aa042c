"""Ingest: a topic full of items, until the sink has the last of them; beside what promises nothing."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from tests.benchmarks.running import Program, reference, replica, sink
from tests.benchmarks.stage import Row, Stage, plain_settings, settings

ITEMS = 1_000_000
REFERENCES = ("floor", "hand")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done: items of a kind, in requests of `count`, by a sink this slow.

    `good` is the share that the sink is given; the rest is flawed.
    """

    name: str
    count: int
    latency_seconds: float = 0.0
    kind: str = "plain"
    good: float = 1.0


# The sink's project has an `input_spec`, against which every item is checked.
JOBS = (
    Job("5000 at once", 5000),
    Job("1000 at once", 1000),
    Job("5000 after 50 ms", 5000, 0.05),
    Job("1000 after 50 ms", 1000, 0.05),
    Job("5000, ids added", 5000, kind="bare"),
    Job("5000, 5 % flawed", 5000, kind="flawed", good=0.95),
)


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """One round of every job."""
    for job in JOBS if stage.small == 1 else JOBS[:1]:
        for name in ("tolokad", *REFERENCES) if job.kind == "plain" else ("tolokad",):
            yield await ingest(stage, job, name)


async def ingest(stage: Stage, job: Job, name: str) -> Row:
    """Have one program take the job's items to a fresh sink."""
    items = stage.count(ITEMS)
    topic, group = await stage.topic(job.kind, items), await stage.new_group()
    async with (
        sink(stage.folder, job.latency_seconds) as toloka,
        _program(stage, job, name, topic, toloka.url, group) as program,
    ):
        done = await toloka.taken(items * job.good)
        count = done["items"]
        figures = {
            "items_per_second": count / max(done["last"] - done["first"], 1e-3),
            "cpu_seconds_per_million": program.cpu_seconds / count * 1e6,
            "resident_mib": program.resident_mib,
        }
    return Row("ingest", job.name, name, figures)


def _program(
    stage: Stage, job: Job, name: str, topic: str, url: str, group: str
) -> AbstractAsyncContextManager[Program]:
    if name != "tolokad":
        return reference(name, stage.folder, plain_settings(stage, topic, url, group, job.count))
    told = {"SUBMIT__MAX_ITEMS": str(job.count), "SUBMIT__LINGER_SECONDS": "0.2", "COLLECT__ENABLED": "false"}
    return replica(stage.folder, settings(stage, topic, url, group, **told))
