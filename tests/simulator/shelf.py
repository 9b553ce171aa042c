"""All items of one project, with sorted indexes so that a page of a long listing costs a page."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator.items import Item

Entry = tuple[int, int, "Item"]


class TimeIndex:
    """Items by a time; appending in order is cheap, and so is nearly in order."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, time_us: int, item: Item) -> None:
        """Put the item in its place."""
        insort(self._entries, (time_us, item.number, item))

    def remove(self, time_us: int, item: Item) -> None:
        """Take the item out, if it is there under this time."""
        at = bisect_left(self._entries, (time_us, item.number))
        if at < len(self._entries) and self._entries[at][2] is item:
            del self._entries[at]

    def span(self, low_us: int, high_us: int) -> range:
        """Return the positions of low_us ≤ time ≤ high_us."""
        return range(
            bisect_left(self._entries, (low_us,)),
            bisect_left(self._entries, (high_us + 1,)),
        )

    def items(self, span: range) -> list[Item]:
        """Return the items at these positions."""
        return [item for _, _, item in self._entries[span.start : span.stop]]

    def groups(self, span: range, *, descending: bool) -> Iterator[list[Item]]:
        """Yield the items of each time, in order of the times."""
        group: list[Item] = []
        group_us = None
        for at in reversed(span) if descending else span:
            time_us, _, item = self._entries[at]
            if time_us != group_us and group:
                yield group
                group = []
            group_us = time_us
            group.append(item)
        if group:
            yield group


class IdIndex:
    """Items by id; sorted only when somebody asks, for ids are random."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._sorted = True

    def add(self, item_id: str) -> None:
        """Take an id in."""
        self._ids.append(item_id)
        self._sorted = False

    def remove(self, item_id: str) -> None:
        """Take an id out, if it is there."""
        ids = self.ids()
        at = bisect_left(ids, item_id)
        if at < len(ids) and ids[at] == item_id:
            del ids[at]

    def ids(self) -> list[str]:
        """Return all ids in order; not a copy."""
        if not self._sorted:
            self._ids.sort()
            self._sorted = True
        return self._ids

    def span(self, low: str, high: str | None) -> range:
        """Return the positions of low ≤ id < high."""
        ids = self.ids()
        return range(bisect_left(ids, low), len(ids) if high is None else bisect_left(ids, high))


class Shelf:
    """The items of one project."""

    def __init__(self) -> None:
        self.by_id: dict[str, Item] = {}
        self.ids = IdIndex()
        self.created = TimeIndex()
        self.finished = TimeIndex()

    def add(self, item: Item) -> None:
        """Take in a new item."""
        self.by_id[item.id] = item
        self.ids.add(item.id)
        self.created.add(item.created_us, item)

    def finish(self, item: Item) -> None:
        """Let listings find the item by its end."""
        if item.listed_finished_us is not None:
            self.finished.add(item.listed_finished_us, item)

    def unfinish(self, item: Item) -> None:
        """Forget the item's end."""
        if item.finished_us is not None:
            self.finished.remove(item.finished_us, item)

    def remove(self, item: Item) -> None:
        """Forget the item."""
        self.unfinish(item)
        self.created.remove(item.created_us, item)
        self.ids.remove(item.id)
        self.by_id.pop(item.id, None)
