"""Waiting: longer each time for what fails, and ended early when something else happens."""

import asyncio
import math
from collections.abc import Awaitable
from random import Random
from typing import TypeVar

T = TypeVar("T")

# After so long without work, what was written last is sealed (`daemon.ports.Writer.seal`): whoever has work
# writes again before long.
REST_SECONDS = 10.0
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
# Toloka's return and Kafka's are noticed within seconds, a try that hangs for its whole time included; a
# probe every few seconds is no storm.
LONGEST_PROBE_SECONDS = 5.0
# Toloka may ask to wait for a day; a wait is cut into pieces so that a mended cause is noticed.
LONGEST_OBEYED_SECONDS = 3600.0


async def pause(seconds: float, until: asyncio.Event) -> None:
    """Sleep, unless or until the event is set."""
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        return


async def unless(stopping: asyncio.Event, work: Awaitable[T]) -> T | None:
    """The work's result; None where the event came first and the work was cancelled."""
    working, ending = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.wait([working, ending])


class Backoff:
    """Growing waits with full jitter, from `first` to `longest` seconds."""

    def __init__(
        self, rng: Random, first: float = FIRST_WAIT_SECONDS, longest: float = LONGEST_WAIT_SECONDS
    ) -> None:
        self._rng = rng
        self._first = first
        self._longest = longest
        self._next = first

    def seconds(self, at_most: float = math.inf) -> float:
        """The next wait; at least half of the step, so that a crowd spreads and nobody storms."""
        step = min(self._next, at_most)
        self._next = min(self._next * 2, self._longest)
        return step * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Something went well: the next wait is a short one."""
        self._next = self._first
