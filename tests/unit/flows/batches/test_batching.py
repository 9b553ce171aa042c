"""When a batch is full, what it holds, and how its limits learn."""

from collections.abc import Sequence

import pytest

from daemon.flows.batches.batching import ENVELOPE_BYTES, Allowance, BatchLimits, Filling
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.flows.records.windows import Found
from daemon.model import BareRecord, Batch, Flaw, Item
from tests.doubles import INPUT, FakeRecord, item

FLAW = Flaw("NOT_JSON", "not JSON")


def read(records: Sequence[BareRecord], _: str) -> list[Found]:
    """Read records as items, or as a flaw where one begins with an exclamation mark."""
    return [_read(record) for record in records]


def _read(record: BareRecord) -> Found:
    if (value := record.value) is None:
        return None
    return FLAW if value.startswith(b"!") else Item(record, value, hash(value) & 0xFFFF)


def filling(max_items: int = 10, max_bytes: int = 10_000, first: int = 0) -> Filling:
    """A filling of partition 0."""
    return Filling(INPUT, 0, first, BatchLimits(max_items, max_bytes), read)


def records(*values: bytes | None, first: int = 0) -> list[FakeRecord]:
    """Records one behind the other."""
    return [FakeRecord(first + index, value) for index, value in enumerate(values)]


def drained(into: Filling) -> list[Batch]:
    """Every batch that is there."""
    batches = []
    while not into.empty:
        batches.append(into.take())
    return batches


def sizes(batches: Sequence[Batch]) -> list[int]:
    """How many records each batch counts."""
    return [len(batch.items) + len(batch.dead_letters) + batch.skipped for batch in batches]


@pytest.mark.parametrize(("count", "expected"), [(1, [1]), (3, [3]), (4, [3, 1]), (9, [3, 3, 3])])
def test_a_batch_holds_so_many_items_and_no_more(count: int, expected: list[int]) -> None:
    """What no longer fits waits for the next batch."""
    into = filling(max_items=3)
    into.add(records(*[b"{}"] * count))
    assert into.full == (count >= 3)
    assert sizes(drained(into)) == expected


@pytest.mark.parametrize(("size", "expected"), [(9, [3]), (10, [2, 1]), (29, [1, 1, 1]), (500, [1, 1, 1])])
def test_a_batch_holds_so_many_bytes_and_no_more(size: int, expected: list[int]) -> None:
    """Each item takes a byte more, for the comma; one that is too large for the limit goes alone."""
    into = filling(max_bytes=ENVELOPE_BYTES + 30)
    into.add(records(*[b"x" * size] * 3))
    batches = drained(into)
    assert sizes(batches) == expected
    for batch in batches:
        body = ENVELOPE_BYTES + sum(len(it.body) + 1 for it in batch.items)
        assert body <= ENVELOPE_BYTES + 30 or len(batch.items) == 1


BODY = b'{"text":"a"}'
PLAIN = ItemReader(InputSpec({"text": {"type": "string"}}), None, 1000)


def filling_in_columns(max_items: int = 10, max_bytes: int = 10_000) -> Filling:
    """A filling of partition 0 that reads items of the shape together."""
    return Filling(INPUT, 0, 0, BatchLimits(max_items, max_bytes), PLAIN.read_all)


def offsets(batches: Sequence[Batch]) -> list[list[int]]:
    """Of each batch's items."""
    return [[item.record.offset for item in batch.items] for batch in batches]


@pytest.mark.parametrize(
    ("max_items", "max_bytes", "expected"),
    [
        (4, 10_000, [4]),
        (3, 10_000, [3, 1]),
        (10, ENVELOPE_BYTES + 4 * (len(BODY) + 1), [4]),
        (10, ENVELOPE_BYTES + 4 * (len(BODY) + 1) - 1, [3, 1]),
    ],
)
def test_what_is_read_in_columns_is_counted_as_each(
    max_items: int, max_bytes: int, expected: list[int]
) -> None:
    """Items and bytes up to the limits, the first batch full there; the rest makes the next one."""
    into = filling_in_columns(max_items, max_bytes)
    assert into.add(records(BODY, BODY))
    assert not into.full
    assert into.add(records(BODY, BODY, first=2)) == (expected == [4])
    assert into.full
    batches = drained(into)
    assert sizes(batches) == expected
    assert [offset for batch in offsets(batches) for offset in batch] == [0, 1, 2, 3]


def test_nothing_overtakes_what_waits() -> None:
    """There would be room for it, and offsets are settled in order."""
    into = filling_in_columns(max_bytes=ENVELOPE_BYTES + 60)
    into.add(records(BODY, b'{"text":"%b"}' % (b"b" * 50)))
    into.add(records(BODY, first=2))
    assert offsets(drained(into)) == [[0], [1], [2]]


def test_keys_and_headers_count_where_they_are_more_than_the_bodies() -> None:
    """They go into the transaction that settles the batch, and it has the same limit."""
    into = filling_in_columns(max_bytes=ENVELOPE_BYTES + 250)
    laden = [FakeRecord(offset, BODY, key=b"k", headers=(("h", b"v" * 98),)) for offset in range(3)]
    into.add(laden)
    assert offsets(drained(into)) == [[0, 1], [2]]


def test_every_record_counts_whatever_becomes_of_it() -> None:
    """A batch of nothing but dead letters and tombstones is full like any other."""
    into = filling(max_items=4)
    into.add(records(b"!", None, b"{}", None, b"!", b"{}"))
    first, second = drained(into)
    assert [letter.record.offset for letter in first.dead_letters] == [0]
    assert (first.skipped, len(first.items), first.first, first.end) == (2, 1, 0, 4)
    assert [letter.record.offset for letter in second.dead_letters] == [4]
    assert (second.skipped, len(second.items), second.first, second.end) == (0, 1, 4, 6)


def test_dead_letters_count_with_their_bytes() -> None:
    """They are written in the settling transaction, which must stay small."""
    into = filling(max_bytes=ENVELOPE_BYTES + 100)
    into.add(records(*[b"!" * 60] * 3))
    assert sizes(drained(into)) == [1, 1, 1]


def test_ranges_meet_whatever_offsets_are_missing() -> None:
    """Compacted, aborted and control records leave gaps, which belong to the batch before the next record."""
    into = filling(max_items=2, first=5)
    into.add([FakeRecord(offset) for offset in (7, 8, 12)])
    first, second = drained(into)
    assert (first.first, first.end, second.first, second.end) == (5, 9, 9, 13)


def test_room_is_what_the_batch_may_still_take() -> None:
    """A reader asks for no more than that, so that what waits stays bounded."""
    into = filling(max_items=5)
    assert into.room == 5
    into.add(records(b"{}", None, b"!"))
    assert into.room == 2
    into.add(records(b"{}", b"{}", b"{}", first=3))
    assert into.room == 0
    into.take()
    assert into.room == 4


def test_a_batch_is_empty_until_something_comes() -> None:
    """A tombstone is something: its offset has to be settled."""
    into = filling()
    assert into.empty
    into.add(records(None))
    assert not into.empty
    assert (into.take().skipped, into.empty) == (1, True)


@pytest.mark.parametrize("shrunk", [4, 6])
def test_a_limit_that_shrinks_while_a_batch_fills_ends_it(shrunk: int) -> None:
    """What is already in goes out together; nothing more is added."""
    allowance = Allowance(BatchLimits(10, 10_000))
    into = Filling(INPUT, 0, 0, allowance, read)
    into.add(records(*[b"{}"] * 6))
    allowance.max_items = shrunk
    assert (into.full, into.room) == (False, 0)
    into.add(records(b"{}", first=6))
    assert into.full
    assert sizes(drained(into)) == [6, 1]


# --- the allowance -----------------------------------------------------------------------------------


def batch(count: int, size: int = 9) -> Batch:
    """A batch of so many items of that size."""
    return Batch(
        INPUT, 0, 0, count, tuple(item(offset, b'{"a":%d}' % 10 ** (size - 7)) for offset in range(count))
    )


def test_what_is_too_large_halves_the_allowance() -> None:
    """Both the items and the bytes of the request that was refused."""
    allowance = Allowance(BatchLimits(1000, 100_000))
    allowance.refused(batch(100))
    assert (allowance.max_items, allowance.max_bytes) == (50, (ENVELOPE_BYTES + 1000) // 2)


def test_the_allowance_never_becomes_nothing() -> None:
    """One item can always be tried."""
    allowance = Allowance(BatchLimits(1000, 100_000))
    for count in (20, 10, 5, 2, 2):
        allowance.refused(batch(count))
    assert allowance.max_items == 1
    assert allowance.max_bytes >= ENVELOPE_BYTES


def test_the_allowance_grows_back_to_its_limits_and_no_further() -> None:
    """Step by step, with each full batch that is accepted."""
    allowance = Allowance(BatchLimits(40, ENVELOPE_BYTES + 2_000))
    allowance.refused(batch(40, size=49))
    seen = []
    for _ in range(20):
        allowance.accepted(batch(allowance.max_items, size=49))
        seen.append((allowance.max_items, allowance.max_bytes))
    assert seen == sorted(seen)
    assert seen[0][0] > 20
    assert seen[-1] == (40, ENVELOPE_BYTES + 2_000)


def test_a_small_batch_proves_nothing() -> None:
    """Only a batch that used what it was allowed lets the next one use more."""
    allowance = Allowance(BatchLimits(1000, 100_000))
    allowance.refused(batch(100))
    before = (allowance.max_items, allowance.max_bytes)
    allowance.accepted(batch(1))
    assert (allowance.max_items, allowance.max_bytes) == before


def test_a_refusal_never_raises_the_allowance() -> None:
    """The next batch was filled before the first was refused: its refusal says nothing new."""
    allowance = Allowance(BatchLimits(1000, 100_000))
    for count in (1000, 500, 250):
        allowance.refused(batch(count))
    allowance.refused(batch(1000))
    assert allowance.max_items <= 125


def test_a_refusal_never_lifts_the_allowance_above_the_limits() -> None:
    """A batch in doubt that a predecessor with higher limits left may be larger than is allowed now."""
    allowance = Allowance(BatchLimits(100, 1_000))
    allowance.refused(batch(1000))
    assert allowance.max_items <= 100
    assert allowance.max_bytes <= 1_000


def test_one_item_that_is_too_large_does_not_shrink_what_others_may_use() -> None:
    """Alone, it was not the batch that was too large."""
    allowance = Allowance(BatchLimits(1000, 100_000))
    allowance.refused(batch(1, size=4_000))
    assert (allowance.max_items, allowance.max_bytes) == (1000, 100_000)


def test_key_and_headers_count_with_their_bytes() -> None:
    """They are written in the settling transaction: a thousand of 800 kB each would be 800 MB at once."""
    into = filling(max_items=1000, max_bytes=10_000)
    into.add([FakeRecord(offset, b"{}", headers=(("h", b"x" * 5_000),)) for offset in range(100)])
    assert into.full
