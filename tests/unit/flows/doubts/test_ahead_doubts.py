"""Two batches of a partition under way, one in doubt: what one may take from another, and until when."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest

from daemon.flows.batches.guarding import RejectionGuard
from daemon.flows.records import codec
from daemon.model import (
    Committed,
    Created,
    Divided,
    Flaw,
    InDoubt,
    Intent,
    Item,
    NotNow,
    Outcome,
    TooLarge,
    Transaction,
)
from tests.doubles import GROUP, INPUT, LEDGER, START, MemoryKafka, MemoryWriter, created, in_virtual_time
from tests.unit.flows.ways import QUARANTINE_SECONDS, Way, body, kafka_of, ran, running

BUSY = NotNow("throttled", "429", 60.0)


def slowly(way: Way, *seconds: float) -> Way:
    """Have its answers come after so long, half a second where nothing is said; listings are complete."""
    usual, delays = way.api.submit, deque(seconds)

    async def submit(*given: object) -> Outcome:
        outcome = await usual(*given)  # type: ignore[arg-type]  # handed on
        await asyncio.sleep(delays.popleft() if delays else 0.5)
        return outcome

    async def listed(*_: object) -> Sequence[Created]:
        return list(way.created)

    way.api.submit = submit  # type: ignore[method-assign,assignment]  # on purpose
    way.api.created = listed  # type: ignore[method-assign,assignment]  # as above
    return way


def two(kafka: MemoryKafka, *seconds: float, max_items: int = 4, partition: int = 0) -> Way:
    """A way with two connections; see `slowly`."""
    return slowly(Way(kafka, max_items=max_items, connections=2, partition=partition), *seconds)


def late(way: Way, seconds: float) -> Callable[[Sequence[Item]], Outcome]:
    """The answer is lost, and the items are created so much later."""

    def outcome(items: Sequence[Item]) -> Outcome:
        asyncio.get_running_loop().call_later(seconds, way.accept, items)
        return InDoubt("timeout")

    return outcome


def both(*contents: str) -> MemoryKafka:
    """A cluster whose input has two partitions with these items."""
    kafka = MemoryKafka.usual(partitions=2)
    for partition, names in enumerate(contents):
        for name in names:
            kafka.put(INPUT, body(name), partition=partition)
    return kafka


async def cut_off(way: Way, seconds: float) -> None:
    """Let it work for so long, and then no more."""
    task = asyncio.ensure_future(way.submitting.run(way.stopping))
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@in_virtual_time
async def test_the_second_is_believed_absent_only_when_the_first_cannot_land_either() -> None:
    """It has adopted the second's items, and its own, which come at the last moment, are the second's."""
    way = two(kafka_of(*"abab"), max_items=2)
    way.script(BUSY, way.landed, late(way, QUARANTINE_SECONDS - 5))
    await ran(way, 600)
    assert (len(way.created), sorted(way.open())) == (4, [0, 1, 2, 3])


@in_virtual_time
async def test_nor_where_a_piece_of_the_first_has_adopted_them() -> None:
    """The first was too large, and is sent in halves."""
    way = two(kafka_of(*"abcdabcd"), 0.5, 19.5)
    way.script(TooLarge(Flaw("X", "y")), way.landed, way.accept, late(way, QUARANTINE_SECONDS - 1))
    await ran(way, 600)
    assert (len(way.created), sorted(way.open())) == (8, list(range(8)))


@in_virtual_time
async def test_nor_where_a_successor_sends_the_first_again() -> None:
    """What the intent says of the second is as old as the predecessor."""
    way = two(kafka_of(*"xyabab"), 15.0, 30.0, 30.0, max_items=2)
    way.script(way.accept, way.lost, late(way, QUARANTINE_SECONDS - 1))
    await cut_off(way, 16)
    after = two(way.kafka, max_items=2)
    after.created = way.created
    after.script(late(after, QUARANTINE_SECONDS - 5))
    await ran(after, 600)
    assert (len(after.created), sorted(after.open())) == (6, list(range(6)))


@in_virtual_time
async def test_nor_before_its_own_quarantine_is_over() -> None:
    """It was announced when the first had been under way for long, and comes at the last moment."""
    way = two(kafka_of(*"abcdefghijkl"), 15.0, 20.0, 20.0)
    way.script(way.accept, way.lost, late(way, QUARANTINE_SECONDS - 5))
    await ran(way, 600)
    assert way.posted() == ["abcd", "efgh", "ijkl", "efgh"]
    assert (len(way.created), sorted(way.open())) == (12, list(range(12)))


@in_virtual_time
async def test_what_is_decided_does_not_hide_what_is_in_doubt_behind_it() -> None:
    """Another partition whose request may still land must not adopt what will be looked for there."""
    kafka = both("xyab", "ab")
    intent = Intent("x", 2, START, START, doubt_end=4, doubt_at=START + timedelta(seconds=1), decided=True)
    kafka.offsets[GROUP, INPUT, 0] = Committed(0, codec.intent_metadata(intent))
    first, second = two(kafka, max_items=2), two(kafka, max_items=2, partition=1)
    second.created = first.created
    first.created += [created("t-0", body("a"), 2), created("t-1", body("b"), 2)]
    await asyncio.sleep(QUARANTINE_SECONDS + 10)
    first.gate.shut(BUSY)
    second.script(late(second, QUARANTINE_SECONDS - 5))
    async with running(first, 1), running(second, 600):
        pass
    assert len(first.created) == 6


@in_virtual_time
async def test_the_share_of_dead_letters_counts_what_is_in_the_ledger_already() -> None:
    """A batch whose good items were recorded early is no batch of dead letters alone."""
    guard = RejectionGuard(0.5, 10)
    way = slowly(Way(kafka_of(*("!!!!abcdef" * 3)), max_items=10, connections=2, guard=guard))
    way.script(way.accept, NotNow("throttled", "429", 1.0), way.accept)
    async with running(way, 60):
        assert (way.committed, list(way.holds)) == (Committed(30, ""), [])


@in_virtual_time
async def test_a_no_to_the_first_is_obeyed_at_once() -> None:
    """Not only when the answer to the second has come."""
    way = two(kafka_of(*"abcdefgh"), 0.5, 19.0)
    way.script(NotNow("unauthorized", "401"), way.accept)
    async with running(way, 10):
        assert not way.gate.is_open


@in_virtual_time
async def test_nobody_waits_for_a_batch_that_was_certainly_refused() -> None:
    """It may have to wait for hours; another partition's equal items are looked for meanwhile."""
    kafka = both("abcdefgh", "ab")
    first, second = two(kafka), two(kafka, partition=1)
    second.created = first.created
    first.script(NotNow("throttled", "429", 3600.0), first.accept)
    second.script(second.landed)
    async with running(first, 5), running(second, QUARANTINE_SECONDS + 10):
        assert kafka.offsets[GROUP, INPUT, 1] == Committed(2, "")


@in_virtual_time
async def test_a_successor_sends_at_once_what_was_certainly_refused() -> None:
    """And not again what was created behind it."""
    way = two(kafka_of(*"abcdefgh"))
    way.script(NotNow("throttled", "429", 3600.0), way.accept)
    await cut_off(way, 5)
    after = two(way.kafka)
    after.created = way.created
    await ran(after, 5)
    assert (after.posted(), len(after.created), sorted(after.open())) == (["abcd"], 8, list(range(8)))


def divided(way: Way) -> Callable[[Sequence[Item]], Outcome]:
    """The first item is created, the others are refused, each by name."""

    def outcome(items: Sequence[Item]) -> Outcome:
        flaw = Flaw("X", "no")
        return Divided({0: way.accept(items[:1]).ids[0]}, dict.fromkeys(range(1, len(items)), flaw))

    return outcome


@in_virtual_time
async def test_what_a_divided_batch_has_created_is_not_sent_again() -> None:
    """Its ids are in no ledger until it is settled, and it may be held before that."""
    guard = RejectionGuard(0.5, 4)
    way = slowly(Way(kafka_of(*"abcdefgh"), connections=2, guard=guard))
    way.script(divided(way), way.accept)
    async with running(way, 30):
        assert (way.posted().count("abcd"), len(way.created)) == (1, 5)


@contextmanager
def slow_settlements(monkeypatch: pytest.MonkeyPatch, partition: int, *seconds: float) -> Iterator[None]:
    """Have the next settlements of a partition take so long."""
    usual, delays = MemoryWriter.transact, deque(seconds)

    async def transact(self: MemoryWriter, transaction: Transaction) -> None:
        offset = transaction.offset
        if transaction.kind == "settle" and offset and offset.partition == partition and delays:
            await asyncio.sleep(delays.popleft())
        await usual(self, transaction)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryWriter, "transact", transact)
        yield


@in_virtual_time
async def test_a_slow_brokers_second_settlement_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has been written, the items it settles look like nobody's."""
    kafka = both("ab", "")
    low, high = two(kafka, max_items=2), two(kafka, 19.0, 1.0, max_items=2, partition=1)
    high.created = low.created
    low.script(low.lost)

    async def listed_late(*_: object) -> Sequence[Created]:
        is_early = asyncio.get_running_loop().time() < QUARANTINE_SECONDS + 1
        return [] if is_early else list(low.created)

    low.api.created = listed_late  # type: ignore[method-assign,assignment]  # on purpose
    with slow_settlements(monkeypatch, 1, 19.0, 15.0):
        async with running(low, 75.6):
            for name in "xyab":
                kafka.put(INPUT, body(name), partition=1)
            await ran(high, 300)
    ids = [record.key for record in kafka.written(LEDGER) if record.value and _is_item(record.key or b"")]
    assert len(ids) == len(set(ids)) == 6


def _is_item(key: bytes) -> bool:
    return not key.startswith(codec.MARK_PREFIX)
