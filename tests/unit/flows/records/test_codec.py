"""Bytes of ours: what is written is read again, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from daemon.flows.records import codec, ledger_records, tombstones
from daemon.flows.records.codec import UnreadableError
from daemon.flows.records.ledger_records import Origin
from daemon.model import Cursor, Headers, Intent, Item
from tests.doubles import START, FakeRecord, packed_items

MICRO = timedelta(microseconds=1)
INTENT = Intent("6f0c8b1e-0000-4000-8000-000000000000", 12, START, START + 5 * MICRO)
CURSOR = Cursor("item-1", START + MICRO, 7)
HEADERS: Headers = (
    ("traceparent", b"00-ab"),
    ("twice", b"1"),
    ("twice", None),
    ("", b""),
    ("é", b"\x00\xff"),
)


def packed(
    key: bytes | None = b"k", headers: Headers = HEADERS, topic: str = "moderation.items", **fields: Any
) -> bytes:
    """A ledger value."""
    record = FakeRecord(fields.pop("offset", 9), b"{}", topic, 3, key=key, headers=headers, **fields)
    (value,) = packed_items([Item(record, b"{}", 2**64 - 1)], 11, START + MICRO)
    return value


@pytest.mark.parametrize("key", [None, b"", b"k", b"\x00" * 300])
@pytest.mark.parametrize("headers", [(), HEADERS])
@pytest.mark.parametrize("topic", ["a", "moderation.items", "t" * 249])
def test_a_ledger_value_is_read_as_it_was_written(key: bytes | None, headers: Headers, topic: str) -> None:
    """Key and headers come back byte for byte, absent ones as absent; the rest exactly."""
    entry = ledger_records.unpack(packed(key, headers, topic, timestamp=-1))
    assert entry.origin == Origin(topic, 3, 9, -1)
    assert (entry.batch_end, entry.submitted_at) == (11, START + MICRO)
    assert (entry.content_hash, entry.key, tuple(entry.headers)) == (2**64 - 1, key, tuple(headers))


def test_a_ledger_value_can_be_peeked_into() -> None:
    """Each part that is asked for by the million is found without unpacking the rest."""
    value = packed()
    assert ledger_records.peek_origin(value) == ("moderation.items", 3, 9)
    assert ledger_records.peek_submitted(value) == START + MICRO
    assert ledger_records.peek_hash(value) == 2**64 - 1
    assert ledger_records.peek_batch(value) == (3, 11)


def test_the_values_of_a_batch_come_in_its_order() -> None:
    """One for each item."""
    items = [Item(FakeRecord(offset), b"{}", offset) for offset in (4, 2, 9)]
    values = packed_items(items, 10, START)
    assert [ledger_records.peek_origin(value)[2] for value in values] == [4, 2, 9]


@pytest.mark.fault(66)
def test_a_release_reads_one_version_more_than_it_writes() -> None:
    """So that it can be rolled back; what is newer is refused, and named."""
    newest = codec.VERSION + 1
    following = bytes([newest]) + packed()[1:]
    ledger_records.check(following)
    assert ledger_records.unpack(following).origin.offset == 9
    with pytest.raises(UnreadableError, match=f"version {newest + 1}"):
        ledger_records.check(bytes([newest + 1]) + packed()[1:])
    with pytest.raises(UnreadableError):
        ledger_records.unpack(bytes([newest + 1]) + packed()[1:])


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x00" + packed()[1:], b"\xff" * 60])
def test_damage_to_the_head_is_noticed_at_once(value: bytes) -> None:
    """The ledger is checked as it is read, before anything is decided by it."""
    with pytest.raises(UnreadableError):
        ledger_records.check(value)


def test_every_cut_of_a_ledger_value_is_noticed() -> None:
    """A value that lacks its end is damaged, wherever it was cut."""
    whole = packed(b"key", (("name", b"value"), ("other", None)))
    keyless = len(packed(None, ())) - 4  # see the test below
    unnoticed = [size for size in range(1, len(whole)) if size != keyless and not refused(whole[:size])]
    # Behind a whole header the value reads like one with fewer headers: no length says how many there are.
    boundaries = [len(packed(b"key", ())), len(packed(b"key", (("name", b"value"),)))]
    assert set(unnoticed) <= set(boundaries)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_how_many_results_are_awaited_is_kept_without_key_and_headers(wanted: int) -> None:
    """An item that has nothing else besides may be one of several results all the same."""
    (value,) = packed_items([Item(FakeRecord(9), b"{}", 7, wanted=wanted)], 10, START)
    entry = ledger_records.unpack(value)
    assert (entry.wanted, entry.key, entry.headers) == (wanted, None, ())


def test_an_entry_of_several_results_is_rewritten_until_all_are_out() -> None:
    """It names those that are published; the last one closes it. Without a number none does."""
    record = FakeRecord(9, b"{}", key=b"key", headers=(("name", b"value"), ("other", None)))
    for wanted, ends in ((2, True), (0, False)):
        (value,) = packed_items([Item(record, b"{}", 7, wanted=wanted)], 10, START)
        entry = ledger_records.unpack(value)
        assert (entry.wanted, entry.published, entry.headers) == (wanted, (), record.headers)
        once = ledger_records.publishing(entry, value, "s-1")
        assert once is not None
        again = ledger_records.unpack(once)
        assert again == msgspec.structs.replace(entry, published=("s-1",))
        twice = ledger_records.publishing(again, once, "s-2")
        assert (twice is None) is ends
        assert twice is None or ledger_records.unpack(twice).published == ("s-1", "s-2")
        assert all(refused(once[:size]) for size in range(len(value) - 3, len(once)))


@pytest.mark.parametrize("before", [0, ledger_records.MANY_SHARES, 29_998])
def test_an_entry_of_very_many_results_fits_a_message(before: int) -> None:
    """It keeps ids as long as they are few, and then hashes; either way it knows which are out."""
    many = ledger_records.MANY_SHARES
    ids = [f"000248a756--{n:024x}" for n in range(before + 1)]
    (value,) = packed_items([Item(FakeRecord(9), b"{}", 7, wanted=30_000)], 10, START)
    entry = ledger_records.unpack(value)
    # As the release before has written it, by ids alone.
    few = ledger_records._packed_shares(30_000, ids[:before])
    value = value.removesuffix(ledger_records._packed_shares(30_000, ())) + few
    for share in (ids[before], "another"):
        entry = ledger_records.unpack(value)
        assert not entry.has_published(share)
        rewritten = ledger_records.publishing(entry, value, share)
        if rewritten is None:
            break
        value = rewritten
        entry = ledger_records.unpack(value)
        assert len(value) < 300_000
        assert all(map(entry.has_published, [*ids[:2], *ids[-2:], share]))
    assert len(entry.published) == min(before + 2, 29_999)
    assert isinstance(entry.published[0], int) is (before + 2 > many)


def test_an_entry_of_one_result_is_closed_by_it() -> None:
    """Whatever the result is called, nothing is left to be awaited."""
    value = packed()
    assert ledger_records.publishing(ledger_records.unpack(value), value, "") is None


def refused(value: bytes) -> bool:
    """Whether a value is called unreadable."""
    try:
        ledger_records.unpack(value)
    except UnreadableError:
        return True
    return False


def test_a_ledger_value_without_a_key_is_damaged() -> None:
    """Whatever is wrong, it is an UnreadableError."""
    assert refused(packed(b"", ())[: -len(b"\0\0\0\0")])


def test_a_negative_length_is_damage() -> None:
    """Only -1 stands for an absent field."""
    assert refused(packed(None, ())[:-4] + (-2).to_bytes(4, "big", signed=True))


@pytest.mark.parametrize(
    "origin",
    [Origin("moderation.items", 0, 0, 5), Origin("a.b_c-9", 2**31, 2**62, 0), Origin("t/x/1", 1, 2, 3)],
)
def test_a_tombstone_names_the_origin_of_what_it_closes(origin: Origin) -> None:
    """Whatever letters the topic has."""
    assert tombstones.origin_of((tombstones.origin_header(origin),)) == origin[:3]


def test_a_tombstone_of_a_foreign_item_says_so() -> None:
    """It belongs to no record."""
    assert tombstones.origin_of((tombstones.origin_header(None),)) == tombstones.FOREIGN


@pytest.mark.parametrize("headers", [(), (("other", b"x"),), (("tolokad-origin", None),)])
def test_a_tombstone_that_names_no_origin_has_none(headers: Headers) -> None:
    """An operator's tool may have written it."""
    assert tombstones.origin_of(headers) is None


@pytest.mark.parametrize("value", [b"", b"t/1", b"t/x/1", b"t/1/", b"\xff/1/2"])
def test_a_damaged_origin_is_unreadable(value: bytes) -> None:
    """It is an UnreadableError that says so, not a bare ValueError."""
    with pytest.raises(UnreadableError):
        tombstones.origin_of(((tombstones.ORIGIN_HEADER, value),))


def test_the_mark_of_a_partition_has_its_own_key_and_holds_the_offset() -> None:
    """The key is public: operators look for it."""
    assert codec.mark_key("moderation.items", 3) == b"offset/moderation.items/3"
    assert msgspec.json.decode(codec.mark_value(17))["offset"] == 17


# --- intents and cursors -----------------------------------------------------------------------------


def test_an_intent_is_read_as_it_was_written() -> None:
    """To the microsecond."""
    assert codec.read_intent(codec.intent_metadata(INTENT)) == INTENT


def test_the_metadata_has_the_documented_fields_and_stays_small() -> None:
    """Operators and other releases read it; Kafka takes 4,096 bytes."""
    fields = msgspec.json.decode(codec.intent_metadata(INTENT))
    assert list(fields) == ["v", "attempt", "end", "since", "at"]
    assert fields["since"] == "2026-05-04T12:00:00Z"
    assert len(codec.intent_metadata(INTENT)) < 400


def test_an_intent_says_what_is_sent_behind_it() -> None:
    """How far that reaches, and when it was announced; where nothing is, neither is said."""
    both = replace(INTENT, doubt_end=INTENT.end + 5, doubt_at=START + timedelta(seconds=3))
    assert codec.read_intent(codec.intent_metadata(both)) == both
    assert both.last_at == START + timedelta(seconds=3)
    nothing = replace(both, doubt_end=0)
    assert "doubt" not in codec.intent_metadata(nothing)


def test_empty_metadata_is_no_intent() -> None:
    """Nothing is under way."""
    assert codec.read_intent("") is None


@pytest.mark.parametrize("moment", ["2026-05-04T12:00:00", "2026-05-04T14:00:00+02:00", START.timestamp()])
def test_times_are_understood_however_they_are_written(moment: object) -> None:
    """With zone or without, as text or as seconds."""
    metadata = msgspec.json.encode({"v": 1, "attempt": "a", "end": 1, "since": moment, "at": moment}).decode()
    assert codec.read_intent(metadata) == Intent("a", 1, START, START)


def changed(**changes: Any) -> str:
    """An intent's metadata with other fields; None leaves one out."""
    fields = msgspec.json.decode(codec.intent_metadata(INTENT)) | changes
    return msgspec.json.encode({k: v for k, v in fields.items() if v is not None}).decode()


@pytest.mark.parametrize(
    "metadata",
    [
        "x",
        "{",
        "[]",
        "1",
        '"text"',
        "{}",
        "null",
        changed(v=codec.VERSION + 2),
        changed(v=0),
        changed(v="1"),
        changed(v=None),
        changed(attempt=None),
        changed(end="many"),
        changed(since="yesterday"),
        changed(at=None),
        changed(at=[]),
        changed(doubt_end=20, doubt_at="yesterday"),
        "a client's own words: \ud800",
    ],
)
def test_metadata_that_is_no_intent_is_unreadable(metadata: str) -> None:
    """Somebody else's, damaged or newer: nothing is guessed."""
    with pytest.raises(UnreadableError):
        codec.read_intent(metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(changed(at=1e300), id="a time beyond all years"),
        pytest.param(changed(at=1e17), id="a time beyond what the machine counts"),
        pytest.param("[" * 4_000, id="a depth bomb"),
    ],
)
def test_hostile_metadata_is_unreadable_too(metadata: str) -> None:
    """Anybody who may commit for the group can write it."""
    with pytest.raises(UnreadableError):
        codec.read_intent(metadata)


@pytest.mark.parametrize(
    "cursor", [CURSOR, Cursor(None, START), Cursor("é/..\n", START, 2**53, START - MICRO)]
)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    """Before the first item there is no id."""
    read = codec.read_cursor(codec.cursor_value(cursor))
    assert (read, read.looked_until) == (cursor, cursor.looked_until)


def test_a_cursor_without_count_starts_at_none_published() -> None:
    """The count came later than the rest."""
    value = b'{"v":1,"item_id":"a","finished_at":"2026-05-04T12:00:00Z"}'
    assert codec.read_cursor(value) == Cursor("a", START, 0)


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"v":3,"item_id":"a","finished_at":"2026-05-04T12:00:00Z"}',
        b'{"v":1,"finished_at":"2026-05-04T12:00:00Z"}',
        b'{"v":1,"item_id":"a","finished_at":"never"}',
        b'{"v":1,"item_id":"a","finished_at":"2026-05-04T12:00:00Z","published":"many"}',
        b"\xff",
    ],
)
def test_a_damaged_or_newer_cursor_is_unreadable(value: bytes) -> None:
    """Collecting from a wrong place must not begin."""
    with pytest.raises(UnreadableError):
        codec.read_cursor(value)


@pytest.mark.parametrize("item_id", [b"5", b"[]", b"true"])
def test_a_cursor_whose_item_is_no_text_is_unreadable(item_id: bytes) -> None:
    """It would go into a URL."""
    with pytest.raises(UnreadableError):
        codec.read_cursor(b'{"v":1,"item_id":%s,"finished_at":"2026-05-04T12:00:00Z"}' % item_id)


# --- times -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        START,
        START + MICRO,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    ],
)
def test_microseconds_are_exact_both_ways(moment: datetime) -> None:
    """No double stands in between."""
    assert codec.from_micros(codec.micros(moment)) == moment


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (lambda: START, "2026-05-04T12:00:00Z"),
        (lambda: START + MICRO, "2026-05-04T12:00:00.000001Z"),
        (lambda: datetime.fromisoformat("2026-05-04T14:00:00+02:00"), "2026-05-04T12:00:00Z"),
    ],
)
def test_times_are_written_in_utc_with_a_z(moment: Callable[[], datetime], text: str) -> None:
    """The documented form of every time that tolokad adds."""
    assert codec.iso(moment()) == text
