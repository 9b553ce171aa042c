"""Waiting on purpose, and being seen to wait."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from daemon.errors import Held
from daemon.metrics import Metrics

# Reasons that lie in the records that a way has read: success with others does not show that it gets on.
HELD_BY_RECORDS = ("rejected_ratio", "too_large")
# Besides these, what fails again and again: only a batch that gets to its end shows that the way gets on.
HELD_APART = (*HELD_BY_RECORDS, "kafka")
# To fail this often or for this long, with nothing done in between, is no hiccup: somebody should see it.
STUMBLES = 5
STUMBLING_SECONDS = 30.0
# A failure this long after the last is a hiccup of its own: while Toloka is away, nothing is done in between.
FORGIVING_SECONDS = 600.0

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
