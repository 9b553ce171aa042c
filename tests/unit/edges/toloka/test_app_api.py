"""The App API against a simulated Toloka and against servers that do as they like."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from daemon.content import content_hash
from daemon.edges.toloka import listing, posting
from daemon.errors import Held
from daemon.model import (
    Accepted,
    Cursor,
    Flaw,
    InDoubt,
    NotNow,
    Page,
    Rejected,
    TooLarge,
    UnknownCursor,
)
from tests.simulator.faults import Fault
from tests.simulator.knobs import Knobs
from tests.simulator.serving import Simulator, serve
from tests.unit.edges.toloka.apps import EARLIEST, LATEST, PROJECT, App, app, items
from tests.unit.edges.toloka.wire import (
    Connection,
    answering,
    free_ports,
    json_answer,
    requests_counted,
    serving,
)

STILL = Knobs(finish_distribution="never", requests_per_second=None)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_WAIT_SECONDS", 0.001)


def fault(toloka: Simulator, kind: Any, *operations: str, **options: Any) -> None:
    """Have something go wrong with each of these requests from now on."""
    toloka.faults.replace([Fault(kind, operations, **options)])


async def in_window(here: App) -> bool:
    """Whether any place under the quota is taken, of a quota of ten."""
    return here.quota.wait_seconds(10) > 0


# --- submitting ------------------------------------------------------------------------------------------


async def test_items_are_accepted_in_order() -> None:
    """The ids of a success are those of the items, in their order."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        outcome = await here.submit(items("a", "b", "c"))
        record = toloka.control.record()
    assert isinstance(outcome, Accepted)
    assert [(row["id"], row["input_data"]["text"]) for row in record] == list(
        zip(outcome.ids, "abc", strict=True)
    )


async def test_force_new_original_is_sent_where_it_is_set() -> None:
    """The request says that duplicates are to be labelled again, or says nothing about them."""
    for force in (False, True):
        async with (
            serving(answering((200, b"{}"), json_answer(["x"]))) as wire,
            app(wire.url, force_new_original=force) as here,
        ):
            await here.submit(items("a"))
        body = msgspec.json.decode(wire.requests[1].body)
        assert body == {"items": [{"text": "a"}], **({"force_new_original": True} if force else {})}
        assert wire.requests[1].path == f"/api/app/v0/app-projects/{PROJECT}/items/bulk"


@pytest.mark.parametrize("kind", ["drop", "drop_answer", "truncated", "wrong_type", "missing_id", "extra_id"])
async def test_unclear_answers_are_in_doubt(kind: str) -> None:
    """Whatever hides the answer, the items may be there, and their place under the quota stays taken."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, kind, "bulk")
        assert isinstance(await here.submit(items("a", "b")), InDoubt)
        assert await in_window(here)


@pytest.mark.parametrize("kind", ["repeated_id", "gigantic", "bomb", "redirect"])
async def test_more_unclear_answers(kind: str) -> None:
    """So it is with answers that are too large, point elsewhere, or name an item twice."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, kind, "bulk", size_bytes=65 << 20)
        assert isinstance(await here.submit(items("a", "b")), InDoubt)
    assert requests_counted(here.metrics).keys() >= {("project", "success")}


@pytest.mark.fault(45)
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("style", ["empty", "html", "json"])
async def test_a_failing_server_is_in_doubt(style: Any, *, committed: bool) -> None:
    """A 503 says nothing of what became of the request, whoever wrote it."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "status", "bulk", status=503, style=style, committed=committed)
        assert isinstance(await here.submit(items("a")), InDoubt)
        assert toloka.control.stats()["created"] == committed


@pytest.mark.fault(34)
async def test_a_silent_server_is_in_doubt_at_the_deadline() -> None:
    """The attempt ends in time, whatever the server does."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "hang", "bulk")
        assert await here.submit(items("a"), 0.1) == InDoubt("no answer in time")


async def test_an_attempt_that_is_too_old_is_a_definite_no() -> None:
    """What was never sent holds for a moment, and gives its place under the quota back."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        assert await here.submissions.ready(10) is None
        limit = here.deadline()
        here.clock.elapsed_seconds += 20.0
        outcome = await here.submissions.submit(items("a"), app_intent(), limit)
        assert isinstance(outcome, NotNow)
        assert outcome.reason == "unreachable"
        assert "stale" in outcome.detail
        assert not await in_window(here)
        assert toloka.control.stats()["created"] == 0


def app_intent() -> Any:
    """The App API makes no use of an intent."""
    return None


@pytest.mark.fault(37)
async def test_bad_items_are_named() -> None:
    """A rejection names its culprits; nothing was created, and nothing counts against the quota."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        good, bad = items("a", "b")
        outcome = await here.submit([good, msgspec.structs.replace(bad, body=b'{"id":"7"}')])
        assert isinstance(outcome, Rejected)
        assert outcome.culprits[1].code == "VALUE_REQUIRED"
        assert list(outcome.culprits) == [1]
        assert toloka.control.stats()["created"] == 0
        assert not await in_window(here)


@pytest.mark.fault(38)
async def test_a_rejection_that_names_nobody() -> None:
    """A rejection may be opaque: then the batch is to be halved."""
    knobs = Knobs(finish_distribution="never", opaque_marker="evil")
    async with serve(knobs) as toloka, app(toloka.url) as here:
        outcome = await here.submit(items("a", "evil"))
    assert isinstance(outcome, Rejected)
    assert outcome.culprits == {}
    assert isinstance(outcome.flaw, Flaw)


async def test_too_many_items() -> None:
    """A request above Toloka's limit is too large, and gives its place under the quota back."""
    async with serve(Knobs(bulk_max_items=2)) as toloka, app(toloka.url, per_minute=10) as here:
        assert isinstance(await here.submit(items("a", "b", "c")), TooLarge)
        assert not await in_window(here)


@pytest.mark.fault(41)
async def test_too_many_bytes() -> None:
    """So is one that is refused by its size before it has been read."""
    async with serve(Knobs(max_body_bytes=100_000)) as toloka, app(toloka.url) as here:
        assert isinstance(await here.submit(items("x" * (4 << 20))), TooLarge)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (429, "throttled"),
        (415, "refused"),
    ],
)
async def test_a_no_that_is_not_the_items_fault(status: int, reason: str) -> None:
    """A refused submission says why, and gives its place under the quota back."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, "status", "bulk", status=status, style="json", retry_after="3")
        outcome = await here.submit(items("a"))
        assert isinstance(outcome, NotNow)
        assert (outcome.reason, outcome.wait_seconds) == (reason, 3.0)
        assert not await in_window(here)


# --- being ready -----------------------------------------------------------------------------------------


async def test_ready_opens_the_connection_that_is_then_used() -> None:
    """The project is asked for once, before the intent; the request follows over the same connection."""
    async with serving(answering((200, b"{}"), json_answer(["x"]))) as wire, app(wire.url) as here:
        await here.submit(items("a"))
        await here.submit(items("a"))
    assert [(r.method, r.connection) for r in wire.requests] == [("GET", 1), ("POST", 1), ("POST", 1)]
    assert wire.requests[0].path == f"/api/app/v0/app-projects/{PROJECT}"


@pytest.mark.parametrize(
    ("status", "reason", "wait_seconds"),
    [
        (401, "unauthorized", None),
        (403, "forbidden", None),
        (404, "not_found", None),
        (409, "conflict", None),
        (429, "throttled", 60.0),
        (408, "unreachable", None),
        (500, "unreachable", None),
        (503, "unreachable", None),
        (302, "unreachable", None),
        (415, "refused", None),
    ],
)
async def test_not_ready(status: int, reason: str, wait_seconds: float | None) -> None:
    """What Toloka has against us shows before anything is announced, and takes nothing of the quota."""
    payload = {"interval": "MIN"} if status == 429 else None
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, "status", "project", status=status, style="json", payload=payload)
        no = await here.submissions.ready(10)
        assert no is not None
        assert (no.reason, no.wait_seconds) == (reason, wait_seconds)
        assert not await in_window(here)


@pytest.mark.parametrize("kind", ["drop", "drop_answer"])
async def test_not_reachable(kind: str) -> None:
    """A connection that fails is nobody's fault, and over before anything is announced."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, kind, "project")
        no = await here.submissions.ready(10)
        assert no is not None
        assert no.reason == "unreachable"
        assert not await in_window(here)


async def test_nobody_there() -> None:
    """A refused connection says so to the operator."""
    async with app(f"http://127.0.0.1:{free_ports(1)[0]}") as here:
        no = await here.submissions.ready(1)
    assert no == NotNow("unreachable", "asking for the project: ConnectError: Connection refused")


async def test_ready_twice_counts_once() -> None:
    """An attempt that was given up before it was sent leaves its place to the next."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        for _ in range(3):
            assert await here.submissions.ready(10) is None
        assert await in_window(here)


async def test_a_long_wait_for_our_own_limits_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota that is used up is a hold with an end, not a silent wait."""
    monkeypatch.setattr(posting, "PATIENCE_SECONDS", 0.05)
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        await here.submit(items(*"abcdefghij"))
        no = await here.submissions.ready(10)
        assert no is not None
        assert (no.reason, no.detail) == ("throttled", "the limits of our own settings")
        assert no.wait_seconds == pytest.approx(60.0, abs=5.0)


async def test_a_wait_for_requests_gives_the_items_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place for the request the items' place is of no use."""
    monkeypatch.setattr(posting, "PATIENCE_SECONDS", 0.05)
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        here.requests.share(0.0)
        await here.requests.take("submit")
        no = await here.submissions.ready(10)
        assert no is not None
        assert no.reason == "throttled"
        assert not await in_window(here)


async def test_being_told_to_stop_while_not_ready() -> None:
    """A wait that is cancelled takes nothing."""
    reached = asyncio.Event()

    async def silent(connection: Connection) -> None:
        await connection.request()
        reached.set()
        await connection.rest()

    async with serving(silent) as wire, app(wire.url, per_minute=10) as here:
        waiting = asyncio.ensure_future(here.submissions.ready(10))
        await reached.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not await in_window(here)


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
