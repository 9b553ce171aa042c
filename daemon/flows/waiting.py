"""Waiting that ends early when something else happens."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

# After so long without work, what was written last is sealed (`daemon.ports.Writer.seal`): whoever has work
# writes again before long.
REST_SECONDS = 10.0


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
