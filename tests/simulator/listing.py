"""One page of a project's items: filtered, sorted, after a cursor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from tests.simulator.errors import ApiError, field_error, missing
from tests.simulator.query import ANY_ID, ANY_TIME

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator

    from tests.simulator.items import Item
    from tests.simulator.knobs import Knobs
    from tests.simulator.query import Query, SortKey, TimeSpan
    from tests.simulator.shelf import Shelf

FEW = 2_000


@dataclass(frozen=True)
class Page:
    """The items of one answer, and whether the limit cut any off."""

    items: list[Item]
    has_more: bool


class Descending:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: Descending) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment] # only ever compared


class Listing:
    """Answers one query from one shelf.

    Args:
        shelf: the project's items.
        query: what is asked for.
        knobs: ties, cursors, absent ends.
        rng: for ties that come in another order each time.
    """

    def __init__(self, shelf: Shelf, query: Query, knobs: Knobs, rng: random.Random) -> None:
        self._shelf = shelf
        self._query = query
        self._knobs = knobs
        self._rng = rng
        by_finished = any(key.name == "finished" for key in query.sort)
        self._only_finished = by_finished and knobs.null_finished == "excluded"
        asked = knobs.archived_items == "asked" and "ARCHIVE" in (query.statuses or ())
        self._shows_archived = asked or knobs.archived_items == "listed"
        self._cursor = self._cursor_item()

    def page(self) -> Page:
        """Return the page.

        Raises:
            ApiError: 404 or 400 for a cursor that is not there.
        """
        limit = self._query.limit
        found: list[Item] = []
        for group in self._groups():
            found.extend(self._arranged(group))
            if len(found) > limit:
                break
        return Page(found[:limit], len(found) > limit)

    def _cursor_item(self) -> Item | None:
        if self._query.after_id is None:
            return None
        item = self._shelf.by_id.get(self._query.after_id)
        if item and self._is_listed(item) and self._is_cursor(item):
            return item
        if self._knobs.unknown_cursor == 404:
            raise missing("Item", self._query.after_id)
        raise ApiError(400, payload={"after_id": field_error("ENTITY_DOES_NOT_EXIST")})

    def _is_cursor(self, item: Item) -> bool:
        strict = self._knobs.filtered_cursor == "unknown"
        return self._is_placed(item) and (not strict or self._matches(item))

    def _is_listed(self, item: Item) -> bool:
        if item.hidden or item.late_created:
            return False
        return self._shows_archived or item.status != "ARCHIVE"

    def _is_placed(self, item: Item) -> bool:
        return not self._only_finished or item.listed_finished_us is not None

    def _matches(self, item: Item) -> bool:
        query = self._query
        return (
            (query.statuses is None or item.listed_status in query.statuses)
            and (query.batch_id is None or item.batch_id == query.batch_id)
            and (query.created is ANY_TIME or query.created.has(item.created_us))
            and (query.finished is ANY_TIME or query.finished.has(item.listed_finished_us))
            and (query.ids is ANY_ID or query.ids.has(item.id))
            and self._is_listed(item)
            and (not self._only_finished or item.listed_finished_us is not None)
        )

    def _arranged(self, group: Iterable[Item]) -> list[Item]:
        found = [item for item in group if self._matches(item)]
        if self._cursor:
            found = self._behind(found, self._cursor)
        if len(found) > 1 and self._knobs.tie_order == "random":
            self._rng.shuffle(found)
            found.sort(key=self._rank)
        elif len(found) > 1:
            found.sort(key=self._place)
        return found

    def _behind(self, items: list[Item], cursor: Item) -> list[Item]:
        if self._knobs.cursor_compare == "time":
            head = self._query.sort[0]
            part = self._part(cursor, head)
            return [item for item in items if part < self._part(item, head)]
        place = self._place(cursor)
        return [item for item in items if place < self._place(item)]

    def _place(self, item: Item) -> tuple[Any, ...]:
        tie = item.number if self._knobs.tie_order == "insertion" else item.id
        return (*[self._part(item, key) for key in self._query.sort], tie)

    def _rank(self, item: Item) -> tuple[Any, ...]:
        return tuple([self._part(item, key) for key in self._query.sort])

    def _part(self, item: Item, key: SortKey) -> Any:
        name = key.name
        if name == "id":
            return Descending(item.id) if key.descending else item.id
        if name == "status":
            return Descending(item.listed_status) if key.descending else item.listed_status
        time_us = item.created_us if name == "created" else item.listed_finished_us
        if time_us is None:
            return (1 if self._knobs.null_finished == "last" else -1, 0)
        return (0, -time_us if key.descending else time_us)

    def _groups(self) -> Iterator[Iterable[Item]]:
        """Yield the candidates in groups, so that sorting each sorts the whole."""
        head = self._query.sort[0]
        few = self._few()
        if few is not None or head.name == "status":
            return iter([self._everything() if few is None else few])
        if head.name == "id":
            return self._by_id(head)
        if head.name == "created":
            span = self._shelf.created.span(*self._walk(self._query.created, head))
            return self._shelf.created.groups(span, descending=head.descending)
        return self._by_end(head)

    def _few(self) -> Iterable[Item] | None:
        """Return the candidates of a time filter that leaves few."""
        for span, index in (
            (self._query.finished, self._shelf.finished),
            (self._query.created, self._shelf.created),
        ):
            positions = index.span(span.low_us, span.high_us) if span.bounded else None
            if positions is not None and len(positions) <= FEW:
                return index.items(positions)
        return None

    def _everything(self) -> Iterable[Item]:
        return self._shelf.by_id.values()

    def _by_id(self, head: SortKey) -> Iterator[Iterable[Item]]:
        ids = self._shelf.ids.ids()
        low, high = self._query.ids.low, self._query.ids.high
        if self._cursor and head.descending:
            high = self._cursor.id if high is None else min(high, self._cursor.id)
        elif self._cursor:
            low = max(low, self._cursor.id)
        span = self._shelf.ids.span(low, high)
        positions = reversed(span) if head.descending else span
        return ([self._shelf.by_id[ids[at]]] for at in positions)

    def _by_end(self, head: SortKey) -> Iterator[Iterable[Item]]:
        span = self._shelf.finished.span(*self._walk(self._query.finished, head))
        finished = self._shelf.finished.groups(span, descending=head.descending)
        if self._knobs.null_finished == "excluded":
            return finished
        unfinished = [item for item in self._everything() if item.listed_finished_us is None]
        parts = (finished, [unfinished]) if self._knobs.null_finished == "last" else ([unfinished], finished)
        return chain(*parts)

    def _walk(self, span: TimeSpan, head: SortKey) -> tuple[int, int]:
        """Return the times to walk: the filter's, from the cursor on."""
        cursor, start = self._cursor, None
        if cursor:
            start = cursor.created_us if head.name == "created" else cursor.listed_finished_us
        if start is None:
            return span.low_us, span.high_us
        if head.descending:
            span = replace(span, high_us=min(span.high_us, start))
        else:
            span = replace(span, low_us=max(span.low_us, start))
        return span.low_us, span.high_us
