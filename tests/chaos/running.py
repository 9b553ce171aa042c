"""One schedule from its seed to its verdict."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.canary import Searched
from tests.chaos.blows import Blows
from tests.chaos.schedule import QUARANTINE_SECONDS, REPLICAS, SECONDS, Blow, Schedule
from tests.chaos.stage import Broker, Stage, save_pages, searched, staged, stats
from tests.checker import Verdict
from tests.system.feed import MARKERS, MIXED, Kinds, no_item, refused, sources, tombstone, without_id

ITEMS: Final = 400
SHARES: Final = 5
APART: Final[Kinds] = ((without_id, 0.86), (no_item, 0.06), (refused, 0.04), (tombstone, 0.04))
SETTLED_SECONDS: Final = QUARANTINE_SECONDS + 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What a schedule came to.

    Attributes:
        seed: which.
        verdict: the checker's; None where things never came to their end.
        settled_seconds: from healing until everything was settled and published.
        faults: how often each kind struck, Toloka's among them.
        searched: the search for the credential.
        problems: what is wrong, in sentences.
        doubts: what was found in doubt, by how it ended.
    """

    seed: int
    verdict: Verdict | None
    settled_seconds: float
    faults: Counter[str]
    searched: Searched
    problems: tuple[str, ...]
    doubts: Counter[str] = field(default_factory=Counter)


async def play(
    schedule: Schedule, broker: Broker, folder: Path, settled_seconds: float = SETTLED_SECONDS
) -> Ended:
    """Play a schedule on a broker, with topics, a group and a Toloka of its own."""
    async with AsyncExitStack() as stack:
        stage = await staged(stack, broker, folder, *MARKERS, *schedule.flags, settings=schedule.settings)
        deployment = stage.deployment
        await asyncio.gather(*(deployment.started() for _ in range(REPLICAS)))
        await deployment.control("PUT", "faults", json=list(schedule.faults))
        blows = Blows(stage)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_feed(stage, schedule))
            for blow in schedule.blows:
                tasks.create_task(_strike(blows, blow))
        faults = blows.struck + Counter(_named((await stats(deployment))["faults"]))
        await deployment.control("PUT", "faults", json=[])
        async with blows.reviving():
            verdict, seconds, problems = await _healed(stage, settled_seconds)
        await save_pages(deployment)
        codes = [await replica.stopped() for replica in deployment.replicas if replica.running]
        # 143 is a drain that a schedule's deadline of a second has cut off.
        problems += [*blows.failures, *([f"drained with {codes}"] if set(codes) - {0, 143} else ())]
    found = searched(folder)
    return Ended(
        schedule.seed, verdict, seconds, faults, found, tuple(problems + _secrets(found)), _doubts(folder)
    )


async def _feed(stage: Stage, schedule: Schedule) -> None:
    """A share at a time, so that there is something to strike all the while."""
    records = list(sources(ITEMS, schedule.seed, APART if schedule.told_apart else MIXED))
    size = ITEMS // SHARES
    async with stage.deployment.feeding() as producer:
        for start in range(0, ITEMS, size):
            await stage.deployment.send(producer, records[start : start + size])
            await asyncio.sleep(SECONDS / SHARES)


async def _strike(blows: Blows, blow: Blow) -> None:
    await asyncio.sleep(blow.at)
    await blows.strike(blow)


async def _healed(stage: Stage, settled_seconds: float) -> tuple[Verdict | None, float, list[str]]:
    """Wait for the end of everything; returns the verdict, how long it took, and what is wrong."""
    began, deployment = time.monotonic(), stage.deployment
    try:
        async with asyncio.timeout(settled_seconds):
            await deployment.until_done(settled_seconds)
    except (TimeoutError, AssertionError):
        seconds = time.monotonic() - began
        verdict = await deployment.verdict()
        return verdict, seconds, [f"not settled {seconds:.0f} s after healing: {verdict}"]
    seconds = time.monotonic() - began
    verdict = await deployment.verdict()
    return verdict, seconds, [] if verdict.ok and verdict.complete else [str(verdict)]


def _named(fired: Mapping[str, int]) -> dict[str, int]:
    return {f"answer: {kind}": count for kind, count in fired.items()}


def _secrets(found: Searched) -> list[str]:
    return [str(found)] if found.hits else []


def _doubts(folder: Path) -> Counter[str]:
    """How doubts ended, by the replicas' logs."""
    ends: Counter[str] = Counter()
    for log in folder.glob("replica-*.log"):
        for line in log.read_text(errors="replace").split("\n"):
            if '"intent_resolved"' in line and line.endswith("}"):
                ends[json.loads(line)["outcome"]] += 1
    return ends
