"""A flow's door to Toloka: shut while Toloka says no, and tried by one at a time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from daemon.flows.holding import Hold, Holds
from daemon.flows.waiting import LONGEST_OBEYED_SECONDS, LONGEST_PROBE_SECONDS, Backoff, pause
from daemon.metrics import Metrics
from daemon.model import NotNow

SHORTEST_WAIT_SECONDS = 0.05
PAUSED_LOOK_SECONDS = 0.2


class Gate:
    """One flow's door to Toloka: shut while Toloka says no, then tried by one at a time.

    All ways of a flow share it, so that a throttled or absent Toloka sees one probe, not one a partition.
    """

    def __init__(self, flow: str, holds: Holds, rng: Random, metrics: Metrics) -> None:
        self._flow = flow
        self._holds = holds
        self._metrics = metrics
        self._backoff = Backoff(rng, longest=LONGEST_PROBE_SECONDS)
        # With the number that it is shown under; None while nobody is kept waiting by it.
        self._hold: tuple[int | None, NotNow] | None = None
        self._users = 0
        self._try_at = 0.0
        self._counted_until = 0.0
        self._shut_at = 0.0
        self._prober: asyncio.Task[Any] | None = None
        self._last_tried: asyncio.Task[Any] | None = None
        self._paused = False
        self._pause: int | None = None

    def pause(self, detail: str | None) -> None:
        """Shut the door until `resume`: for an operator; without detail, until it is known if one did."""
        self.resume()
        self._paused = True
        if detail is not None:
            self._pause = self._holds.begin(Hold(self._flow, "paused", detail))

    def resume(self) -> None:
        """The operator's word is taken back."""
        self._paused = False
        if self._pause is not None:
            self._holds.end(self._pause)
            self._pause = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Somebody may come through until the block ends.

        A flow that has gone to other replicas would go on showing what Toloka said last, and never ask again:
        so it is shown no longer once nobody is left, but still obeyed by whoever comes back.
        """
        self._users += 1
        self._show()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._hide()

    @property
    def is_open(self) -> bool:
        """Whether everybody may go through."""
        return self._hold is None and not self._paused

    async def wait(self, until: asyncio.Event) -> None:
        """Return when the door is open, when it is our turn to try it, or when the event is set."""
        loop = asyncio.get_running_loop()
        while (self._paused or self._hold is not None) and not until.is_set():
            if self._paused:
                await pause(PAUSED_LOOK_SECONDS, until)
                continue
            started = loop.time()
            if started >= self._try_at and self._take_turn():
                return
            await pause(min(max(self._try_at - started, SHORTEST_WAIT_SECONDS), 1.0), until)
            self._count_throttled(started, loop.time())

    def _take_turn(self) -> bool:
        """One tries at a time; one that is gone holds nobody up, one that has failed lets another go."""
        us = asyncio.current_task()
        if self._prober is not None and self._prober is not us and not self._prober.done():
            return False
        if self._last_tried is us:
            # What holds one way up, such as its batch's size at the end of a budget, need not hold another.
            self._last_tried = None
            return False
        self._prober = self._last_tried = us
        return True

    def _count_throttled(self, since: float, now: float) -> None:
        """Once, however many wait here."""
        if self._hold is not None and self._hold[1].reason == "throttled":
            self._metrics.throttled_seconds.labels(self._flow).inc(now - max(since, self._counted_until))
        self._counted_until = now

    def shut(self, no: NotNow) -> None:
        """Toloka said no: wait as long as it asked, or with growing patience."""
        now = asyncio.get_running_loop().time()
        asked = min(no.wait_seconds or 0.0, LONGEST_OBEYED_SECONDS)
        if self._hold is None or self._prober is asyncio.current_task():
            self._try_at = now + max(asked, self._backoff.seconds())
            self._shut_at = now
            self._prober = None
        else:
            # Said to a request that was under way when the door was shut: no new reason for patience.
            self._try_at = max(self._try_at, now + asked)
        if self._hold is None or (self._hold[1].reason, self._hold[1].detail) != (no.reason, no.detail):
            self._release()
            self._hold = (None, no)
        self._show()

    def reached(self) -> None:
        """Toloka answered a question: it is there again, though it may still refuse."""
        if self._hold is not None and self._hold[1].reason == "unreachable":
            self._release()
            self._prober = None

    def leave(self) -> None:
        """We tried, and cannot say soon what came of it: the next one may try."""
        if self._hold is not None and self._prober is asyncio.current_task():
            self._prober = None
            self._try_at = asyncio.get_running_loop().time() + self._backoff.seconds()

    def open(self, began: float) -> None:
        """Toloka carried out what was sent then; what was sent before the door was shut says nothing."""
        if self._hold is None or began >= self._shut_at:
            self._backoff.reset()
            self._prober = None
            self._release()

    def _release(self) -> None:
        self._hide()
        self._hold = None

    def _show(self) -> None:
        if self._hold is not None and self._hold[0] is None:
            no = self._hold[1]
            self._hold = (self._holds.begin(Hold(self._flow, no.reason, no.detail)), no)

    def _hide(self) -> None:
        if self._hold is not None and self._hold[0] is not None:
            self._holds.end(self._hold[0])
            self._hold = (None, self._hold[1])
