"""The ways of several partitions under one limit: none spends what another has reserved."""

import asyncio

from daemon.flows.batches.spending import Spent, read_spent, spent_value
from daemon.flows.records import codec
from daemon.model import Committed, Transaction
from tests.doubles import DEAD, LEDGER, in_virtual_time
from tests.unit.flows.ways import BUDGET, QUARANTINE_SECONDS, Way, kafka_of, ran, running


@in_virtual_time
async def test_what_is_absent_keeps_no_room_from_others_at_a_limit() -> None:
    """Others wait for what is in doubt, and it for room: it says that it is absent, and lets its room go."""
    kafka = kafka_of(*"abc")
    kafka.logs[BUDGET] = [[]]
    way = Way(kafka, total=5)
    way.script(way.lost)
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, QUARANTINE_SECONDS - 20):
        kafka.put(BUDGET, spent_value(Spent(reserved=5, attempt="another's")), key=b"in/1")
        await asyncio.sleep(60)
        intent = codec.read_intent(way.committed.metadata)
        reserved = read_spent(kafka.written(BUDGET)[-1].value).reserved
        assert intent is not None
        assert (way.posted(), intent.decided, intent.end, reserved) == (["abc"], True, 3, 0)
        assert [places for _, places, _ in kafka.sealed] == [frozenset({(LEDGER, 0), (DEAD, 0), (BUDGET, 0)})]
        count = len(kafka.transactions)
        await asyncio.sleep(60)
        assert len(kafka.transactions) == count
        kafka.put(BUDGET, spent_value(Spent(total=2)), key=b"in/1")
        await asyncio.sleep(60)
        assert (way.posted(), way.committed) == (["abc", "abc"], Committed(3, ""))
    assert following is not None
    await following


@in_virtual_time
async def test_as_much_of_a_batch_is_sent_as_there_is_room_for() -> None:
    """The rest waits, and is sent in its turn once another partition has let its room go."""
    kafka = kafka_of(*"abcdefgh")
    kafka.logs[BUDGET] = [[]]
    kafka.put(BUDGET, spent_value(Spent(reserved=3, attempt="another's")), key=b"in/1")
    way = Way(kafka, total=8)
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, 30):
        assert (way.posted(), way.committed) == (["abcd", "e"], Committed(5, ""))
        assert [hold.reason for hold in way.holds] == ["budget"]
        kafka.put(BUDGET, spent_value(Spent()), key=b"in/1")
        await asyncio.sleep(60)
        assert (way.posted(), way.committed) == (["abcd", "e", "fgh"], Committed(8, ""))
    assert following is not None
    await following


@in_virtual_time
async def test_a_drain_at_the_limit_ends_at_once() -> None:
    """What waits for room is left as it is."""
    kafka = kafka_of(*"abc")
    kafka.logs[BUDGET] = [[]]
    way = await ran(Way(kafka, total=0), 30)
    assert (way.posted(), way.committed) == ([], Committed(0, ""))


@in_virtual_time
async def test_a_backlog_within_the_budget_waits_for_nothing() -> None:
    """What has reserved nothing is not announced ahead, where it would find the purse shut."""
    kafka = kafka_of(*"abcdefghijkl")
    kafka.logs[BUDGET] = [[]]
    way = Way(kafka, total=12)
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, 10):
        assert (way.posted(), way.committed) == (["abcd", "efgh", "ijkl"], Committed(12, ""))
        assert way.kinds()[1:] == ["intent", "settle"] * 3
    assert following is not None
    await following


@in_virtual_time
async def test_what_another_partition_reserved_first_is_not_spent_twice() -> None:
    """Both saw room; the later one finds none, takes its intent back, and has sent nothing."""
    kafka = kafka_of(*"abc")
    kafka.logs[BUDGET] = [[]]
    way = Way(kafka, total=5)

    def overtake(transaction: Transaction) -> None:
        if any(append.topic == BUDGET for append in transaction.appends) and not kafka.written(BUDGET):
            kafka.put(BUDGET, spent_value(Spent(reserved=5, attempt="another's")), key=b"in/1")

    kafka.spoil = overtake
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, 30):
        assert (way.posted(), way.committed) == ([], Committed(0, ""))
        kafka.put(BUDGET, spent_value(Spent(total=2)), key=b"in/1")
        await asyncio.sleep(60)
        assert (way.posted(), way.committed) == (["abc"], Committed(3, ""))
    assert following is not None
    await following
