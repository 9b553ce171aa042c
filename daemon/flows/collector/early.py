"""Pure: finished items that came before their ledger record, and wait for it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from daemon.model import Finished

# As many results wait, at most; what does not fit is found by the sweep.
WAITING_ITEMS = 20_000


class Early(dict[str, dict[str, Finished]]):
    """By item, and by result where it can have several: one that others created may have any number."""

    def add(self, items: Iterable[Finished]) -> None:
        """Have these wait; of too many, the latest ones."""
        for item in items:
            self.setdefault(item.item_id, {})[item.share] = item
        count = sum(map(len, self.values()))
        while count > WAITING_ITEMS:
            count -= len(self.pop(next(iter(self))))

    def let_go(self, items: Iterable[Finished]) -> None:
        """These wait no longer."""
        for item in items:
            found = self.get(item.item_id, {})
            found.pop(item.share, None)
            if not found:
                self.pop(item.item_id, None)

    def ends(self) -> Iterator[datetime]:
        """When those that wait have finished, as far as Toloka says."""
        results = (item for found in self.values() for item in found.values())
        return (item.finished_at for item in results if item.finished_at is not None)
