"""Between two looks at the tail: items that became visible late, overdue ones, and somebody else's."""

import asyncio

import structlog

from daemon.errors import Held
from daemon.flows.collector_state import CollectorState
from daemon.flows.foreign import Foreign
from daemon.flows.overlapping import Overlapping
from daemon.flows.sweeping import Sweeping
from daemon.flows.waiting import pause

log = structlog.get_logger(__name__)


class SecondLooks:
    """Overlap, sweep and foreign items: whatever is due, between two looks at the tail."""

    def __init__(
        self, state: CollectorState, overlapping: Overlapping, sweeping: Sweeping, foreign: Foreign
    ) -> None:
        self._state = state
        self._overlapping = overlapping
        self._sweeping = sweeping
        self._foreign = foreign

    async def until(self, end: float, stopping: asyncio.Event) -> None:
        """Look, a page at a time, while there is something to look for; return at this time of the loop.

        One look is taken in any case: a tail that is slower than its interval must not put them off.
        """
        loop = asyncio.get_running_loop()
        while not stopping.is_set():
            more = await self._look(loop.time())
            left = end - loop.time()
            if not more:
                await pause(max(left, 0), stopping)
            if not more or left <= 0:
                return

    async def once(self) -> None:
        """One look, if one is due."""
        await self._look(asyncio.get_running_loop().time())

    async def _look(self, now: float) -> bool:
        for look in (self._overlapping, self._sweeping, self._foreign):
            try:
                if await look.step(self._state, now):
                    return True
            except Held as held:
                # A second look that Toloka does not answer holds nothing up: the next one is due soon.
                log.warning("look_failed", reason=held.reason, detail=held.detail)
        return False
