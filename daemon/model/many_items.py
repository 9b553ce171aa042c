"""Many items in columns: a batch's way asks for all of their bodies, then for all of their offsets.

An object for each, and for each of its parts, would lie somewhere else in memory, and be fetched from there
again at every step: that took a tenth of all the time.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, repeat
from operator import attrgetter
from typing import overload

import msgspec

from daemon.model.items import Headers, Item

_NEWLINE = b"\n"
_timestamp_of = attrgetter("record.timestamp")


class _LoneRecord(msgspec.Struct, frozen=True, gc=False):
    """A `BareRecord`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class _Made(Sequence[Item]):
    """Items that are made when somebody asks for one: all at once, and once."""

    @abstractmethod
    def _make(self) -> Iterable[Item]: ...

    @cached_property
    def _items(self) -> tuple[Item, ...]:
        return tuple(self._make())

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        return self._items[index]


class Columns(_Made):
    """Items of which one result each is awaited, for one place at Toloka.

    Args:
        lines: their bodies, a line each.
        values: the values of their records, a line each.
        offsets: of their records, as all that follows.
        timestamps: in milliseconds since 1970.
        hashes: see `Item.content_hash`.
        identified: see `Item.identified`.
        keys: None where no record has any, nor headers.
        headers: None where `keys` is.
    """

    def __init__(
        self,
        lines: bytes,
        values: bytes,
        offsets: Sequence[int],
        timestamps: Sequence[int],
        hashes: Sequence[int],
        identified: Sequence[bool],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers] | None = None,
    ) -> None:
        self._lines = lines
        self._values = values
        self._identified = identified
        self.offsets = offsets
        self.timestamps = timestamps
        self.hashes = hashes
        self.keys = keys
        self.headers = headers

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def body_bytes(self) -> int:
        """What they take of a request's body, each with what stands between it and the next."""
        return len(self._lines) + len(_NEWLINE)

    @property
    def beside_bytes(self) -> int:
        """What keys and headers take."""
        named = chain.from_iterable(self.headers or ())
        keys = sum(map(len, filter(None, self.keys or ())))
        return keys + sum(len(name) + len(value or b"") for name, value in named)

    def joined(self, between: bytes) -> bytes:
        """Their bodies, with so much between them."""
        return self._lines.replace(_NEWLINE, between)

    def _make(self) -> Iterable[Item]:
        keys, headers = self.keys or repeat(None), self.headers or repeat(())
        values, bodies = self._values.split(_NEWLINE), self._lines.split(_NEWLINE)
        records = map(_LoneRecord, self.offsets, self.timestamps, keys, values, headers)
        return map(Item, records, bodies, self.hashes, self._identified)


class Items(_Made):
    """Items, some of them in columns."""

    def __init__(self, parts: Sequence[Sequence[Item]]) -> None:
        self.parts = parts
        self._count = sum(map(len, parts))

    def __len__(self) -> int:
        return self._count

    def _make(self) -> Iterable[Item]:
        return chain.from_iterable(self.parts)


def in_parts(parts: Sequence[Sequence[Item]]) -> Sequence[Item]:
    """All of these; a plain tuple where none of them is in columns."""
    is_any = any(isinstance(part, Columns) for part in parts)
    return Items(parts) if is_any else tuple(chain.from_iterable(parts))


def parts_of(items: Sequence[Item]) -> Sequence[Sequence[Item]]:
    """The same in parts, each in columns or not; none is empty."""
    parts = items.parts if isinstance(items, Items) else (items,)
    return [part for part in parts if len(part)]


def body_bytes(items: Sequence[Item]) -> int:
    """What items take of a request's body, each with what stands between it and the next."""
    return sum(
        part.body_bytes if isinstance(part, Columns) else sum(len(item.body) + 1 for item in part)
        for part in parts_of(items)
    )


def timestamps_of(items: Sequence[Item]) -> Iterable[int]:
    """When the records of items were written, in milliseconds since 1970."""
    return chain.from_iterable(
        part.timestamps if isinstance(part, Columns) else map(_timestamp_of, part) for part in parts_of(items)
    )
