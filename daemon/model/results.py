"""What is known of items at Toloka: created, finished, by pages, and how far they have been read."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec

from daemon.model.items import Likeness


class Created(NamedTuple):
    """An item that Toloka has, as a listing by creation time shows it; `wanted` and `pool` as in `Item`.

    `own_id` is the `id` that its content carries, if it is text.
    """

    item_id: str
    created_at: datetime
    content_hash: int
    status: str
    wanted: int = 1
    own_id: str = ""
    pool: str = ""

    @property
    def likeness(self) -> Likeness:
        """As in `Item`."""
        return self.content_hash, self.wanted, self.pool


class _Content(msgspec.Struct):
    id: str | None = None


class _Sent(msgspec.Struct):
    input_data: _Content


class _Own(msgspec.Struct):
    """What is looked at of a `Finished`, as its raw JSON has it."""

    item: _Sent


_own = msgspec.json.Decoder(_Own)


class Finished(msgspec.Struct, frozen=True, gc=False):
    """An item as Toloka returned it, or one of several results of an item.

    Attributes:
        finished_at: by Toloka's clock, as `created_at`; None while it is unfinished, and on some ends.
        content_hash: as in `Item`, of what Toloka shows.
        raw: what a result says of it: members of a JSON object without its braces, byte for byte.
        share: names the result where an item can have several.
        shown_since: since when it was shown with an earlier status, if that was long before: whoever looked
            then has seen it.
    """

    item_id: str
    status: str
    created_at: datetime
    finished_at: datetime | None
    content_hash: int
    raw: bytes
    share: str = ""
    shown_since: datetime | None = None

    @property
    def bookmark(self) -> str:
        """What a cursor behind it is called."""
        return self.share or self.item_id

    @property
    def own_id(self) -> str:
        """The `id` that its content carries; empty where it has none, or one that is no text."""
        try:
            return _own.decode(b"{" + self.raw + b"}").item.input_data.id or ""
        except (msgspec.DecodeError, ValueError, RecursionError):
            return ""

    @property
    def result_id(self) -> str:
        """An id that no other result has, of this item or another."""
        return f"{self.item_id}/{self.share}" if self.share else self.item_id


class Sight(NamedTuple):
    """What a look at an item by its id shows: what it is doing, and its results so far.

    `over` where certainly no further result will come.
    """

    status: str
    content_hash: int
    results: tuple[Finished, ...]
    over: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a listing, in its order.

    `known` where all in it is: of that, ids alone were read. `full` where it has as many as were asked for.
    """

    items: tuple[Finished, ...]
    has_more: bool
    known: bool = False
    full: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class UnknownCursor:
    """Toloka does not know the cursor's item any more: it was deleted or archived."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A bookmark in the stream of finished items; `item_id` is missing before the first one.

    What finished before `looked_until` was looked at twice; None where that reaches to the bookmark. Equal
    bookmarks stand at the same place, however far the second looks have come.
    """

    item_id: str | None
    finished_at: datetime
    published: int = 0
    looked_until: datetime | None = field(default=None, compare=False)

    @property
    def second_look_from(self) -> datetime:
        """Where the next second look begins, less the overlap."""
        return self.looked_until or self.finished_at
