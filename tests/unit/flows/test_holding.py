"""Waiting on purpose: shown for as long as it lasts, and what stumbles again and again along with it."""

import asyncio

import pytest

from daemon.errors import Held, Transient
from daemon.flows.holding import FORGIVING_SECONDS, STUMBLES, STUMBLING_SECONDS, Hold, Holds, ShownHold
from daemon.metrics import Metrics
from tests.doubles import fresh_holds, in_virtual_time

HOLD = Hold("submit", "offset_lost", "lost", 3)


def shown(metrics: Metrics, flow: str, reason: str) -> float:
    """The gauge."""
    value: float = metrics.held.labels(flow, reason)._value.get()
    return value


def test_a_hold_is_shown_for_as_long_as_it_lasts() -> None:
    """In the list and in the gauge; also where the block fails."""
    holds, metrics = fresh_holds()

    def fail() -> None:
        with holds.holding(HOLD):
            assert (list(holds), shown(metrics, "submit", "offset_lost")) == ([HOLD], 1)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert (list(holds), shown(metrics, "submit", "offset_lost")) == ([], 0)


def test_equal_holds_count_each() -> None:
    """Two partitions that are held for one reason are two."""
    holds, metrics = fresh_holds()
    first, second = holds.begin(HOLD), holds.begin(HOLD)
    assert shown(metrics, "submit", "offset_lost") == 2
    holds.end(first)
    assert list(holds) == [HOLD]
    holds.end(second)
    assert list(holds) == []


def test_a_ways_hold_stays_shown_while_it_tries_again() -> None:
    """The same reason begins only once; another one takes its place."""
    holds, metrics = fresh_holds()
    way = ShownHold("submit", holds, 3)
    way.begin(Held("offset_lost", "lost"))
    (number,) = holds._now
    way.begin(Held("offset_lost", "lost"))
    assert list(holds._now) == [number]
    way.begin(Held("range_gone", "gone"))
    assert [hold.reason for hold in holds] == ["range_gone"]
    assert shown(metrics, "submit", "offset_lost") == 0
    way.end_unless("range_gone")
    assert [hold.reason for hold in holds] == ["range_gone"]
    way.end_unless("offset_lost")
    way.end()
    assert list(holds) == []


@in_virtual_time
@pytest.mark.parametrize(("times", "apart"), [(STUMBLES, 0.1), (3, STUMBLING_SECONDS / 2)])
async def test_who_stumbles_often_or_for_long_is_held(times: int, apart: float) -> None:
    """Not for a hiccup; what is done in between makes it one."""
    holds, _ = fresh_holds()
    way = ShownHold("submit", holds, 3)
    for _ in range(times - 1):
        way.stumble(Transient("corrupt"))
        await asyncio.sleep(apart)
    way.end()
    for _ in range(times):
        assert list(holds) == []
        way.stumble(Transient("corrupt"))
        await asyncio.sleep(apart)
    (hold,) = holds
    assert (hold.flow, hold.reason, hold.partition) == ("submit", "kafka", 3)
    assert hold.detail.endswith("corrupt")
    way.end()
    assert list(holds) == []


@in_virtual_time
async def test_failures_that_are_far_apart_are_no_failing_again_and_again() -> None:
    """While Toloka is away nothing gets to its end, and Kafka may well have its hiccups."""
    holds, _ = fresh_holds()
    way = ShownHold("submit", holds, 3)
    for _ in range(2 * STUMBLES):
        way.stumble(Transient("no answer in time"))
        assert list(holds) == []
        await asyncio.sleep(FORGIVING_SECONDS + 1)
    for _ in range(2):
        assert list(holds) == []
        way.stumble(Transient("no answer in time"))
        await asyncio.sleep(FORGIVING_SECONDS)
    assert [hold.reason for hold in holds] == ["kafka"]


def test_reasons_of_holds_are_known_to_the_metric() -> None:
    """Every reason that the daemon gives has its series from the start."""
    holds, metrics = fresh_holds()
    assert isinstance(holds, Holds)
    for reason in (
        "offset_lost",
        "range_gone",
        "intent_unreadable",
        "offset_out_of_range",
        "content_altered",
    ):
        assert ("submit", reason) in metrics.held._metrics
