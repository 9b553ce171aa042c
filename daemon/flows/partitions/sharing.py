"""One way for each partition that the group gives us, and none for any other."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from daemon.errors import Held, Transient
from daemon.flows.holding import Hold, Holds, ShownHold
from daemon.flows.waiting import LONGEST_PROBE_SECONDS, Backoff, pause, unless
from daemon.ports import Membership

CONFIRM_AGAIN_SECONDS = 0.5
# Fenced so often in so short a time, although the group counts on us: somebody outside it uses our name.
RIVAL_FENCES = 5
RIVAL_SECONDS = 60.0
RIVAL_PAUSE_SECONDS = 20.0

log = structlog.get_logger(__name__)

Way = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class _Running:
    task: "asyncio.Task[None]"
    stop: asyncio.Event


class Sharing:
    """Starts and stops ways as the group decides.

    A rebalance stops nothing by itself: a way ends only when an assignment omits its partition. Until then
    its writer's fence keeps a new owner and us apart. `join` opens a place in the group, `way` makes the way
    of a partition, `decided` is told each decision.
    """

    def __init__(
        self,
        flow: str,
        join: Callable[[], AbstractAsyncContextManager[Membership]],
        way: Callable[[int], Way],
        decided: Callable[[frozenset[int]], None],
        holds: Holds,
        rng: Random,
    ) -> None:
        self._flow = flow
        self._join = join
        self._way = way
        self._decided = decided
        self._holds = holds
        self._shown = ShownHold(flow, holds)
        self._backoff = Backoff(rng)
        self._running: dict[int, _Running] = {}
        self._fences: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=RIVAL_FENCES))
        self._membership: Membership | None = None
        self.ours: frozenset[int] = frozenset()
        self.joined = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Take part in the group until the event is set, then let every way come to its end."""
        async with asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                try:
                    await self._join_in(tasks, stopping)
                except Held as held:
                    self._shown.begin(held)
                    await pause(self._backoff.seconds(), stopping)
                except Transient as failure:
                    log.warning("membership_lost", flow=self._flow, detail=str(failure))
                    self._shown.stumble(failure)
                    await pause(self._backoff.seconds(LONGEST_PROBE_SECONDS), stopping)
            self._shown.end()
            await self._drain()

    async def _join_in(self, tasks: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        joining = asyncio.ensure_future(self._member(tasks, stopping))
        ending = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait([joining, ending], return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                if not self.joined:
                    # A group that does not answer is not waited for when it is time to stop.
                    joining.cancel()
                await self._drain()
            await asyncio.wait([joining])
            if not joining.cancelled():
                joining.result()
        finally:
            for task in (joining, ending):
                task.cancel()
            await asyncio.wait([joining, ending])

    async def _member(self, tasks: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        try:
            async with self._join() as membership, aclosing(membership.assignments()) as choices:
                self._membership = membership
                while (ours := await unless(stopping, anext(choices))) is not None and not stopping.is_set():
                    self._backoff.reset()
                    self._shown.end()
                    self.joined = True
                    self._assign(ours, tasks)
                # Drain while still a member: nobody is given what we are about to finish.
                await self._drain()
        finally:
            self._membership, self.joined = None, False

    def _assign(self, ours: frozenset[int], tasks: asyncio.TaskGroup) -> None:
        log.info("assigned", flow=self._flow, partitions=sorted(ours))
        gone, self.ours = self.ours - ours, ours
        for partition in gone:
            self._running[partition].stop.set()
        for partition in ours:
            running = self._running.get(partition)
            if running is None or running.stop.is_set() or running.task.done():
                stop = asyncio.Event()
                task = tasks.create_task(self._after(running, self._way(partition), stop))
                self._running[partition] = _Running(task, stop)
        self._decided(ours)

    async def _after(self, previous: _Running | None, way: Way, stop: asyncio.Event) -> None:
        """A partition that comes back while its old way is still ending waits for that end."""
        if previous is not None:
            await asyncio.wait({previous.task})
        await way(stop)

    async def _drain(self) -> None:
        for running in self._running.values():
            running.stop.set()
        if self._running:
            await asyncio.wait({running.task for running in self._running.values()})

    async def still_ours(self, partition: int, stopping: asyncio.Event) -> None:
        """Return once the group has said, after we asked, that the partition is ours; or when stopped.

        One that was fenced may have been away for long: it must not fence its successor in turn.
        """
        while not stopping.is_set():
            if await self._confirmed() and partition in self.ours:
                await self._beware(partition, stopping)
                return
            await pause(CONFIRM_AGAIN_SECONDS, stopping)

    async def _beware(self, partition: int, stopping: asyncio.Event) -> None:
        """Hold for a while where a rival is at work: each of us would fence the other for ever."""
        now, fences = asyncio.get_running_loop().time(), self._fences[partition]
        fences.append(now)
        if len(fences) < RIVAL_FENCES or now - fences[0] > RIVAL_SECONDS:
            return
        detail = (
            f"fenced {RIVAL_FENCES} times in a minute although the group says that partition {partition} is"
            " ours, so another deployment uses our transactional ids: give each its own"
            " TOLOKAD_KAFKA__GROUP_ID. If it was `tolokad resolve`, run just now, it goes on by itself"
        )
        with self._holds.holding(Hold(self._flow, "kafka", detail, partition)):
            await pause(RIVAL_PAUSE_SECONDS, stopping)

    async def _confirmed(self) -> bool:
        if self._membership is None:
            return False
        try:
            return await self._membership.confirm()
        except (Held, Transient) as failure:
            log.warning("membership_unconfirmed", flow=self._flow, detail=str(failure))
            return False
