"""Pure: items of the App API as they come in answers (`GET …/items`)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from daemon import content
from daemon.edges.toloka.answers import CODE_LETTERS, text
from daemon.edges.toloka.odd_items import looked_at, members_once
from daemon.edges.toloka.wire import UNHASHABLE, MalformedError, has_more_of, hash_of, text_of, time_of
from daemon.model import EPOCH, Finished, Page
from daemon.odd_json import decoded

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Row(msgspec.Struct):
    """What is looked at of an item that is known."""

    id: str
    finished_at: str | None


class _Rows(msgspec.Struct):
    """A page of them."""

    content: list[_Row]
    has_more: bool


class _Shown(msgspec.Struct):
    """An item, by its content as it came."""

    input_data: msgspec.Raw


class _Told(msgspec.Struct):
    """A `Finished`, as its raw JSON has it."""

    item: _Shown


_told = msgspec.json.Decoder(_Told)
_rows = msgspec.json.Decoder(_Rows)
_contents = msgspec.json.Decoder(list[msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, Any]])
_encoder = msgspec.json.Encoder()


def page_of(body: bytes, limit: int) -> Page:
    """A listing's answer.

    Where `has_more` is missing, as many items as were asked for are taken for a part.

    Raises:
        MalformedError: the page, or any item in it, is malformed; what it holds cannot be told for certain.
    """
    try:
        parsed, raw, told = _parts(body)
    except KeyError as error:
        raise MalformedError(f"a page without {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not a page: {error}") from None
    has_more = has_more_of(told)
    items = tuple(map(item_of, raw) if parsed is None else map(_item, parsed, raw))
    return Page(items, len(items) >= limit if has_more is None else has_more)


def _parts(body: bytes) -> tuple[Sequence[dict[str, Any]] | None, Sequence[bytes], Any]:
    """A page's items, parsed where all are written the shortest way; their JSON; its `has_more`."""
    readable, members = decoded(body, _page)
    contents = bytes(members["content"])
    raw = list(map(bytes, _contents.decode(contents)))
    has_more = msgspec.json.decode(members["has_more"]) if "has_more" in members else None
    if readable == body:
        return _shortest(contents), raw, has_more
    return None, _as_they_came(raw, readable, body), has_more


def _page(text: bytes) -> dict[str, msgspec.Raw]:
    members = _members.decode(text)
    # One that is written the shortest way has no key twice; anything else is read with an eye on it.
    return members if _encoder.encode(members) == text else members_once(text)


def _as_they_came(rows: Sequence[bytes], readable: bytes, body: bytes) -> Sequence[bytes]:
    """The rows of a page that had to be mended, as they were before."""
    found, at = [], 0
    for row in rows:
        at = readable.index(row, at)
        found.append(body[at : at + len(row)])
        at += len(row)
    return found


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
    return Finished(item_id, "", EPOCH, finished_at, UNHASHABLE, b"")


def _shortest(contents: bytes) -> Sequence[dict[str, Any]] | None:
    """The items' objects, where all are written the shortest way: none of them has a key twice then.

    None where one is written otherwise, or is none: each is to be looked at.
    """
    try:
        parsed = _objects.decode(contents)
        return parsed if _encoder.encode(parsed) == contents else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def item_of(raw: bytes) -> Finished:
    """An item, from its JSON.

    Raises:
        MalformedError: it is not JSON, has a key twice, or lacks something that every item has.
    """
    try:
        parsed = content.parse(raw)
    except content.ContentError:
        parsed = looked_at(raw)
    return _item(parsed, raw)


def _item(item: dict[str, Any], raw: bytes) -> Finished:
    try:
        finished = item.get("finished_at")
        # In this order, for names would take as long as all the rest.
        return Finished(
            text_of(item["id"]),
            text_of(item["status"]),
            time_of(item["created_at"]),
            None if finished is None else time_of(finished),
            hash_of(item["input_data"]),
            b'"item":' + raw,
        )
    except KeyError as error:
        raise MalformedError(f"{_named(item)} is without {error}") from None
    except MalformedError as error:
        raise MalformedError(f"{_named(item)}: {error}") from None


def _named(item: Mapping[str, Any]) -> str:
    """An item, for the operator: one that cannot be read keeps all others waiting until it is gone."""
    return f"the item {text(item.get('id'), CODE_LETTERS) or 'without an id'}"


def shows_content(item: Finished) -> bool:
    """Whether an item is shown with content at all, be it such as cannot be compared."""
    if item.content_hash != UNHASHABLE:
        return True
    try:
        _, told = decoded(b"{" + item.raw + b"}", _told.decode)
    except (msgspec.DecodeError, RecursionError):
        return False
    return bytes(told.item.input_data).startswith(b"{")


def the_item(raw: bytes, item_id: str) -> Finished:
    """The item that was asked for by its id.

    Raises:
        MalformedError: it is none, or another.
    """
    item = item_of(raw)
    if item.item_id != item_id:
        raise MalformedError("another item than was asked for")
    return item
