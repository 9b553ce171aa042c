"""A flow's door to Toloka: one probe for a crowd, and no wait longer than asked."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from daemon.flows.gate import SHORTEST_WAIT_SECONDS, Gate
from daemon.flows.waiting import (
    FIRST_WAIT_SECONDS,
    LONGEST_OBEYED_SECONDS,
    LONGEST_PROBE_SECONDS,
    LONGEST_WAIT_SECONDS,
)
from daemon.model import NotNow
from tests.doubles import fresh_holds, in_virtual_time, seeded

AWAY = NotNow("unreachable", "connection refused")


def seconds() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


class Door:
    """A gate, and a crowd in front of it."""

    def __init__(self) -> None:
        self.holds, self.metrics = fresh_holds()
        self.gate = Gate("submit", self.holds, seeded(), self.metrics)
        self.stopping = asyncio.Event()
        self.through: list[float] = []

    async def one(self) -> None:
        """Wait at the door, once."""
        await self.gate.wait(self.stopping)
        self.through.append(seconds())

    async def one_of_many(self) -> None:
        """Wait at the door, and go on with something that takes a while."""
        await self.one()
        await asyncio.sleep(61)

    def crowd(self, count: int) -> list["asyncio.Task[None]"]:
        """Have this many wait at the door."""
        return [asyncio.ensure_future(self.one_of_many()) for _ in range(count)]


async def leave(tasks: list["asyncio.Task[None]"]) -> None:
    """End those who are still waiting."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@in_virtual_time
async def test_an_open_door_keeps_nobody_waiting() -> None:
    """As it is from the start, and after `open`."""
    door = Door()
    await door.one()
    door.gate.shut(AWAY)
    door.gate.open(seconds())
    await door.one()
    assert door.through == [0, 0]


@in_virtual_time
async def test_a_shut_door_shows_why() -> None:
    """As a hold of the flow, until it is open; a new reason takes the old one's place."""
    door = Door()
    door.gate.shut(AWAY)
    door.gate.shut(NotNow("unauthorized", "the token"))
    assert [(hold.flow, hold.reason) for hold in door.holds] == [("submit", "unauthorized")]
    assert door.metrics.held.labels("submit", "unreachable")._value.get() == 0
    door.gate.open(seconds())
    assert list(door.holds) == []


@in_virtual_time
async def test_a_crowd_sends_one_to_try() -> None:
    """The rest waits for what comes of it."""
    door = Door()
    door.gate.shut(AWAY)
    waiting = door.crowd(10)
    await asyncio.sleep(60)
    assert len(door.through) == 1
    door.gate.open(seconds())
    await asyncio.sleep(1)
    assert len(door.through) == 10
    await asyncio.wait(waiting)


@in_virtual_time
async def test_each_no_to_the_one_who_tries_makes_the_next_wait_longer() -> None:
    """Up to the longest."""
    door = Door()
    door.gate.shut(AWAY)
    tries = [0.0]
    for _ in range(10):
        await door.one()
        tries.append(seconds())
        door.gate.shut(AWAY)
    waits = [after - before for before, after in pairwise(tries)]
    assert waits[0] <= FIRST_WAIT_SECONDS
    assert waits[5] > waits[0] * 4
    assert max(waits) <= LONGEST_PROBE_SECONDS


@in_virtual_time
async def test_after_success_the_door_is_tried_early_again() -> None:
    """What came before is forgotten."""
    door = Door()
    for _ in range(7):
        door.gate.shut(AWAY)
        await door.one()
    door.gate.open(seconds())
    began = seconds()
    door.gate.shut(AWAY)
    await door.one()
    assert seconds() - began <= FIRST_WAIT_SECONDS


@in_virtual_time
async def test_a_crowd_that_hears_no_together_waits_no_longer_than_one() -> None:
    """Ten answers to ten requests that were under way are one reason for patience."""
    door = Door()
    for _ in range(10):
        door.gate.shut(AWAY)
    await door.one()
    assert door.through[0] <= FIRST_WAIT_SECONDS
    door.gate.shut(AWAY)
    await door.one()
    assert door.through[1] - door.through[0] <= FIRST_WAIT_SECONDS * 2


@pytest.mark.parametrize(("asked", "obeyed"), [(45.0, 45.0), (86_400.0, LONGEST_OBEYED_SECONDS)])
@in_virtual_time
async def test_the_wait_that_toloka_asked_for_is_obeyed(asked: float, obeyed: float) -> None:
    """In pieces, where it is a day: a mended cause is to be noticed."""
    door = Door()
    door.gate.shut(NotNow("throttled", "429", asked))
    await door.one()
    assert obeyed <= door.through[0] <= obeyed + 1


@in_virtual_time
async def test_the_longest_wait_that_was_asked_for_counts() -> None:
    """Of several answers to requests that were under way together."""
    door = Door()
    for asked in (5.0, 40.0, 10.0):
        door.gate.shut(NotNow("throttled", "429", asked))
    await door.one()
    assert 40 <= door.through[0] <= 41


@in_virtual_time
async def test_the_place_of_one_who_died_trying_is_given_on() -> None:
    """At once: there is nobody to wait for."""
    door = Door()
    door.gate.shut(AWAY)
    prober, *others = door.crowd(3)
    await asyncio.sleep(1)
    assert len(door.through) == 1
    prober.cancel()
    await asyncio.sleep(LONGEST_WAIT_SECONDS)
    assert len(door.through) == 2
    await leave([prober, *others])


@in_virtual_time
async def test_one_who_tries_again_is_not_in_its_own_way() -> None:
    """It failed before it heard anything from Toloka, and is here again: nobody else wants to try."""
    door = Door()
    door.gate.shut(AWAY)
    await door.one()
    before = seconds()
    await door.one()
    assert door.through[1] <= before + SHORTEST_WAIT_SECONDS


@in_virtual_time
async def test_time_is_counted_once_however_many_wait() -> None:
    """As the share of time that the flow is throttled, not as a multiple of it."""
    door = Door()
    door.gate.shut(NotNow("throttled", "429", 40.0))
    tasks = door.crowd(4)
    await asyncio.sleep(40)
    assert 38 <= door.metrics.throttled_seconds.labels("submit")._value.get() <= 40
    await leave(tasks)


@in_virtual_time
async def test_who_has_failed_lets_another_try() -> None:
    """What holds the one up, such as a budget that its batch is too large for, may not hold the other."""
    door = Door()
    tries: Counter[str] = Counter()

    async def trying(name: str) -> None:
        while True:
            await door.one()
            tries[name] += 1
            door.gate.shut(NotNow("budget", "spent"))

    door.gate.shut(NotNow("budget", "spent"))
    tasks = [asyncio.ensure_future(trying(name)) for name in ("one", "other", "third")]
    await asyncio.sleep(300)
    assert min(tries[name] for name in ("one", "other", "third")) > 10
    await leave(tasks)


@in_virtual_time
async def test_a_drain_does_not_wait_at_the_door() -> None:
    """The event lets everybody through, to see for themselves."""
    door = Door()
    door.gate.shut(NotNow("throttled", "429", 3000))
    asyncio.get_running_loop().call_later(2, door.stopping.set)
    await door.one()
    assert door.through == [2]


@in_virtual_time
async def test_only_throttling_counts_as_time_throttled() -> None:
    """The counter is for limits, not for outages."""
    door = Door()
    door.gate.shut(NotNow("throttled", "429", 10))
    await door.one()
    throttled = door.metrics.throttled_seconds.labels("submit")._value
    assert 10 <= throttled.get() <= 11
    door.gate.shut(AWAY)
    before = throttled.get()
    await door.one()
    assert throttled.get() == before


@in_virtual_time
async def test_an_answer_ends_an_absence_and_nothing_else() -> None:
    """That Toloka can be reached does not mean that it takes items."""
    door = Door()
    door.gate.shut(NotNow("unauthorized", "the token"))
    door.gate.reached()
    assert [hold.reason for hold in door.holds] == ["unauthorized"]
    door.gate.open(seconds())
    door.gate.shut(AWAY)
    door.gate.reached()
    assert list(door.holds) == []


@in_virtual_time
async def test_a_success_from_before_does_not_cut_short_the_wait_that_was_asked_for() -> None:
    """Of two requests under way, one is throttled for a minute, and then the other is accepted."""
    door = Door()
    began = seconds()
    await asyncio.sleep(1)
    door.gate.shut(NotNow("throttled", "429", 60))
    door.gate.open(began)
    await door.one()
    assert door.through[0] >= 61
    door.gate.open(door.through[0])
    assert list(door.holds) == []


@in_virtual_time
async def test_one_who_stops_while_it_is_its_turn_gives_the_turn_back() -> None:
    """A partition that is revoked meanwhile does not hold up all others."""
    door = Door()
    door.gate.shut(AWAY)
    await asyncio.ensure_future(door.one())
    began = seconds()
    await door.one()
    assert door.through[1] - began <= LONGEST_WAIT_SECONDS


@in_virtual_time
async def test_what_keeps_nobody_waiting_is_not_shown() -> None:
    """Once the last user has left, the hold is gone, for nobody here would ever find out that it is over."""
    door = Door()
    with door.gate.used():
        with door.gate.used():
            door.gate.shut(AWAY)
        assert [hold.reason for hold in door.holds] == ["unreachable"]
    assert list(door.holds) == []


@in_virtual_time
async def test_what_was_said_is_obeyed_by_whoever_comes_back() -> None:
    """It is shown again, and Toloka's wish to be left alone still stands."""
    door = Door()
    with door.gate.used():
        door.gate.shut(NotNow("throttled", "too many", 60.0))
    with door.gate.used():
        assert [hold.reason for hold in door.holds] == ["throttled"]
        await door.one()
        door.gate.open(seconds())
        assert list(door.holds) == []
    assert door.through[0] >= 60
