"""Toloka's items that nothing accounts for, and where they are looked for."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from daemon.flows.kit.accounting import Audit
from daemon.flows.kit.orphans import CLOCKS_APART, MOST_SPANS, SPAN, Contents
from daemon.flows.records.outputs import dead_letter_append
from daemon.model import Committed, DeadLetter, Flaw
from tests.doubles import DEAD, INPUT, START, START_MS, FakeRecord, created, item

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BODY = b'{"text":"a"}'


def contents(*timestamps: int) -> Contents:
    """Of settled records of these times."""
    found = Contents({0: Committed(100, "")}, lambda record, _: item(record.offset, record.value))
    for offset, timestamp in enumerate(timestamps):
        found.note(FakeRecord(offset, BODY, timestamp=timestamp))
    return found


@pytest.mark.parametrize(("item_id", "orphans"), [("i-1", []), ("", ["i-1"])])
def test_a_dead_letter_accounts_for_the_item_that_it_names(item_id: str, orphans: list[str]) -> None:
    """Its ledger record is long gone, with the tombstone."""
    audit = Audit(INPUT, {0: 0}, {0: 1}, with_ids=True)
    audit.ledger_ends()
    letter = DeadLetter(FakeRecord(0, BODY), Flaw("NO_RESULT", "ended"), item_id)
    append = dead_letter_append(DEAD, 1, letter, START)
    audit.note_dead_letter(FakeRecord(0, append.value, DEAD, headers=append.headers))
    found = contents(START_MS).orphans([created("i-1", BODY)], audit.accounts_for)
    assert [orphan.item_id for orphan in found] == orphans


@pytest.mark.parametrize("days", [1, 30, 20_000])
def test_items_are_looked_for_from_the_oldest_record_on(days: int) -> None:
    """In parts, one behind the other, that neither hold too much nor are too many."""
    until = START + timedelta(days=days)
    spans = list(contents(START_MS + 1000, START_MS, START_MS + 2000).spans(until))
    assert (spans[0][0], spans[-1][1]) == (START - CLOCKS_APART, until)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert len(spans) <= MOST_SPANS + 1
    assert len(spans) >= min(days * 24, MOST_SPANS) * 0.9
    assert days > 30 or max(end - since for since, end in spans) <= SPAN


def test_where_no_record_is_there_is_no_orphan() -> None:
    """And a record from the beginning of time is no older than that."""
    assert list(contents().spans(START)) == []
    assert next(iter(contents(-1).spans(START)))[0] == EPOCH


def test_a_time_that_is_none_tells_nothing() -> None:
    """Producers may give microseconds: then all that Toloka has is looked at."""
    assert next(iter(contents(START_MS * 1000, 2**62).spans(START)))[0] == EPOCH
    assert next(iter(contents(-(2**62)).spans(START)))[0] == EPOCH
