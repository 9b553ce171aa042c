"""Pure: items of the App API as they come in answers, and times as they go into filters (contract, A6-A8)."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from daemon import content
from daemon.model import Finished, Page

# No item of ours nests so deep that it cannot be hashed, and none has this hash but by a chance of 2^-64.
UNHASHABLE = 0

_EPOCH, _BARE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)  # noqa: DTZ001 - as it says

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Row(msgspec.Struct):
    """What is looked at of an item that is known."""

    id: str
    finished_at: str | None


class _Rows(msgspec.Struct):
    """A page of them."""

    content: list[_Row]
    has_more: bool


_rows = msgspec.json.Decoder(_Rows)
_contents = msgspec.json.Decoder(list[msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, Any]])
_encoder = msgspec.json.Encoder()


class MalformedError(ValueError):
    """An answer is not what the contract says it is."""


def page_of(body: bytes, limit: int) -> Page:
    """A listing's answer.

    Args:
        body: the answer's.
        limit: how many items were asked for: so many are taken for a part where `has_more` is missing.

    Raises:
        MalformedError: the page, or any item in it, is malformed; what it holds cannot be told for certain.
    """
    try:
        members = _members.decode(body)
        # One that is written the shortest way has no key twice; anything else is read with an eye on it.
        if _encoder.encode(members) != body:
            content.parse(body)
        raw_items = _contents.decode(members["content"])
        has_more = msgspec.json.decode(members["has_more"]) if "has_more" in members else None
    except KeyError as error:
        raise MalformedError(f"a page without {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not a page: {error}") from None
    if not isinstance(has_more, bool | None):
        raise MalformedError("a page with a has_more that is neither true nor false")
    parsed = _shortest(bytes(members["content"]))
    raw = map(bytes, raw_items)
    items = tuple(map(item_of, raw) if parsed is None else map(_item, parsed, raw))
    return Page(items, len(items) >= limit if has_more is None else has_more)


def skimmed(body: bytes, known: Callable[[str], bool]) -> Page | None:
    """A listing's answer in which there are known items only, of each its id alone.

    The first and the last have their time as well, for that is where a listing goes on. None where anything
    else is in it: then it is to be read as a whole.
    """
    try:
        rows = _rows.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    if not rows.content or not all(known(row.id) for row in rows.content):
        return None
    first, last = rows.content[0].finished_at, rows.content[-1].finished_at
    try:
        ends = (time_of(first), time_of(last))
    except MalformedError:
        return None
    items = [_known(row.id, None) for row in rows.content]
    items[0], items[-1] = _known(rows.content[0].id, ends[0]), _known(rows.content[-1].id, ends[1])
    return Page(tuple(items), rows.has_more, known=True)


def _known(item_id: str, finished_at: datetime | None) -> Finished:
    return Finished(item_id, "", _EPOCH, finished_at, UNHASHABLE, b"")


def _shortest(contents: bytes) -> Sequence[dict[str, Any]] | None:
    """The items' objects, where all are written the shortest way: none of them has a key twice then.

    None where one is written otherwise, or is none: each is to be looked at.
    """
    try:
        parsed = _objects.decode(contents)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return parsed if _encoder.encode(parsed) == contents else None


def item_of(raw: bytes) -> Finished:
    """An item, from its JSON.

    Raises:
        MalformedError: it is not JSON, has a key twice, or lacks something that every item has.
    """
    try:
        return _item(content.parse(raw), raw)
    except content.ContentError as error:
        raise MalformedError(f"not an item: {error}") from None


def _item(item: dict[str, Any], raw: bytes) -> Finished:
    try:
        finished = item.get("finished_at")
        # In this order, for names would take as long as all the rest.
        return Finished(
            _text(item["id"]),
            _text(item["status"]),
            time_of(item["created_at"]),
            None if finished is None else time_of(finished),
            _hash(item["input_data"]),
            b'"item":' + raw,
        )
    except KeyError as error:
        raise MalformedError(f"an item without {error}") from None


def the_item(raw: bytes, item_id: str) -> Finished:
    """The item that was asked for by its id.

    Raises:
        MalformedError: it is none, or another.
    """
    item = item_of(raw)
    if item.item_id != item_id:
        raise MalformedError("another item than was asked for")
    return item


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise MalformedError("text is wanted")
    return value


def _hash(input_data: Any) -> int:
    if not isinstance(input_data, dict):
        raise MalformedError("input_data is no object")
    try:
        return content.content_hash(input_data)
    except content.ContentError:
        return UNHASHABLE


def time_of(text: Any) -> datetime:
    """A time as Toloka writes it: UTC, usually without zone, 0 to 6 fraction digits (contract, A8).

    Raises:
        MalformedError: it is none.
    """
    try:
        moment = datetime.fromisoformat(_text(text))
        # What `replace(tzinfo=UTC)` comes to, in a sixth of its time.
        return _EPOCH + (moment - _BARE_EPOCH) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedError("a time is wanted") from None


def filter_time(moment: datetime) -> str:
    """A time as filters take it: UTC, ISO 8601 without zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
