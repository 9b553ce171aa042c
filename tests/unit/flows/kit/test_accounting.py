"""What an audit makes of records, where a daemon is at work meanwhile and where topics are odd."""

import json
from datetime import UTC, datetime

from daemon.flows.kit.accounting import Account, Audit
from daemon.flows.kit.outcomes import Coordinates
from daemon.flows.records import ledger_records
from daemon.flows.records.outputs import dead_letter_append, result_append
from daemon.model import DeadLetter, Finished, Flaw, Headers, Item
from tests.doubles import FakeRecord, packed_items

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def record(offset: int, value: bytes | None = b"{}", topic: str = "in", headers: Headers = ()) -> FakeRecord:
    """A record of partition 0."""
    return FakeRecord(offset, value, topic, timestamp=1000, headers=headers)


def audit(committed: int, *, from_first: bool = False) -> Audit:
    """An audit of one partition that begins at 0."""
    return Audit("in", {0: 0}, {0: committed}, from_first=from_first)


def note_result(audit: Audit, offset: int, topic: str = "in", share: str = "") -> None:
    """The audit reads the result of a record."""
    entry = ledger_records.Entry(ledger_records.Origin(topic, 0, offset, 1000), 9, NOW, 7, None, ())
    raw = b'"assignment":{"id":"%s"}' % share.encode() if share else b'"item":{}'
    append = result_append("out", 1, entry, Finished("id", "COMPLETED", NOW, NOW, 7, raw))
    audit.note_result(record(0, append.value, "out", append.headers))


def note_dead(audit: Audit, offset: int) -> None:
    """The audit reads the dead letter of a record."""
    append = dead_letter_append("dead", 1, DeadLetter(record(offset), Flaw("X", "y")), NOW)
    audit.note_dead_letter(record(0, append.value, "dead", append.headers))


def note_open(audit: Audit, item_id: str, offset: int | None) -> None:
    """The audit reads an item's ledger record; None closes it."""
    value = None
    if offset is not None:
        (value,) = packed_items([Item(record(offset), b"{}", 7)], 9, NOW)
    audit.note_ledger(FakeRecord(0, value, "ledger", key=item_id.encode()))


def concluded(audit: Audit, *offsets: int, start: int = 0) -> Account:
    """The audit reads the input."""
    for offset in offsets:
        audit.note_input(record(offset))
    return audit.conclude((), {0: start})


def test_gaps_are_no_inputs() -> None:
    """Offsets that hold a control record are neither counted nor missed."""
    found = audit(10)
    found.ledger_ends()
    note_result(found, 1)
    account = concluded(found, 1, 5)
    assert (account.inputs, account.missing) == (2, [Coordinates("in", 0, 5)])


def test_an_outcome_of_a_gap_is_unknown() -> None:
    """A result whose origin is no record is unknown, and not counted."""
    found = audit(10)
    found.ledger_ends()
    note_result(found, 3)
    account = concluded(found)
    assert (account.unknown, account.results) == ([Coordinates("in", 0, 3)], 0)


def test_settled_meanwhile_is_no_alarm() -> None:
    """What a daemon settles and publishes while the topics are read is left out, if its record is there."""
    found = audit(1)
    note_open(found, "a", 0)
    note_open(found, "b", 1)
    found.ledger_ends()
    note_result(found, 0)
    note_result(found, 1)
    note_dead(found, 99)
    assert found.until({0: 5}) == {0: 5}
    account = concluded(found, 0, 1, 2)
    assert (account.inputs, account.results, account.open) == (1, 1, 0)
    assert account.unknown == [Coordinates("in", 0, 99)]


def test_closed_without_a_result_is_missing() -> None:
    """An item that the ledger closes accounts for nothing."""
    found = audit(1)
    note_open(found, "a", 0)
    note_open(found, "a", None)
    found.ledger_ends()
    assert concluded(found, 0).missing == [Coordinates("in", 0, 0)]


def test_result_and_dead_letter_are_twice() -> None:
    """One record with both is doubled."""
    found = audit(1)
    found.ledger_ends()
    note_result(found, 0)
    note_dead(found, 0)
    assert concluded(found, 0).twice == [Coordinates("in", 0, 0)]


def test_a_task_has_several_results() -> None:
    """Each assignment is a result of its own, and only the same one again is doubled."""
    found = audit(1)
    found.ledger_ends()
    for share in ("a", "b"):
        note_result(found, 0, share=share)
    assert not found.conclude((), {0: 0}).twice
    note_result(found, 0, share="b")
    assert concluded(found, 0).twice == [Coordinates("in", 0, 0)]


def test_what_was_deleted_with_time_is_no_alarm() -> None:
    """Results of records that the input no longer keeps say nothing, even if they went during the audit."""
    found = Audit("in", {0: 5}, {0: 7})
    found.ledger_ends()
    note_result(found, 2)
    note_result(found, 5)
    note_result(found, 6)
    account = concluded(found, 6, start=6)
    assert account.ok
    assert account.inputs == 1


def test_a_start_from_latest_left_out_what_was_there() -> None:
    """Where a group began at the end of the topic, what lies before its first item is not missing."""
    found = audit(10, from_first=True)
    found.ledger_ends()
    note_result(found, 5)
    account = concluded(found, *range(10))
    assert (account.inputs, [place.offset for place in account.missing]) == (5, [6, 7, 8, 9])


def test_unreadable_outcomes_name_themselves() -> None:
    """A record in the output or dead letter topic that names no origin is unknown at its own place."""
    found = audit(0)
    found.note_result(record(3, b"nonsense", "out"))
    found.note_result(record(4, json.dumps({"origin": None, "item": {}}).encode(), "out"))
    found.note_dead_letter(record(5, b"{}", "dead"))
    account = concluded(found)
    assert account.unknown == [Coordinates("dead", 0, 5), Coordinates("out", 0, 3)]


def test_another_inputs_outcomes() -> None:
    """Outcomes of another topic that exists are somebody else's; of one that does not, unknown."""
    found = audit(0)
    found.ledger_ends()
    note_result(found, 1, topic="other")
    note_result(found, 2, topic="nowhere")
    assert set(found.other_topics()) == {"other", "nowhere"}
    assert found.conclude(["other"], {0: 0}).unknown == [Coordinates("nowhere", 0, 2)]
