"""How items move through their statuses as time passes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import xxhash

from tests.simulator.items import TERMINAL, stored
from tests.simulator.specs import content_key
from tests.simulator.times import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.items import Item
    from tests.simulator.state import State


class Lifecycle:
    """Plans and carries out the transitions of items.

    Args:
        state: the clock, the randomness, the knobs and the shelves.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._labelled: dict[tuple[str, int], Item] = {}

    def labelled_twin(self, project_id: str, item: Item) -> Item | None:
        """Return a completed item of the project that deduplication takes for the same."""
        key = self._key(project_id, item)
        twin = self._labelled.get(key) if key else None
        return twin if twin and twin.status == "COMPLETED" else None

    def begin(self, item: Item, at_us: int) -> None:
        """Start the processing of a NEW item some time after `at_us`."""
        knobs = self._state.knobs
        if item.duplicate_of:
            self._plan(item, at_us + microseconds(knobs.deduplicated_seconds), self._copy)
        else:
            delay = self._state.rng.uniform(knobs.start_seconds_min, knobs.start_seconds_max)
            self._plan(item, at_us + microseconds(delay), self._start)

    def finish(self, item: Item, status: str) -> None:
        """End the item now, in a terminal status."""
        now_us = self._state.now_us
        self._restart(item)
        self._process(item, now_us)
        if status == "COMPLETED":
            self._complete(item, now_us)
        else:
            self._end(item, status, now_us)

    def set_status(self, item: Item, status: str) -> None:
        """Put the item into any status; one that is not terminal leaves it there until told otherwise."""
        if status == "ARCHIVE":
            self.archive(item)
        elif status in TERMINAL:
            self.finish(item, status)
        else:
            self._restart(item)
            item.status = status

    def pause(self, item: Item) -> None:
        """Stop an item that is not at its end."""
        item.plan += 1
        item.status = "STOPPED"

    def resume(self, item: Item) -> None:
        """Process a paused item again."""
        self._resume(item, self._state.now_us)

    def archive(self, item: Item) -> None:
        """Archive the item as it is; what was finished keeps its times."""
        item.plan += 1
        item.status = "ARCHIVE"
        item.late_finished = False

    def delete(self, item: Item) -> None:
        """Make the item unknown to every request; the record keeps it."""
        item.plan += 1
        item.deleted = True
        self._state.shelves[item.project_id].remove(item)

    def _plan(self, item: Item, due_us: int, step: Callable[[Item, int], None]) -> None:
        self._state.schedule.at(due_us, partial(self._take, item, item.plan, step))

    def _take(self, item: Item, plan: int, step: Callable[[Item, int], None], due_us: int) -> None:
        if item.plan == plan:
            step(item, due_us)

    def _start(self, item: Item, due_us: int) -> None:
        self._process(item, due_us)
        knobs = self._state.knobs
        if knobs.finish_distribution != "never":
            self._plan(item, due_us + self._processing_us(), self._come_to_end)

    def _process(self, item: Item, due_us: int) -> None:
        item.status = "PROCESSING"
        if item.started_us is None:
            item.started_us = stored(due_us, self._state.knobs.finished_digits, self._state.knobs)

    def _processing_us(self) -> int:
        knobs, rng = self._state.knobs, self._state.rng
        low, high = knobs.finish_seconds_min, knobs.finish_seconds_max
        if knobs.finish_distribution == "exponential" and high > low:
            return microseconds(low + rng.expovariate(1 / (high - low)))
        return microseconds(rng.uniform(low, high))

    def _come_to_end(self, item: Item, due_us: int) -> None:
        status = self._drawn_end()
        if status == "COMPLETED":
            self._complete(item, due_us)
        elif status in TERMINAL:
            self._end(item, status, due_us)
        else:
            self._stall(item, status, due_us)

    def _drawn_end(self) -> str:
        knobs = self._state.knobs
        shares = {
            "ERROR": knobs.error_share,
            "CANCELLED": knobs.cancelled_share,
            "NO_MONEY": knobs.no_money_share,
            "STOPPED": knobs.stopped_share,
        }
        left = self._state.rng.random() if any(shares.values()) else 1.0
        for status, share in shares.items():
            if left < share:
                return status
            left -= share
        return "COMPLETED"

    def _stall(self, item: Item, status: str, due_us: int) -> None:
        item.status = status
        if self._state.knobs.return_seconds is not None:
            self._plan(item, due_us + microseconds(self._state.knobs.return_seconds), self._resume)

    def _resume(self, item: Item, due_us: int) -> None:
        self._process(item, due_us)
        if self._state.knobs.finish_distribution != "never":
            self._plan(item, due_us + self._processing_us(), self._complete)

    def _copy(self, item: Item, due_us: int) -> None:
        self._process(item, due_us)
        self._complete(item, due_us)

    def _complete(self, item: Item, due_us: int) -> None:
        if key := self._key(item.project_id, item):
            self._labelled.setdefault(key, item)
        if not item.duplicate_of:
            item.label = self._state.rng.random()
        if not item.regressed and self._state.chance(self._state.knobs.regress_share):
            self._plan(item, due_us + microseconds(self._state.knobs.regress_seconds), self._regress)
        self._end(item, "COMPLETED", due_us)

    def _end(self, item: Item, status: str, due_us: int) -> None:
        knobs = self._state.knobs
        item.status = status
        item.error = "PROCESSING_ERROR" if status == "ERROR" else ""
        if status == "COMPLETED" or knobs.ends_carry_finished:
            item.finished_us = stored(due_us, knobs.finished_digits, knobs)
        item.late_finished = self._state.chance(knobs.late_share)
        if item.late_finished:
            self._plan(item, due_us + microseconds(knobs.late_seconds), self._reveal)
        else:
            self._reveal(item, due_us)

    def _reveal(self, item: Item, _due_us: int) -> None:
        item.late_finished = False
        self._state.shelves[item.project_id].finish(item)

    def _regress(self, item: Item, due_us: int) -> None:
        item.regressed = True
        self._restart(item)
        self._resume(item, due_us)

    def _restart(self, item: Item) -> None:
        """Void all plans and take back an end."""
        self._state.shelves[item.project_id].unfinish(item)
        item.plan += 1
        item.finished_us = None
        item.late_finished = False
        item.error = ""

    def _key(self, project_id: str, item: Item) -> tuple[str, int] | None:
        mode = self._state.knobs.deduplication
        if mode == "off":
            return None
        content = content_key(item.input_data, with_id=mode == "whole")
        return project_id, xxhash.xxh3_64_intdigest(content)
