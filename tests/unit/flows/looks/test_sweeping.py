"""Second looks: what became visible late, and what has been open too long."""

from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import pytest

from daemon.errors import Held
from daemon.flows.looks.sweeping import WORTH_A_LISTING, Sweeping, _runs, _steps
from daemon.flows.looks.vanishing import BY_ID_ITEMS
from daemon.flows.skew import SKEW
from daemon.flows.watching import CollectWatch
from tests.doubles import START, finished, in_virtual_time
from tests.unit.flows.looks.lateness import AFTER, EVERY_SECONDS, LISTING_FAILED, body, late


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


@in_virtual_time
async def test_what_toloka_has_answered_is_not_asked_for_with_the_next_sweep() -> None:
    """Not even where it had said nothing of it once."""
    async with late("a") as ours:
        ours.finish("a", status="PROCESSING")
        ours.api.failing.append(LISTING_FAILED)
        with pytest.raises(Held):
            await ours.sweep(61)
        for minutes in range(66, 110, 5):
            await ours.sweep(minutes)
        assert ours.api.asked == [["a"], ["a"]]


@in_virtual_time
async def test_of_a_sweeps_share_each_page_of_a_listing_takes_one_request() -> None:
    """Others of the project may have created a hundred thousand items meanwhile."""
    ids = [f"i{number:03}" for number in range(WORTH_A_LISTING)]
    async with late(*ids) as ours:
        ours.sweeping = Sweeping(
            ours.api, ours.kafka, ours.time, CollectWatch(ours.metrics), AFTER, EVERY_SECONDS, 2.0
        )
        foreign = [finished(f"foreign{number}", body("f")) for number in range(1000)]
        ours.api.listed, ours.api.listed_at_once = foreign, 1
        pages = []
        ours.time.moved = 61 * 60
        for second in range(4):
            while await ours.sweeping.step(ours.state, ours.time.moved + second):
                pass
            pages.append(ours.api.pages_listed)
        assert pages == [2, 4, 6, 8]


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


def test_runs_follow_each_other_in_time() -> None:
    """The oldest first."""
    due = [(START + timedelta(seconds=seconds), str(seconds)) for seconds in range(0, 4000, 40)]
    firsts = [run[0][0] for run in _runs(due)]
    assert all(before < after for before, after in pairwise(firsts))
