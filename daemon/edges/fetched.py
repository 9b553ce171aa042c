"""What is read from Kafka, as lean as the flows need it.

The client makes an object of eleven fields for each record, half of which nobody asks for. Where it takes
records out of what it has fetched, ours are made instead; everything else (aborted transactions, control
records, compacted offsets) stays its own.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher

from daemon.edges.header_names import Records
from daemon.model import Headers


class Fetched(NamedTuple):
    """See `daemon.model.Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


# What `Fetched(…)` comes to; one is made per record.
_new = tuple.__new__


class _Partition(fetcher.PartitionRecords):  # type: ignore[misc]  # the client has no types
    """One partition's part of a fetch."""

    _records: Any

    def __iter__(self) -> Iterator[Fetched]:
        # Past its own `__next__`, which costs a call a record.
        records: Iterator[Fetched] = self._records_iterator
        return records

    def _unpack_records(self) -> Iterator[Fetched]:
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError:
            # What was given out by now is not given again.
            self._records = self._records.again(self.next_fetch_offset)
            yield from super()._unpack_records()

    def _consumer_record(self, tp: Any, record: Any) -> Fetched:
        topic, partition = tp
        offset, timestamp = record.offset, record.timestamp
        return _new(Fetched, (topic, partition, offset, timestamp, record.key, record.value, record.headers))


def lean() -> None:
    """Have the client's consumers give out `Fetched`, in this process, from now on."""
    fetcher.PartitionRecords = _Partition
    fetcher.MemoryRecords = Records
