"""What is open, as the ledger topic tells it."""

from datetime import datetime, timedelta

import pytest
from msgspec import structs

from daemon.flows.collector.ledger import Ledger, Now, PackedEntry, closed_as_of
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.model import Headers
from tests.doubles import LEDGER, START, START_MS, FakeRecord, finished, item, packed_items

NEVER_MS = START_MS + 365 * 86_400_000


def value(offset: int = 0, end: int = 10, seconds: float = 0) -> bytes:
    """A ledger value that was submitted so many seconds after START."""
    (packed,) = packed_items([item(offset)], end, START + timedelta(seconds=seconds))
    return packed


def written(
    key: str, packed: bytes | None, partition: int = 0, ms: int = START_MS, headers: Headers = ()
) -> FakeRecord:
    """A record of the ledger."""
    return FakeRecord(0, packed, LEDGER, partition, ms, key.encode(), headers)


def ledger(horizon_ms: int = 0) -> Ledger:
    """An empty ledger."""
    return Ledger("me", horizon_ms)


def test_a_record_opens_its_item() -> None:
    """It can be found by its id, wherever it was read from."""
    book = ledger()
    packed = value(3)
    assert book.note(written("a", packed, partition=1)) == b"a"
    assert book.find("a") == PackedEntry(1, packed)
    assert (len(book), book.find("b"), book.was_closed("a")) == (1, None, False)


def test_a_tombstone_closes_it_and_is_remembered() -> None:
    """A second look sees it again, and must not take it for unknown."""
    book = ledger()
    book.note(written("a", value()))
    assert book.note(written("a", None)) is None
    assert (book.find("a"), len(book), book.was_closed("a")) == (None, 0, True)


def test_what_was_dismissed_is_known_no_longer_once_its_record_comes() -> None:
    """It was taken for somebody else's item; its result is still to be published."""
    book = ledger()
    book.apply({"a": None}, {"a": START_MS})
    assert book.was_closed("a")
    book.note(written("a", value()))
    assert not book.was_closed("a")
    assert book.find("a") is not None


def test_the_last_record_of_an_id_counts() -> None:
    """Records that changed places are written again."""
    book = ledger()
    book.note(written("a", value(1)))
    book.note(written("a", value(2)))
    found = book.find("a")
    assert found is not None
    assert ledger_records.peek_origin(found.packed)[2] == 2
    assert len(book) == 1


def test_marks_open_nothing() -> None:
    """They are the submitting flow's."""
    book = ledger()
    key = codec.mark_key("moderation.items", 0).decode()
    assert book.note(written(key, codec.mark_value(5))) is None
    assert book.note(written(key, None)) is None
    assert (len(book), book.was_closed(key)) == (0, False)


def test_what_the_collector_wrote_itself_is_passed_over() -> None:
    """It knows already what its own records say; another incarnation's it does not know."""
    book = ledger()
    book.note(written("a", value(1)))
    book.apply({"a": None}, {"a": START_MS})
    own = book.signature()
    assert book.note(written("a", value(2), headers=own)) is None
    assert book.find("a") is None
    other = Ledger("another", 0).signature()
    assert book.note(written("a", value(2), headers=other)) == b"a"
    assert book.note(written("a", None, headers=other)) is None
    assert book.find("a") is None


@pytest.mark.parametrize("packed", [b"", b"\x01", b"\x09" + value()[1:]])
def test_a_record_that_cannot_be_read_is_refused(packed: bytes) -> None:
    """Nothing is decided by what is damaged or newer."""
    with pytest.raises(codec.UnreadableError):
        ledger().note(written("a", packed))


def test_that_content_is_altered_is_known_from_then_on() -> None:
    """Whichever incarnation saw it."""
    book = ledger()
    assert not book.altered
    assert book.note(written("altered", b"{}")) is None
    assert (book.altered, len(book)) == (True, 0)


def test_an_operator_can_take_back_that_content_is_altered() -> None:
    """By a tombstone, once Toloka gives back what it is sent; otherwise every doubt is held for ever."""
    book = ledger()
    book.note(written("altered", b"{}"))
    book.note(written("altered", None))
    assert not book.altered


# --- what was closed -----------------------------------------------------------------------------------


def test_what_finished_before_the_horizon_is_not_remembered() -> None:
    """It will not be looked at again."""
    book = ledger(horizon_ms=START_MS)
    book.note(written("old", None, ms=START_MS - 1))
    book.note(written("new", None, ms=START_MS))
    assert (book.was_closed("old"), book.was_closed("new")) == (False, True)


def test_the_horizon_moves_on_and_never_back() -> None:
    """What it leaves behind is forgotten, so that memory is bounded by time."""
    book = ledger()
    for second in range(10):
        book.note(written(f"i{second}", None, ms=START_MS + second * 1000))
    book.forget_before(START_MS + 4000, NEVER_MS)
    assert [second for second in range(10) if book.was_closed(f"i{second}")] == [4, 5, 6, 7, 8, 9]
    book.forget_before(START_MS, NEVER_MS)
    book.note(written("late", None, ms=START_MS + 3999))
    assert not book.was_closed("late")


def test_what_was_closed_out_of_order_is_forgotten_in_the_end() -> None:
    """Partitions are read one after the other, so times go back and forth."""
    book = ledger()
    for ms in (5000, 1000, 6000, 2000):
        book.note(written(f"i{ms}", None, ms=START_MS + ms))
    book.forget_before(START_MS + 7000, NEVER_MS)
    assert not any(book.was_closed(f"i{ms}") for ms in (5000, 1000, 6000, 2000))


@pytest.mark.parametrize("keep", [True, False])
def test_the_id_of_what_was_closed_can_be_kept_for_good(*, keep: bool) -> None:
    """Whoever closed it; where ids are not kept, nothing is certain."""
    book = Ledger("me", 0, keep_ids=keep)
    book.note(written("noted", None))
    book.apply({"applied": None}, {"applied": START_MS})
    book.forget_before(START_MS + 1, NEVER_MS)
    names = ("noted", "applied", "neither")
    assert [book.was_closed(name) for name in names] == [False, False, False]
    assert [book.may_have_closed(name) for name in names] == [True, True, not keep]


def test_what_was_closed_by_a_clock_far_ahead_keeps_nothing_else_in_memory() -> None:
    """Nor itself for much longer than anything else."""
    book = ledger()
    book.note(written("odd", None, headers=(tombstones.closed_header(NEVER_MS),)))
    for second in range(10):
        book.note(written(f"i{second}", None, ms=START_MS + second * 1000))
    book.forget_before(START_MS + 4000, START_MS + 20_000)
    assert [second for second in range(10) if book.was_closed(f"i{second}")] == [4, 5, 6, 7, 8, 9]
    book.forget_before(START_MS + 20_000, START_MS + 40_000)
    assert book.was_closed("odd")
    book.forget_before(START_MS + 20_001, START_MS + 40_000)
    assert not book.was_closed("odd")


@pytest.mark.parametrize(
    ("end", "closed_ms"),
    [
        (None, START_MS),
        (START - timedelta(hours=1), START_MS),
        (START, START_MS),
        (START + timedelta(hours=1), START_MS + 3_600_000),
    ],
)
def test_what_is_closed_is_closed_now_unless_its_end_lies_ahead(end: datetime | None, closed_ms: int) -> None:
    """What ended long ago may end again; what ends in an hour is shown until then."""
    ended = structs.replace(finished("a", b"{}"), finished_at=end)
    assert closed_as_of(ended, Now.of(START)) == closed_ms


# --- following a committed transaction ---------------------------------------------------------------


def test_changes_close_items_and_swap_records() -> None:
    """None closes; anything else takes the record's place, in whatever partition."""
    book = ledger()
    book.note(written("a", value(1), partition=0))
    book.note(written("b", value(2), partition=1))
    moved = PackedEntry(1, value(1))
    book.apply({"a": None, "b": moved}, {"a": START_MS})
    assert (book.find("a"), book.find("b"), len(book)) == (None, moved, 1)
    assert book.was_closed("a")


def test_the_open_items_of_a_batch_are_found_by_its_partition_and_end() -> None:
    """Whatever ledger partition they are in."""
    book = ledger()
    book.note(written("a", value(1, end=10)))
    book.note(written("b", value(2, end=10), partition=1))
    book.note(written("c", value(3, end=20)))
    assert {item_id for item_id, _ in book.of_batches(frozenset({(0, 10)}))} == {"a", "b"}
    assert not list(book.of_batches(frozenset({(1, 10)})))


# --- ages ----------------------------------------------------------------------------------------------


def test_the_oldest_is_the_one_submitted_first() -> None:
    """Over all partitions; none where nothing is open."""
    book = ledger()
    assert book.oldest() is None
    book.note(written("a", value(seconds=5)))
    book.note(written("b", value(seconds=3), partition=1))
    book.note(written("c", value(seconds=9), partition=1))
    assert book.oldest() == START + timedelta(seconds=3)
    book.apply({"b": None}, {"b": START_MS})
    assert book.oldest() == START + timedelta(seconds=5)


def test_the_oldest_is_right_when_records_changed_places() -> None:
    """A swap writes an old record anew."""
    book = ledger()
    book.note(written("a", value(1, seconds=0)))
    book.note(written("b", value(2, seconds=0)))
    book.note(written("c", value(3, seconds=500)))
    book.apply({"a": None, "b": PackedEntry(0, value(1, seconds=0))}, {"a": START_MS})
    assert book.oldest() == START


def test_due_items_come_oldest_first() -> None:
    """Whatever partition they are in."""
    book = ledger()
    for index, (seconds, partition) in enumerate(((30, 0), (10, 1), (20, 0), (40, 1))):
        book.note(written(f"i{index}", value(index, seconds=seconds), partition))
    due = list(book.submitted_when(lambda moment: moment <= START + timedelta(seconds=30)))
    assert [item_id for _, item_id in due] == ["i1", "i2", "i0"]


def test_a_tombstone_is_as_old_as_it_says() -> None:
    """Its own time counts, by Toloka's clock; the record's timestamp only where it says none."""
    book = ledger(START_MS)
    book.note(written("new", None, ms=0, headers=(tombstones.closed_header(START_MS),)))
    book.note(written("old", None, headers=(tombstones.closed_header(START_MS - 1),)))
    book.note(written("plain", None))
    assert [book.was_closed(name) for name in ("new", "old", "plain")] == [True, False, True]
