"""Waiting on purpose, and being seen to wait."""

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from daemon.errors import Held
from daemon.flows.waiting import pause
from daemon.metrics import Metrics
from daemon.model import NotNow

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
# Toloka's return and Kafka's are noticed within seconds, a try that hangs for its whole time included; a
# probe every few seconds is no storm.
LONGEST_PROBE_SECONDS = 5.0
SHORTEST_WAIT_SECONDS = 0.05
PAUSED_LOOK_SECONDS = 0.2
# What a way is held for by the records that it has read: others do not show that it goes on.
HELD_BY_RECORDS = ("rejected_ratio", "too_large")
# And by what fails again and again: only a batch that gets to its end shows that it goes on.
HELD_APART = (*HELD_BY_RECORDS, "kafka")
# Failed so often or for so long, with nothing done between: this is no hiccup, and somebody should see it.
STUMBLES = 5
STUMBLING_SECONDS = 30.0
# A failure so long after the one before is a hiccup of its own: while Toloka is away nothing is done between.
FORGIVING_SECONDS = 600.0
# Toloka may ask to wait for a day; a wait is cut into pieces so that a mended cause is noticed.
LONGEST_OBEYED_SECONDS = 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held, why, and in a sentence for the operator."""

    flow: str
    reason: str
    detail: str
    partition: int | None = None


class Holds:
    """Everything that is held now: on the status page, in `tolokad_held`, and in the log."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._now: dict[int, tuple[Hold, float]] = {}
        self._last = 0

    def __iter__(self) -> Iterator[Hold]:
        return (hold for hold, _ in self.since())

    def since(self) -> list[tuple[Hold, float]]:
        """What is held, each with the time when it began (seconds since 1970), the oldest first."""
        # A copy, made at once: the HTTP server's threads ask, too.
        return list(self._now.values())

    def begin(self, hold: Hold) -> int:
        """Show a hold; returns the number to end it by."""
        self._last += 1
        self._now[self._last] = hold, time.time()
        self._metrics.held.labels(hold.flow, hold.reason).inc()
        log.warning("held", flow=hold.flow, reason=hold.reason, detail=hold.detail, partition=hold.partition)
        return self._last

    def end(self, number: int) -> None:
        """Show a hold no longer."""
        hold, _ = self._now.pop(number)
        self._metrics.held.labels(hold.flow, hold.reason).dec()
        log.info("released", flow=hold.flow, reason=hold.reason, partition=hold.partition)

    @contextmanager
    def holding(self, hold: Hold) -> Iterator[None]:
        """Show a hold for as long as the block lasts."""
        number = self.begin(hold)
        try:
            yield
        finally:
            self.end(number)


class ShownHold:
    """One way's hold: shown from the first refusal until the way gets on, however often it tries between."""

    def __init__(self, flow: str, holds: Holds, partition: int | None = None) -> None:
        self._flow = flow
        self._holds = holds
        self._partition = partition
        self._current: tuple[int, Hold] | None = None
        self._stumbles = 0
        self._stumbling_since = self._stumbled_at = 0.0

    def begin(self, held: Held) -> None:
        """Show why the way holds, unless that is shown already."""
        hold = Hold(self._flow, held.reason, held.detail, self._partition)
        if self._current is not None and self._current[1] == hold:
            return
        self._hide()
        self._current = (self._holds.begin(hold), hold)

    def stumble(self, failure: Exception) -> None:
        """The way starts over: shown as a hold where that has happened again and again."""
        now = asyncio.get_running_loop().time()
        if not self._stumbles or now - self._stumbled_at > FORGIVING_SECONDS:
            self._stumbles, self._stumbling_since = 0, now
        self._stumbles, self._stumbled_at = self._stumbles + 1, now
        if self._stumbles >= STUMBLES or now - self._stumbling_since >= STUMBLING_SECONDS:
            self.begin(Held("kafka", f"it failed again and again, the last time: {failure}"))

    def end(self) -> None:
        """The way gets on."""
        self._stumbles = 0
        self._hide()

    def end_unless(self, *reasons: str) -> None:
        """The way gets on, as far as reasons other than these held it up."""
        if self._current is not None and self._current[1].reason not in reasons:
            self.end()

    def _hide(self) -> None:
        if self._current is not None:
            self._holds.end(self._current[0])
            self._current = None


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


class Gate:
    """One flow's door to Toloka: shut while Toloka says no, then tried by one at a time.

    All ways of a flow share it, so that a throttled or absent Toloka sees one probe, not one a partition.
    """

    def __init__(self, flow: str, holds: Holds, rng: Random, metrics: Metrics) -> None:
        self._flow = flow
        self._holds = holds
        self._metrics = metrics
        self._backoff = Backoff(rng, longest=LONGEST_PROBE_SECONDS)
        self._hold: tuple[int, NotNow] | None = None
        self._try_at = 0.0
        self._counted_until = 0.0
        self._shut_at = 0.0
        self._prober: asyncio.Task[Any] | None = None
        self._last_tried: asyncio.Task[Any] | None = None
        self._paused = False
        self._pause: int | None = None

    def pause(self, detail: str | None) -> None:
        """Shut the door until `resume`: for an operator, or, without detail, until it is known if one did."""
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
        """One tries at a time; who has gone holds nobody up, and who has failed lets another go first."""
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
            self._hold = (self._holds.begin(Hold(self._flow, no.reason, no.detail)), no)

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
        if self._hold is not None:
            self._holds.end(self._hold[0])
            self._hold = None
