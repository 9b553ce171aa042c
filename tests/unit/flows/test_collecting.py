"""The collector from take-over to drain: page after page, and no item lost or doubled."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count, pairwise

import msgspec
import pytest

from daemon.errors import Held, Transient
from daemon.flows.collecting import PATIENCE_PAGES, Collecting, CollectIntervals, CollectorParts
from daemon.flows.collector.collector_state import CollectOptions
from daemon.flows.holding import LONGEST_PROBE_SECONDS, Gate
from daemon.flows.looks.foreign import Foreign
from daemon.flows.records import codec
from daemon.flows.waiting import REST_SECONDS
from daemon.flows.watching import CollectWatch
from daemon.model import Cursor, Finished, Item, NotNow, Page, Transaction, UnknownCursor
from daemon.ports import Known
from tests.doubles import (
    CURSORS,
    DEAD,
    GROUP,
    INPUT,
    LEDGER,
    OUTPUT,
    PROJECT,
    START,
    FakeRecord,
    FakeTime,
    MemoryKafka,
    ScriptedResults,
    finished,
    fresh_holds,
    in_virtual_time,
    item,
    outlets,
    packed_items,
    seeded,
)

INTERVAL_SECONDS = 1.0
EARLIER = START - timedelta(hours=1)
OVERLAP = timedelta(seconds=60)
AWAY = NotNow("unreachable", "connection refused")
ID = f"{GROUP}.collect.{PROJECT}"


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


def ended(*ids: str, first: float = 0) -> tuple[Finished, ...]:
    """Items that finished one second after the other."""
    return tuple(finished(item_id, body(item_id), first + index) for index, item_id in enumerate(ids))


class Collector:
    """A collector, and the world around it; items are open whose ids it is given."""

    def __init__(self, *ids: str, kafka: MemoryKafka | None = None, publish_foreign: bool = False) -> None:
        self.kafka = kafka or MemoryKafka.usual()
        self.time = FakeTime()
        self.api = ScriptedResults()
        self.holds, self.metrics = fresh_holds()
        self.gate = Gate("collect", self.holds, seeded(), self.metrics)
        self.stopping = asyncio.Event()
        self.confirmed = 0
        if kafka is None:
            self.kafka.put(CURSORS, codec.cursor_value(Cursor("x", START)), key=PROJECT.encode())
        self.settle(*ids)
        watch = CollectWatch(self.metrics)
        names = count()
        parts = CollectorParts(
            kafka=self.kafka,
            api=self.api,
            toloka_clock=self.time,
            gate=self.gate,
            holds=self.holds,
            watch=watch,
            rng=seeded(),
            new_incarnation=lambda: f"{id(self)}-{next(names)}",
        )
        intervals = CollectIntervals(INTERVAL_SECONDS, 1000, 30, timedelta(hours=1), 300, 10.0)
        foreign = Foreign(self.kafka, GROUP, INPUT, watch)
        opening = CollectOptions(outlets(), OVERLAP, None, publish_foreign)
        self.collecting = Collecting(ID, opening, parts, intervals, foreign, self._still_ours)

    async def _still_ours(self, stopping: asyncio.Event) -> None:
        assert not stopping.is_set()
        self.confirmed += 1

    def settle(self, *ids: str) -> None:
        """What a way writes for items whose content is their id."""
        for item_id in ids:
            log = self.kafka.logs[LEDGER][0]
            record = FakeRecord(len(log), body(item_id))
            content = item(0, body(item_id)).content_hash
            (packed,) = packed_items([Item(record, b"", content)], len(log) + 1, START)
            self.kafka.put(LEDGER, packed, key=item_id.encode())
            self.kafka.put(LEDGER, codec.mark_value(len(log)), key=codec.mark_key(INPUT, 0))

    def script(self, *pages: Page | UnknownCursor | NotNow) -> None:
        """What the next `tail`s answer."""
        self.api.pages = deque(pages)

    def results(self) -> list[str]:
        """The ids of the results, in the order they were published."""
        return [
            msgspec.json.decode(append.value or b"")["item"]["id"]
            for _, transaction in self.kafka.transactions
            for append in transaction.appends
            if append.topic == OUTPUT
        ]

    def cursor(self) -> Cursor:
        """The one that was written last."""
        return codec.read_cursor(self.kafka.written(CURSORS)[-1].value or b"")


@asynccontextmanager
async def running(ours: Collector, seconds: float) -> AsyncIterator[Collector]:
    """The collector has run for so long; it is drained at the end."""
    task = asyncio.ensure_future(ours.collecting.run(ours.stopping))
    await asyncio.sleep(seconds)
    yield ours
    ours.stopping.set()
    await task


async def ran(ours: Collector, seconds: float) -> Collector:
    """Run a collector for so long, then drain it."""
    async with running(ours, seconds):
        pass
    return ours


def page(items: Sequence[Finished], *, more: bool = False) -> Page:
    """One answer."""
    return Page(tuple(items), more)


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


# --- failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [False, True])
@in_virtual_time
async def test_a_transaction_whose_end_is_unknown_is_looked_up(*, written: bool) -> None:
    """A new writer, and what the log says: published once, whichever way it ended."""
    ours = Collector("a", "b")
    first = page(ended("a", "b"))
    ours.script(first)

    def fail_once(transaction: Transaction) -> Exception:
        ours.kafka.spoil = lambda _: None
        if written:
            ours.kafka.transactions.append((ID, transaction))
            ours.kafka.put_all(transaction.appends)
        else:
            ours.api.pages.append(first)
        return Transient("no answer")

    ours.kafka.spoil = fail_once
    await ran(ours, 30)
    assert sorted(ours.results()) == ["a", "b"]
    assert ours.kafka.epochs[ID] == 2
    assert ours.cursor().item_id == "b"


@in_virtual_time
async def test_who_opens_the_book_seals_what_its_predecessors_wrote() -> None:
    """Results that a broker forgot to show are seen by readers, and by the one who would repeat them."""
    ours = Collector("a")
    await ran(ours, 1)
    [(name, places, group)] = ours.kafka.sealed
    assert (name, {topic for topic, _ in places}, group) == (ID, {OUTPUT, LEDGER, CURSORS, DEAD}, None)


@in_virtual_time
async def test_a_collector_at_rest_seals_what_it_wrote_itself() -> None:
    """Once: the next result, which would do it, may be long in coming."""
    ours = Collector("a")
    await ran(ours, 100)
    assert len(ours.kafka.sealed) == 2


@in_virtual_time
async def test_what_is_published_after_a_rest_is_sealed_in_its_turn() -> None:
    """Not while more may follow; once, after another rest."""
    ours = Collector(*"ab")
    async with running(ours, 100):
        ours.script(page(ended("a")))
        await asyncio.sleep(REST_SECONDS - 2)
        ours.script(page(ended("b", first=1)))
        await asyncio.sleep(REST_SECONDS - 2)
        assert (ours.results(), len(ours.kafka.sealed)) == (["a", "b"], 2)
        await asyncio.sleep(100)
    assert len(ours.kafka.sealed) == 3


@in_virtual_time
async def test_a_collector_goes_on_seconds_after_kafka_is_back() -> None:
    """However long it was away: it never waits for longer between two tries."""
    ours, tries = Collector("a"), list[float]()

    def away(_transaction: Transaction) -> Exception:
        tries.append(asyncio.get_running_loop().time())
        return Transient("no answer")

    ours.kafka.spoil = away
    ours.script(*[page(ended("a"))] * 1000)
    async with running(ours, 600):
        ours.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + INTERVAL_SECONDS)
        assert ours.results() == ["a"]
    assert (
        max(later - earlier for earlier, later in pairwise(tries)) <= LONGEST_PROBE_SECONDS + INTERVAL_SECONDS
    )


@in_virtual_time
async def test_a_collector_that_starts_over_again_and_again_is_seen_to() -> None:
    """As where the output topic refuses a result each time: the hold says why, until a page is through."""
    ours = Collector("a")
    ours.kafka.spoil = lambda _: Transient("InvalidRecordError")
    ours.script(*[page(ended("a"))] * 1000)
    async with running(ours, 20):
        (hold,) = ours.holds
        assert (hold.flow, hold.reason) == ("collect", "kafka")
        assert hold.detail.endswith("InvalidRecordError")
        ours.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + 2 * INTERVAL_SECONDS)
        assert (ours.results(), list(ours.holds)) == (["a"], [])


@in_virtual_time
async def test_an_operator_who_sets_the_cursor_is_no_successor() -> None:
    """The group confirms that we collect, and the collector goes on from the cursor that was set."""
    ours = Collector("a")
    async with running(ours, 0.5):
        ours.kafka.put(CURSORS, codec.cursor_value(Cursor(None, EARLIER)), key=PROJECT.encode())
        ours.kafka.put(LEDGER, None, key=codec.REOPEN_KEY)
        await asyncio.sleep(2)
        assert (ours.confirmed, ours.api.tails[-1]) == (1, Cursor(None, EARLIER))


@in_virtual_time
async def test_a_fenced_collector_asks_the_group_before_it_goes_on() -> None:
    """It must not fence its successor in turn."""
    ours = Collector("a")
    async with running(ours, 0.5):
        ours.kafka.epochs[ID] += 1
        ours.api.pages.append(page(ended("a")))
        await asyncio.sleep(1)
        assert (ours.confirmed, ours.results()) == (1, [])
        ours.api.pages.append(page(ended("a")))
        await asyncio.sleep(2)
    assert ours.results() == ["a"]


@in_virtual_time
async def test_what_holds_the_collector_is_shown_until_it_gets_on() -> None:
    """Without gaps between the tries."""
    ours = Collector("a")
    ours.kafka.spoil = lambda _: Held("not_permitted", "the topic moderation.results")
    ours.script(*[page(ended("a"))] * 100)
    async with running(ours, 1):
        for _ in range(60):
            await asyncio.sleep(1)
            assert [hold.reason for hold in ours.holds] == ["not_permitted"]
        ours.kafka.spoil = lambda _: None
        await asyncio.sleep(60)
        assert (ours.results(), list(ours.holds)) == (["a"], [])


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
async def test_a_drain_ends_at_once_wherever_the_collector_is() -> None:
    """Between two looks, or in front of a shut door."""
    ours = Collector()
    await ran(ours, 0.5)
    shut = Collector(kafka=ours.kafka)
    shut.script(NotNow("throttled", "429", 1000))
    await ran(shut, 5)
    assert asyncio.get_running_loop().time() == 5.5


@in_virtual_time
async def test_a_successor_goes_on_where_its_predecessor_stood() -> None:
    """From the log alone: what was published is not published again, what was open still is."""
    first = Collector(*"abc")
    first.script(page(ended("a", "b")))
    await ran(first, 0.5)
    before = first.cursor()
    second = Collector(kafka=first.kafka)
    second.script(page(ended("b", "c", first=1)))
    await ran(second, 0.5)
    assert second.results() == ["a", "b", "c"]
    assert second.api.tails[0] == before


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
