"""The day's count of a partition is found again in its last mark."""

from datetime import date

import pytest

from daemon.flows.batches import tallying
from daemon.flows.batches.tallying import NOTHING, last_tally
from daemon.flows.records import codec
from daemon.model import Tally
from tests.doubles import INPUT, LEDGER, START, MemoryKafka, in_virtual_time, place

TODAY = START.date()


def marked(kafka: MemoryKafka, items: int, partition: int = 0, day: date = TODAY) -> None:
    """A settlement's mark; partitions 0 and 2 share a partition of the ledger."""
    value = codec.mark_value(items, Tally(day, items))
    kafka.put(LEDGER, value, partition % 2, key=codec.mark_key(INPUT, partition))


@pytest.mark.parametrize("others", [0, 3, 40])
@in_virtual_time
async def test_the_last_mark_counts(others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much others have written behind it, and whatever the marks before it say."""
    monkeypatch.setattr(tallying, "FIRST_STEP_RECORDS", 2)
    kafka = MemoryKafka.usual()
    marked(kafka, 5)
    marked(kafka, 7)
    for number in range(others):
        marked(kafka, 100 + number, partition=2)
    assert await last_tally(kafka, place()) == Tally(TODAY, 7)
    assert await last_tally(kafka, place(1)) == NOTHING


@in_virtual_time
async def test_a_mark_of_an_earlier_release() -> None:
    """It says nothing of a day: then nothing is known to have been submitted."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, codec.mark_value(5), 0, key=codec.mark_key(INPUT, 0))
    assert await last_tally(kafka, place()) == NOTHING


@in_virtual_time
async def test_what_says_nothing_of_a_day_is_passed_over() -> None:
    """A release that was rolled back to, or an operator's tool, may have written behind the last count."""
    kafka = MemoryKafka.usual()
    marked(kafka, 5)
    for value in (codec.mark_value(6), None):
        kafka.put(LEDGER, value, 0, key=codec.mark_key(INPUT, 0))
    assert await last_tally(kafka, place()) == Tally(TODAY, 5)


@in_virtual_time
async def test_what_an_open_transaction_hides_is_not_waited_for() -> None:
    """The mark before it is nearly as good."""
    kafka = MemoryKafka.usual()
    marked(kafka, 5)
    marked(kafka, 7)
    kafka.stable[LEDGER, 0] = 1
    assert await last_tally(kafka, place()) == Tally(TODAY, 5)


def test_another_day_begins_at_nothing() -> None:
    """The day is Toloka's, in UTC."""
    tally = Tally(TODAY, 5).more(TODAY, 3)
    assert tally == Tally(TODAY, 8)
    assert tally.more(date(2026, 5, 5), 2) == Tally(date(2026, 5, 5), 2)
