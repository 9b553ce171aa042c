"""When a batch is announced: along with a settlement, by itself, or anew; and what takes that back."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

import pytest

from daemon.model import Committed, Item, NotNow, Outcome, Transaction
from tests.doubles import INPUT, START, created, in_virtual_time
from tests.unit.flows.ways import Way, body, kafka_of, ran, running

AWAY = NotNow("unreachable", "connection refused")


@in_virtual_time
async def test_a_batch_that_must_wait_is_not_announced_along() -> None:
    """Its predecessor is settled at once; it is announced once Toloka can be asked."""
    way = Way(kafka_of(*"abcdefgh"))
    way.api.readies = deque([None, AWAY, AWAY])
    async with running(way, 0.1):
        assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))
        await asyncio.sleep(5)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_settlement_does_not_wait_until_the_next_batch_may_be_sent() -> None:
    """A place under the limits that is not free now is waited for after the settlement."""
    way = Way(kafka_of(*"abcdefgh"))
    usual, asked = way.api.ready, 0

    async def ready(count: int) -> NotNow | None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(3)
        return await usual(count)

    way.api.ready = ready  # type: ignore[method-assign]  # on purpose
    async with running(way):
        assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))
        await asyncio.sleep(5)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_batch_behind_a_shut_door_is_not_announced_along() -> None:
    """Another way was told to wait while this one's request was under way."""
    way = Way(kafka_of(*"abcdefgh"))

    usual = way.api.submit

    async def submit(*args: object) -> Outcome:
        outcome = await usual(*args)  # type: ignore[arg-type]  # handed on
        await asyncio.sleep(0.01)
        way.gate.shut(NotNow("throttled", "429", 1000))
        return outcome

    way.api.submit = submit  # type: ignore[method-assign,assignment]  # on purpose
    await ran(way)
    assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))


@pytest.mark.parametrize("why", ["shut", "stopping"])
@in_virtual_time
async def test_a_settlement_does_not_wait_for_a_batch_that_may_not_be_sent(why: str) -> None:
    """Though it is nearly full."""
    way = Way(kafka_of(*"abcdefg"))
    loop, usual = asyncio.get_running_loop(), way.api.submit

    async def submit(*args: object) -> Outcome:
        outcome = await usual(*args)  # type: ignore[arg-type]  # handed on
        await asyncio.sleep(0.01)
        if why == "shut":
            way.gate.shut(NotNow("throttled", "429", 1000))
        elif why == "stopping":
            way.stopping.set()
        return outcome

    way.api.submit = submit  # type: ignore[method-assign,assignment]  # on purpose
    loop.call_later(0.03, way.kafka.put, INPUT, body("h"))
    async with running(way, 0.02):
        assert way.committed == Committed(4, "")


@in_virtual_time
async def test_a_drain_sends_what_was_announced_along_and_no_more() -> None:
    """It is settled, too: whoever takes over is in no doubt."""
    way = Way(kafka_of(*"abcdefghijkl"))

    def stop_meanwhile(transaction: Transaction) -> None:
        if transaction.kind == "settle":
            way.stopping.set()

    way.kafka.spoil = stop_meanwhile
    await ran(way)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_batch_that_was_announced_along_long_ago_is_announced_anew() -> None:
    """The settlement took long: the request must be over soon after its intent."""
    way = Way(kafka_of(*"abcdefgh"))

    def delay(transaction: Transaction) -> None:
        if transaction.kind == "settle" and transaction.offset and transaction.offset.offset == 4:
            way.time.moved += 11.0

    way.kafka.spoil = delay
    await ran(way)
    assert way.posted() == ["abcd", "efgh"]
    assert way.kinds()[2:] == ["settle", "intent", "intent", "settle"]
    assert way.api.intents[1].at >= START + timedelta(seconds=11)


@in_virtual_time
async def test_a_successor_resolves_what_was_announced_along() -> None:
    """It is an intent like any other."""
    first = Way(kafka_of(*"abcdefgh"))
    first.script(first.accept, first.lost)
    await ran(first, 10)
    assert (first.posted(), first.committed.offset) == (["abcd", "efgh"], 4)
    second = Way(first.kafka)
    second.created = [*first.created, *(created(f"t-{name}", body(name)) for name in "efgh")]
    second.api.listing = deque([list(second.created)])
    await ran(second)
    assert (second.posted(), second.committed) == ([], Committed(8, ""))
    assert sorted(second.open()) == list(range(8))


@in_virtual_time
async def test_before_toloka_answers_nothing_is_announced() -> None:
    """An outage leaves no intents behind."""
    way = Way(kafka_of(*"ab"))
    way.api.readies = deque([AWAY] * 3)
    async with running(way, 0.9):
        assert way.kinds() == ["intent"]
        await asyncio.sleep(30)
    assert (way.posted(), way.committed) == (["ab"], Committed(2, ""))
    # It waits where it is: the partition is not taken over anew for each no.
    assert len(way.api.resumed) == 1


@in_virtual_time
async def test_an_intent_that_took_long_is_written_again_before_anything_is_sent() -> None:
    """The request must be over soon after the intent that announces it."""
    way = Way(kafka_of(*"abc"))
    slow = [0.0, 11.0, 0.0]

    def delay(transaction: Transaction) -> None:
        if transaction.kind == "intent" and slow:
            way.time.moved += slow.pop(0)

    way.kafka.spoil = delay
    await ran(way)
    assert way.posted() == ["abc"]
    assert [offset for offset, metadata in way.kafka.commits() if metadata] == [0, 0]
    assert way.kinds()[-1] == "settle"
    assert way.api.intents[0].at == START + timedelta(seconds=11.5)


@in_virtual_time
async def test_an_intent_that_was_never_used_is_taken_back() -> None:
    """Nothing was sent under it: a successor would wait two minutes for nothing."""
    way = Way(kafka_of(*"abc"))
    slow = [0.0, 11.0]

    def delay(transaction: Transaction) -> None:
        if transaction.kind == "intent" and slow:
            way.time.moved += slow.pop(0)

    way.kafka.spoil = delay
    way.api.readies = deque([None, NotNow("throttled", "429", 1000)])
    await ran(way, 10)
    assert way.posted() == []
    assert way.committed.metadata == ""


@in_virtual_time
async def test_a_pause_is_obeyed_in_the_middle_of_a_backlog() -> None:
    """No settlement announces a further batch while an operator has said so."""
    way = Way(kafka_of(*"abcdefgh"))

    def paused_meanwhile(items: Sequence[Item]) -> Outcome:
        way.gate.pause("by hand")
        return way.accept(items)

    way.script(paused_meanwhile)
    async with running(way):
        assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))
        way.gate.resume()
        await asyncio.sleep(10)
        assert way.posted() == ["abcd", "efgh"]
