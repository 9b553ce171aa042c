"""What Kafka has acknowledged and undone again is in doubt, not forgotten."""

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.errors import Transient
from daemon.flows import codec
from daemon.flows.acknowledged import Acknowledged
from daemon.model import Committed, Intent, Transaction
from tests.doubles import GROUP, INPUT, START, in_virtual_time
from tests.unit.flows.ways import Way, kafka_of, ran

FIRST = Intent("a-1", 4, START, START)
SECOND = Intent("a-2", 8, START + timedelta(seconds=5), START + timedelta(seconds=5))


def told(offset: int, intent: Intent | None = None) -> Committed:
    """An offset with this intent."""
    return Committed(offset, "" if intent is None else codec.intent_metadata(intent))


def restored(before: Committed, last: Committed, shown: Committed) -> Committed:
    """What a take-over finds of these."""
    acknowledged = Acknowledged()
    acknowledged.note(before)
    acknowledged.note(last)
    return acknowledged.restored(shown)


@pytest.mark.parametrize(
    ("before", "last", "found"),
    [
        (told(4), told(4, SECOND), told(4, SECOND)),
        (told(4, FIRST), told(4, SECOND), told(4, SECOND)),
        (told(0, FIRST), told(4, SECOND), told(0, replace(FIRST, doubt_end=8, doubt_at=SECOND.at))),
        (told(0), told(4, replace(SECOND, once=True)), told(0, SECOND)),
    ],
)
def test_what_was_announced_last_is_in_doubt_where_that_is_undone(
    before: Committed, last: Committed, found: Committed
) -> None:
    """Along with whatever the brokers show again, from the offset that they show."""
    assert restored(before, last, before) == found


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
    way, seen = Way(kafka_of(*"abcdefgh")), [told(0)]

    def undo(transaction: Transaction) -> Exception | None:
        seen.append(way.kafka.offsets.get((GROUP, INPUT, 0), told(0)))
        if transaction.kind != "settle" or seen[-1].offset != 4 or way.api.listing:
            return None
        way.kafka.offsets[GROUP, INPUT, 0] = seen[-2]
        way.api.listing = deque([list(way.created)])
        return Transient("the broker is stopped")

    way.kafka.spoil = undo
    await ran(way, 10)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))
    assert sorted(way.open()) == list(range(8))
