"""The runs that have a name, for people: each on a deployment of its own, all on one broker."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.chaos.figures import Figures
from tests.chaos.late_items import late_items
from tests.chaos.lost_answers import LATE, LOST, lost_answers
from tests.chaos.outage import OUTAGES, outage
from tests.kafka import EmbeddedKafka
from tests.kafka.fixtures import Cluster
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, deployed

LATE_SECONDS: Final = 20.0
Scenario = Callable[[Deploy, int], Awaitable[Figures]]


async def _lost(deploy: Deploy, items: int) -> Figures:
    return await lost_answers(deploy, "Every tenth bulk answer is lost after the commit", LOST, items)


async def _late(deploy: Deploy, items: int) -> Figures:
    title = "Every tenth bulk request is cut, and committed 3 s later"
    return await lost_answers(deploy, title, LATE, items)


async def _items(deploy: Deploy, items: int) -> Figures:
    return await late_items(deploy, items, LATE_SECONDS)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "lost-answers": _lost,
    "late-commits": _late,
    "late-items": _items,
}


async def perform(names: Sequence[str], items: int, folder: Path) -> int:
    """One scenario after the other, each with so many items; 0 where the promise held."""
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(EmbeddedKafka())
        ended = [
            _show(await SCENARIOS[name](_deploying(stack, kafka, folder / name), items)) for name in names
        ]
    return 1 if any(ended) else 0


async def outages(names: Sequence[str], seconds: float, folder: Path) -> int:
    """All of these outages at the same time, each with a Toloka of its own; 0 where the promise held."""
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(EmbeddedKafka())
        ended = await asyncio.gather(
            *(outage(_deploying(stack, kafka, folder / name), OUTAGES[name], seconds) for name in names)
        )
        shown = [_show(figures) for figures in ended]
        return 1 if any(shown) else 0


def _show(figures: Figures) -> list[str]:
    Console(soft_wrap=True).print(figures.table())
    return figures.problems


def _deploying(stack: AsyncExitStack, kafka: Cluster, folder: Path) -> Deploy:
    async def deploy(*flags: str, partitions: int = 4, **settings: str) -> Deployment:
        return await deployed(stack, kafka, folder, *flags, partitions=partitions, **settings)

    return deploy
