"""What Kafka has acknowledged and undone again is in doubt, not forgotten."""

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.errors import Transient
from daemon.flows.batches.acknowledged import Acknowledged
from daemon.flows.records import codec
from daemon.model import Committed, Intent, Transaction
from tests.doubles import GROUP, INPUT, START, in_virtual_time
from tests.unit.flows.ways import Way, kafka_of, ran

FIRST = Intent("a-1", 4, START, START)
SECOND = Intent("a-2", 8, START + timedelta(seconds=5), START + timedelta(seconds=5))

LATER = SECOND.at + timedelta(seconds=1)


def told(offset: int, intent: Intent | None = None) -> Committed:
    """An offset with this intent."""
    return Committed(offset, "" if intent is None else codec.intent_metadata(intent))


def restored(before: Committed, last: Committed, shown: Committed) -> Committed:
    """What a take-over finds of these."""
    acknowledged = Acknowledged()
    acknowledged.note(before)
    acknowledged.note(last)
    return acknowledged.restored(shown)


def way_of_an_undoing_broker() -> Way:
    """Two batches; the settlement of the first is carried out, undone, and called a failure."""
    way, seen = Way(kafka_of(*"abcdefgh")), [told(0)]

    def undo(transaction: Transaction) -> Exception | None:
        seen.append(way.kafka.offsets.get((GROUP, INPUT, 0), told(0)))
        if transaction.kind != "settle" or seen[-1].offset != 4 or way.api.listing:
            return None
        way.kafka.offsets[GROUP, INPUT, 0] = seen[-2]
        way.api.listing = deque([list(way.created)])
        return Transient("the broker is stopped")

    way.kafka.spoil = undo
    return way


@pytest.mark.parametrize(
    ("before", "last", "found"),
    [
        (told(4), told(4, SECOND), told(4, SECOND)),
        (told(4, FIRST), told(4, SECOND), told(4, SECOND)),
        (told(0, FIRST), told(4, SECOND), told(0, replace(FIRST, doubt_end=8, doubt_at=SECOND.at))),
        (told(0), told(4, replace(SECOND, once=True)), told(0, SECOND)),
        (
            told(0),
            told(4, replace(SECOND, doubt_end=12, doubt_at=LATER, decided=True)),
            told(0, replace(SECOND, end=12, at=LATER)),
        ),
        (
            told(0, replace(FIRST, decided=True, doubt_end=9, doubt_at=LATER)),
            told(4, SECOND),
            told(0, replace(FIRST, doubt_end=9, doubt_at=LATER)),
        ),
    ],
)
def test_what_was_announced_last_is_in_doubt_where_that_is_undone(
    before: Committed, last: Committed, found: Committed
) -> None:
    """Along with whatever the brokers show again, from the offset that they show."""
    assert restored(before, last, before) == found


@pytest.mark.parametrize("before", [told(4), told(0, FIRST)])
def test_what_is_undone_is_in_doubt_until_something_is_written(before: Committed) -> None:
    """A take-over may fail, as it does while the broker is away, and the next one finds the same."""
    acknowledged = Acknowledged()
    acknowledged.note(before)
    acknowledged.note(told(4, SECOND))
    found = acknowledged.restored(before)
    assert found != before
    assert acknowledged.restored(before) == found
    acknowledged.note(told(8))
    assert acknowledged.restored(told(8)) == told(8)


def test_what_was_shown_last_is_what_an_announcement_can_be_undone_to() -> None:
    """Whoever has written it, the next announcement may be lost like any other."""
    acknowledged = Acknowledged()
    acknowledged.note(told(0))
    acknowledged.restored(told(4))
    acknowledged.note(told(4, SECOND))
    assert acknowledged.restored(told(4)) == told(4, SECOND)


@pytest.mark.parametrize("shown", [told(4, SECOND), told(4), told(8), told(0)])
def test_anything_else_is_taken_as_it_is_shown(shown: Committed) -> None:
    """Whoever had the partition in between, or an operator, has written it."""
    assert restored(told(0, FIRST), told(4, SECOND), shown) == shown


def test_a_settlement_that_is_undone_announces_nothing() -> None:
    """What it settled is in doubt again, by the intent that stood before."""
    assert restored(told(0, FIRST), told(4), told(0, FIRST)) == told(0, FIRST)


@in_virtual_time
async def test_what_a_stopping_broker_has_undone_is_not_sent_again() -> None:
    """The settlement of the first batch announced the second: both are found at Toloka, each once."""
    way = way_of_an_undoing_broker()
    await ran(way, 10)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))
    assert sorted(way.open()) == list(range(8))


@in_virtual_time
async def test_what_is_undone_is_not_sent_again_where_the_take_over_fails() -> None:
    """The brokers that have undone it are just going: what is in doubt cannot be read at once."""
    way, gone = way_of_an_undoing_broker(), [1]
    ends = way.kafka.end_offsets

    async def end_offsets(topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        if way.api.listing and gone and topic == INPUT:
            gone.pop()
            raise Transient("the broker is stopped")
        return await ends(topic, partitions)

    way.kafka.end_offsets = end_offsets  # type: ignore[method-assign]
    await ran(way, 20)
    assert (way.posted(), way.committed, gone) == (["abcd", "efgh"], Committed(8, ""), [])
    assert sorted(way.open()) == list(range(8))
