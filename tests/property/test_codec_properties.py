"""What is written is read again; no bytes of strangers raise anything but UnreadableError."""

import json
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.flows.records import codec, ledger_records, short_forms, tombstones
from daemon.flows.records.codec import UnreadableError
from daemon.flows.records.ledger_records import Origin
from daemon.model import Cursor, Headers, Intent, Item
from tests.doubles import START, FakeRecord, packed_items

UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TOPICS = st.text("abcABC019._-", min_size=1, max_size=249)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as it asks
OFFSETS = st.integers(0, 2**63 - 1)
HEADERS = st.lists(st.tuples(UTF8, st.none() | st.binary(max_size=30)), max_size=5).map(tuple)


@given(
    TOPICS,
    st.integers(0, 2**32 - 1),
    OFFSETS,
    st.integers(-1, 2**62),
    st.none() | st.binary(),
    HEADERS,
    TIMES,
)
@settings(deadline=None)
def test_a_ledger_value_is_read_as_it_was_written(
    topic: str,
    partition: int,
    offset: int,
    timestamp: int,
    key: bytes | None,
    headers: Headers,
    moment: datetime,
) -> None:
    """For every record that Kafka can hold."""
    record = FakeRecord(offset, b"", topic, partition, timestamp, key, headers)
    (packed,) = packed_items([Item(record, b"", offset)], offset + 1, moment)
    ledger_records.check(packed)
    entry = ledger_records.unpack(packed)
    assert entry.origin == Origin(topic, partition, offset, timestamp)
    assert (entry.key, entry.headers, entry.submitted_at) == (key, headers, moment)
    assert ledger_records.peek_origin(packed) == (topic, partition, offset)
    assert (ledger_records.peek_hash(packed), ledger_records.peek_submitted(packed)) == (offset, moment)
    assert ledger_records.peek_batch(packed) == (partition, offset + 1)
    forms = short_forms.ShortForms()
    short = forms.shortened(packed)
    assert forms.whole(short) == packed
    assert codec.from_micros(short_forms.submitted_micros(short)) == moment


@given(TOPICS, st.integers(0, 2**31), OFFSETS)
def test_a_tombstones_origin_is_read_as_it_was_written(topic: str, partition: int, offset: int) -> None:
    """Whatever the topic is called."""
    headers = (tombstones.origin_header(Origin(topic, partition, offset, 0)),)
    assert tombstones.origin_of(headers) == (topic, partition, offset)


@given(st.uuids().map(str), OFFSETS, TIMES, TIMES)
def test_an_intent_is_read_as_it_was_written(attempt: str, end: int, since: datetime, at: datetime) -> None:
    """And fits into a committed offset's metadata."""
    metadata = codec.intent_metadata(Intent(attempt, end, since, at))
    assert codec.read_intent(metadata) == Intent(attempt, end, since, at)
    assert len(metadata.encode()) < 4_096


@given(st.none() | UTF8, TIMES, st.integers(0, 2**60))
def test_a_cursor_is_read_as_it_was_written(item_id: str | None, moment: datetime, published: int) -> None:
    """Before the first item, too."""
    assert codec.read_cursor(codec.cursor_value(Cursor(item_id, moment, published))) == Cursor(
        item_id, moment, published
    )


def whole_value() -> bytes:
    """A ledger value to be damaged."""
    record = FakeRecord(7, b"", key=b"key", headers=(("name", b"value"), ("other", None)))
    (packed,) = packed_items([Item(record, b"", 1)], 9, START)
    return packed


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A ledger value with some bytes changed, cut or added."""
    value = bytearray(whole_value())
    for _ in range(draw(st.integers(1, 4))):
        value[draw(st.integers(0, len(value) - 1))] = draw(st.integers(0, 255))
    return bytes(value[: draw(st.integers(0, len(value)))]) + draw(st.binary(max_size=4))


@given(st.binary(max_size=200) | damaged())
@example(whole_value()[:-18])
@settings(max_examples=200, deadline=None)
def test_no_ledger_value_raises_anything_else(value: bytes) -> None:
    """Damaged, cut, or of somebody else."""
    with suppress(UnreadableError):
        ledger_records.check(value)
        ledger_records.peek_hash(value)
        ledger_records.peek_batch(value)
        forms = short_forms.ShortForms()
        assert forms.whole(forms.shortened(value)) == value
    with suppress(UnreadableError):
        ledger_records.unpack(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
# Python's own writer lets infinities and lone surrogates through, as strangers may.
FIELDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("attempt", "end", "since", "at", "item_id", "finished_at", "published"), JSON)
    | {"v": st.integers(0, 3) | JSON},
)


@given(st.text(max_size=60) | FIELDS.map(json.dumps))
@settings(max_examples=150, deadline=None)
def test_no_metadata_raises_anything_else(metadata: str) -> None:
    """Anybody who may commit for the group can write it."""
    with suppress(UnreadableError):
        codec.read_intent(metadata)


@given(st.binary(max_size=60) | FIELDS.map(lambda fields: json.dumps(fields).encode()))
@settings(max_examples=150, deadline=None)
def test_no_cursor_raises_anything_else(value: bytes) -> None:
    """Whoever may write to the topic."""
    with suppress(UnreadableError):
        cursor = codec.read_cursor(value)
        assert cursor.item_id is None or isinstance(cursor.item_id, str)


@given(st.none() | st.binary(max_size=40))
def test_no_origin_raises_anything_else(value: bytes | None) -> None:
    """Nor a tombstone's header."""
    with suppress(UnreadableError):
        tombstones.origin_of(((tombstones.ORIGIN_HEADER, value),))
