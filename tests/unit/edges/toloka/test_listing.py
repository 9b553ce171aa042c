"""Listings: everything in a time span, whatever a server makes of ties, pages and time."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from daemon.edges.toloka import asking, bodies, listing, page_size
from daemon.errors import Held
from daemon.model import Accepted, Finished
from tests.simulator.faults import Fault
from tests.simulator.knobs import Knobs
from tests.simulator.serving import Simulator, serve
from tests.unit.edges.toloka.apps import EARLIEST, LATEST, App, app, items
from tests.unit.edges.toloka.wire import Connection, requests_counted, serving

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
PAGE = 10


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(listing, "PAGE_ITEMS", PAGE)


@dataclass
class Hand:
    """A clock for the simulator, moved by hand."""

    now: float = START.timestamp()

    def __call__(self) -> float:
        """Unix seconds."""
        return self.now


async def submitted(here: App, count: int) -> tuple[str, ...]:
    """The ids of new items."""
    outcome = await here.submit(items(*(f"item {n}" for n in range(count))))
    assert isinstance(outcome, Accepted)
    return outcome.ids


async def all_of(pages: AsyncIterator[Sequence[Finished]]) -> Counter[str]:
    """How often each item was given."""
    return Counter([item.item_id async for page in pages for item in page])


def finish(toloka: Simulator, hand: Hand, groups: Sequence[tuple[int, float]]) -> None:
    """Finish so many items at a time, then let so many seconds pass."""
    for count, seconds in groups:
        toloka.control.finish(limit=count)
        hand.now += seconds


# --- what has finished -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tie_order", "digits", "hidden"),
    [
        ("id", 6, False),
        ("insertion", 3, False),
        ("random", 6, False),
        ("random", 0, False),
        ("random", 3, True),
        ("random", 0, True),
    ],
)
@pytest.mark.parametrize(
    "groups",
    [
        [(1, 0.5)] * 35,
        [(35, 1.0)],
        [(3, 0.001), (25, 0.001), (2, 0.0004), (12, 0.0004), (30, 0.1)],
        [(9, 0.0), (2, 0.000_001)] * 5,
        [(10, 1.0)] * 3,
        [(11, 1.0)] * 3,
    ],
    ids=["spread", "one tie", "ties", "a microsecond apart", "full pages", "over full pages"],
)
async def test_everything_that_finished_is_given(
    tie_order: Any, digits: int, groups: Sequence[tuple[int, float]], *, hidden: bool
) -> None:
    """Nothing is lost, however ties are ordered and cut by pages, and however coarsely times are shown."""
    knobs = Knobs(
        finish_distribution="never",
        requests_per_second=None,
        tie_order=tie_order,
        finished_digits=digits,
        hidden_precision=hidden,
    )
    hand, count = Hand(), sum(n for n, _ in groups)
    async with serve(knobs, clock=hand) as toloka, app(toloka.url) as here:
        ids = await submitted(here, count + 1)
        finish(toloka, hand, groups)
        seen = await all_of(here.results.finished(START - timedelta(seconds=1), LATEST))
        # Ties are nothing special; only where times are shown less exactly than compared, pages may mislead.
        assert hidden or here.metrics.cursor_fallbacks._value.get() == 0
    assert seen.keys() <= set(ids)
    assert len(seen) == count


@pytest.mark.parametrize("digits", [6, 0])
@pytest.mark.parametrize("news", [0, 1, 17, 35])
async def test_of_what_is_known_whole_pages_are_left_out(news: int, digits: int) -> None:
    """Whatever is not known is given, wherever it stands among what is."""
    knobs = Knobs(finish_distribution="never", requests_per_second=None, finished_digits=digits)
    hand = Hand()
    async with serve(knobs, clock=hand) as toloka, app(toloka.url) as here:
        ids = await submitted(here, 35)
        finish(toloka, hand, [(1, 0.2)] * 35)
        unknown = set(ids[::2][:news]) | set(ids[1::2][: max(news - 18, 0)])
        known = set(ids) - unknown
        seen = await all_of(here.results.finished(START, LATEST, known.__contains__))
    assert unknown <= seen.keys()
    assert (len(seen) == 0) == (news == 0)


async def test_the_span_is_closed() -> None:
    """Both ends belong to it, to the microsecond."""
    hand = Hand()
    async with serve(Knobs(finish_distribution="never"), clock=hand) as toloka, app(toloka.url) as here:
        await submitted(here, 3)
        finish(toloka, hand, [(1, 1.0)] * 3)
        second = timedelta(seconds=1)
        step = timedelta(microseconds=1)
        for since, until, count in [
            (START, START + 2 * second, 3),
            (START + step, START + 2 * second, 2),
            (START, START + 2 * second - step, 2),
            (START + second, START + second, 1),
            (START + second, START, 0),
        ]:
            assert len(await all_of(here.results.finished(since, until))) == count


async def test_passing_trouble_is_waited_out() -> None:
    """An answer that fails now and then does not end the listing."""
    hand = Hand()
    async with serve(Knobs(finish_distribution="never"), clock=hand) as toloka, app(toloka.url) as here:
        await submitted(here, 35)
        finish(toloka, hand, [(1, 0.5)] * 35)
        for kind in ("status", "drop_answer", "truncated", "empty_page", "same_page"):
            toloka.faults.replace([Fault(kind, ("list",), every=3)])
            assert len(await all_of(here.results.finished(START, LATEST))) == 35


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
async def test_lasting_trouble_ends_the_listing(status: int) -> None:
    """What cannot be listed is held, with what Toloka says; what may pass is tried a few times."""
    async with serve(Knobs(finish_distribution="never")) as toloka, app(toloka.url) as here:
        toloka.faults.add(Fault("status", ("list",), status=status, style="json"))
        with pytest.raises(Held, match=str(status)) as raised:
            await all_of(here.results.finished(START, LATEST))
        tries = sum(n for (operation, _), n in requests_counted(here.metrics).items() if operation == "list")
    assert raised.value.reason == "listing_failed"
    assert tries == (2 if status == 500 else 1)


async def test_a_long_throttling_is_not_waited_out() -> None:
    """One that is told to come back in a minute says so instead of waiting."""
    async with serve(Knobs(finish_distribution="never")) as toloka, app(toloka.url) as here:
        toloka.faults.add(Fault("status", ("list",), status=429, retry_after="60"))
        with pytest.raises(Held, match="429") as raised:
            await all_of(here.results.finished(START, LATEST))
        assert requests_counted(here.metrics)["list", "throttled"] == 1
    assert raised.value.wait_seconds == 60


# --- servers that lead nowhere ---------------------------------------------------------------------------


def item(number: int) -> dict[str, Any]:
    """An item as Toloka would write it."""
    moment = (START + timedelta(seconds=number)).replace(tzinfo=None).isoformat()
    return {
        "id": f"{number:04}",
        "status": "COMPLETED",
        "input_data": {"text": str(number)},
        "created_at": moment,
        "finished_at": moment,
    }


def always(page: dict[str, Any]) -> Any:
    """A server that gives this page, whatever it is asked."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.answer(200, msgspec.json.encode(page))

    return script


async def test_more_without_content() -> None:
    """A listing that is empty and yet goes on is left behind, by time, in a bounded number of requests."""
    async with serving(always({"content": [], "has_more": True})) as wire, app(wire.url) as here:
        assert await all_of(here.results.finished(START, START + timedelta(seconds=60))) == {}
        assert here.metrics.cursor_fallbacks._value.get() == 1
    assert len(wire.requests) < 100


@pytest.mark.parametrize("apart", [0, 1])
async def test_the_same_page_for_ever(apart: int) -> None:
    """A server that ignores what it is asked gives what it has, and does not hold us up for ever."""
    content = [{**item(n), "finished_at": item(n * apart)["finished_at"]} for n in range(PAGE)]
    page = {"content": content, "has_more": True}
    async with serving(always(page)) as wire, app(wire.url) as here:
        seen = await all_of(here.results.finished(START, START + timedelta(hours=1)))
        assert len(seen) == PAGE
    assert len(wire.requests) < 200


async def test_a_server_that_goes_on_for_ever() -> None:
    """Each page may bring something new for ever; the span's end ends it all the same."""
    asked = 0

    async def script(connection: Connection) -> None:
        nonlocal asked
        while True:
            await connection.request()
            asked += 1
            content = [item(asked * PAGE + n) for n in range(PAGE)]
            await connection.answer(200, msgspec.json.encode({"content": content, "has_more": True}))

    async with serving(script) as wire, app(wire.url) as here:
        await all_of(here.results.finished(START, START + timedelta(seconds=600)))
    assert asked <= 60


async def test_where_the_next_page_begins() -> None:
    """At the last item's end, less what a server may leave out of its comparison behind the millisecond."""
    rows = [{**item(n), "finished_at": f"2026-11-22T12:00:0{n}.123456"} for n in range(3)]
    begins = []

    async def script(connection: Connection) -> None:
        while True:
            begins.append((await connection.request()).query["finished_gte"])
            page = {"content": rows[len(begins) - 1 :][:2], "has_more": len(begins) < 2}
            await connection.answer(200, msgspec.json.encode(page))

    async with serving(script) as wire, app(wire.url) as here:
        assert len(await all_of(here.results.finished(START, LATEST))) == 3
    assert begins == ["2026-11-22T12:00:00", "2026-11-22T12:00:01.123000"]


async def test_windows_where_pages_lead_nowhere() -> None:
    """Where paging by time is stuck, windows still give what they hold, by id."""
    items_of = [item(n) for n in range(30)]

    async def script(connection: Connection) -> None:
        while True:
            query = (await connection.request()).query
            if query["sort"] == "finished":
                page = {"content": items_of[:3], "has_more": True}
            else:
                since, until = query["finished_gte"], query["finished_lte"]
                found = [row for row in items_of if since <= row["finished_at"] <= until]
                found = [row for row in found if row["id"] > query.get("id_gt", "")]
                page = {"content": found[:PAGE], "has_more": len(found) > PAGE}
            await connection.answer(200, msgspec.json.encode(page))

    async with serving(script) as wire, app(wire.url) as here:
        seen = await all_of(here.results.finished(START, START + timedelta(seconds=60)))
    assert len(seen) == 30


# --- what was created ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
async def test_a_full_page_is_not_believed_to_be_the_last(count: int) -> None:
    """A server that never says that there is more hides nothing, for what it hid would be paid for again."""
    rows = sorted((item(n) for n in range(count)), key=lambda row: str(row["id"]))

    async def script(connection: Connection) -> None:
        while True:
            query = (await connection.request()).query
            found = [row for row in rows if row["id"] > query.get("id_gt", "")][:PAGE]
            await connection.answer(200, msgspec.json.encode({"content": found, "has_more": False}))

    async with serving(script) as wire, app(wire.url) as here:
        assert len(await here.submissions.created(EARLIEST, None)) == count
    assert len(wire.requests) == count // PAGE + 1


async def test_what_is_not_wanted_is_left_out() -> None:
    """Of everybody's items those are kept that somebody looks for."""
    async with serve(Knobs(finish_distribution="never")) as toloka, app(toloka.url) as here:
        _, one, _ = await submitted(here, 3)
        found = await here.submissions.created(EARLIEST, None, wanted=lambda each: each.item_id == one)
    assert [each.item_id for each in found] == [one]


@pytest.mark.parametrize("ahead_seconds", [-7200.0, 0.0, 7200.0])
async def test_what_was_created_by_another_clock_than_answers_are_dated_by(ahead_seconds: float) -> None:
    """The newest item shows what that clock says: as long before it, what was created since is found."""
    hand, knobs = Hand(), Knobs(finish_distribution="never")
    async with serve(knobs, clock=hand) as toloka, app(toloka.url) as here:
        ids = await submitted(here, 3)
        hand.now += 100.0
        await submitted(here, 1)
        since = START + timedelta(seconds=ahead_seconds)
        found = await here.submissions.created(since, None, timedelta(seconds=101))
    assert set(ids) <= {created.item_id for created in found}


async def test_the_newest_is_believed_a_day_at_most() -> None:
    """In a project where nothing has been created for years not everything is listed."""
    script = always({"content": [item(0)], "has_more": False})
    async with serving(script) as wire, app(wire.url) as here:
        await here.submissions.created(START + timedelta(days=30), None, timedelta(seconds=60))
    assert wire.requests[3].query["created_gte"] == "2026-12-21T12:00:00"


async def test_what_several_looks_show_is_given_once() -> None:
    """Where filters by creation or status are inexact, or ignored, one item is not taken for two."""
    script = always({"content": [item(1), item(0)], "has_more": False})
    async with serving(script) as wire, app(wire.url) as here:
        found = await here.submissions.created(START + timedelta(days=30), None, timedelta(seconds=60))
    assert sum("created_lt" in request.query for request in wire.requests) == 1
    assert [created.item_id for created in found] == ["0001", "0000"]


async def test_the_newest_is_not_believed_where_items_come_in_another_order() -> None:
    """It might be the oldest of all, and everything since would be listed; the log says so."""
    rows = [item(n) for n in range(3)]
    script = always({"content": rows, "has_more": False})
    async with serving(script) as wire, app(wire.url) as here:
        with capture_logs() as logs:
            await here.submissions.created(START, None, timedelta(seconds=60))
    _, listed, asked, *_ = (request.query for request in wire.requests)
    assert asked["sort"] == "-created"
    assert listed["created_gte"] == "2026-11-22T12:00:00"
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["newest_not_listed"]


async def test_where_the_newest_cannot_be_asked_for_the_rest_is_listed() -> None:
    """A sort that is refused holds nothing up."""

    async def script(connection: Connection) -> None:
        while True:
            if (await connection.request()).query.get("sort") == "-created":
                await connection.answer(400, b"{}")
            else:
                await connection.answer(200, msgspec.json.encode({"content": [item(1)], "has_more": False}))

    async with serving(script) as wire, app(wire.url) as here:
        assert len(await here.submissions.created(START, None, timedelta(seconds=60))) == 1


@pytest.mark.parametrize("archived_items", ["asked", "listed"])
async def test_what_is_archived_is_given_before_absence_is_believed(archived_items: str) -> None:
    """Once, whether a listing has it or only one that asks for it by name."""
    knobs = Knobs(finish_distribution="never", archived_items=archived_items)  # type: ignore[arg-type]
    hand = Hand()
    async with serve(knobs, clock=hand) as toloka, app(toloka.url) as here:
        ids = await submitted(here, 5)
        for each in ids[:2]:
            toloka.control.act(each, "archive")
        found = await here.submissions.created(START - timedelta(seconds=60), None, timedelta(seconds=60))
    assert sorted(created.item_id for created in found) == sorted(ids)


@pytest.mark.parametrize(("status", "is_held"), [(400, False), (503, True)])
async def test_where_the_archived_cannot_be_asked_for(status: int, *, is_held: bool) -> None:
    """A server without such a status holds nothing up; one that is down is asked again later."""

    async def script(connection: Connection) -> None:
        while True:
            if "status" in (await connection.request()).query:
                await connection.answer(status, b"{}")
            else:
                await connection.answer(200, msgspec.json.encode({"content": [item(1)], "has_more": False}))

    async with serving(script) as wire, app(wire.url) as here:
        with capture_logs() as logs, pytest.raises(Held) if is_held else nullcontext():
            assert len(await here.submissions.created(START, None, timedelta(seconds=60))) == 1
    assert ("left_out_not_listed" in {line["event"] for line in logs}) is not is_held


async def test_nor_is_a_page_of_as_many_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer are asked for at a time where so many are too large."""
    monkeypatch.setattr(bodies, "MAX_ANSWER_BYTES", 900)
    rows = sorted((item(n) for n in range(3 * PAGE)), key=lambda row: str(row["id"]))

    async def script(connection: Connection) -> None:
        while True:
            query = (await connection.request()).query
            found = [row for row in rows if row["id"] > query.get("id_gt", "")][: int(query["limit"])]
            await connection.answer(200, msgspec.json.encode({"content": found, "has_more": False}))

    async with serving(script) as wire, app(wire.url) as here:
        assert len(await here.submissions.created(EARLIEST, None)) == len(rows)


@pytest.mark.parametrize("late", [0.0, 1.0])
async def test_everything_that_was_created_is_given_once(late: float) -> None:
    """Page by page, by id: a set that does not change is given whole, and nothing twice."""
    knobs = Knobs(finish_distribution="never", late_created_share=late, late_created_seconds=5.0)
    hand = Hand()
    async with serve(knobs, clock=hand) as toloka, app(toloka.url) as here:
        ids = await submitted(here, 35)
        hidden = await here.submissions.created(START - timedelta(seconds=60), None)
        hand.now += 6.0
        found = await here.submissions.created(START - timedelta(seconds=60), None)
    assert len(hidden) == (35 if late == 0.0 else 0)
    assert sorted(created.item_id for created in found) == sorted(ids)


async def test_created_asks_with_documented_filters_only() -> None:
    """Times have no zone; there is an upper end only where one is given."""
    async with serving(always({"content": [item(1)], "has_more": False})) as wire, app(wire.url) as here:
        found = await here.submissions.created(START, None)
        await here.submissions.created(START, START + timedelta(microseconds=1))
    assert [created.item_id for created in found] == ["0001"]
    first, second = (request.query for request in wire.requests)
    assert first == {"created_gte": "2026-11-22T12:00:00", "sort": "id", "limit": str(PAGE)}
    assert second == first | {"created_lte": "2026-11-22T12:00:00.000001"}
    assert "%3A" in wire.requests[0].target


@pytest.mark.parametrize("kind", ["empty_page", "same_page"])
async def test_a_listing_by_creation_that_leads_nowhere(kind: Any) -> None:
    """What may be incomplete is not given at all: absence would be believed."""
    async with serve(Knobs(finish_distribution="never")) as toloka, app(toloka.url) as here:
        await submitted(here, 5)
        toloka.faults.add(Fault(kind, ("list",)))
        with pytest.raises(Held, match="listing_failed"):
            await here.submissions.created(EARLIEST, None)


async def test_one_bad_item_spoils_the_listing() -> None:
    """An item that cannot be read might be one of ours."""
    page = {"content": [item(1), {**item(2), "id": None}], "has_more": False}
    async with serving(always(page)) as wire, app(wire.url) as here:
        with pytest.raises(Held, match="listing_failed"):
            await here.submissions.created(EARLIEST, None)
        assert requests_counted(here.metrics)["list", "unreadable"] == 2


# --- pages that are too large ----------------------------------------------------------------------------


async def test_fewer_are_asked_for_where_so_many_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items may be of any size: an answer above the limit is asked for in parts, down to single items."""
    monkeypatch.setattr(page_size, "PAGES_UNTIL_MORE", 5)
    knobs = Knobs(finish_distribution="never", requests_per_second=None)
    async with serve(knobs) as toloka, app(toloka.url) as here:

        async def listed() -> tuple[set[str], float]:
            """What is listed, and how many requests it took."""
            before = sum(requests_counted(here.metrics).values())
            found = {each.item_id for each in await here.submissions.created(EARLIEST, None)}
            return found, sum(requests_counted(here.metrics).values()) - before

        ids = set(await submitted(here, 35))
        with monkeypatch.context() as patch:
            patch.setattr(bodies, "MAX_ANSWER_BYTES", 900)
            found, asked = await listed()
            assert found == ids
            assert asked > 10
        # Later as many are asked for as before.
        await listed()
        assert await listed() == (ids, 4)
