"""Pure: an input record's value becomes the item that is sent, byte for byte where possible."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from daemon.content import ContentError, content_hash, is_flat, parse_flat, parse_hashed
from daemon.model import Flaw, Item, Record


class Spec(Protocol):
    """Says what is wrong with an item."""

    @property
    def takes_id(self) -> bool:
        """Whether an item without an `id` may be given one."""
        ...

    def flaw(self, item: Mapping[str, Any], /) -> Flaw | None:
        """The first thing that is wrong with an item; None where nothing is."""
        ...


_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
# What `Item(…)` comes to; one is made per record.
_new = tuple.__new__
_OPENING = re.compile(rb"\s*\{\s*")


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
        self._flat = pointer is None

    def follow(self, spec: Spec) -> None:
        """Check by this spec from now on."""
        self._spec = spec

    def read(self, record: Record) -> Item | Flaw:
        """The item in a record that is no tombstone, or why there is none."""
        body = record.value or b""
        try:
            if self._flat and not (record.key or record.headers) and len(body) <= self._max_bytes:
                # The way of most records, in few steps.
                if (flat := parse_flat(body)) is None:
                    self._flat = False
                elif self._spec.flaw(flat[0]) is None and not (
                    self._spec.takes_id and flat[0].get("id") is None
                ):
                    return _new(Item, (record, body, flat[1], False, 1))
            return self._item(record, body)
        except ContentError as error:
            return Flaw(error.code, str(error))

    def _item(self, record: Record, body: bytes) -> Item | Flaw:
        if len(body) > self._max_bytes and self._path is None:
            return self._too_large(len(body))
        parsed, hashed = parse_hashed(body)
        if self._path is not None:
            parsed = _inside(parsed, self._path)
            body = msgspec.json.encode(parsed)
            hashed = content_hash(parsed)
        identified = self._spec.takes_id and parsed.get("id") is None
        # The next record is most likely as this one, and is not to be read twice.
        self._flat = self._path is None and not identified and is_flat(parsed)
        if identified:
            parsed, body = _identified(record, parsed, body)
            hashed = content_hash(parsed)
        if (flaw := self._spec.flaw(parsed)) is not None:
            return flaw
        if len(body) > self._max_bytes:
            return self._too_large(len(body))
        if (record.key or record.headers) and (size := _overhead(record)) > self._max_overhead_bytes:
            limit = self._max_overhead_bytes
            return Flaw("HEADERS_TOO_LARGE", f"key and headers take {size} bytes, above {limit}")
        return _new(Item, (record, body, hashed, identified, 1))

    def _too_large(self, size: int) -> Flaw:
        return Flaw("TOO_LARGE", f"the item has {size} bytes, above the {self._max_bytes} of a request")


def _overhead(record: Record) -> int:
    headers = sum(len(name.encode()) + len(value or b"") + 8 for name, value in record.headers)
    return len(record.key or b"") + headers


def _identified(record: Record, parsed: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Give an item that has none an id of its own, so that it can be told from its equals."""
    identity = f"{record.topic}-{record.partition}-{record.offset}"
    whole = {**parsed, "id": identity}
    # A field `id` that is null is there already: it cannot be spliced in once more.
    if "id" in parsed:
        return whole, msgspec.json.encode(whole)
    opening = _OPENING.match(body)
    rest = body[opening.end() if opening else 1 :]
    comma = b"," if parsed else b""
    return whole, b'{"id":"' + identity.encode() + b'"' + comma + rest


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
