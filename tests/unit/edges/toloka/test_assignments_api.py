"""Assignments against a simulated Toloka: what comes out."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from daemon.content import content_hash
from daemon.edges.toloka import asking, listing
from daemon.edges.toloka.assignments_api import _merged
from daemon.edges.toloka.endpoint import path
from daemon.edges.toloka.tasks_items import assignments_page, results_of
from daemon.edges.toloka.wire import UNHASHABLE, MalformedError
from daemon.errors import Held
from daemon.model import Cursor, Finished, NotNow, Page
from tests.simulator.faults import Fault
from tests.simulator.knobs import Knobs
from tests.simulator.pools import CLOSED_POOL, TASKS_POOL
from tests.simulator.serving import Simulator, serve
from tests.unit.edges.toloka import pools
from tests.unit.edges.toloka.apps import EARLIEST, LATEST
from tests.unit.edges.toloka.pools import Here, attempt, tasks

START = 1_790_000_000.0


class Hand:
    """A clock that a test moves."""

    now = START

    def __call__(self) -> float:
        """Unix seconds."""
        return self.now


@dataclass
class Bench:
    """A simulator whose workers do what a test says, and the API over it."""

    toloka: Simulator
    here: Here
    hand: Hand

    async def create(self, *texts: str, **members: Any) -> list[str]:
        """Create tasks; returns their ids."""
        outcome = await self.here.submit(tasks(*texts, **members), attempt(once=False))
        return list(getattr(outcome, "ids", ()))

    def work(self, *task_ids: str, status: str = "SUBMITTED") -> str:
        """Have one worker do these tasks, a second after the last."""
        self.hand.now += 1
        return self.toloka.control.work(task_ids, status)

    async def tail(self, cursor: Cursor, limit: int = 1000) -> Page:
        """What is behind the cursor."""
        page = await self.here.results.tail(cursor, limit)
        assert isinstance(page, Page), page
        return page

    async def all(self, limit: int) -> list[Finished]:
        """Everything, page by page."""
        found: list[Finished] = []
        cursor = Cursor(None, EARLIEST)
        while True:
            page = await self.tail(cursor, limit)
            found += page.items
            if not page.has_more:
                return found
            last = page.items[-1]
            assert last.finished_at is not None
            cursor = Cursor(last.bookmark, last.finished_at)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(asking, "AGAIN_SECONDS", 0.001)


@asynccontextmanager
async def bench(knobs: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Bench]:
    """Set up until the block ends."""
    hand = Hand()
    still = Knobs(**{"finish_distribution": "never", "requests_per_second": None, **(knobs or {})})
    async with serve(still, clock=hand) as toloka, pools.tasks_api(toloka.url, **options) as here:
        yield Bench(toloka, here, hand)


async def test_a_result_for_each_task_of_an_assignment() -> None:
    """With the assignment less its tasks and solutions, the task and its solution as they came."""
    async with bench() as at:
        ids = await at.create("a", "b")
        share = at.work(*ids)
        page = await at.tail(Cursor(None, EARLIEST))
    assert [item.item_id for item in page.items] == ids
    assert {(item.share, item.status, item.shown_since) for item in page.items} == {
        (share, "SUBMITTED", None)
    }
    assert page.items[0].content_hash == content_hash({"text": "a"})
    shown = msgspec.json.decode(b"{" + page.items[1].raw + b"}")
    assert list(shown) == ["task_id", "assignment", "task", "solution"]
    assert (shown["task_id"], shown["task"]["input_values"]) == (ids[1], {"text": "b"})
    assert shown["solution"]["output_values"]["result"] in {"OK", "BAD"}
    assert (shown["assignment"]["id"], shown["assignment"].keys() & {"tasks", "solutions"}) == (share, set())


async def test_each_status_is_followed_by_its_own_time() -> None:
    """The streams are merged; an assignment comes once for each status that counts."""
    async with bench() as at:
        (first, second) = await at.create("a", "b")
        one = at.work(first)
        two = at.work(second, status="ACCEPTED")
        at.hand.now += 100
        at.toloka.control.decide(one, "ACCEPTED")
        at.work(first, status="REJECTED")
        found = await at.all(10)
    assert [(item.share, item.status, bool(item.shown_since)) for item in found] == [
        (two, "ACCEPTED", False),
        (one, "ACCEPTED", True),
    ]


async def test_what_has_been_seen_is_not_given_again() -> None:
    """Behind the cursor there is only what came later; there is no id that Toloka could forget."""
    async with bench() as at:
        ids = await at.create(*"abc")
        at.work(ids[0])
        (item,) = (await at.tail(Cursor(None, EARLIEST))).items
        assert item.finished_at is not None
        cursor = Cursor(item.bookmark, item.finished_at)
        assert await at.tail(cursor) == Page((), has_more=False)
        at.work(ids[1])
        assert [seen.item_id for seen in (await at.tail(cursor)).items] == [ids[1]]


@pytest.mark.parametrize("suite", [1, 3])
@pytest.mark.parametrize("apart", [0.0, 0.0001, 1.0])
async def test_everything_comes_once(apart: float, suite: int) -> None:
    """However small the pages, whatever the ties, and no assignment is cut in two."""
    async with bench({"tie_order": "random"}) as at:
        ids = await at.create(*(f"{n}" for n in range(30)))
        for start in range(0, 30, suite):
            at.hand.now += apart
            status = "ACCEPTED" if start % 2 else "SUBMITTED"
            at.toloka.control.work(ids[start : start + suite], status)
        found = await at.all(7)
        looked = [
            item
            async for items in at.here.results.finished(EARLIEST, datetime.fromtimestamp(2 * START, UTC))
            for item in items
        ]
    assert Counter(item.item_id for item in found) == Counter(ids)
    assert {item.item_id for item in looked} == set(ids)


def test_a_cut_page_does_not_run_ahead_of_what_it_leaves_out() -> None:
    """One that is accepted between two questions is in both streams: the cursor does not go there."""
    plain = msgspec.json.encode({**WHOLE, "status": "ACCEPTED", "accepted": "2026-01-01T00:15:00"})
    (early,), (late,) = (tuple(results_of(plain, event)) for event in ("submitted", "accepted"))
    between = msgspec.structs.replace(early, share="s-2", finished_at=early.created_at + timedelta(minutes=1))
    page = _merged([Page((early, between), has_more=False), Page((late,), has_more=False)], 1)
    assert page == Page((early,), has_more=True)


def test_a_stream_that_was_cut_holds_the_others_up() -> None:
    """What it has behind its page may be older than theirs: the cursor would pass it by."""
    plain = msgspec.json.encode({**WHOLE, "status": "ACCEPTED", "accepted": "2026-01-01T00:15:00"})
    (early,), (late,) = (tuple(results_of(plain, event)) for event in ("submitted", "accepted"))
    others = Page((late,), has_more=False)
    assert _merged([Page((early,), has_more=True), others], 10) == Page((early,), has_more=True)
    assert _merged([Page((), has_more=True), others], 10) == Page((), has_more=True)


async def test_a_silent_toloka() -> None:
    """No answer is a no for now, whichever stream it is."""
    async with bench() as at:
        at.toloka.faults.replace([Fault("status", ("assignments",), every=2)])
        assert isinstance(await at.here.results.tail(Cursor(None, EARLIEST), 10), NotNow)


# --- by id -----------------------------------------------------------------------------------------------


async def test_a_look_at_tasks() -> None:
    """Their results so far, what they are doing, and None for one that Toloka does not know."""
    async with bench() as at:
        ids = await at.create("a", "b")
        shares = {at.work(ids[0]), at.work(ids[0], status="ACCEPTED")}
        found = await at.here.results.by_id([*ids, "unknown"])
        assert [page async for page in at.here.results.created_items(EARLIEST, LATEST)] == []
    done, waiting = found[ids[0]], found[ids[1]]
    assert done is not None
    assert waiting is not None
    assert ({item.share for item in done.results}, done.status, done.over) == (shares, "PROCESSING", False)
    assert (waiting.results, waiting.over, found["unknown"]) == ((), False, None)


@pytest.mark.parametrize(
    ("status", "reason", "shown"),
    [
        ("CLOSED", "MANUAL", "STOPPED"),
        ("CLOSED", "NOT_ENOUGH_BALANCE", "NO_MONEY"),
        ("LOCKED", "", "STOPPED"),
    ],
)
async def test_what_a_task_is_doing_its_pool_tells(status: str, reason: str, shown: str) -> None:
    """A closed pool may open again: a task with an overlap of its own stays open."""
    async with bench() as at:
        ids = await at.create("a")
        at.work(*ids)
        at.toloka.control.set_pool(TASKS_POOL, status, reason)
        found = (await at.here.results.by_id(ids))[ids[0]]
    assert found is not None
    assert (found.status, found.over) == (shown, False)


@pytest.mark.parametrize(("results", "over"), [(1, True), (0, False)])
async def test_an_infinite_overlap_ends_when_its_pool_is_completed(results: int, *, over: bool) -> None:
    """But not before it has had a result; an archived pool ends everything."""
    async with bench() as at:
        ids = await at.create("a", infinite_overlap=True)
        for _ in range(results):
            at.work(*ids)
        at.toloka.control.set_pool(TASKS_POOL, "CLOSED", "COMPLETED")
        closed = (await at.here.results.by_id(ids))[ids[0]]
        at.toloka.control.set_pool(TASKS_POOL, "ARCHIVED")
        archived = (await at.here.results.by_id(ids))[ids[0]]
    assert closed is not None
    assert archived is not None
    assert (closed.over, archived.over) == (over, True)


async def test_a_task_does_not_end_before_the_result_of_this_second() -> None:
    """Toloka's `Date` leaves out the fraction: a result may be ahead of what its clock is known to show."""
    async with bench() as at:
        at.hand.now += 0.9
        ids = await at.create("a")
        at.work(*ids)
        at.toloka.control.set_pool(TASKS_POOL, "ARCHIVED")
        found = (await at.here.results.by_id(ids))[ids[0]]
    assert found is not None
    assert (len(found.results), found.over) == (1, True)


async def test_a_completed_pool_does_not_end_a_task_that_awaits_so_many_results() -> None:
    """Its overlap tells when it has had all of them, and Toloka may be asked for more of it."""
    async with bench() as at:
        ids = await at.create("a", overlap=2)
        at.work(*ids)
        at.toloka.control.set_pool(TASKS_POOL, "CLOSED", "COMPLETED")
        found = (await at.here.results.by_id(ids))[ids[0]]
    assert found is not None
    assert (len(found.results), found.over) == (1, False)


@pytest.mark.parametrize("reason", ["NOT_ENOUGH_BALANCE", "MANUAL", "EXPIRED", "FOR_UPDATE", "BLOCKED"])
async def test_a_pool_that_may_go_on_ends_no_task(reason: str) -> None:
    """Closed for want of money, by hand or for a change, a pool goes on later: further results will come."""
    async with bench() as at:
        ids = await at.create("a", infinite_overlap=True)
        at.work(*ids)
        at.toloka.control.set_pool(TASKS_POOL, "CLOSED", reason)
        found = (await at.here.results.by_id(ids))[ids[0]]
    assert found is not None
    assert not found.over


@pytest.mark.parametrize("status", ["CLOSED", "ARCHIVED"])
@pytest.mark.parametrize(("counting", "other"), [("ACCEPTED", "SUBMITTED"), ("SUBMITTED", "ACTIVE")])
async def test_what_is_still_decided_or_worked_on_is_awaited(counting: str, other: str, status: str) -> None:
    """A task does not end while an assignment of it may still come to a status that counts."""
    async with bench(statuses=(counting,)) as at:
        ids = await at.create("a", infinite_overlap=True)
        at.work(*ids, status=counting)
        waiting = at.work(*ids, status=other)
        at.toloka.control.set_pool(TASKS_POOL, status, "COMPLETED")
        before = (await at.here.results.by_id(ids))[ids[0]]
        at.toloka.control.decide(waiting, "REJECTED")
        after = (await at.here.results.by_id(ids))[ids[0]]
    assert before is not None
    assert after is not None
    assert (before.over, after.over) == (False, True)


@pytest.mark.parametrize("operation", ["pool", "task", "assignments"])
async def test_no_task_is_unknown_without_an_answer(operation: str) -> None:
    """Silence, about a pool, a task or its assignments, proves nothing."""
    async with bench() as at:
        ids = await at.create("a")
        at.toloka.faults.replace([Fault("status", (operation,))])
        with pytest.raises(Held, match="listing_failed"):
            await at.here.results.by_id(ids)


@pytest.mark.parametrize("status", [400, 403, 409, 410])
async def test_only_not_found_makes_a_task_unknown(status: int) -> None:
    """It would become a dead letter; a right that is missing, or any other refusal, says nothing of it."""
    async with bench() as at:
        ids = await at.create("a")
        at.toloka.faults.replace([Fault("status", ("task",), status=status)])
        with pytest.raises(Held, match=f"the task {ids[0]}: Toloka answered {status}"):
            await at.here.results.by_id(ids)


async def test_another_task_than_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of it says nothing of the one that was asked for."""
    async with bench() as at:
        ids = await at.create("a", "b")
        monkeypatch.setattr(
            "daemon.edges.toloka.assignments_api.path",
            lambda *parts: path(*(ids[1] if part == ids[0] else part for part in parts)),
        )
        with pytest.raises(Held, match="another task"):
            await at.here.results.by_id(ids[:1])


async def test_tasks_of_several_pools() -> None:
    """Each pool's assignments are followed."""
    async with bench(pools=(TASKS_POOL, CLOSED_POOL)) as at:
        ids = await at.create("a")
        body = tasks("b")[0]
        other = msgspec.structs.replace(
            body, body=body.body.replace(TASKS_POOL.encode(), CLOSED_POOL.encode())
        )
        outcome = await at.here.submit([other], attempt(once=False))
        ids += getattr(outcome, "ids", ())
        for task_id in ids:
            at.work(task_id)
        found = await at.all(10)
    assert [item.item_id for item in found] == ids


# --- what an answer may not be -----------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "id": "s-1",
    "status": "SUBMITTED",
    "created": "2026-01-01T00:00:00",
    "submitted": "2026-01-01T00:00:01.5",
    "tasks": [{"id": "t-1", "input_values": {}}],
    "solutions": [{"output_values": {}}],
}


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"status": 7},
        {"created": "yesterday"},
        {"submitted": 5},
        {"tasks": None},
        {"tasks": [{}]},
        {"solutions": [{}, {}]},
    ],
)
def test_assignments_that_cannot_be_read(change: dict[str, Any]) -> None:
    """What an assignment holds must be certain."""
    (whole,) = results_of(msgspec.json.encode(WHOLE))
    assert (whole.item_id, whole.share) == ("t-1", "s-1")
    with pytest.raises(MalformedError):
        list(results_of(msgspec.json.encode({**WHOLE, **change})))


def test_a_task_without_its_content_hides_no_assignment() -> None:
    """It is nobody's that can be told by content, and known by its id all the same."""
    (found,) = results_of(msgspec.json.encode({**WHOLE, "tasks": [{"id": "t-1", "input_values": None}]}))
    assert (found.item_id, found.content_hash) == ("t-1", UNHASHABLE)


def test_an_assignment_without_solutions() -> None:
    """One that was skipped has none: the result says so."""
    skipped = {**WHOLE, "status": "SKIPPED", "solutions": None, "skipped": "2026-01-01T00:00:02"}
    (item,) = results_of(msgspec.json.encode(skipped))
    assert item.raw.endswith(b',"solution":null')


def test_half_an_emoji_does_not_hide_a_page() -> None:
    """People write what they like: it comes as U+FFFD, and the others of its page come, too."""
    plain = msgspec.json.encode(WHOLE)
    odd = msgspec.json.encode({**WHOLE, "mistake": "cut"}).replace(b'"cut"', rb'"cut \ud83d"')
    page = assignments_page("SUBMITTED", ["SUBMITTED"])(
        b'{"items":[' + odd + b"," + plain + b'],"has_more":false}', 2
    )
    assert len(page.items) == 2
    assert page.items[1:] == tuple(results_of(plain, "submitted"))
    assert rb'"cut \ufffd"' in page.items[0].raw
    assert page.items[:1] == tuple(results_of(odd, "submitted"))
