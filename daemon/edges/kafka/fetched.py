"""What is read from Kafka, as lean as the flows need it.

The client makes an object of eleven fields for each record, out of one that says all that is asked, and hands
records on one by one. Here that first one is given out, by the thousand; everything else (checksums, aborted
transactions, control records, compacted offsets) stays the client's own.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition

from daemon.edges.kafka.header_names import Records
from daemon.model import BareRecord, PlacedRecord

ALL = 2**31
_BARE = "gives_bare"


class _Whole(NamedTuple):
    """All of a batch, in the place of its last record."""

    offset: int
    records: Iterator[Any]


class _Batch:
    """A batch that the client takes for one of a single record."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[_Whole]:
        # The client's can be asked for its records once, and no second time, as each slice of them would.
        yield _Whole(self._batch.next_offset - 1, chain(self._batch))

    def __next__(self) -> Any:
        return next(self._batch)


class _Batches:
    """The batches of a fetch."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.has_next = records.has_next

    def next_batch(self) -> _Batch:
        return _Batch(self._records.next_batch())


class _Partition(fetcher.PartitionRecords):  # type: ignore[misc]  # the client has no types
    """One partition's part of a fetch.

    `next_fetch_offset` is the client's word for the position behind what was taken.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._source: Any = self._records
        self._records: Any = _Batches(self._source)
        self.next_fetch_offset: int
        self._start = self._position = self._behind = self.next_fetch_offset
        self._open: Iterator[Any] | None = None

    def _consumer_record(self, _: Any, whole: _Whole) -> Iterator[Any]:
        return whole.records

    def take(self, count: int) -> tuple[Sequence[BareRecord], bool]:
        """Up to so many records, and whether there may be more."""
        found: list[BareRecord] = []
        while len(found) < count:
            if (batch := self._open or self._next_batch()) is None:
                break
            wanted = count - len(found)
            try:
                raw = list(islice(batch, wanted))
            except UnicodeDecodeError:
                self._read_leniently()
                continue
            found += self._asked_for(raw)
            is_over = len(raw) < wanted
            self._open = None if is_over else batch
            self._position = self._behind if is_over else raw[-1].offset + 1
        else:
            self.next_fetch_offset = self._position
            return found, True
        return found, False

    def _next_batch(self) -> Iterator[Any] | None:
        """The records of the next batch; the client's own walk goes on from where it stood."""
        self.next_fetch_offset = self._behind
        batch: Iterator[Any] | None = next(self._records_iterator, None)
        self._behind = self.next_fetch_offset
        return batch

    def _read_leniently(self) -> None:
        """Walk once more through what was not given out yet."""
        self._records = _Batches(self._source.again(self._position))
        self._start = self._behind = self.next_fetch_offset = self._position
        self._open, self._records_iterator = None, self._unpack_records()

    def _asked_for(self, raw: Sequence[BareRecord]) -> Sequence[BareRecord]:
        if raw and raw[0].offset < self._start:
            # A batch comes whole, even where only its end was asked for.
            return [record for record in raw if record.offset >= self._start]
        return raw

    def __next__(self) -> PlacedRecord:
        found, _ = self.take(1)
        if not found:
            raise StopIteration
        topic, partition = self._tp
        return PlacedRecord.of(topic, partition, found[0])


class _NoneForReaders(list[BareRecord]):
    """No records, although the position has moved: the client hands it on, and waits for nothing more.

    At a log's end there may be ends of transactions alone, and then whoever reads up to there has come to it.
    """

    def __bool__(self) -> bool:
        return True


class _Result(fetcher.FetchResult):  # type: ignore[misc]  # as above
    """One partition's part of a fetch, on its way to the reader."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> Sequence[BareRecord]:
        """Up to so many records, and the position moves behind them."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records: _Partition = self._partition_records
        before = records.next_fetch_offset
        found, more = records.take(ALL if max_records is None else max_records)
        self._update_position()
        self._partition_records = records if more else None
        if getattr(self._assignment, _BARE, False):
            has_moved = records.next_fetch_offset > before
            return found or (_NoneForReaders() if has_moved else ())
        return placed(self._topic_partition, found)


def placed(place: TopicPartition, records: Sequence[BareRecord]) -> Sequence[PlacedRecord]:
    """Records, and where they stand."""
    topic, partition = place
    return [PlacedRecord(topic, partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]


def lean() -> None:
    """Have the client's consumers give out `PlacedRecord`s, in this process, from now on."""
    fetcher.PartitionRecords = _Partition
    fetcher.FetchResult = _Result
    fetcher.MemoryRecords = Records


def bare(consumer: Any) -> None:
    """Have a consumer, once its partitions are assigned, give out `BareRecord`s."""
    # All that each of its fetches knows of it.
    setattr(consumer._subscription.subscription.assignment, _BARE, True)  # noqa: SLF001 - see above
