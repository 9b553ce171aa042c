"""Results and dead letters, as people read them."""

from dataclasses import replace

import msgspec
import pytest

from daemon.flows.records.ledger_records import Entry, Origin
from daemon.flows.records.outputs import dead_letter_append, foreign_append, result_append
from daemon.model import DeadLetter, Flaw, Headers
from tests.doubles import DEAD, INPUT, OUTPUT, START, START_MS, FakeRecord, finished

HEADERS: Headers = (("traceparent", b"00-ab-cd-01"), ("twice", b"1"), ("twice", None))
ENTRY = Entry(Origin(INPUT, 5, 42, START_MS), 50, START, 0, b"key", HEADERS)
ITEM = finished("id/1", b'{ "text" : "\\u00e9", "n": 1.50 }', 9)


def test_a_result_holds_its_origin_and_the_item_byte_for_byte() -> None:
    """What Toloka returned is not read and written again."""
    append = result_append(OUTPUT, 10, ENTRY, ITEM)
    assert append.value is not None
    fields = msgspec.json.decode(append.value)
    assert list(fields) == ["origin", "submitted_at", "item"]
    assert fields["origin"] == {"topic": INPUT, "partition": 5, "offset": 42, "timestamp": START_MS}
    assert fields["submitted_at"] == "2026-05-04T12:00:00Z"
    assert ITEM.raw in append.value


def test_a_result_has_the_key_and_headers_of_its_record_and_two_more() -> None:
    """Theirs first and unchanged, repeated names and absent values included."""
    append = result_append(OUTPUT, 10, ENTRY, ITEM)
    assert append.key == b"key"
    assert append.headers == (*HEADERS, ("toloka-item-id", b"id/1"), ("toloka-status", b"COMPLETED"))


@pytest.mark.parametrize(("partitions", "expected"), [(10, 5), (6, 5), (5, 0), (2, 1), (1, 0)])
def test_a_result_goes_to_its_records_partition_as_far_as_there_is_one(
    partitions: int, expected: int
) -> None:
    """What shared a partition at the input still does."""
    assert result_append(OUTPUT, partitions, ENTRY, ITEM).partition == expected
    letter = DeadLetter(FakeRecord(partition=5), Flaw("X", "x"))
    assert dead_letter_append(DEAD, partitions, letter, START).partition == expected


def test_a_keyless_record_has_a_keyless_result() -> None:
    """No key is made up."""
    assert result_append(OUTPUT, 1, replace_key(None), ITEM).key is None


def replace_key(key: bytes | None) -> Entry:
    """The entry with another key."""
    return msgspec.structs.replace(ENTRY, key=key)


def test_a_foreign_result_has_no_origin_and_its_own_id_as_key() -> None:
    """So that readers can tell it from theirs."""
    append = foreign_append(OUTPUT, 3, ITEM)
    assert append.value is not None
    fields = msgspec.json.decode(append.value)
    assert (fields["origin"], fields["submitted_at"], fields["item"]["id"]) == (None, None, "id/1")
    assert append.key == b"id/1"
    assert 0 <= append.partition < 3
    assert append.partition == foreign_append(OUTPUT, 3, ITEM).partition


@pytest.mark.parametrize("value", [None, b"", b"not json \xff"])
@pytest.mark.parametrize("request_id", [None, "a1-b2"])
def test_a_dead_letter_is_its_record_unchanged_and_then_why(
    value: bytes | None, request_id: str | None
) -> None:
    """Key, value and headers as they were; then the reason, and where the record was."""
    record = FakeRecord(42, value, partition=1, key=b"k", headers=HEADERS)
    flaw = Flaw("VALUE_REQUIRED", "text: é", request_id)
    append = dead_letter_append(DEAD, 4, DeadLetter(record, flaw), START)
    assert (append.topic, append.partition, append.key, append.value) == (DEAD, 1, b"k", value)
    assert append.headers[: len(HEADERS)] == list(HEADERS)
    named = [("tolokad-request-id", b"a1-b2")] if request_id else []
    assert append.headers[len(HEADERS) :] == [
        ("tolokad-error-code", b"VALUE_REQUIRED"),
        ("tolokad-error-message", "text: é".encode()),
        *named,
        ("tolokad-origin-topic", INPUT.encode()),
        ("tolokad-origin-partition", b"1"),
        ("tolokad-origin-offset", b"42"),
        ("tolokad-failed-at", b"2026-05-04T12:00:00Z"),
    ]


def test_a_dead_letter_ends_with_the_id_that_its_item_has() -> None:
    """Where Toloka had taken it; behind all others, so that these stay where they are."""
    record = FakeRecord(headers=(*HEADERS, ("toloka-item-id", b"of another")))
    plain = dead_letter_append(DEAD, 4, DeadLetter(record, Flaw("NO_RESULT", "x")), START)
    append = dead_letter_append(DEAD, 4, DeadLetter(record, Flaw("NO_RESULT", "x"), "i-1"), START)
    assert append.headers == [*plain.headers, ("toloka-item-id", b"i-1")]


def test_a_message_that_is_no_utf8_does_not_stop_a_dead_letter() -> None:
    """A lone surrogate in what Toloka said is replaced."""
    flaw = Flaw("X", "half \ud800", "\udc00")
    append = dead_letter_append(DEAD, 1, DeadLetter(replace(FakeRecord(), offset=1), flaw), START)
    assert ("tolokad-error-message", b"half ?") in append.headers
    assert ("tolokad-request-id", b"?") in append.headers
