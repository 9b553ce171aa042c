"""What is due later: a heap that is emptied whenever somebody looks at the clock."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Schedule:
    """Actions by the time at which they are due; equal times keep the order of their planning."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()

    def at(self, due_us: int, action: Callable[[int], None]) -> None:
        """Plan `action`, which is given `due_us` when its time has come."""
        heapq.heappush(self._heap, (due_us, next(self._order), action))

    def run(self, now_us: int) -> None:
        """Carry out all that is due, in order, and what that makes due in turn."""
        while self._heap and self._heap[0][0] <= now_us:
            due_us, _, action = heapq.heappop(self._heap)
            action(due_us)
