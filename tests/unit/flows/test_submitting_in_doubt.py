"""What is in doubt on a partition's way: adopted, sent again, or left to a successor."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.errors import Transient
from daemon.flows.records import codec
from daemon.model import Committed, Divided, Flaw, InDoubt, Item, NotNow, Outcome, TooLarge, Transaction
from tests.doubles import GROUP, INPUT, LEDGER, START, created, in_virtual_time
from tests.unit.flows.ways import QUARANTINE_SECONDS, Way, body, kafka_of, ran, running

FLAW = Flaw("VALUE_REQUIRED", "text: the value must be present", "r-1")


@in_virtual_time
async def test_what_landed_without_an_answer_is_adopted() -> None:
    """And not sent again."""
    way = Way(kafka_of(*"abc"))
    way.script(way.landed)
    await ran(way)
    assert way.posted() == ["abc"]
    assert (way.open(), way.committed) == ({0: "t-0", 1: "t-1", 2: "t-2"}, Committed(3, ""))


@in_virtual_time
async def test_what_gets_no_clear_answer_again_and_again_is_halved_so_that_the_others_get_on() -> None:
    """Each time after a quarantine; the one that is left is named, and tried again."""
    way = Way(kafka_of(*"abXd"))
    way.script(*[lambda it: way.lost(it) if any(b"X" in i.body for i in it) else way.accept(it)] * 9)
    async with running(way, 4 * QUARANTINE_SECONDS + 60):
        assert way.posted()[:5] == ["abXd", "abXd", "ab", "Xd", "X"]
        assert set(way.posted()[5:]) <= {"X"}
        assert (sorted(way.open()), way.committed.offset) == ([0, 1], 2)
        (hold,) = way.holds
        assert (hold.reason, "offsets 2 to 2" in hold.detail) == ("unreachable", True)
        way.script()
        await asyncio.sleep(2 * QUARANTINE_SECONDS)
    assert (sorted(way.open()), way.dead(), way.committed) == ([0, 1, 2, 3], [], Committed(4, ""))
    assert not list(way.holds)


@in_virtual_time
async def test_what_got_lost_is_sent_again_after_the_quarantine() -> None:
    """In an attempt of its own, whose doubt is as old as the first."""
    way = Way(kafka_of(*"abc"))
    way.script(way.lost)
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abc", "abc"]
    first, second = way.api.intents
    assert (second.since, second.attempt != first.attempt) == (first.since, True)
    assert second.at >= first.at + timedelta(seconds=QUARANTINE_SECONDS)
    assert (sorted(way.open()), way.committed) == ([0, 1, 2], Committed(3, ""))


@in_virtual_time
async def test_a_clock_that_is_set_forward_before_the_doubt_begins_ends_no_quarantine() -> None:
    """Toloka's may be, by an hour, while the request is under way: that may still land as long after."""
    way, sent_at = Way(kafka_of(*"abc")), list[float]()
    loop = asyncio.get_running_loop()

    def lost(items: Sequence[Item]) -> Outcome:
        sent_at.append(loop.time())
        way.toloka_time.ahead += timedelta(hours=1)
        return way.lost(items)

    def accepted(items: Sequence[Item]) -> Outcome:
        sent_at.append(loop.time())
        return way.accept(items)

    way.script(lost, accepted)
    await ran(way, QUARANTINE_SECONDS + 20)
    first, second = sent_at
    assert second >= first + QUARANTINE_SECONDS


@in_virtual_time
async def test_what_is_sent_again_without_an_answer_is_held_visibly() -> None:
    """One lost answer is waited out; at the next the hold names the way out, until there is a clear one."""
    way = Way(kafka_of("a", "b"))
    way.script(way.lost, way.lost)
    async with running(way, QUARANTINE_SECONDS - 1):
        assert list(way.holds) == []
        await asyncio.sleep(5)
        (hold,) = way.holds
        assert (hold.reason, hold.partition) == ("unreachable", 0)
        assert "offsets 0 to 1 was sent again, and again without a clear answer" in hold.detail
        assert "timeout" in hold.detail
        assert "tolokad resolve --partition 0" in hold.detail
        await asyncio.sleep(QUARANTINE_SECONDS)
        assert list(way.holds) == []
    assert way.posted() == ["ab", "ab", "a", "b"]
    assert way.committed == Committed(2, "")


@in_virtual_time
async def test_what_an_operator_has_decided_is_held_no_longer() -> None:
    """A way that finds its doubt decided by somebody else shows nothing of it any more."""
    way = Way(kafka_of("a"))
    way.script(way.lost, way.lost)
    async with running(way, QUARANTINE_SECONDS + 5):
        assert [hold.reason for hold in way.holds] == ["unreachable"]
        way.kafka.offsets[GROUP, INPUT, 0] = Committed(1, "")
        await asyncio.sleep(15)
        assert list(way.holds) == []


@in_virtual_time
async def test_a_range_in_doubt_keeps_its_intent_when_toloka_says_not_now() -> None:
    """What the first attempt may have created has to be looked for by a successor, too."""
    way = Way(kafka_of(*"abc"))
    way.script(way.lost, NotNow("throttled", "429", 1000))
    await ran(way, QUARANTINE_SECONDS + 20)
    intent = codec.read_intent(way.committed.metadata)
    assert intent is not None
    assert (intent.since, way.committed.offset) == (way.api.intents[0].since, 0)


@in_virtual_time
async def test_a_successor_resolves_what_its_predecessor_left() -> None:
    """It adopts, and goes on behind."""
    first = Way(kafka_of(*"abcde"))
    first.script(first.lost)
    await ran(first, 10)
    assert first.committed.metadata
    second = Way(first.kafka)
    second.created = [created(f"t-{name}", body(name)) for name in "abcd"]
    second.api.listing = deque([list(second.created)])
    await ran(second)
    assert second.posted() == ["e"]
    assert sorted(second.open()) == [0, 1, 2, 3, 4]
    assert second.committed == Committed(5, "")


@in_virtual_time
async def test_a_drain_in_doubt_leaves_the_intent() -> None:
    """It ends at once."""
    way = Way(kafka_of(*"abc"))
    way.script(way.lost)
    await ran(way, 10)
    assert asyncio.get_running_loop().time() == 10
    assert codec.read_intent(way.committed.metadata) == replace(way.api.intents[0], doubted=True)


@pytest.mark.parametrize("asked", [1, 2])
@in_virtual_time
async def test_what_is_left_of_an_attempt_that_created_a_part_is_not_its_own(asked: int) -> None:
    """Toloka carries that one out no more: under its name a successor would only be told of the old part."""
    way = Way(kafka_of(*"abc"), once=True)
    way.api.readies = deque([*[None] * asked, NotNow("throttled", "429", 1000)])

    def in_part(items: Sequence[Item]) -> Outcome:
        way.accept(items[:1])
        way.api.listing = deque([list(way.created)])
        return Divided({0: "t-0"}, {}) if asked == 1 else InDoubt("its log is archived", listing=True)

    way.script(*[InDoubt("reset")] * (asked - 1), in_part)
    async with running(way, QUARANTINE_SECONDS + 20):
        intent = codec.read_intent(way.committed.metadata)
        assert intent is not None
        assert (way.open(), intent.once, way.committed.offset) == ({0: "t-0"}, False, 0)


@in_virtual_time
async def test_a_no_to_an_attempt_that_is_made_again_is_obeyed() -> None:
    """By everybody; before that it is shown that it was made again without an answer."""
    way, shown = Way(kafka_of(*"abc"), once=True), list[str]()

    def busy(_: Sequence[Item]) -> Outcome:
        shown.extend(hold.reason for hold in way.holds)
        return NotNow("throttled", "429", 1000)

    way.script(InDoubt("reset"), InDoubt("reset"), busy)
    async with running(way, 60):
        assert (way.posted(), shown, way.gate.is_open) == (["abc"] * 3, ["unreachable"], False)
    assert way.committed.metadata


@in_virtual_time
async def test_a_successor_sends_only_what_the_ledger_does_not_have() -> None:
    """A part was created, and recorded and counted at once; the rest had to wait, and its way ended."""
    way = Way(kafka_of(*"abc"))

    def in_part(items: Sequence[Item]) -> Outcome:
        return Divided(dict(enumerate(way.accept(items[:1]).ids)), {})

    way.script(in_part)
    way.api.readies = deque([None, NotNow("throttled", "429", 1000)])
    await ran(way, 5)
    assert (way.open(), way.metrics.items_submitted._value.get()) == ({0: "t-0"}, 1)
    successor = Way(way.kafka)
    await ran(successor, 5)
    assert (successor.posted(), way.committed) == (["bc"], Committed(3, ""))


@in_virtual_time
async def test_a_torn_settlement_is_made_whole() -> None:
    """Its ledger records are there and its offset is not: they are accounted for, not written again."""
    way = Way(kafka_of(*"abc"))

    def tear(transaction: Transaction) -> Exception | None:
        if transaction.kind != "settle":
            return None
        way.kafka.spoil = lambda _: None
        way.kafka.put_all(transaction.appends[:2])
        way.api.listing = deque([list(way.created)])
        return Transient("torn")

    way.kafka.spoil = tear
    await ran(way, 10)
    assert way.posted() == ["abc"]
    keys = sorted(record.key or b"" for record in way.kafka.written(LEDGER))
    # The first intent left a mark as well.
    assert keys == [*[codec.mark_key(INPUT, 0)] * 2, b"t-0", b"t-1", b"t-2"]


@in_virtual_time
async def test_what_was_adopted_outlives_its_way() -> None:
    """A range that was adopted in part is cut, and its first piece settled: the rest is still in doubt."""
    way = Way(kafka_of(*"abcd"))

    def half_landed(items: Sequence[Item]) -> InDoubt:
        way.accept([items[0], items[3]])
        return way.lost(items)

    way.script(half_landed, TooLarge(FLAW), way.accept)
    way.api.readies = deque([None, None, None, NotNow("throttled", "429", 1000)])
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abcd", "bc", "b"]
    successor = Way(way.kafka)
    successor.created = list(way.created)
    successor.api.listing = deque([list(way.created)])
    await asyncio.sleep(QUARANTINE_SECONDS)
    await ran(successor, 5)
    sent_again = "".join(successor.posted())
    assert "d" not in sent_again


@in_virtual_time
async def test_what_was_adopted_behind_a_piece_in_doubt_is_not_sent_again() -> None:
    """A range that was adopted in part is cut, and its way ends while the first piece is in doubt."""
    way = Way(kafka_of(*"abcd"))

    def half_landed(items: Sequence[Item]) -> InDoubt:
        way.accept([items[0], items[3]])
        return way.lost(items)

    way.script(half_landed, TooLarge(FLAW), way.lost)
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abcd", "bc", "b"]
    successor = Way(way.kafka)
    successor.created = list(way.created)
    successor.api.listing = deque([list(way.created)])
    await ran(successor, 2 * QUARANTINE_SECONDS)
    assert "".join(successor.posted()) == "bc"
    assert way.committed == Committed(4, "")


@in_virtual_time
async def test_what_was_adopted_by_another_clock_is_not_sent_again() -> None:
    """Items may be created by a clock that is far behind the one that the intent was written by."""
    way = Way(kafka_of(*"abcd"), takes_id=True)

    def half_landed(items: Sequence[Item]) -> InDoubt:
        way.accept([items[0], items[3]])
        way.created[:] = [found._replace(created_at=START - timedelta(hours=1)) for found in way.created]
        return way.lost(items)

    way.script(half_landed, way.lost)
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abcd", "bc"]
    successor = Way(way.kafka, takes_id=True)
    successor.created = list(way.created)
    successor.api.listing = deque([list(way.created)])
    await ran(successor, 2 * QUARANTINE_SECONDS)
    assert "".join(successor.posted()) == "bc"
    assert way.committed == Committed(4, "")
