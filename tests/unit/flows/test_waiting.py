"""Waits grow while something fails; they end early when something else happens, and leave nothing behind."""

import asyncio

import pytest

from daemon.flows.waiting import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Backoff, pause, unless
from tests.doubles import in_virtual_time, seeded


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_pause_lasts_its_time() -> None:
    """Unless something else happens."""
    await pause(7, asyncio.Event())
    assert now() == 7


@in_virtual_time
async def test_a_pause_ends_with_its_event() -> None:
    """At once, and it does not begin where the event is set already."""
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(2, event.set)
    await pause(7, event)
    await pause(7, event)
    assert now() == 2


@pytest.mark.parametrize("seconds", [0, -1])
@in_virtual_time
async def test_a_pause_of_nothing_is_over(seconds: float) -> None:
    """No time is no wait."""
    await pause(seconds, asyncio.Event())
    assert now() == 0


@in_virtual_time
async def test_work_that_comes_first_gives_its_result() -> None:
    """Also where that is nothing much."""
    assert await unless(asyncio.Event(), asyncio.sleep(3, "done")) == "done"
    assert now() == 3


@in_virtual_time
async def test_an_event_that_comes_first_ends_the_work() -> None:
    """The work has ended when this returns, its cleanup included."""
    event, ended = asyncio.Event(), []

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(now())
        return "done"

    asyncio.get_running_loop().call_later(2, event.set)
    assert await unless(event, work()) is None
    assert ended == [2]


@in_virtual_time
async def test_works_failure_is_ours() -> None:
    """Nothing is swallowed."""

    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await unless(asyncio.Event(), work())


@in_virtual_time
async def test_who_waits_can_be_cancelled() -> None:
    """The work is cancelled with it."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.ensure_future(unless(asyncio.Event(), work()))
    await asyncio.sleep(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


def test_waits_grow_to_their_longest_with_jitter() -> None:
    """Each is at least half of its step and no more than the whole of it."""
    backoff = Backoff(seeded())
    step = FIRST_WAIT_SECONDS
    for _ in range(12):
        assert step / 2 <= backoff.seconds() <= step
        step = min(step * 2, LONGEST_WAIT_SECONDS)
    assert step == LONGEST_WAIT_SECONDS


def test_a_wait_that_is_capped_grows_like_any_other() -> None:
    """What is away for long is asked for every few seconds; what comes after it is no sudden storm."""
    backoff = Backoff(seeded(), 1, 64)
    for _ in range(6):
        assert backoff.seconds(5) <= 5
    assert backoff.seconds() >= 32


def test_after_success_waits_are_short_again() -> None:
    """Whatever came before."""
    backoff = Backoff(seeded(), 1, 64)
    for _ in range(7):
        backoff.seconds()
    backoff.reset()
    assert backoff.seconds() <= 1
