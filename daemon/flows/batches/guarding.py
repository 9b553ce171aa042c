"""A guard against pouring a whole topic into the dead letter topic.

A wrong setting or a changed spec makes every item bad at once. When too large a share of what was read is
to become dead letters, the flow holds instead, says why, and tries again by itself.
"""

from collections import deque

from daemon.errors import Held
from daemon.model import Batch


class RejectionGuard:
    """Watches the share of dead letters among the items of the last batches.

    A share up to `max_ratio` is believed; 1 switches the guard off. It is taken of `window_items` items back,
    and says nothing of fewer.
    """

    def __init__(self, max_ratio: float, window_items: int) -> None:
        self._max_ratio = max_ratio
        self._window_items = window_items
        self._window: deque[tuple[int, int]] = deque()
        self._items = 0
        self._dead = 0

    def insist(self, batch: Batch) -> None:
        """Refuse a batch that would take the share too far.

        Raises:
            Held: `rejected_ratio`.
        """
        if self.allows(batch):
            return
        share, total = self._share(batch)
        last = batch.dead_letters[-1].flaw
        raise Held(
            "rejected_ratio",
            f"{share:.0%} of the last {total} items would become dead letters, above"
            f" TOLOKAD_SUBMIT__MAX_REJECTED_RATIO={self._max_ratio:g};"
            f" the last one for {last.code}: {last.message}",
        )

    def allows(self, *batches: Batch) -> bool:
        """Whether the share is still believed with these batches, the last of which is asked for."""
        if not batches[-1].dead_letters or self._max_ratio >= 1:
            return True
        share, total = self._share(*batches)
        return total < self._window_items or share <= self._max_ratio

    def _share(self, *batches: Batch) -> tuple[float, int]:
        counts = [_counts(batch) for batch in batches]
        total = self._items + sum(items for _, items in counts)
        return (self._dead + sum(dead for dead, _ in counts)) / max(total, 1), total

    def count(self, batch: Batch) -> None:
        """A batch was settled."""
        dead, items = _counts(batch)
        if not items:
            return
        self._window.append((dead, items))
        self._dead += dead
        self._items += items
        while self._items - self._window[0][1] >= self._window_items:
            dead, items = self._window.popleft()
            self._dead -= dead
            self._items -= items


def _counts(batch: Batch) -> tuple[int, int]:
    dead = len(batch.dead_letters)
    return dead, dead + len(batch.items) + len(batch.adopted) + batch.known
