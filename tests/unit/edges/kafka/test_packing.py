"""Records on their way to a partition: none is left out, and each batch is no larger than its topic takes."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from daemon.edges.kafka.packing import RECORD_BATCH_BYTES, BatchBytes, RecordBatch, by_place, packed
from daemon.model import Append, Appends, Column, Headers

MAX_BYTES = 1000
PRODUCER_ID, EPOCH = 5, 3
TRACED: Headers = (("traceparent", b"0"), ("none", None))


def read(batch: RecordBatch, sequence: int = 0) -> Sequence[Any]:
    """The records of a batch as a broker reads them."""
    return list(DefaultRecordBatch(bytes(batch.encoded(PRODUCER_ID, EPOCH, sequence))))


def appends(count: int) -> Sequence[Append]:
    """Records of about a hundred bytes each."""
    return [Append("t", 0, b"%d" % number, b"v" * 100, TRACED, 7 + number) for number in range(count)]


def test_of_what_takes_several_batches_nothing_is_left_out() -> None:
    """Nor does any change its place; each batch says how many records it has, and counts them from 0."""
    batches = list(packed(MAX_BYTES, appends(50)))
    assert len(batches) > 1
    found = [read(batch) for batch in batches]
    assert [record.key for record in chain.from_iterable(found)] == [b"%d" % number for number in range(50)]
    for batch, records in zip(batches, found, strict=True):
        assert batch.count == len(records)
        assert [record.offset for record in records] == list(range(len(records)))
        assert len(batch.encoded(PRODUCER_ID, EPOCH, 0)) == batch.size <= MAX_BYTES


def test_a_record_is_what_it_was() -> None:
    """Key, value, headers and time; where it has no time, it is that of now."""
    (batch,) = packed(MAX_BYTES, [Append("t", 0, b"k", None, TRACED, 17), Append("t", 0, None, b"v")])
    first, second = read(batch)
    assert (first.key, first.value, tuple(first.headers), first.timestamp) == (b"k", None, TRACED, 17)
    assert (second.key, second.value, second.headers) == (None, b"v", [])
    assert second.timestamp > 1_700_000_000_000


def test_a_batch_says_whose_it_is() -> None:
    """A broker knows by it what belongs to a transaction, and what it has already."""
    (batch,) = packed(MAX_BYTES, appends(2))
    made = DefaultRecordBatch(bytes(batch.encoded(PRODUCER_ID, EPOCH, 9)))
    assert (made.producer_id, made.producer_epoch, made.base_sequence) == (PRODUCER_ID, EPOCH, 9)
    assert made.is_transactional
    assert (
        DefaultRecordBatch(bytes(batch.encoded(PRODUCER_ID, EPOCH, 11))).base_sequence == made.base_sequence
    )


def test_a_record_that_is_larger_than_a_batch_goes_alone() -> None:
    """What stands beside it is not refused with it."""
    records = [Append("t", 0, None, b"v" * size) for size in (10, 2 * MAX_BYTES, 20)]
    batches = list(packed(MAX_BYTES, records))
    assert [[len(record.value) for record in read(batch)] for batch in batches] == [[10], [2000], [20]]


@pytest.mark.parametrize("max_bytes", [200, 100_000])
def test_a_column_is_written_as_its_records_would_be(max_bytes: int) -> None:
    """Among others of its partition, and in its place."""
    column = Column("t", 0, [b"%d" % number for number in range(20)], [b"v" * 30] * 20)
    there = Appends([Append("t", 0, b"first", b""), column, Append("t", 1, b"else", b"")])
    places = by_place(there)
    assert list(places) == [("t", 0), ("t", 1)]
    assert list(by_place(list(there))) == list(places)
    found = chain.from_iterable(map(read, packed(max_bytes, places["t", 0])))
    assert [(record.key, record.value, record.headers) for record in found] == [
        (append.key, append.value, []) for append in there if append.partition == 0
    ]


def test_a_topic_gets_no_more_at_once_than_it_takes() -> None:
    """As far as is known; and of what it has refused at most the half."""
    sizes = BatchBytes()
    sizes.learn("small", 500)
    sizes.learn("large", 10 * RECORD_BATCH_BYTES)
    assert [sizes.of(topic) for topic in ("small", "large", "other")] == [
        500,
        RECORD_BATCH_BYTES,
        RECORD_BATCH_BYTES,
    ]
    sizes.refused("small", 5000)
    sizes.refused("large", 800)
    assert [sizes.of(topic) for topic in ("small", "large")] == [500, 400]
