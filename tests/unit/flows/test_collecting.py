"""The collector from take-over to drain: page after page, and no item lost or doubled."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from daemon.errors import Held
from daemon.flows.collecting import PATIENCE_PAGES
from daemon.flows.records import codec
from daemon.model import Committed, Cursor, Finished, NotNow, Page, Sight, UnknownCursor
from daemon.ports import Known
from tests.doubles import CURSORS, GROUP, INPUT, PROJECT, START, finished, in_virtual_time
from tests.unit.flows.collectors import INTERVAL_SECONDS, OVERLAP, Collector, body, ended, page, ran, running

AWAY = NotNow("unreachable", "connection refused")


@in_virtual_time
async def test_pages_are_published_one_after_the_other_while_there_is_more() -> None:
    """Each in one transaction with the cursor behind it; no time passes between."""
    ours = Collector(*"abcd")
    ours.script(
        page(ended("a", "b"), more=True), page(ended("c", first=2), more=True), page(ended("d", first=3))
    )
    await ran(ours, 0.5)
    assert ours.results() == ["a", "b", "c", "d"]
    assert [cursor.item_id for cursor in ours.api.tails] == ["x", "b", "c"]
    assert ours.cursor() == Cursor("d", START + timedelta(seconds=3), 4)
    assert len(ours.kafka.transactions) == 3


@in_virtual_time
async def test_the_next_page_is_asked_for_before_one_is_published() -> None:
    """So that neither Toloka nor Kafka is waited for in vain."""
    ours = Collector(*"abc")
    ours.script(page(ended("a"), more=True), page(ended("b", first=1), more=True), page(ended("c", first=2)))
    async with ours.kafka.gate, running(ours, 0.5):
        assert [cursor.item_id for cursor in ours.api.tails] == ["x", "a"]
        assert ours.results() == []
        ours.kafka.gate.release()
        await asyncio.sleep(0.5)
        assert ours.results() == ["a", "b", "c"]
        await ours.kafka.gate.acquire()


@in_virtual_time
async def test_the_tail_is_asked_once_an_interval() -> None:
    """Where there is nothing for now."""
    ours = await ran(Collector(), 10.5)
    assert len(ours.api.tails) == 11
    assert ours.metrics.last_success_timestamp_seconds.labels("collect")._value.get() > 0


@in_virtual_time
async def test_items_without_an_end_do_not_move_the_cursor() -> None:
    """Nor do those that finished before it: it never goes back."""
    ours = Collector("a", "b")
    early = finished("b", body("b"), -50)
    ours.script(page([*ended("a", first=5), early, finished("c", body("c"), None, "NEW")]))
    await ran(ours, 0.5)
    assert ours.results() == ["a", "b"]
    assert ours.cursor().item_id == "a"


@in_virtual_time
async def test_an_end_in_the_future_does_not_move_the_cursor() -> None:
    """Nothing would be found behind it until then; the item itself is published."""
    ours = Collector("a", "b")
    ours.script(page([*ended("a", first=5), *ended("b", first=3600)]))
    await ran(ours, 0.5)
    assert (ours.results(), ours.cursor().item_id) == (["a", "b"], "a")


@in_virtual_time
async def test_a_clock_ahead_of_the_others_hides_nothing_that_ends_by_theirs() -> None:
    """The cursor goes no further ahead than the second looks reach back from there."""
    ours = Collector("ahead", *"abc")
    ends = {"a": 20, "b": 60, "c": 100, "ahead": 240}
    shown_at = ends | {"ahead": 10}

    async def honest(cursor: Cursor, limit: int) -> Page:
        shown = [finished(i, body(i), ends[i]) for i in ends if shown_at[i] <= ours.time.elapsed()]
        return page(
            [one for one in shown if one.finished_at and one.finished_at > cursor.finished_at][:limit]
        )

    ours.api.tail = honest  # type: ignore[method-assign]  # on purpose
    async with running(ours, 300):
        assert ours.results() == ["ahead", "a", "b", "c"]
        assert ours.cursor().item_id == "ahead"


@in_virtual_time
async def test_no_for_now_is_held_visibly_and_asked_again() -> None:
    """With patience; nothing is lost meanwhile."""
    ours = Collector("a")
    ours.script(*[AWAY] * 4, page(ended("a")))
    async with running(ours, 0.2):
        assert [(hold.flow, hold.reason) for hold in ours.holds] == [("collect", "unreachable")]
        await asyncio.sleep(60)
        assert (ours.results(), list(ours.holds)) == (["a"], [])


@in_virtual_time
async def test_how_long_it_took_is_told_by_tolokas_clock() -> None:
    """By this machine's, which may be hours from it, results and open items would seem as late as that."""
    ours = Collector("a", "b")
    ours.script(page(()), page(()), page(ended("a")))
    async with running(ours, 10):
        assert ours.metrics.result_latency_seconds._sum.get() == pytest.approx(2)
        assert ours.metrics.oldest_open_item_seconds._value.get() == pytest.approx(10, abs=1)


@in_virtual_time
async def test_what_is_open_is_told_while_toloka_says_no() -> None:
    """An alert on the age of the oldest open item goes by it."""
    ours = Collector("a", "b")
    ours.api.pages = deque([NotNow("unreachable", "not a page")] * 100)
    async with running(ours, 5):
        assert ours.metrics.open_items._value.get() == 2
        assert ours.metrics.oldest_open_item_seconds._value.get() > 0


@in_virtual_time
async def test_after_no_for_now_a_backlog_is_read_without_a_pause() -> None:
    """The first page that comes opens the door."""
    ours = Collector(*"abc")
    ours.script(
        AWAY, *[page(ended(i, first=n), more=True) for n, i in enumerate("ab")], page(ended("c", first=2))
    )
    async with running(ours, 30):
        assert ours.results() == ["a", "b", "c"]
        assert list(ours.holds) == []


@in_virtual_time
async def test_second_looks_are_not_put_off_by_a_tail_without_end() -> None:
    """The overlap is looked at a page at a time between tails, and the figures are shown."""
    ours = Collector("late", *[f"i{n}" for n in range(200)])
    usual = ours.api.tail

    async def busy(cursor: Cursor, limit: int) -> Page | UnknownCursor | NotNow:
        await asyncio.sleep(0.5)
        n = len(ours.api.tails)
        ours.api.pages.append(page(ended(f"i{n}", first=n / 2), more=True))
        return await usual(cursor, limit)

    ours.api.tail = busy  # type: ignore[method-assign]  # on purpose
    ours.api.spans.append([ended("late", first=-5)])
    async with running(ours, 60):
        assert "late" in ours.results()
        assert ours.metrics.last_success_timestamp_seconds.labels("collect")._value.get() > 0


# --- where the cursor leads nowhere -----------------------------------------------------------------------
@pytest.mark.fault(55)
@in_virtual_time
async def test_a_cursor_that_toloka_does_not_know_is_left_behind_by_time() -> None:
    """From some time before it, and counted; afterwards the tail goes on from what was found."""
    ours = Collector("a", "b")
    ours.script(UnknownCursor())
    ours.api.spans.append([ended("a", first=-30), ended("b", first=2)])
    await ran(ours, 1.5)
    assert ours.api.looks[0] == (START - OVERLAP, START)
    assert ours.results() == ["a", "b"]
    assert ours.api.tails[1].item_id == "b"
    assert ours.metrics.cursor_fallbacks._value.get() == 1


@in_virtual_time
async def test_where_time_brings_nothing_either_the_cursor_goes_on_without_an_item() -> None:
    """Durably, so that a successor does not ask for it again."""
    ours = Collector()
    ours.script(UnknownCursor())
    await ran(ours, 1.5)
    assert ours.cursor() == Cursor(None, START)
    assert ours.api.tails[1] == Cursor(None, START)


@pytest.mark.parametrize("same", [page(ended("a")), page((), more=True)])
@in_virtual_time
async def test_a_tail_that_leads_nowhere_is_left_behind_by_time(same: Page) -> None:
    """The same page again and again, or more that never comes: with pauses, and after some patience."""
    ours = Collector("a", "b")
    ours.script(*[same] * (PATIENCE_PAGES + (len(same.items) > 0)))
    ours.api.spans.append([ended("b", first=5)])
    async with running(ours, PATIENCE_PAGES - 0.5):
        assert ours.metrics.cursor_fallbacks._value.get() <= 1
        await asyncio.sleep(PATIENCE_PAGES)
        assert "b" in ours.results()
    assert ours.metrics.cursor_fallbacks._value.get() == 1


@in_virtual_time
async def test_an_empty_tail_is_no_reason_to_leave_it() -> None:
    """There is nothing for now, however long."""
    ours = await ran(Collector(), 100)
    assert ours.metrics.cursor_fallbacks._value.get() == 0


# --- second looks ------------------------------------------------------------------------------------------
@pytest.mark.fault(53)
@in_virtual_time
async def test_what_became_visible_late_is_found_by_the_overlap() -> None:
    """Between two tails, a page at a time; counted as late."""
    ours = Collector("a", "late")
    ours.script(page(ended("a", first=50)))
    ours.api.spans.append([ended("a", first=50), ended("late", first=20)])
    await ran(ours, 5)
    assert ours.results() == ["a", "late"]
    assert ours.metrics.late_results.labels("overlap")._value.get() == 1


@in_virtual_time
async def test_a_successor_publishes_what_waited_to_be_called_somebody_elses() -> None:
    """The cursor has passed it, the ledger has nothing of it, and nothing of ours need be open."""
    ours = Collector(publish_foreign=True)
    ours.script(page(ended("first", first=1)), page(ended("strange", first=3)))
    await ran(ours, 3.5)
    assert (ours.results(), ours.cursor().item_id) == (["first"], "strange")
    again = Collector(kafka=ours.kafka, publish_foreign=True)
    again.api.spans.append([ended("strange", first=3)])
    await ran(again, 10)
    assert again.results() == ["first", "strange"]


@in_virtual_time
async def test_what_came_to_a_second_status_was_seen_with_its_first_by_who_looked_then() -> None:
    """A result of somebody else's that was submitted and accepted during an outage is published as well."""
    ours = Collector(publish_foreign=True)
    ours.time.moved = 7300
    missed, seen = (
        replace(each, shown_since=START + timedelta(hours=1)) for each in ended("missed", "seen", first=7200)
    )
    ours.script(page([missed]), page([seen]))
    await ran(ours, 20)
    assert ours.results() == ["missed"]


@in_virtual_time
async def test_a_slow_sweep_puts_nothing_off_that_is_somebody_elses() -> None:
    """Where answers take as long as its share of requests does, a sweep has room for more all the time."""
    names = [f"i-{index}" for index in range(200)]
    ours = Collector(*names, publish_foreign=True)
    ours.kafka.offsets[GROUP, INPUT, 0] = Committed(len(names), "")
    ours.time.moved = 4000
    ours.api.items = {name: finished(name, body(name), None, "PROCESSING") for name in names}
    quick = ours.api.by_id

    async def slow(item_ids: Collection[str]) -> Mapping[str, Sight | None]:
        await asyncio.sleep(len(item_ids) / 8)
        return await quick(item_ids)

    ours.script(page(ended("strange", first=3900)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours.api, "by_id", slow)
        await ran(ours, 12)
    assert len(ours.api.asked) < len(names) / 20
    assert ours.results() == ["strange"]


@in_virtual_time
async def test_a_successor_looks_again_from_where_the_second_looks_had_come() -> None:
    """A collector killed in a backlog leaves no hole between its last second look and its cursor."""
    ours = Collector("a", "late")
    far = START + timedelta(seconds=600)
    ours.time.moved = 700
    ours.kafka.put(CURSORS, codec.cursor_value(Cursor("x", far, 0, START)), key=PROJECT.encode())
    ours.script(page(ended("a", first=601)))
    ours.api.spans.append([ended("late", first=10)])
    await ran(ours, 5)
    assert ours.api.looks[0] == (START - OVERLAP, far + timedelta(seconds=1))
    assert ours.results() == ["a", "late"]
    values = [record.value or b"" for record in ours.kafka.written(CURSORS)]
    assert codec.read_cursor(values[-1]).looked_until == START


@in_virtual_time
async def test_the_first_page_tells_a_successor_that_nothing_was_looked_at_twice() -> None:
    """A collector killed right behind it leaves no hole either."""
    ours = Collector("a")
    ours.time.moved = 700
    ours.script(page(ended("a", first=601)))
    await ran(ours, 0.5)
    assert (ours.cursor().item_id, ours.cursor().looked_until) == ("a", START)


@in_virtual_time
async def test_a_second_look_that_fails_holds_nothing_up() -> None:
    """The tail goes on, and the look comes again when it is due."""
    ours = Collector("a", "late")
    ours.api.failing.append(Held("listing_failed", "x"))
    ours.api.spans.append([ended("late", first=-20)])
    async with running(ours, 5):
        ours.api.pages.append(page(ended("a")))
        await asyncio.sleep(2)
        assert ours.results() == ["a"]
        await asyncio.sleep(60)
        assert sorted(ours.results()) == ["a", "late"]
    assert list(ours.holds) == []


# --- from one collector to the next ----------------------------------------------------------------------


@in_virtual_time
async def test_only_who_collects_says_so() -> None:
    """A replica that has stopped shows no figures of the ledger."""
    ours = Collector("a", "b")
    async with running(ours, 1.5):
        assert ours.metrics.collector_active._value.get() == 1
        assert ours.metrics.open_items._value.get() == 2
    assert ours.metrics.collector_active._value.get() == 0
    assert ours.metrics.open_items._value.get() == 0


@in_virtual_time
async def test_who_collects_no_longer_counts_nothing_as_stalled() -> None:
    """An alert adds up all replicas: what one that only stands by still shows, nobody would take back."""
    ours = Collector("a")
    ours.time.moved = 7200
    ours.api.items["a"] = finished("a", body("a"), None, "NO_MONEY")
    stalled = ours.metrics.stalled_items.labels("NO_MONEY")
    async with running(ours, 400):
        assert stalled._value.get() == 1
    assert stalled._value.get() == 0


@in_virtual_time
async def test_who_collects_no_longer_is_not_held_by_toloka() -> None:
    """It would show for ever what its successor has long got over."""
    ours = Collector("a")
    ours.api.pages = deque([AWAY] * 100)
    async with running(ours, 5):
        assert [hold.reason for hold in ours.holds] == ["unreachable"]
    assert list(ours.holds) == []


@in_virtual_time
async def test_a_drain_ends_at_once_wherever_the_collector_is() -> None:
    """Between two looks, or in front of a shut door."""
    ours = Collector()
    await ran(ours, 0.5)
    shut = Collector(kafka=ours.kafka)
    shut.script(NotNow("throttled", "429", 1000))
    await ran(shut, 5)
    assert asyncio.get_running_loop().time() == 5.5


@in_virtual_time
async def test_a_drain_does_not_wait_for_toloka() -> None:
    """A replica that lost its last partition has no share of the limits: its questions wait for ever."""
    ours = Collector()

    async def silent(cursor: Cursor, limit: int) -> Page:
        await asyncio.sleep(3600)
        raise AssertionError(cursor, limit)

    ours.api.tail = silent  # type: ignore[method-assign]  # on purpose
    await ran(ours, 1)
    assert asyncio.get_running_loop().time() < 60


@in_virtual_time
async def test_a_drain_does_not_wait_for_a_second_look() -> None:
    """As for the tail."""
    ours = Collector("late")

    async def silent(
        since: datetime, until: datetime, known: Known | None = None
    ) -> AsyncIterator[Sequence[Finished]]:
        del known
        await asyncio.sleep(3600)
        yield [finished("late", body("late"), (until - since).total_seconds())]

    ours.api.finished = silent  # type: ignore[method-assign]  # on purpose
    await ran(ours, 1)
    assert asyncio.get_running_loop().time() < 60


@in_virtual_time
async def test_second_looks_are_not_put_off_by_a_slow_tail() -> None:
    """Toloka takes longer to answer than the interval lasts."""
    ours = Collector("late")
    usual = ours.api.tail

    async def slow(cursor: Cursor, limit: int) -> Page | UnknownCursor | NotNow:
        await asyncio.sleep(INTERVAL_SECONDS * 1.2)
        return await usual(cursor, limit)

    ours.api.tail = slow  # type: ignore[method-assign]  # on purpose
    ours.api.spans.append([ended("late", first=-5)])
    await ran(ours, 60)
    assert ours.results() == ["late"]
