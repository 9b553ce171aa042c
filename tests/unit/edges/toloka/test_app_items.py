"""Items and pages as Toloka writes them, and everything that they might be instead."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from daemon.content import content_hash
from daemon.edges.toloka.app_items import item_of, page_of, skimmed
from daemon.edges.toloka.wire import UNHASHABLE, MalformedError, filter_time, time_of

ITEM: dict[str, Any] = {
    "id": "3a7f",
    "app_project_id": "P",
    "status": "COMPLETED",
    "input_data": {"id": "1", "text": "a"},
    "output_data": {"result": ["OK"], "confidence": 0.98},
    "errors": [],
    "created_at": "2026-11-22T11:24:46.818",
    "started_at": "2026-11-22T11:24:46.818213",
    "finished_at": "2026-11-22T11:24:47.1",
}


def encoded(**changes: Any) -> bytes:
    """An item's JSON; a change to None leaves the member out."""
    members = {name: value for name, value in (ITEM | changes).items() if value is not None}
    return msgspec.json.encode(members)


def test_an_item() -> None:
    """Everything that the flows need is read; the JSON stays as it came, byte for byte."""
    raw = msgspec.json.format(encoded(), indent=3)
    item = item_of(raw)
    assert (item.item_id, item.status, item.raw) == ("3a7f", "COMPLETED", b'"item":' + raw)
    assert item.created_at == datetime(2026, 11, 22, 11, 24, 46, 818_000, tzinfo=UTC)
    assert item.finished_at == datetime(2026, 11, 22, 11, 24, 47, 100_000, tzinfo=UTC)
    assert item.content_hash == content_hash({"text": "a", "id": "1"})


def test_an_unfinished_item() -> None:
    """Until it ends an item has no end."""
    assert item_of(encoded(finished_at=None, status="NEW")).finished_at is None


def test_content_too_deep_to_compare() -> None:
    """Somebody else's item, nested deeper than any of ours can be, does not hide the rest of its page."""
    deep: dict[str, Any] = {}
    for _ in range(150):
        deep = {"a": deep}
    assert item_of(encoded(input_data=deep)).content_hash == UNHASHABLE


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"id":',
        b"[" * 5000,
        encoded(id=None),
        encoded(id=7),
        encoded(id=""),
        encoded(status=None),
        encoded(status=1),
        encoded(created_at=None),
        encoded(created_at="yesterday"),
        encoded(created_at="9999-12-31T23:59:59-10:00"),
        encoded(finished_at="0"),
        encoded(finished_at=5),
        encoded(input_data=None),
        encoded()[:-1] + b',"id":"another"}',
        encoded().replace(b"0.98", b"NaN"),
        encoded().replace(b'"OK"', b'"\xff"'),
    ],
)
def test_no_item(raw: bytes) -> None:
    """What lacks a member, has one twice, or is not JSON is no item."""
    with pytest.raises(MalformedError):
        item_of(raw)


ODD = {
    "cut-result": (b'"OK"', b'"cut \\ud83d"', False),
    "cut-and-whole": (b'"OK"', b'"\\ud83d\\ude00 \\ude00 \\\\ud83d"', False),
    "huge-result": (b"0.98", b"1e400", False),
    "longest-number": (b"0.98", b"9" * 5000, False),
    "twice-in-a-result": (b'{"result"', b'{"result":1,"result"', False),
    "cut-content": (b'"text":"a"', b'"text":"a\\ud83d"', True),
    "huge-content": (b'"text":"a"', b'"text":1e400', True),
    "deep-result": (b"0.98", b"[" * 5000 + b"]" * 5000, False),
    "deep-result-at-the-edge": (b"0.98", b'{"a":' * 993 + b"0" + b"}" * 993, False),
    "deep-and-cut-result": (
        b'"OK"',
        b'"cut \\ud83d",' + b"[" * 5000 + b'"]\\"[[' + b'"' + b"]" * 5000,
        False,
    ),
    "deep-content": (b'"text":"a"', b'"text":' + b"[" * 5000 + b"]" * 5000, True),
    "deep-and-cut-content": (b'"text":"a"', b'"text":["\\ud83d",' + b"[" * 5000 + b"]" * 5001, True),
    "no-content": (b'{"id":"1","text":"a"}', b"null", True),
    "no-object-for-content": (b'{"id":"1","text":"a"}', b"[1]", True),
    "twice-in-content": (b'"text":"a"', b'"text":"a","text":"a"', True),
}


@pytest.mark.parametrize(("old", "new", "is_content"), ODD.values(), ids=ODD)
def test_what_people_write_does_not_hide_a_page(old: bytes, new: bytes, *, is_content: bool) -> None:
    """Half an emoji is JSON, and so are huge numbers: the item comes as it is; odd content is never ours."""
    odd = encoded(id="odd").replace(old, new)
    assert odd.count(new) == 1
    found = page_of(page(encoded(), odd, encoded(id="c")), 1000)
    assert [item.item_id for item in found.items] == ["3a7f", "odd", "c"]
    assert found.items[1].raw == b'"item":' + odd
    assert found.items[1] == item_of(odd)
    assert found.items[1].content_hash == (UNHASHABLE if is_content else found.items[0].content_hash)
    assert (found.items[0], found.items[2]) == (item_of(encoded()), item_of(encoded(id="c")))


def test_content_beside_something_deep_is_compared_all_the_same() -> None:
    """What is replaced to read the rest lies elsewhere."""
    deep = encoded(id="deep").replace(b"0.98", b"[" * 3000 + b"]" * 3000)
    spaced = deep.replace(b'":', b'": ')
    found = page_of(page(deep, spaced), 1000)
    assert {item.content_hash for item in found.items} == {item_of(encoded()).content_hash}
    assert [item.raw.removeprefix(b'"item":') for item in found.items] == [deep, spaced]


def page(*items: bytes, has_more: bytes = b"false") -> bytes:
    """A page's JSON."""
    return b'{"content":[' + b",".join(items) + b'],"has_more":' + has_more + b"}"


def test_a_page() -> None:
    """Items stay in the answer's order."""
    found = page_of(page(encoded(id="b"), encoded(id="a"), has_more=b"true"), 1000)
    assert [item.item_id for item in found.items] == ["b", "a"]
    assert found.has_more


def test_a_page_with_spaces() -> None:
    """However it is written, a page is read."""
    body = msgspec.json.format(page(encoded(), encoded(id="a")), indent=2)
    found = page_of(body, 1000)
    assert len(found.items) == 2
    assert all(item.raw.removeprefix(b'"item":') in body for item in found.items)


def test_a_page_of_items_that_are_written_in_many_ways() -> None:
    """Each is what it would be alone."""
    rows = [encoded(), msgspec.json.format(encoded(id="a"), indent=1), encoded(id="b", confidence=1e3)]
    assert page_of(page(*rows), 1000).items == tuple(map(item_of, rows))


def test_a_page_of_what_is_known_is_skimmed() -> None:
    """Its ids are read, and at what times it begins and ends."""
    rows = [encoded(id="a"), encoded(id="b"), encoded(id="c", finished_at="2026-11-22T11:24:48")]
    found = skimmed(page(*rows, has_more=b"true"), {"a", "b", "c"}.__contains__)
    assert found is not None
    assert (found.known, found.has_more) == (True, True)
    assert [(item.item_id, item.finished_at) for item in found.items] == [
        ("a", item_of(rows[0]).finished_at),
        ("b", None),
        ("c", item_of(rows[2]).finished_at),
    ]


@pytest.mark.parametrize(
    "body",
    [
        page(),
        page(encoded(id="a"), encoded(id="new")),
        page(encoded(id="a", finished_at="yesterday")),
        page(encoded(id="a", finished_at=None)),
        page(encoded(id="a"), b"null"),
        page(encoded(id="a"), has_more=b"null"),
        b'{"content":[' + encoded(id="a") + b"]}",
        b"[]",
        b"",
    ],
)
def test_any_other_page_is_to_be_read_as_a_whole(body: bytes) -> None:
    """Where anything is new, or not as it should be, its ids alone do not do."""
    assert skimmed(body, {"a"}.__contains__) is None


@pytest.mark.parametrize(("limit", "has_more"), [(1, True), (2, False)])
def test_a_page_that_does_not_say_whether_there_is_more(limit: int, *, has_more: bool) -> None:
    """A full page is taken for a part."""
    assert page_of(b'{"content":[' + encoded() + b"]}", limit).has_more is has_more


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"null",
        b"{}",
        b'{"has_more":false}',
        b'{"content":null,"has_more":false}',
        b'{"content":{},"has_more":false}',
        page(has_more=b'"no"'),
        page(has_more=b"1"),
        page(encoded())[:-3],
        page(encoded(), b"null"),
        page(encoded(), encoded(id=None)),
        page(encoded(), encoded()[:-1] + b',"id":"another"}'),
        page(encoded()) + page(encoded()),
        b'{"content":[],' + page(encoded())[1:],
        b'{"content":null,' + page(encoded())[1:],
        page(encoded()).replace(b"0.98", b"[" * 5000),
        page(encoded(), encoded(id=None).replace(b"0.98", b"[" * 3000 + b"]" * 3000)),
        page(encoded())[:-1] + b',"has_more":true,"deep":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ],
)
def test_no_page(body: bytes) -> None:
    """One item that cannot be read spoils its page: the others must not be taken for all there is."""
    with pytest.raises(MalformedError):
        page_of(body, 1000)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"status": None}, "the item i-7: text is wanted"),
        ({"finished_at": "soon"}, "the item i-7: a time is wanted"),
        ({"created_at": ...}, "the item i-7 is without 'created_at'"),
        ({"id": 7}, "the item without an id: text is wanted"),
        ({"id": "a\nb", "status": 1}, "the item a b: text is wanted"),
    ],
)
def test_an_item_that_cannot_be_read_is_named(change: dict[str, Any], why: str) -> None:
    """It keeps all others waiting, so that somebody has to find it."""
    fields = {"id": "i-7", **change}
    row = {name: said for name, said in {**ITEM, **fields}.items() if said is not ...}
    with pytest.raises(MalformedError, match=f"^{re.escape(why)}$"):
        page_of(page(msgspec.json.encode(row)), 1000)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-11-22T11:24:46", 0),
        ("2026-11-22T11:24:46.8", 800_000),
        ("2026-11-22T11:24:46.818", 818_000),
        ("2026-11-22T11:24:46.81821", 818_210),
        ("2026-11-22T11:24:46.818213", 818_213),
        ("2026-11-22T11:24:46.818213Z", 818_213),
        ("2026-11-22T11:24:46.818213z", 818_213),
        ("2026-11-22T11:24:46.818213789", 818_213),
        ("2026-11-22T13:24:46.818213+02:00", 818_213),
    ],
)
def test_times(text: str, microsecond: int) -> None:
    """Times are UTC unless they say otherwise, with 0 to 6 digits behind the second."""
    assert time_of(text) == datetime(2026, 11, 22, 11, 24, 46, microsecond, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "z", "now", 7])
def test_what_is_no_time(text: Any) -> None:
    """It is called malformed, whatever it is."""
    with pytest.raises(MalformedError):
        time_of(text)


def test_times_in_filters() -> None:
    """A filter's time is UTC without zone."""
    moment = datetime(2026, 11, 22, 13, 24, 46, 818_213, tzinfo=timezone(timedelta(hours=2)))
    assert filter_time(moment) == "2026-11-22T11:24:46.818213"


@pytest.mark.parametrize(
    ("changes", "own"), [({}, "1"), ({"input_data": {"text": "a"}}, ""), ({"input_data": {"id": 7}}, "")]
)
def test_the_id_that_the_content_carries(changes: dict[str, Any], own: str) -> None:
    """Of text alone: what tolokad gives is text."""
    assert item_of(encoded(**changes)).own_id == own
