"""An operator at work in a run: a limit on what may be submitted, flows paused and resumed, the limit raised.

Until it is raised no item more than the limit is ever made, and in the end exactly so many are. While
submitting is paused nothing is sent, but for what was under way.
"""

import asyncio
from dataclasses import replace
from random import Random

from daemon.flows.records import orders
from daemon.model import Append
from daemon.settings.flows import BudgetSettings
from tests.simulation import checker, tasks
from tests.simulation.loop import Process
from tests.simulation.scenario import BUDGET, CURSORS, Scenario
from tests.simulation.world import SimWorld

# What is under way when a pause is told has ended by then, where nothing goes wrong.
UNDER_WAY_SECONDS = 10.0
LOOK_SECONDS = 1.0
# So long nothing more is made, once the limit is reached.
STILL_SECONDS = 20.0
PATIENCE_SECONDS = 300.0


def limited(drawn: Scenario, rng: Random) -> Scenario:
    """A scenario with a limit below what is to be submitted."""
    limit = rng.randint(1, len(drawn.work) // 2)
    settings = drawn.settings.model_copy(update={"budget": BudgetSettings(items_total=limit)})
    return replace(drawn, settings=settings, partitions={**drawn.partitions, BUDGET: 1})


class Operator:
    """Steers a world.

    Args:
        world: whose settings have a limit.
        rng: for when, and for how long.
        strict: no fault is drawn, so that every replica hears of a pause at once.
    """

    def __init__(self, world: SimWorld, rng: Random, *, strict: bool) -> None:
        limit = world.scenario.settings.budget.items_total
        assert limit is not None
        self._world = world
        self._limit = limit
        self._rng = rng
        self._strict = strict
        self._still_from: float | None = None

    def begin(self) -> None:
        """Plan the pauses."""
        for flow in ("submit", "collect"):
            at, seconds = self._rng.uniform(1, 25), self._rng.uniform(12, 25)
            later = self._world.loop.world.call_later
            later(at, self._say, flow, b"{}")
            later(at + seconds, self._say, flow, None)
        before = self._world.watcher

        def watch(process: Process, point: str) -> None:
            before(process, point)
            self._watch(process, point)

        self._world.watcher = watch

    def _say(self, flow: str, word: bytes | None) -> None:
        key = orders.pause_key(flow)
        now_ms = int(self._world.wall() * 1000)
        self._world.cluster.log((CURSORS, 0)).append(Append(CURSORS, 0, key, word), now_ms)
        if flow == "submit":
            self._still_from = None if word is None else self._world.loop.time() + UNDER_WAY_SECONDS

    def _watch(self, process: Process, point: str) -> None:
        now = self._world.loop.time()
        if point == "post begun" and self._strict and self._still_from is not None and now > self._still_from:
            self._world.violations.append(f"{process.name} submits at {now:.1f} although that is paused")
        if (count := self._made()) > self._limit:
            self._world.violations.append(f"{count} items were made, and the limit is {self._limit}")
            self._world.watcher = lambda _process, _point: None

    async def raise_the_limit(self) -> None:
        """Once it is used up, and has been kept for a while: every replica starts again without one."""
        world = self._world
        end = world.loop.time() + PATIENCE_SECONDS + world.scenario.settings.submit.quarantine_seconds
        while self._made() < self._limit:
            if world.loop.time() > end:
                world.violations.append(f"{self._made()} items are made of {self._limit} that may be")
                break
            await asyncio.sleep(LOOK_SECONDS)
            world.restart_who_is_down()
        await asyncio.sleep(STILL_SECONDS)
        settings = world.scenario.settings.model_copy(update={"budget": BudgetSettings()})
        world.watcher = lambda _process, _point: None
        world.scenario = replace(world.scenario, settings=settings)
        for replica in world.replicas:
            world.terminate(replica, 0.2)

    def _made(self) -> int:
        with_tasks = self._world.scenario.settings.toloka.api == "tasks"
        return tasks.made(self._world) if with_tasks else checker.made(self._world)
