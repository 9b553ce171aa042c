"""Sees from outside whether the event loop turns: one that is blocked loses its partitions."""

import asyncio
import contextlib
import sys
import threading
import time
import traceback
from typing import Self

import structlog
from prometheus_client import Gauge

from daemon.edges.serving.http_server import Health

log = structlog.get_logger(__name__)


class LoopWatch:
    """A task that stamps the time and a thread that looks at the stamp.

    Use it as an asynchronous context manager in the loop to be watched.

    Args:
        lag: set to how late the loop turns; while it does not turn, to how long it has not.
        stall_seconds: how long the loop may stand still before it counts as dead. Below the consumer's
            session timeout, so that the log says why the partitions are lost before they are.
        interval_seconds: how often to stamp and to look.
    """

    def __init__(self, lag: Gauge, stall_seconds: float = 10, interval_seconds: float = 0.25) -> None:
        self._lag = lag
        self._stall_seconds = stall_seconds
        self._interval_seconds = interval_seconds
        self._stamp = self._looked = time.monotonic()
        self._stalled = False
        self._loop_thread = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="loop-watch", daemon=True)
        self._task: asyncio.Task[None] | None = None

    def health(self) -> Health:
        """For `/livez`, from any thread."""
        return Health(not self._stalled, {"event_loop": "stalled" if self._stalled else "turning"})

    async def __aenter__(self) -> Self:
        self._loop_thread = threading.get_ident()
        self._stamp = self._looked = time.monotonic()
        self._task = asyncio.create_task(self._turn(), name="loop-watch")
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._thread.join()

    async def _turn(self) -> None:
        while True:
            await asyncio.sleep(self._interval_seconds)
            now = time.monotonic()
            self._lag.set(max(0.0, now - self._stamp - self._interval_seconds))
            self._stamp = now

    def _look(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            self._judge(time.monotonic())

    def _judge(self, now: float) -> None:
        """Compare the stamp with the time."""
        # Where this thread did not turn either, the whole process was stopped: the loop is not to blame.
        if now - self._looked > self._stall_seconds / 2:
            self._stamp = now
        self._looked = now
        age = now - self._stamp
        if age > 2 * self._interval_seconds:
            self._lag.set(age)
        if age > self._stall_seconds and not self._stalled:
            self._stalled = True
            log.error("event_loop_stalled", seconds=round(age, 3), stack=self._stack())
        elif age <= self._stall_seconds and self._stalled:
            self._stalled = False
            log.warning("event_loop_resumed")

    def _stack(self) -> str:
        # The only way to see where another thread stands.
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - as above
        return "".join(traceback.format_stack(frame)) if frame else ""
