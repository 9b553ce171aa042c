"""Second looks: what became visible late, and what has been open too long."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from daemon.errors import Held
from daemon.flows.collector.collector_state import CollectOptions, CollectorState
from daemon.flows.collector.opening import open_state
from daemon.flows.collector.origins import MISSING_HEADER
from daemon.flows.looks.second_looks import Overlapping
from daemon.flows.looks.sweeping import WORTH_A_LISTING, Sweeping, _runs, _steps
from daemon.flows.looks.vanishing import BY_ID_ITEMS
from daemon.flows.records import codec
from daemon.flows.skew import SKEW
from daemon.flows.watching import CollectWatch
from daemon.metrics import Metrics
from daemon.model import Cursor, Item, Sight
from tests.doubles import (
    CURSORS,
    DEAD,
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
    in_virtual_time,
    item,
    outlets,
    packed_items,
)

AFTER = timedelta(hours=1)
EVERY_SECONDS = 300.0
# Requests a second: so many are never made.
MANY = 1_000_000
OVERLAP = timedelta(seconds=60)
LISTING_FAILED = Held("listing_failed", "Toloka does not answer")


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


class Late:
    """A state whose items were submitted at START, and who looks for them later."""

    def __init__(self, kafka: MemoryKafka, state: CollectorState, metrics: Metrics, time: FakeTime) -> None:
        self.kafka = kafka
        self.state = state
        self.time = time
        self.metrics = metrics
        self.api = ScriptedResults()
        watch = CollectWatch(metrics)
        self.sweeping = Sweeping(self.api, kafka, time, watch, AFTER, EVERY_SECONDS, MANY)
        self.overlapping = Overlapping(self.api, OVERLAP, 30, state.cursor.finished_at)

    def finish(self, *ids: str, status: str = "COMPLETED") -> None:
        """Toloka has these, in this status."""
        seconds = None if status in {"NEW", "NO_MONEY", "PROCESSING", "STOPPED"} else 5.0
        self.api.items |= {i: finished(i, body(i), seconds, status) for i in ids}

    async def sweep(self, minutes: float) -> int:
        """Sweep until there is nothing left to do, so long after START; returns the steps it took."""
        self.time.moved = minutes * 60
        for steps in range(1000):
            if not await self.sweeping.step(self.state, self.time.moved):
                return steps
        raise AssertionError("a sweep without end")

    def results(self) -> list[str]:
        """The ids of the results."""
        return [msgspec.json.decode(r.value or b"")["item"]["id"] for r in self.kafka.written(OUTPUT)]

    def stalled(self, status: str) -> float:
        """The gauge."""
        value: float = self.metrics.stalled_items.labels(status)._value.get()
        return value


@asynccontextmanager
async def late(*ids: str, apart_seconds: float = 0, cursor_seconds: float = 0) -> AsyncIterator[Late]:
    """A collector whose ledger has these open, submitted at START and so far apart."""
    kafka, metrics, time = MemoryKafka.usual(), Metrics(), FakeTime()
    for offset, item_id in enumerate(ids):
        moment = START + timedelta(seconds=offset * apart_seconds)
        record = FakeRecord(offset, body(item_id), key=b"k", headers=(("h", b"v"),))
        content = item(0, body(item_id)).content_hash
        (packed,) = packed_items([Item(record, b"", content)], offset + 1, moment)
        kafka.put(INPUT, body(item_id), key=b"k", headers=(("h", b"v"),))
        kafka.put(LEDGER, packed, key=item_id.encode())
    kafka.put(LEDGER, codec.mark_value(len(ids)), key=codec.mark_key(INPUT, 0))
    cursor = Cursor("x", START + timedelta(seconds=cursor_seconds))
    kafka.put(CURSORS, codec.cursor_value(cursor), key=PROJECT.encode())
    opening = CollectOptions(outlets(), OVERLAP, None)
    async with (
        kafka.writer("collect") as writer,
        open_state(kafka, opening, writer, time, CollectWatch(metrics), "me") as (state, _, _),
    ):
        yield Late(kafka, state, metrics, time)


# --- when ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "steps"),
    [(-1, 0), (0, 0), (0.99, 0), (1, 1), (1.99, 1), (2, 2), (3.99, 2), (4, 3), (8, 4), (100, 7)],
)
def test_an_age_reaches_a_new_step_each_time_it_has_doubled(hours: float, steps: int) -> None:
    """So that an item of weeks is looked for now and then, and not every five minutes."""
    assert _steps(timedelta(hours=hours), AFTER) == steps


def test_items_that_were_submitted_close_together_are_looked_for_together() -> None:
    """Half a minute at most lies between two of a run."""
    due = [(START + timedelta(seconds=seconds), str(seconds)) for seconds in (0, 10, 30, 31, 62, 100)]
    runs = [[item_id for _, item_id in run] for run in _runs(due)]
    assert runs == [["0", "10", "30", "31"], ["62"], ["100"]]
    assert list(_runs([])) == []


@in_virtual_time
async def test_what_is_young_is_not_looked_for() -> None:
    """The tail brings it."""
    async with late("a", "b") as ours:
        assert await ours.sweep(59) == 0
        assert (ours.api.asked, ours.api.windows) == ([], [])


@in_virtual_time
async def test_what_is_overdue_is_looked_for_each_time_its_age_has_doubled() -> None:
    """Not at every sweep."""
    async with late("a") as ours:
        ours.finish("a", status="PROCESSING")
        looked = []
        for minutes in range(0, 600, 5):
            before = len(ours.api.asked)
            await ours.sweep(minutes)
            if len(ours.api.asked) > before:
                looked.append(minutes)
        assert looked == [60, 120, 240, 480]


@in_virtual_time
async def test_a_sweep_begins_every_so_often() -> None:
    """However often it is asked."""
    async with late("a") as ours:
        await ours.sweep(59)
        await ours.sweep(61)
        assert ours.api.asked == []
        await ours.sweep(64)
        assert ours.api.asked == [["a"]]


# --- how -------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_few_are_asked_for_by_id_and_published() -> None:
    """What the tail has missed for good."""
    async with late("a", "b") as ours:
        ours.finish("a")
        ours.finish("b", status="ARCHIVED")
        await ours.sweep(61)
        assert (ours.api.asked, ours.api.windows) == ([["a", "b"]], [])
        assert sorted(ours.results()) == ["a", "b"]
        assert ours.metrics.late_results.labels("sweep")._value.get() == 2


@in_virtual_time
async def test_many_are_listed_by_time_of_creation() -> None:
    """One window, with room for clocks that differ; by id only what it does not show."""
    ids = [f"i{number}" for number in range(WORTH_A_LISTING + 5)]
    async with late(*ids, apart_seconds=1) as ours:
        ours.finish(*ids)
        ours.api.listed = [ours.api.items[i] for i in ids[3:]] + [finished("foreign", body("f"))]
        await ours.sweep(70)
        assert ours.api.windows == [(START - SKEW, START + timedelta(seconds=len(ids) - 1) + SKEW)]
        assert ours.api.asked == [["i0", "i1", "i2"]]
        assert sorted(ours.results()) == sorted(ids)


@in_virtual_time
async def test_by_id_no_more_are_asked_for_in_one_step_than_fit() -> None:
    """The tail is waiting between the steps."""
    ids = [f"i{number:03}" for number in range(BY_ID_ITEMS * 2 + 3)]
    async with late(*ids) as ours:
        ours.finish(*ids)
        assert await ours.sweep(61) == 3
        assert sorted(len(asked) for asked in ours.api.asked) == [3, BY_ID_ITEMS, BY_ID_ITEMS]
        assert sorted(ours.results()) == ids


@in_virtual_time
async def test_what_is_overdue_by_the_ledgers_word_is_asked_for_at_once() -> None:
    """Its record came when the cursor had long passed."""
    async with late("a", "b") as ours:
        ours.finish("a", "b")
        ours.state.overdue.add("b")
        assert await ours.sweep(1) == 1
        assert (ours.api.asked, ours.results(), ours.state.overdue) == ([["b"]], ["b"], set())


@in_virtual_time
async def test_what_is_still_open_is_counted_by_status() -> None:
    """NO_MONEY and STOPPED need somebody's attention."""
    async with late("a", "b", "c") as ours:
        ours.finish("a", "b", status="NO_MONEY")
        ours.finish("c", status="SOMETHING_NEW")
        await ours.sweep(61)
        await ours.sweep(66)
        assert (ours.stalled("NO_MONEY"), ours.results()) == (2, [])


@in_virtual_time
async def test_what_is_stalled_stays_counted_until_it_is_not() -> None:
    """An alert on it must not come and go with the sweeps."""
    async with late("a") as ours:
        ours.finish("a", status="NO_MONEY")
        shown = []
        for minutes in range(60, 110, 5):
            await ours.sweep(minutes)
            shown.append(ours.stalled("NO_MONEY"))
        assert shown[1:] == [1] * 9


@in_virtual_time
async def test_what_is_overdue_is_asked_for_again_when_toloka_did_not_answer() -> None:
    """Otherwise it waits for an hour."""
    async with late("a") as ours:
        ours.finish("a")
        ours.state.overdue.add("a")
        ours.api.failing.append(LISTING_FAILED)
        with pytest.raises(Held):
            await ours.sweep(1)
        await ours.sweep(1)
        assert ours.results() == ["a"]


@in_virtual_time
async def test_a_group_is_looked_for_again_when_toloka_did_not_answer() -> None:
    """Otherwise its next look is when its age has doubled: after a week, in another week."""
    async with late("a") as ours:
        ours.finish("a")
        ours.api.failing.append(LISTING_FAILED)
        with pytest.raises(Held):
            await ours.sweep(61)
        await ours.sweep(66)
        assert ours.results() == ["a"]


@in_virtual_time
async def test_many_pages_are_looked_at_one_by_one_and_asked_for_once() -> None:
    """Half a million items that were submitted together are half a thousand requests, a page in memory."""
    ids = [f"i{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        ours.finish(*ids)
        ours.api.listed, ours.api.listed_at_once = list(ours.api.items.values()), 10
        assert await ours.sweep(61) == 10
        assert (len(ours.api.windows), ours.api.pages_listed, ours.api.asked) == (1, 10, [])
        assert sorted(ours.results()) == ids


@in_virtual_time
async def test_what_a_listing_does_not_show_is_not_listed_again() -> None:
    """It is asked for by id, twenty at a time."""
    ids = [f"i{number:03}" for number in range(BY_ID_ITEMS * 3)]
    async with late(*ids) as ours:
        ours.finish(*ids)
        await ours.sweep(61)
        assert (len(ours.api.windows), len(ours.api.asked)) == (1, 3)
        assert sorted(ours.results()) == ids


@in_virtual_time
async def test_a_listing_is_given_up_where_it_takes_longer_than_asking_for_each() -> None:
    """Of a hundred thousand items of others, say."""
    ids = [f"i{number:03}" for number in range(WORTH_A_LISTING)]
    async with late(*ids) as ours:
        ours.finish(*ids)
        foreign = [finished(f"foreign{number}", body("f")) for number in range(1000)]
        ours.api.listed, ours.api.listed_at_once = foreign, 1
        await ours.sweep(61)
        assert (ours.api.pages_listed, len(ours.api.asked)) == (WORTH_A_LISTING, 1)
        assert sorted(ours.results()) == ids


@pytest.mark.parametrize("overdue", [set(), {"bad"}, {"bad", "good"}])
@in_virtual_time
async def test_one_item_of_which_toloka_says_nothing_keeps_no_other_waiting(overdue: set[str]) -> None:
    """It is due again with the next sweep, and found once Toloka shows it."""
    async with late("bad", "good", "other", apart_seconds=60) as ours:
        ours.api.unsaid.add("bad")
        ours.finish("bad", "good", "other")
        ours.state.overdue |= overdue
        for minutes in range(120, 130):
            with suppress(Held):
                await ours.sweep(minutes)
        assert sorted(ours.results()) == ["good", "other"]
        ours.api.unsaid.clear()
        await ours.sweep(136)
        assert sorted(ours.results()) == ["bad", "good", "other"]


@pytest.mark.parametrize(
    ("requests_by_id", "counts"),
    [
        (1, [20, 20, 40, 40, 60, 60, 80, 80, 80, 80, 80, 80]),
        (3, [20, 20, 20, 20, 20, 20, 40, 40, 40, 40, 40, 40]),
    ],
)
@in_virtual_time
async def test_a_sweep_asks_for_no_more_than_its_share(requests_by_id: int, counts: list[int]) -> None:
    """A look goes out whole, and is waited for afterwards; a task takes several requests."""
    ids = [f"i{number:03}" for number in range(BY_ID_ITEMS * 4)]
    async with late(*ids) as ours:
        ours.sweeping = Sweeping(
            ours.api, ours.kafka, ours.time, CollectWatch(ours.metrics), AFTER, EVERY_SECONDS, 10.0
        )
        ours.finish(*ids)
        ours.api.requests_by_id = requests_by_id
        asked = []
        ours.time.moved = 61 * 60
        for second in range(12):
            await ours.sweeping.step(ours.state, ours.time.moved + second)
            asked.append(sum(map(len, ours.api.asked)))
        # The listing that shows nothing is one request; the first second's ten may be spent at once.
        assert asked == counts


# --- what is gone ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_toloka_does_not_know_in_two_sweeps_is_a_dead_letter() -> None:
    """With its record as it was read, and why; the first time may be a mistake."""
    async with late("a") as ours:
        await ours.sweep(61)
        assert ours.kafka.written(DEAD) == []
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert (letter.key, letter.value) == (b"k", body("a"))
        headers = dict(letter.headers)
        assert (headers["h"], headers["tolokad-error-code"]) == (b"v", b"ITEM_VANISHED")
        assert headers["tolokad-origin-offset"] == b"0"
        assert len(ours.state.ledger) == 0


@in_virtual_time
async def test_a_dead_letter_whose_record_is_gone_says_that_its_value_is_missing() -> None:
    """A null value alone would look like a tombstone."""
    async with late("a") as ours:
        ours.kafka.starts[INPUT, 0] = 1
        await ours.sweep(61)
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert (letter.key, letter.value) == (b"k", None)
        assert MISSING_HEADER in letter.headers


@in_virtual_time
async def test_what_is_found_again_is_not_gone() -> None:
    """Two misses count only in a row."""
    async with late("a") as ours:
        await ours.sweep(61)
        ours.finish("a", status="PROCESSING")
        await ours.sweep(121)
        ours.api.items.clear()
        await ours.sweep(241)
        assert ours.kafka.written(DEAD) == []
        await ours.sweep(481)
        assert len(ours.kafka.written(DEAD)) == 1


@in_virtual_time
async def test_what_has_vanished_after_months_does_not_wait_for_months_more() -> None:
    """Unknown to Toloka once, it is asked for again with the next sweep, not when its age has doubled."""
    async with late("a") as ours:
        ours.finish("a", status="PROCESSING")
        months = 60 * 24 * 60
        await ours.sweep(months)
        ours.api.items.clear()
        ours.state.overdue.add("a")
        await ours.sweep(months + 5)
        assert ours.kafka.written(DEAD) == []
        await ours.sweep(months + 10)
        assert len(ours.kafka.written(DEAD)) == 1


@in_virtual_time
async def test_what_toloka_did_not_answer_for_is_not_gone() -> None:
    """Silence is no absence."""
    async with late("a") as ours:
        ours.api.failing.extend([LISTING_FAILED] * 20)
        for minutes in (61, 121, 241, 481, 961):
            with pytest.raises(Held):
                await ours.sweep(minutes)
        assert ours.kafka.written(DEAD) == []


@in_virtual_time
async def test_the_dead_letters_of_vanished_items_are_counted() -> None:
    """Like all others, by reason."""
    async with late("a") as ours:
        await ours.sweep(61)
        await ours.sweep(121)
        assert ours.metrics.items_dead_lettered.labels("ITEM_VANISHED")._value.get() == 1


@in_virtual_time
async def test_two_looks_within_a_moment_are_no_two_sweeps() -> None:
    """A record that comes late is looked for at once, and by the sweep: Toloka may have one bad moment."""
    async with late("a") as ours:
        ours.state.overdue.add("a")
        await ours.sweep(120)
        ours.state.overdue.add("a")
        await ours.sweep(121)
        assert ours.kafka.written(DEAD) == []
        ours.state.overdue.add("a")
        await ours.sweep(126)
        assert len(ours.kafka.written(DEAD)) == 1


def one_batch(ours: Late, ids: Sequence[str]) -> None:
    """Have the open items be of one batch."""
    items = []
    for offset, item_id in enumerate(ids):
        items.append(Item(FakeRecord(offset), b"", item(0, body(item_id)).content_hash))
    for item_id, packed in zip(ids, packed_items(items, len(ids), START), strict=True):
        ours.state.ledger.note(FakeRecord(0, packed, LEDGER, key=item_id.encode()))


@in_virtual_time
async def test_a_vanished_item_dies_under_the_record_that_is_certainly_its_own() -> None:
    """Ids may have been answered out of order; what the others hold tells what it held."""
    ids = ["a", "b", "c"]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.api.items = {
            "b": finished("b", body("a"), None, "NEW"),
            "c": finished("c", body("c"), None, "NEW"),
        }
        await ours.sweep(61)
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"1"
        await ours.state.publish([finished("b", body("a")), finished("c", body("c"))], "tail")
        origins = [
            msgspec.json.decode(r.value or b"")["origin"]["offset"] for r in ours.kafka.written(OUTPUT)
        ]
        assert sorted(origins) == [0, 2]


@in_virtual_time
async def test_a_vanished_item_waits_for_what_another_of_its_batch_holds() -> None:
    """Of that one Toloka says nothing either, for the first time: whose record is whose nobody can tell."""
    ids = ["a", "b", "c"]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.api.items = {"a": finished("a", body("c"), None, "NEW")}
        for minutes in (10, 16):
            ours.state.overdue.add("b")
            await ours.sweep(minutes)
        assert ours.kafka.written(DEAD) == []
        ours.api.items["c"] = finished("c", body("b"), None, "NEW")
        ours.state.overdue.add("b")
        await ours.sweep(22)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"0"


@in_virtual_time
async def test_what_has_ended_without_a_result_is_a_dead_letter_that_names_it() -> None:
    """It is still at Toloka, where an audit finds it and asks whose it is; what is gone is not."""
    async with late("a", "b") as ours:
        usual = ours.api.by_id

        async def by_id(item_ids: Collection[str]) -> Mapping[str, Sight | None]:
            found = await usual(item_ids)
            return {i: sight and sight._replace(results=(), over=True) for i, sight in found.items()}

        ours.api.by_id = by_id  # type: ignore[method-assign]  # on purpose
        ours.finish("a", status="NEW")
        await ours.sweep(61)
        await ours.sweep(121)
        told = {
            named["tolokad-error-code"]: named.get("toloka-item-id")
            for named in (dict(letter.headers) for letter in ours.kafka.written(DEAD))
        }
        assert told == {b"NO_RESULT": b"a", b"ITEM_VANISHED": None}


@in_virtual_time
async def test_a_vanished_item_dies_however_many_others_its_batch_has() -> None:
    """Where no listing shows them, as with tasks, the sweeps themselves have seen what they hold."""
    ids = [f"i-{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.finish(*ids[:50], *ids[51:], status="NEW")
        await ours.sweep(61)
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"50"
        assert sum(map(len, ours.api.asked)) <= 3 * len(ids)


@in_virtual_time
async def test_the_others_of_a_vanished_items_batch_are_not_all_asked_for_at_once() -> None:
    """It waits for the sweeps to have seen them, which ask for no more than their share."""
    ids = [f"i-{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.finish(*ids[1:], status="NEW")
        for minutes in (10, 16):
            ours.state.overdue.add(ids[0])
            await ours.sweep(minutes)
        assert ours.kafka.written(DEAD) == []
        assert sum(map(len, ours.api.asked)) <= 2 + BY_ID_ITEMS


@in_virtual_time
async def test_a_whole_batch_that_vanished_dies_in_two_sweeps() -> None:
    """A project was cleaned up: what is gone needs nobody to tell it apart."""
    ids = [f"i{number:02}" for number in range(BY_ID_ITEMS + 5)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        for minutes in (61, 121, 241, 481):
            await ours.sweep(minutes)
        assert len(ours.kafka.written(DEAD)) == len(ids)


# --- overlap ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_the_overlap_reads_again_what_finished_shortly_before_the_cursor() -> None:
    """A page at a time, and again after a while."""
    async with late("a", "b", "c", cursor_seconds=100) as ours:
        ours.api.spans.append([[finished("a", body("a"))], [finished("b", body("b"))]])
        assert await ours.overlapping.step(ours.state, 10)
        assert ours.results() == ["a"]
        assert await ours.overlapping.step(ours.state, 10)
        assert not await ours.overlapping.step(ours.state, 10)
        until = START + timedelta(seconds=100)
        assert ours.api.looks == [(until - OVERLAP, until)]
        assert not await ours.overlapping.step(ours.state, 39)
        assert len(ours.api.looks) == 1
        await ours.overlapping.step(ours.state, 40)
        assert len(ours.api.looks) == 2
        assert sorted(ours.results()) == ["a", "b"]
        assert ours.metrics.late_results.labels("overlap")._value.get() == 2


@pytest.mark.parametrize(("ids", "cursor_seconds"), [((), 100), (("a",), -61)])
@in_virtual_time
async def test_the_overlap_is_spared_where_nothing_can_be_in_it(
    ids: Sequence[str], cursor_seconds: float
) -> None:
    """Nothing is open, or nothing was submitted before the cursor's time."""
    async with late(*ids, cursor_seconds=cursor_seconds) as ours:
        assert not await ours.overlapping.step(ours.state, 10)
        assert ours.api.looks == []


@in_virtual_time
async def test_an_overlap_that_fails_is_looked_at_again_when_it_is_due() -> None:
    """And is not stuck in the middle."""
    async with late("a", cursor_seconds=100) as ours:
        ours.api.failing.append(LISTING_FAILED)
        ours.api.spans.append([[finished("a", body("a"))]])
        with pytest.raises(Held):
            await ours.overlapping.step(ours.state, 10)
        steps = 0
        while not ours.results():
            await ours.overlapping.step(ours.state, 10 + steps)
            steps += 1
            assert steps < 100


@in_virtual_time
async def test_the_cursor_does_not_move_with_second_looks() -> None:
    """It is the tail's."""
    async with late("a", "b", cursor_seconds=100) as ours:
        before = ours.state.cursor
        ours.finish("b")
        ours.api.spans.append([[finished("a", body("a"), 1000)]])
        await ours.overlapping.step(ours.state, 10)
        await ours.sweep(61)
        assert sorted(ours.results()) == ["a", "b"]
        assert ours.state.cursor == before


def test_runs_follow_each_other_in_time() -> None:
    """The oldest first."""
    due = [(START + timedelta(seconds=seconds), str(seconds)) for seconds in range(0, 4000, 40)]
    firsts = [run[0][0] for run in _runs(due)]
    assert all(before < after for before, after in pairwise(firsts))
