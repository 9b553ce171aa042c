"""The process stays as small as what it holds."""

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.app import memory


class Knot:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.itself = self


@contextmanager
def nothing_by_itself() -> Iterator[None]:
    """Python looks for no garbage on its own."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_garbage_is_collected_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds itself is gone soon after nobody else holds it, until the daemon stops."""
    monkeypatch.setattr(memory, "EVERY_SECONDS", 0.001)
    monkeypatch.setattr(memory, "SELDOM_SECONDS", 0.001)
    stopping = asyncio.Event()
    with nothing_by_itself():
        collecting = asyncio.create_task(memory.collect_garbage(stopping))
        for _ in range(3):
            gone = asyncio.Event()
            weakref.finalize(Knot(), gone.set)
            async with asyncio.timeout(20):
                await gone.wait()
        stopping.set()
        await collecting
