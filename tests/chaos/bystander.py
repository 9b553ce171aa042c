"""A replica that nobody strikes: it lives through all that happens to its broker, and must not grow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from tests.canary import Searched
from tests.chaos.memory import Memory
from tests.chaos.schedule import QUARANTINE_SECONDS, REQUEST_SECONDS
from tests.chaos.stage import Broker, Stage, save_pages, searched, staged
from tests.system.feed import GOOD, sources

WARM_UP_SECONDS: Final = 45.0
EVERY_SECONDS: Final = 1.0
ITEMS: Final = 20


@dataclass(slots=True)
class Bystander:
    """What became of it.

    Attributes:
        growth: as `Memory.growth` tells it.
        items: how many passed.
        searched: the search for the credential.
        problems: what is wrong, in sentences.
    """

    growth: tuple[float, float, float] = (0.0, 0.0, 0.0)
    items: int = 0
    searched: Searched = field(default_factory=Searched)
    problems: list[str] = field(default_factory=list)


@asynccontextmanager
async def standing_by(broker: Broker, folder: Path) -> AsyncIterator[Bystander]:
    """Items pass for as long as the block lasts; then its verdict is filled in."""
    bystander = Bystander()
    settings = {
        "SUBMIT__REQUEST_TIMEOUT_SECONDS": str(REQUEST_SECONDS),
        "SUBMIT__QUARANTINE_SECONDS": str(QUARANTINE_SECONDS),
        "COLLECT__INTERVAL_SECONDS": "1",
        "LOG__LEVEL": "INFO",
    }
    async with AsyncExitStack() as stack:
        stage = await staged(stack, broker, folder, settings=settings)
        deployment = stage.deployment
        replica = await deployment.started()
        memory = Memory(lambda: [replica.pid], WARM_UP_SECONDS)
        feeding = asyncio.create_task(_feed(stage))
        async with memory.sampled():
            yield bystander
            feeding.cancel()
            await asyncio.wait({feeding})
            if not feeding.cancelled():
                bystander.problems.append(f"its feeder ended by itself: {feeding.exception()!r}")
            verdict = await deployment.conclusion()
        await save_pages(deployment)
        bystander.growth, bystander.items = memory.growth(), verdict.inputs
        starts = len(list(replica.history("starting")))
        if not (verdict.ok and verdict.complete):
            bystander.problems.append(str(verdict))
        if starts != 1:
            bystander.problems.append(f"it was started {starts} times")
    bystander.searched = searched(folder)


async def _feed(stage: Stage) -> None:
    """Some items a second, for ever; what is begun is finished."""
    async with stage.deployment.feeding() as producer:
        for seed in count():
            sending = asyncio.ensure_future(stage.deployment.send(producer, sources(ITEMS, seed, GOOD)))
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                await sending
                raise
            await asyncio.sleep(EVERY_SECONDS)
