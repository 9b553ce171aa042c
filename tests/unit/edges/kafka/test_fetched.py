"""Records come out of what was fetched as they went in, by the thousand."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from daemon.edges.kafka.fetched import _Partition, _Result, bare
from daemon.edges.kafka.header_names import Records

READ_COMMITTED = 1


def batch(offsets: range, base: int | None = None) -> bytes:
    """A batch as a broker keeps it; `base` is where compaction took records away."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    base = offsets.start if base is None else base
    for offset in offsets:
        assert builder.append(offset - base, 1000 + offset, b"k", b"%d" % offset, [("h", b"v")]) is not None
    built = bytearray(builder.build())
    built[:8] = base.to_bytes(8, "big")
    return bytes(built)


def fetched(*batches: bytes, start: int) -> Any:
    """What a fetch from this offset came to."""
    records = Records(b"".join(batches))
    return _Partition(TopicPartition("t", 3), records, None, start, None, None, False, READ_COMMITTED)  # noqa: FBT003 - the client's


def taken(partition: Any, count: int) -> list[int]:
    """Their offsets."""
    return [record.offset for record in partition.take(count)[0]]


def test_a_record_keeps_all_that_the_flows_need() -> None:
    """Offset, time, key, value, headers."""
    (found,), _ = fetched(batch(range(1)), start=0).take(5)
    kept = (found.offset, found.timestamp, found.key, found.value, found.headers)
    assert kept == (0, 1000, b"k", b"0", [("h", b"v")])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 100])
def test_every_record_comes_once_in_order_whatever_is_asked_for(size: int) -> None:
    """Across the ends of batches; the position is behind what was given out."""
    partition = fetched(batch(range(4)), batch(range(4, 5)), batch(range(5, 9)), start=0)
    found: list[int] = []
    while more := taken(partition, size):
        found += more
        assert partition.next_fetch_offset == found[-1] + 1
    assert found == list(range(9))
    assert partition.take(size) == ([], False)


def test_a_fetch_from_the_middle_of_a_batch_begins_there() -> None:
    """A broker sends batches whole."""
    partition = fetched(batch(range(6)), batch(range(6, 8)), start=4)
    assert taken(partition, 1) == [4]
    assert taken(partition, 100) == [5, 6, 7]


def test_what_compaction_took_is_passed_over() -> None:
    """The position moves on without records."""
    partition = fetched(batch(range(2, 3), base=0), batch(range(5, 7), base=4), start=0)
    assert taken(partition, 2) == [2, 5]
    assert taken(partition, 2) == [6]


@pytest.mark.parametrize("is_behind", [False, True])
def test_nothing_is_handed_on_only_where_the_position_moves(*, is_behind: bool) -> None:
    """A reader that is given nothing at once has moved; else the client waits for what comes next."""
    state = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    bare(SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))))
    batches = [batch(range(2)), *([batch(range(0), base=2)] if is_behind else [])]
    result = _Result(
        TopicPartition("t", 3),
        assignment=assignment,
        partition_records=fetched(*batches, start=0),
        backoff=0,
    )
    assert len(result.getall(2)) == 2
    before = state.position
    assert bool(result.getall(2)) == is_behind == (state.position > before)


def test_the_client_can_still_take_one_by_one() -> None:
    """What else uses the client in this process need not know."""
    assert [record.value for record in fetched(batch(range(3)), start=0)] == [b"0", b"1", b"2"]
