"""What one partition's way writes: the exact transactions."""

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.errors import Fenced
from daemon.flows.batches.budgeting import Budget
from daemon.flows.batches.outbox import Outbox
from daemon.flows.batches.spending import Limits, read_spent
from daemon.flows.records import codec, ledger_records
from daemon.model import Batch, Committed, DeadLetter, Flaw, Intent, Tally
from daemon.model.items import OLDER
from tests.doubles import (
    DEAD,
    GROUP,
    INPUT,
    LEDGER,
    START,
    FakeRecord,
    FakeTime,
    MemoryKafka,
    in_virtual_time,
    item,
    place,
    seeded,
)

FLAW = Flaw("NOT_JSON", "not JSON")
MINUTE = timedelta(seconds=60)
BATCH = Batch(
    INPUT,
    3,
    10,
    15,
    items=(item(10, partition=3), item(12, partition=3)),
    dead_letters=(DeadLetter(FakeRecord(11, b"!", partition=3, key=b"k"), FLAW),),
    skipped=1,
    adopted=((item(14, partition=3), "found"),),
)


class Desk:
    """An outbox of partition 3 with everything around it."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka.usual(partitions=4)
        self.time = FakeTime()
        self.attempts = deque(["a-1", "a-2", "a-3"])

    def outbox_on(self, writer: object) -> Outbox:
        """The outbox."""
        return Outbox(writer, place(3), self.time, self.attempts.popleft)  # type: ignore[arg-type]

    @property
    def committed(self) -> Committed:
        """What the group has committed for the partition."""
        return self.kafka.offsets[GROUP, INPUT, 3]


@pytest.fixture
def desk() -> Desk:
    """A desk of its own for each test."""
    return Desk()


@in_virtual_time
async def test_an_intent_leaves_the_offset_where_it_is(desk: Desk) -> None:
    """It says in metadata what is about to be sent, and writes no record."""
    async with desk.kafka.writer("w") as writer:
        intent = await desk.outbox_on(writer).announce(BATCH.recorded())
    assert intent == Intent("a-1", 15, START, START)
    assert desk.committed == Committed(10, codec.intent_metadata(intent))
    ((_, transaction),) = desk.kafka.transactions
    assert (transaction.kind, tuple(transaction.appends)) == ("intent", ())


@in_virtual_time
async def test_what_was_adopted_goes_to_the_ledger_with_the_next_intent(desk: Desk) -> None:
    """A successor that finds the next attempt would not hear of it otherwise."""
    since = START - MINUTE
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).announce(replace(BATCH, since=since))
    ((_, transaction),) = desk.kafka.transactions
    opened, mark = transaction.appends
    assert codec.read_tally(mark.value or b"") == Tally(START.date(), 1)
    entry = ledger_records.unpack(opened.value or b"")
    assert (transaction.kind, opened.key) == ("intent", b"found")
    assert (entry.origin.offset, entry.submitted_at) == (14, since)


@in_virtual_time
async def test_what_is_recorded_reaches_back_as_far_as_what_was_adopted(desk: Desk) -> None:
    """By a clock far behind it is older than the range, and would pass for what another topic had there."""
    oldest = START - OLDER - MINUTE
    standing = Intent("stands", 15, START, START, first=10)
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).record(replace(BATCH, since=START, oldest=oldest), standing)
    assert desk.committed == Committed(10, codec.intent_metadata(replace(standing, since=START - MINUTE)))


@in_virtual_time
async def test_a_word_of_the_operators_leaves_the_doubt_behind_the_batch(desk: Desk) -> None:
    """It speaks of the batch alone: what was sent behind it would be sent again."""
    doubt = Intent("doubt", 15, START - MINUTE, START - MINUTE, doubt_end=20, doubt_at=START)
    desk.time.moved = 60
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).decide(BATCH, doubt)
    decided = replace(doubt, attempt="a-1", at=START + MINUTE, decided=True)
    assert desk.committed == Committed(10, codec.intent_metadata(decided))


@in_virtual_time
async def test_what_lies_behind_a_piece_was_sent_when_it_was_sent_itself(desk: Desk) -> None:
    """Not when the piece was; where that is not known, when the piece was, at the latest now."""
    piece = replace(BATCH, since=START - MINUTE, doubt_end=20, doubt_at=START - MINUTE)
    async with desk.kafka.writer("w") as writer:
        outbox = desk.outbox_on(writer)
        behind = [
            outbox.behind(piece, START),
            outbox.behind(replace(piece, doubt_at=None), START + MINUTE),
            outbox.behind(replace(piece, doubt_at=None), None),
        ]
        assert outbox.behind(replace(piece, doubt_end=15), START) is None
    assert [(each.end, each.since, each.at) for each in behind if each is not None] == [
        (20, START - MINUTE, at) for at in (START - MINUTE, START + MINUTE, START)
    ]


@in_virtual_time
async def test_what_was_adopted_is_spent_like_what_was_accepted(desk: Desk) -> None:
    """And so is what Toloka may have without anybody ever knowing."""
    desk.kafka.logs["budget"] = [[]]
    purse = await Budget(desk.kafka, "budget", Limits(None, 100), seeded()).purse(b"in/3")
    async with desk.kafka.writer("w") as writer:
        outbox = desk.outbox_on(writer)
        outbox.spend_from(purse)
        await outbox.settle(BATCH, ("x", "y"), START, None, lost=4)
    (written,) = desk.kafka.written("budget")
    assert read_spent(written.value or b"").total == 2 + 1 + 4


@in_virtual_time
async def test_an_attempt_that_is_made_again_keeps_its_name(desk: Desk) -> None:
    """The time of the announcement is its own, and that it may be sent again is written down."""
    async with desk.kafka.writer("w") as writer:
        outbox = Outbox(writer, place(3), desk.time, desk.attempts.popleft, once=True)
        first = await outbox.announce(BATCH.recorded())
        desk.time.moved = 60.0
        second = await outbox.announce(replace(BATCH.recorded(), since=first.since), first)
    assert second == Intent("a-1", 15, START, START + MINUTE, once=True)
    assert codec.read_intent(desk.committed.metadata) == second


@in_virtual_time
async def test_every_attempt_has_its_own_name_and_time_and_the_doubt_its_own_beginning(desk: Desk) -> None:
    """`since` is carried on for a range that has been in doubt, and is new for any other."""
    async with desk.kafka.writer("w") as writer:
        outbox = desk.outbox_on(writer)
        first = await outbox.announce(BATCH)
        desk.time.moved = 30
        carried = await outbox.announce(replace(BATCH, since=first.since))
        fresh = await outbox.announce(BATCH)
    later = START + timedelta(seconds=30)
    assert (carried.attempt, carried.since, carried.at) == ("a-2", START, later)
    assert (fresh.attempt, fresh.since, fresh.at) == ("a-3", later, later)
    assert codec.read_intent(desk.committed.metadata) == fresh


@in_virtual_time
async def test_no_doubt_begins_after_its_latest_attempt(desk: Desk) -> None:
    """Toloka's clock may be set back between two; what is created is looked for from the beginning on."""
    async with desk.kafka.writer("w") as writer:
        outbox = desk.outbox_on(writer)
        desk.time.moved = 3600
        first = await outbox.announce(BATCH)
        desk.time.moved = 60
        carried = await outbox.announce(replace(BATCH, since=first.since))
    assert carried.since == carried.at == START + MINUTE


@in_virtual_time
async def test_a_withdrawn_intent_leaves_nothing_behind(desk: Desk) -> None:
    """The same offset, with empty metadata."""
    async with desk.kafka.writer("w") as writer:
        outbox = desk.outbox_on(writer)
        await outbox.announce(BATCH)
        await outbox.withdraw(BATCH.first)
    assert desk.committed == Committed(10, "")
    assert [transaction.kind for _, transaction in desk.kafka.transactions] == ["intent", "intent"]


@in_virtual_time
async def test_settling_writes_everything_a_batch_has_come_to_at_once(desk: Desk) -> None:
    """Ledger records of what was accepted and adopted, dead letters, the mark, and the offset behind it."""
    desk.time.moved = 5
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).settle(BATCH, ("x", "y"), START + MINUTE, None)
    ((_, transaction),) = desk.kafka.transactions
    assert transaction.kind == "settle"
    assert desk.committed == Committed(15, "")

    ledger = {append.key: append for append in transaction.appends if append.topic == LEDGER}
    assert {append.partition for append in ledger.values()} == {1}
    mark = ledger.pop(codec.mark_key(INPUT, 3))
    assert mark.value == codec.mark_value(15, Tally(START.date(), 3))
    opened = {key: ledger_records.unpack(append.value or b"") for key, append in ledger.items()}
    assert {key: entry.origin.offset for key, entry in opened.items()} == {b"x": 10, b"y": 12, b"found": 14}
    assert {key: entry.submitted_at for key, entry in opened.items()} == {
        b"x": START + MINUTE,
        b"y": START + MINUTE,
        b"found": START + timedelta(seconds=5),
    }
    assert {entry.batch_end for entry in opened.values()} == {15}
    assert opened[b"y"].content_hash == BATCH.items[1].content_hash

    (letter,) = [append for append in transaction.appends if append.topic == DEAD]
    assert (letter.partition, letter.key, letter.value) == (3 % 2, b"k", b"!")
    assert ("tolokad-origin-offset", b"11") in letter.headers
    assert len(transaction.appends) == 5


@in_virtual_time
async def test_a_batch_of_nothing_still_moves_the_offset_and_the_mark(desk: Desk) -> None:
    """Tombstones are settled like anything else."""
    nothing = Batch(INPUT, 3, 15, 17, (), skipped=2)
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).settle(nothing, (), None, None)
    ((_, transaction),) = desk.kafka.transactions
    assert [append.key for append in transaction.appends] == [codec.mark_key(INPUT, 3)]
    assert desk.committed == Committed(17, "")


@in_virtual_time
async def test_a_first_start_commits_where_it_begins(desk: Desk) -> None:
    """So that `START_FROM` is asked only once."""
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).start_at(7)
    assert desk.committed == Committed(7, "")


@pytest.mark.parametrize("ids", [(), ("x",), ("x", "y", "z")])
@in_virtual_time
async def test_ids_that_do_not_match_the_items_settle_nothing(desk: Desk, ids: tuple[str, ...]) -> None:
    """A defect must not write half of a truth."""
    async with desk.kafka.writer("w") as writer:
        with pytest.raises(ValueError, match="ids for"):
            await desk.outbox_on(writer).settle(BATCH, ids, START, None)
    assert desk.kafka.transactions == []


@in_virtual_time
async def test_an_owner_that_has_a_successor_announces_nothing(desk: Desk) -> None:
    """The intent is the fence."""
    async with desk.kafka.writer("w") as old, desk.kafka.writer("w"):
        with pytest.raises(Fenced):
            await desk.outbox_on(old).announce(BATCH)
    assert (GROUP, INPUT, 3) not in desk.kafka.offsets


@pytest.mark.parametrize(
    ("partition", "partitions", "expected"), [(0, 2, 0), (3, 2, 1), (5, 12, 5), (7, 1, 0)]
)
def test_a_way_writes_to_one_partition_of_the_ledger(partition: int, partitions: int, expected: int) -> None:
    """The input's, as far as the ledger has that many; and under a name that only its owners use."""
    where = place(partition, partitions)
    assert where.ledger_partition == expected
    assert where.transactional_id == f"{GROUP}.submit.{INPUT}.{partition}"


@in_virtual_time
async def test_what_was_in_doubt_was_not_submitted_later_than_it_was_sent(desk: Desk) -> None:
    """Otherwise a result says that it was submitted after it finished, and is never called overdue."""
    desk.time.moved = 600
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).settle(replace(BATCH, since=START), ("x", "y"), START + MINUTE, None)
    found = next(record for record in desk.kafka.written(LEDGER) if record.key == b"found")
    assert ledger_records.peek_submitted(found.value or b"") == START


@in_virtual_time
async def test_what_was_adopted_was_not_submitted_later_than_it_was_created(desk: Desk) -> None:
    """Of equal content it may be older than the range, and have ended before: then it is overdue."""
    older = replace(BATCH, since=START, oldest=START - MINUTE)
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).settle(older, ("x", "y"), START + MINUTE, None)
    found = next(record for record in desk.kafka.written(LEDGER) if record.key == b"found")
    assert ledger_records.peek_submitted(found.value or b"") == START - MINUTE


@in_virtual_time
async def test_behind_a_settled_piece_the_doubt_of_the_rest_stands(desk: Desk) -> None:
    """In the same transaction: what was adopted of the rest is in no ledger yet."""
    rest = Intent("rest", 20, START, START + MINUTE)
    async with desk.kafka.writer("w") as writer:
        await desk.outbox_on(writer).settle(BATCH, ("x", "y"), START, rest)
    assert desk.committed == Committed(15, codec.intent_metadata(rest))
