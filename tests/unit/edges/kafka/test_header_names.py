"""Header names that are not UTF-8: the rest of a fetch is read leniently, and nothing of it twice."""

import gzip
import struct
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from daemon.edges.kafka.fetched import _Partition
from daemon.edges.kafka.header_names import Records

NAME = "plain"
BAD = b"\xff\xfe\r\n\xc0"
READ_COMMITTED = 1
# Where a batch has its compression, and where its records begin.
ATTRIBUTES, BODY = slice(21, 23), 61
GZIP = 1


def batch(first: int, count: int = 3, *, bad: int = -1, producer: int = -1) -> bytes:
    """A batch of records from this offset on; that at the offset `bad` has the name that nobody can read."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=int(producer >= 0),
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1 << 20,
    )
    for number in range(count):
        name = "B" * len(BAD) if first + number == bad else NAME
        builder.append(number, timestamp=0, key=None, value=b"%d" % (first + number), headers=[(name, b"x")])
    return struct.pack(">q", first) + bytes(builder.build())[8:].replace(b"B" * len(BAD), BAD)


def compressed(plain: bytes) -> bytes:
    """The same batch with its records in gzip."""
    body = gzip.compress(plain[BODY:])
    head = bytearray(plain[:BODY])
    head[ATTRIBUTES] = struct.pack(">h", GZIP)
    head[8:12] = struct.pack(">i", BODY - 12 + len(body))
    return bytes(head) + body


def read(data: bytes, fetch_offset: int = 0, aborted: Any = None) -> tuple[list[Any], int]:
    """What a consumer is given of a fetch, and where its next one begins."""
    place = TopicPartition("t", 0)
    partition = _Partition(
        place,
        Records(data),
        aborted,
        fetch_offset,
        None,
        None,
        check_crcs=False,
        isolation_level=READ_COMMITTED,
    )
    return list(partition), partition.next_fetch_offset


@pytest.mark.parametrize("bad", range(9))
@pytest.mark.parametrize("pack", [bytes, compressed])
def test_every_record_is_given_once(bad: int, pack: Any) -> None:
    """Wherever the name stands, in a compressed batch or not: all records, in order, under their names."""
    data = b"".join(pack(batch(first, bad=bad)) for first in (0, 3, 6))
    found, following = read(data)
    assert [record.offset for record in found] == list(range(9))
    assert [record.value for record in found] == [b"%d" % offset for offset in range(9)]
    names = [record.headers[0][0] for record in found]
    assert names.pop(bad) == BAD.decode(errors="replace")
    assert set(names) == {NAME}
    assert following == 9


def test_a_fetch_that_begins_within_a_batch() -> None:
    """Records before the place that was asked for are left out, of a lenient reading as well."""
    found, _ = read(batch(3, bad=3) + batch(6), fetch_offset=4)
    assert [record.offset for record in found] == [4, 5, 6, 7, 8]


def test_aborted_records_stay_hidden() -> None:
    """What an aborted transaction wrote behind such a name is for no one."""
    data = batch(0, bad=1) + batch(3, producer=7) + batch(6)
    found, following = read(data, aborted=[(7, 3)])
    assert [record.offset for record in found] == [0, 1, 2, 6, 7, 8]
    assert following == 9
