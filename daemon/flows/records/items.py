"""Pure: an input record's value becomes the item that is sent, byte for byte where possible."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from daemon.content import ContentError, content_hash, parse_hashed
from daemon.flows.records.shape import Shape, identified
from daemon.flows.records.windows import WINDOW, Found, Window, are_bare, value_of
from daemon.model import BareRecord, Flaw, Item

# The second says where the records stand: see `standing`.
Read = Callable[[BareRecord, str], Item | Flaw]
ReadAll = Callable[[Sequence[BareRecord], str], Sequence[Found]]
_Check = Callable[[Mapping[str, Any]], Flaw | None]
# With a topic's name of 249 letters.
MAX_IDENTITY_BYTES = 300


class Spec(Protocol):
    """Says what is wrong with an item."""

    @property
    def takes_id(self) -> bool:
        """Whether an item without an `id` may be given one."""
        ...

    def takes(self, identity: str, /) -> bool:
        """Whether that may be this one."""
        ...

    @property
    def shape(self) -> Shape | None:
        """A type whose items are all right, for many at once, but for the id that they are given."""
        ...

    def flaw(self, item: Mapping[str, Any], /) -> Flaw | None:
        """The first thing that is wrong with an item; None where nothing is."""
        ...


class RecordReader(Protocol):
    """Turns records into items."""

    def read(self, record: BareRecord, where: str, /) -> Item | Flaw:
        """The item in a record that is no tombstone, or why there is none."""
        ...

    def read_all(self, records: Sequence[BareRecord], where: str, /) -> Sequence[Found]:
        """What `read` says of each record, and None of a tombstone."""
        return [None if record.value is None else self.read(record, where) for record in records]

    def read_unchecked(self, record: BareRecord, where: str, /) -> Item | Flaw:
        """What may have been sent of a record by other checks and another limit than today's."""
        ...


_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class ItemReader:
    """Turns records into items.

    Args:
        spec: the checks of the app's `input_spec`.
        pointer: a JSON Pointer (RFC 6901) to the item inside the record's value, or None for the whole.
        max_bytes: of an item's body; a larger one could be sent in no request.
        max_overhead_bytes: of key and headers together: they must fit the item's ledger record.
    """

    def __init__(
        self, spec: Spec, pointer: str | None, max_bytes: int, max_overhead_bytes: int = 800_000
    ) -> None:
        self._spec = spec
        self._path = None if pointer is None else _path(pointer)
        self._max_bytes = max_bytes
        self._max_overhead_bytes = max_overhead_bytes

    def follow(self, spec: Spec) -> None:
        """Check by this spec from now on."""
        self._spec = spec

    def read(self, record: BareRecord, where: str) -> Item | Flaw:
        """The item in a record that is no tombstone, or why there is none."""
        return self._read(record, where, self._spec.flaw, self._max_bytes)

    def read_unchecked(self, record: BareRecord, where: str) -> Item | Flaw:
        """What may have been sent of a record by other checks and another limit than today's."""
        return self._read(record, where, lambda _: None, sys.maxsize)

    def _read(self, record: BareRecord, where: str, check: _Check, max_bytes: int) -> Item | Flaw:
        try:
            return self._item(record, where, check, max_bytes)
        except ContentError as error:
            return Flaw(error.code, str(error))

    def read_all(self, records: Sequence[BareRecord], where: str) -> Sequence[Found]:
        """What `read` says of each record, and None of a tombstone; faster where all are plain.

        As many as are looked at together may be given in columns.
        """
        if 0 < len(records) <= WINDOW:
            return self._read_window(records, where)
        found: list[Found] = []
        for start in range(0, len(records), WINDOW):
            found += self._read_window(records[start : start + WINDOW], where)
        return found

    def _read_window(self, records: Sequence[BareRecord], where: str) -> Sequence[Found]:
        def each(record: BareRecord) -> Found:
            return None if record.value is None else self.read(record, where)

        shape = None if self._path else self._spec.shape
        values, is_bare = list(map(value_of, records)), are_bare(records)
        if shape is None or not all(values) or self._are_heavy(values, () if is_bare else records):
            return list(map(each, records))
        if not self._spec.takes_id:
            return Window(records, values, is_bare, None, each).read(shape)
        # Its length only grows with the offset: what both ends have room for, all have. Nobody lists ids of
        # ours as the only ones that are allowed.
        ends = (identity_of(where, record.offset) for record in (records[0], records[-1]))
        if not all(map(self._spec.takes, ends)):
            return list(map(each, records))
        return Window(records, values, is_bare, partial(identity_of, where), each).read(shape)

    def _are_heavy(self, values: Sequence[bytes], laden: Sequence[BareRecord]) -> bool:
        """Whether one of the records might be too large in any way."""
        return (
            max(map(len, values)) > self._max_bytes - MAX_IDENTITY_BYTES
            or max(map(_overhead, laden), default=0) > self._max_overhead_bytes
        )

    def _item(self, record: BareRecord, where: str, check: _Check, max_bytes: int) -> Item | Flaw:
        body = record.value or b""
        if len(body) > max_bytes and self._path is None:
            return _too_large(len(body), max_bytes)
        parsed, hashed = parse_hashed(body)
        if self._path is not None:
            parsed = _inside(parsed, self._path)
            body = msgspec.json.encode(parsed)
            hashed = content_hash(parsed)
        is_identified = False
        if self._spec.takes_id and parsed.get("id") is None:
            identity = identity_of(where, record.offset)
            is_identified = self._spec.takes(identity)
            if is_identified:
                parsed, body = _identified(identity, parsed, body)
                hashed = content_hash(parsed)
        if (flaw := check(parsed)) is not None:
            return flaw
        if len(body) > max_bytes:
            return _too_large(len(body), max_bytes)
        if (record.key or record.headers) and (size := _overhead(record)) > self._max_overhead_bytes:
            limit = self._max_overhead_bytes
            return Flaw("HEADERS_TOO_LARGE", f"key and headers take {size} bytes, above {limit}")
        return Item(record, body, hashed, is_identified)


def _too_large(size: int, max_bytes: int) -> Flaw:
    return Flaw("TOO_LARGE", f"the item has {size} bytes, above the {max_bytes} of a request")


def _overhead(record: BareRecord) -> int:
    headers = sum(len(name.encode()) + len(value or b"") + 8 for name, value in record.headers)
    return len(record.key or b"") + headers


def standing(topic: str, partition: int) -> str:
    """Where a partition's records stand: what the ids begin with that their items are given."""
    return f"{topic}-{partition}"


def identity_of(where: str, offset: int) -> str:
    """The id for the item in the record at this offset, if it has none."""
    return f"{where}-{offset}"


def _identified(identity: str, parsed: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Give an item that has none an id of its own, so that it can be told from its equals."""
    whole = {**parsed, "id": identity}
    # A field `id` that is null is there already: it cannot be spliced in once more.
    return whole, msgspec.json.encode(whole) if "id" in parsed else identified(body, identity.encode())


def _path(pointer: str) -> tuple[str, ...]:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _index(part: str) -> int:
    """An array index as RFC 6901 writes it: digits, without a leading zero."""
    if not _INDEX.fullmatch(part):
        raise ValueError(part)
    return int(part)


def _inside(parsed: Any, path: tuple[str, ...]) -> dict[str, Any]:
    for part in path:
        try:
            parsed = parsed[_index(part)] if isinstance(parsed, list) else parsed[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ContentError(
                "POINTER_MISSES", f"there is no {part!r} where the item is looked for"
            ) from None
    if not isinstance(parsed, dict):
        raise ContentError("NOT_AN_OBJECT", f"a JSON {type(parsed).__name__} where the item is looked for")
    return parsed
