"""Recovery: from `kill -9` of the replica at work to the next batch that another has settled."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from aiokafka import TopicPartition

from tests.benchmarks.feeding import trickle
from tests.benchmarks.running import Program, Sink, replica, sink, until
from tests.benchmarks.stage import Row, Stage, settings
from tests.kafka.clients import committed_offset

PER_SECOND = 50.0
SESSION_SECONDS = 6
REQUEST_SECONDS = 5
QUARANTINE_SECONDS = 10
# What became of the request that was under way, if one was: what the sink does with it.
WAYS = {"not in doubt": "well", "in doubt and found": "mute", "in doubt and absent": "deaf"}


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """One kill for each way; one partition, so that one replica works and the other waits."""
    for job, mood in WAYS.items():
        group = await stage.new_group()
        topic = f"{group}.items"
        await stage.new_topic(topic, 1)
        async with AsyncExitStack() as stack:
            toloka = await stack.enter_async_context(sink(stage.folder))
            told = settings(
                stage,
                topic,
                toloka.url,
                group,
                KAFKA__SESSION_TIMEOUT_SECONDS=str(SESSION_SECONDS),
                SUBMIT__REQUEST_TIMEOUT_SECONDS=str(REQUEST_SECONDS),
                SUBMIT__QUARANTINE_SECONDS=str(QUARANTINE_SECONDS),
            )
            programs = []
            for _ in range(2):
                programs.append(await stack.enter_async_context(replica(stage.folder, told)))
                await until(programs[-1].is_ready, bool)
            feeding = asyncio.ensure_future(trickle(stage.broker, topic, PER_SECOND, 1))
            try:
                await toloka.taken(2 * PER_SECOND)
                seconds = await _recovered(stage, await _owner(programs), toloka, (group, topic), mood)
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])
        figures = {"seconds": seconds, "seconds_less_session": seconds - SESSION_SECONDS}
        if mood == "deaf":
            figures["seconds_less_quarantine"] = seconds - QUARANTINE_SECONDS
        yield Row("recovery", job, "tolokad", figures)


async def _owner(programs: list[Program]) -> Program:
    """The one that has the partition."""
    while True:
        for program in programs:
            if await program.metric("tolokad_assigned_partitions") == 1:
                return program


async def _recovered(stage: Stage, owner: Program, toloka: Sink, place: tuple[str, str], mood: str) -> float:
    """Kill it, with a request under way where the sink is not well."""
    group, topic = place
    partition = TopicPartition(topic, 0)

    async def committed() -> tuple[int, str]:
        found = await committed_offset(stage.broker, group, partition)
        return (found.offset, found.metadata) if found else (-1, "")

    if mood != "well":
        posted = (await toloka.stats())["posted"]
        await toloka.be(mood)
        await until(toloka.stats, lambda found: found["posted"] > posted + 1)
        before, metadata = await committed()
        assert metadata, "there is an intent"
    owner.process.kill()
    began = time.monotonic()
    await toloka.be("well")
    if mood == "well":
        before, _ = await committed()
    await until(committed, lambda found: found[0] > before and found[0] >= 0)
    return time.monotonic() - began
