"""The overlap: what became visible late is read again, where anything can be in it."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from daemon.errors import Held
from daemon.flows.looks.second_looks import SecondLooks
from daemon.model import Cursor
from tests.doubles import START, finished, in_virtual_time
from tests.unit.flows.looks.lateness import LISTING_FAILED, OVERLAP, body, late


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


@in_virtual_time
async def test_an_overlap_that_took_long_leaves_time_for_other_looks() -> None:
    """It is due again as long after its end as others after their beginning."""
    async with late("a", cursor_seconds=100) as ours:
        ours.api.spans.append([[], []])
        assert await ours.overlapping.step(ours.state, 10)
        assert await ours.overlapping.step(ours.state, 50)
        assert not await ours.overlapping.step(ours.state, 90)
        assert not await ours.overlapping.step(ours.state, 119)
        assert len(ours.api.looks) == 1
        await ours.overlapping.step(ours.state, 120)
        assert len(ours.api.looks) == 2


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
async def test_what_was_not_worth_a_look_is_not_looked_at_later() -> None:
    """Of a day in which nothing was open a look would list all that others have made."""
    async with late(cursor_seconds=100) as ours:
        await ours.state.publish([], "tail", Cursor("x", START + timedelta(days=1)))
        assert not await ours.overlapping.step(ours.state, 10)
        assert ours.state.cursor.looked_until == START + timedelta(days=1)


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


@in_virtual_time
async def test_each_look_begins_before_the_end_of_the_last() -> None:
    """And no earlier, however long the collector runs; a successor is told where that was."""
    async with late("a", cursor_seconds=100) as ours:
        ends = [START + timedelta(seconds=seconds) for seconds in (100, 300, 500)]
        for number, end in enumerate(ends):
            await ours.state.publish([], "tail", Cursor("x", end))
            assert not await ours.overlapping.step(ours.state, 10 + 30 * number)
            assert ours.state.cursor.looked_until == end
        assert ours.api.looks == [
            (last - OVERLAP, end) for last, end in zip([ends[0], *ends], ends, strict=False)
        ]


class _Look:
    """There is something to look for so many times, each of which takes a second."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.steps = 0

    async def step(self, *_: object) -> bool:
        """See the looks themselves."""
        self.steps += 1
        if not self.left:
            return False
        await asyncio.sleep(1)
        self.left -= 1
        return True


@pytest.mark.parametrize(
    ("times", "seconds", "steps", "taken"),
    [(100, 5.0, 5, 5.0), (3, 10.0, 4, 10.0), (0, 10.0, 1, 10.0), (100, -1.0, 1, 1.0)],
)
def test_looks_are_taken_until_the_tail_is_due(times: int, seconds: float, steps: int, taken: float) -> None:
    """One at the least, and none beyond that: neither keeps the other waiting."""

    @in_virtual_time
    async def check() -> None:
        loop, look = asyncio.get_running_loop(), _Look(times)
        idle: Any = _Look(0)
        looking: Any = look
        began = loop.time()
        async with late() as ours:
            await SecondLooks(ours.state, idle, looking, idle).until(began + seconds, asyncio.Event())
        assert (look.steps, loop.time() - began) == (steps, taken)

    check()
