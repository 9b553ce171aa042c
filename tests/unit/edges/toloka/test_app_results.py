"""What the App API shows, by a simulated Toloka and by servers that do as they like."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from daemon.content import content_hash
from daemon.edges.toloka import asking, listing
from daemon.errors import Held
from daemon.model import Accepted, Cursor, NotNow, Page, UnknownCursor
from tests.simulator.knobs import Knobs
from tests.simulator.serving import serve
from tests.unit.edges.toloka.apps import EARLIEST, LATEST, PROJECT, app, fault, items
from tests.unit.edges.toloka.wire import Connection, answering, json_answer, requests_counted, serving

STILL = Knobs(finish_distribution="never", requests_per_second=None)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.001)


# --- the tail --------------------------------------------------------------------------------------------


async def test_the_tail_goes_on_behind_the_cursor() -> None:
    """Pages follow each other without gap or overlap; each item is as Toloka wrote it."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items(*"abcde"))
        assert isinstance(accepted, Accepted)
        toloka.control.finish(ids=accepted.ids[:4])
        cursor, pages = Cursor(None, EARLIEST), []
        while True:
            found = await here.results.tail(cursor, 2)
            assert isinstance(found, Page)
            pages.append(found)
            last = found.items[-1]
            assert last.finished_at is not None
            cursor = Cursor(last.item_id, last.finished_at)
            if not found.has_more:
                break
        behind = await here.results.tail(cursor, 2)
    seen = [item for page in pages for item in page.items]
    assert [len(page.items) for page in pages] == [2, 2]
    assert {item.item_id for item in seen} == set(accepted.ids[:4])
    assert all(msgspec.json.decode(b"{" + item.raw + b"}")["item"]["id"] == item.item_id for item in seen)
    assert {item.content_hash for item in seen} == {content_hash({"text": text}) for text in "abcd"}
    assert behind == Page((), has_more=False)


async def test_what_the_tail_asks() -> None:
    """Documented parameters only; the time keeps unfinished items out whatever the server does with them."""
    empty = {"content": [], "has_more": False}
    async with serving(answering(json_answer(empty))) as wire, app(wire.url) as here:
        moment = EARLIEST + timedelta(microseconds=1_999_999)
        await here.results.tail(Cursor(None, moment), 10)
        await here.results.tail(Cursor("a/b", moment), 10)
    first, second = (request.query for request in wire.requests)
    assert first == {"sort": "finished,id", "limit": "10", "finished_gte": "2020-01-01T00:00:01"}
    assert second == first | {"after_id": "a/b"}


async def test_more_than_a_page_in_the_second_of_a_cursor_without_an_item() -> None:
    """The same page again and again would lead nowhere, while nothing else finishes."""
    row: dict[str, Any] = {
        "status": "COMPLETED",
        "created_at": "2020-01-01T00:00:00",
        "input_data": {"text": "a"},
    }
    rows = [{**row, "id": str(n), "finished_at": f"2020-01-01T00:00:01.{n}"} for n in (1, 2, 3, 6)]

    async def script(connection: Connection) -> None:
        while True:
            since = (await connection.request()).query["finished_gte"]
            found = [each for each in rows if each["finished_at"] >= since]
            page = {"content": found[:2], "has_more": len(found) > 2}
            await connection.answer(200, msgspec.json.encode(page))

    async with serving(script) as wire, app(wire.url) as here:
        ahead = await here.results.tail(Cursor(None, EARLIEST + timedelta(seconds=1.5)), 2)
        rows.pop()
        behind = await here.results.tail(Cursor(None, EARLIEST + timedelta(seconds=1.5)), 2)
    assert isinstance(ahead, Page)
    assert ([item.item_id for item in ahead.items], ahead.has_more) == (["6"], False)
    assert behind == Page((), has_more=False)


@pytest.mark.parametrize("null_finished", ["first", "last", "excluded"])
async def test_unfinished_items_never_come(null_finished: Any) -> None:
    """However a server sorts what has no end, the tail is not told of it."""
    knobs = Knobs(finish_distribution="never", null_finished=null_finished)
    async with serve(knobs) as toloka, app(toloka.url) as here:
        await here.submit(items("a", "b"))
        toloka.control.finish(limit=1)
        found = await here.results.tail(Cursor(None, EARLIEST), 10)
    assert isinstance(found, Page)
    assert len(found.items) == 1


@pytest.mark.fault(55)
@pytest.mark.parametrize("unknown_cursor", [404, 400])
async def test_a_cursor_that_toloka_does_not_know(unknown_cursor: Any) -> None:
    """A deleted item's id leads nowhere, which is told apart from a project that is gone."""
    knobs = Knobs(finish_distribution="never", unknown_cursor=unknown_cursor)
    async with serve(knobs) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items("a"))
        assert isinstance(accepted, Accepted)
        toloka.control.act(accepted.ids[0], "delete")
        cursor = Cursor(accepted.ids[0], EARLIEST)
        assert await here.results.tail(cursor, 10) == UnknownCursor()
        fault(toloka, "status", "project", status=404, style="json")
        gone = await here.results.tail(cursor, 10)
    assert isinstance(gone, NotNow)
    assert gone.reason == "not_found"


@pytest.mark.fault(54)
async def test_a_cursor_whose_item_went_back_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind it some servers show nothing more: a tail that stays empty asks whether it still stands."""
    monkeypatch.setattr("daemon.edges.toloka.app_api.DOUBT_SECONDS", 0.0)
    async with serve(STILL) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items("a"))
        assert isinstance(accepted, Accepted)
        toloka.control.finish(ids=accepted.ids)
        page = await here.results.tail(Cursor(None, EARLIEST), 10)
        assert isinstance(page, Page)
        assert page.items[0].finished_at is not None
        cursor = Cursor(accepted.ids[0], page.items[0].finished_at)
        assert await here.results.tail(cursor, 10) == Page((), has_more=False)
        toloka.control.act(accepted.ids[0], "status", "PROCESSING")
        assert await here.results.tail(cursor, 10) == UnknownCursor()
        toloka.control.finish(ids=accepted.ids)
        assert await here.results.tail(cursor, 10) == UnknownCursor()


async def test_a_project_that_is_not_there() -> None:
    """Without a cursor a 404 can only mean the project."""
    async with serve(STILL) as toloka, app(toloka.url, project_id="Nowhere") as here:
        found = await here.results.tail(Cursor(None, EARLIEST), 10)
        with_cursor = await here.results.tail(Cursor("x", EARLIEST), 10)
    assert isinstance(found, NotNow)
    assert isinstance(with_cursor, NotNow)
    assert (found.reason, with_cursor.reason) == ("not_found", "not_found")


@pytest.mark.parametrize("kind", ["drop", "drop_answer", "truncated", "wrong_type", "duplicate_keys", "bomb"])
async def test_a_page_that_cannot_be_read(kind: str) -> None:
    """No part of a spoilt answer is believed; it is asked for again later."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        await here.submit(items("a"))
        toloka.control.finish()
        fault(toloka, kind, "list", size_bytes=65 << 20)
        found = await here.results.tail(Cursor(None, EARLIEST), 10)
        assert isinstance(found, NotNow)
        assert found.reason == "unreachable"
        counted = requests_counted(here.metrics)
    assert counted.get(("list", "unreadable"), 0) + counted.get(("list", "connection"), 0) >= 1


# --- by id -----------------------------------------------------------------------------------------------


async def test_items_by_id() -> None:
    """Each item as it is now, and None for one that Toloka does not know."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items("a", "b"))
        assert isinstance(accepted, Accepted)
        toloka.control.finish(ids=accepted.ids[:1])
        found = await here.results.by_id([*accepted.ids, "unknown", "../../apps"])
    first, second = (found[item_id] for item_id in accepted.ids)
    assert first is not None
    assert second is not None
    assert (first.status, first.results[0].finished_at is not None) == ("COMPLETED", True)
    assert (second.results[0].finished_at, found["unknown"], found["../../apps"]) == (None, None, None)


async def test_no_item_is_unknown_where_the_project_is_gone() -> None:
    """A project that does not answer says nothing about its items."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "status", "project", "item", status=404, style="json")
        fault(toloka, "status", status=404, style="json")
        with pytest.raises(Held, match="listing_failed"):
            await here.results.by_id(["x"])


@pytest.mark.parametrize("status", ["ARCHIVE", "ARCHIVED"])
async def test_no_item_is_unknown_while_the_project_is_archived(status: str) -> None:
    """What it hides may come back with it: those in front of the first that is hidden are told."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items("a"))
        assert isinstance(accepted, Accepted)
        toloka.control.set_project_status(PROJECT, status)
        assert list(await here.results.by_id([*accepted.ids, "x", "y"])) == list(accepted.ids)
        with pytest.raises(Held, match="archived"):
            await here.results.by_id(["x"])
        toloka.control.set_project_status(PROJECT, "READY")
        assert await here.results.by_id(["x"]) == {"x": None}


@pytest.mark.parametrize("operation", ["item", "project"])
async def test_no_item_is_unknown_without_an_answer(operation: str) -> None:
    """Silence, about an item or about its project, proves nothing."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "drop", operation)
        with pytest.raises(Held, match="listing_failed"):
            await here.results.by_id(["x"])


async def test_an_item_that_is_refused() -> None:
    """Only a 404 means that there is no such item."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "status", "item", status=403, style="json")
        with pytest.raises(Held, match="403"):
            await here.results.by_id(["x"])


@pytest.mark.parametrize("body", [b"<html>", b'{"id":"other"}', b"[]"])
async def test_an_item_that_cannot_be_read(body: bytes) -> None:
    """A spoilt item is not taken for a missing one."""
    async with serving(answering((200, body))) as wire, app(wire.url) as here:
        with pytest.raises(Held, match="listing_failed"):
            await here.results.by_id(["x"])
    assert len(wire.requests) == 2


async def test_another_item_than_was_asked_for() -> None:
    """An answer about something else is no answer."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items("a"))
        assert isinstance(accepted, Accepted)
        found = (await here.results.by_id(accepted.ids))[accepted.ids[0]]
    assert found is not None
    raw = found.results[0].raw.removeprefix(b'"item":')
    async with serving(answering((200, raw))) as wire, app(wire.url) as here:
        with pytest.raises(Held, match="another item"):
            await here.results.by_id(["x"])


async def test_items_are_told_as_far_as_toloka_tells_them() -> None:
    """In the order in which they are asked for: one that it cannot show hides those behind it, for now."""
    shown = b'{"id":"a","status":"NEW","created_at":"2026-11-22T11:24:46","finished_at":null,"input_data":{}}'
    async with serving(answering((200, shown), (403, b"{}"), (200, shown))) as wire, app(wire.url) as here:
        assert list(await here.results.by_id(["a", "b", "c"])) == ["a"]
        assert len(wire.requests) == 2


# --- by creation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"null", b"[]"])
async def test_a_doubt_is_not_decided_by_items_that_are_shown_without_their_content(content: bytes) -> None:
    """One of them may be one that is looked for; the collector goes on, for it knows items by their ids."""
    item = b'{"id":"x","status":"NEW","created_at":"2026-11-22T11:24:46","finished_at":null,"input_data":%b}'
    page = b'{"content":[' + item % content + b'],"has_more":false}'
    async with serving(answering((200, page))) as wire, app(wire.url) as here:
        with pytest.raises(Held, match="the item x without its content"):
            await here.submissions.created(EARLIEST, None)
        (found,) = [page async for page in here.results.created_items(EARLIEST, LATEST)]
    assert list(found) == ["x"]


async def test_created_items() -> None:
    """Everything of a time span, whoever made it and whatever has become of it."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        accepted = await here.submit(items("a", "b", "c"))
        assert isinstance(accepted, Accepted)
        toloka.control.finish(limit=1)
        created = await here.submissions.created(EARLIEST, None)
        (full,) = [page async for page in here.results.created_items(EARLIEST, LATEST)]
        assert await here.submissions.created(LATEST, None) == []
    assert {item.item_id: item.content_hash for item in created} == {
        item_id: content_hash({"text": text}) for item_id, text in zip(accepted.ids, "abc", strict=True)
    }
    assert sorted(full) == sorted(accepted.ids)
    assert [i for i, sight in full.items() if sight.status == "COMPLETED"] == [accepted.ids[0]]


async def test_nothing_is_absent_while_the_project_is_archived() -> None:
    """What is absent may be sent again, and an archived project may hide what it has of it."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        await here.submit(items("a"))
        toloka.control.set_project_status(PROJECT, "ARCHIVED")
        assert len(await here.submissions.created(EARLIEST, None)) == 1
        with pytest.raises(Held, match="archived"):
            await here.submissions.created(EARLIEST, None, timedelta())
        toloka.control.set_project_status(PROJECT, "READY")
        assert len(await here.submissions.created(EARLIEST, None, timedelta())) == 1


@pytest.mark.parametrize(("before", "after"), [("ARCHIVED", "READY"), ("READY", "ARCHIVED")])
async def test_nothing_is_absent_where_the_project_was_archived_meanwhile(before: str, after: str) -> None:
    """Or taken out of the archive: the listing in between may have been hidden."""
    nothing = json_answer({"content": [], "has_more": False})
    answers = [json_answer({"status": before}), *[nothing] * 3, json_answer({"status": after})]
    async with serving(answering(*answers)) as wire, app(wire.url) as here:
        with pytest.raises(Held, match="archived"):
            await here.submissions.created(EARLIEST, None, timedelta())
