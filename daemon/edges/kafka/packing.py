"""Records on their way into the client's batches, by the thousand."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from daemon.model import Append, Appends, Column

# Key, value, headers, timestamp in milliseconds.
_Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int]
# The broker's default message.max.bytes is 1,048,588 for a whole batch of records.
RECORD_BATCH_BYTES = 900_000
# KIP-98's format of records.
_MAGIC, _UNCOMPRESSED = 2, 0
# The client wants a list, and only reads it.
_NO_HEADERS: list[tuple[str, bytes | None]] = []


class BatchBytes:
    """How large a batch of records each topic takes."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, topic: str) -> int:
        """At most so many bytes."""
        return self._known.get(topic, RECORD_BATCH_BYTES)

    def learn(self, topic: str, size: int) -> None:
        """The topic takes batches up to this size."""
        self._known[topic] = min(size, RECORD_BATCH_BYTES)

    def refused(self, topic: str, size: int) -> None:
        """The topic has refused a batch of this size."""
        self._known[topic] = min(size // 2, self.of(topic))


def by_place(appends: Sequence[Append]) -> Mapping[tuple[str, int], Sequence[Append | Column]]:
    """The records for each partition, in their order."""
    parts: Sequence[Append | Column] = appends.parts if isinstance(appends, Appends) else appends
    groups: dict[tuple[str, int], list[Append | Column]] = defaultdict(list)
    for part in parts:
        groups[part.topic, part.partition].append(part)
    return groups


class RecordBatch:
    """Records on their way to one partition."""

    def __init__(self, max_bytes: int) -> None:
        # No producer's yet.
        self._builder = DefaultRecordBatchBuilder(
            magic=_MAGIC,
            compression_type=_UNCOMPRESSED,
            is_transactional=True,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=max_bytes,
        )
        self.append = self._builder.append
        """Takes offset, timestamp, key, value and headers; None where the batch is full."""
        self.count = 0
        self._encoded: bytearray | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self._builder.size()) if self._encoded is None else len(self._encoded)

    def encoded(self, producer_id: int, producer_epoch: int, sequence: int) -> bytearray:
        """What is sent, the same each time: a broker knows by its first record's sequence that it has it."""
        if self._encoded is None:
            self._builder.set_producer_state(producer_id, producer_epoch, sequence)
            self._encoded = self._builder.build()
        return self._encoded


def packed(max_bytes: int, parts: Iterable[Append | Column]) -> Iterable[RecordBatch]:
    """Batches of at most so many bytes; a record above that goes alone and may be refused."""
    now_ms = time.time_ns() // 1_000_000
    batch, count = RecordBatch(max_bytes), 0
    add = batch.append
    for key, value, headers, at in chain.from_iterable(map(_rows, parts, repeat(now_ms))):
        if add(count, at, key, value, headers) is None:
            batch.count = count
            yield batch
            batch, count = RecordBatch(max_bytes), 0
            add = batch.append
            add(count, at, key, value, headers)
        count += 1
    if count:
        batch.count = count
        yield batch


def _rows(part: Append | Column, now_ms: int) -> Iterable[_Row]:
    if isinstance(part, Column):
        return zip(part.keys, part.values, repeat(_NO_HEADERS), repeat(now_ms))
    at_ms = now_ms if part.timestamp_ms is None else part.timestamp_ms
    return ((part.key, part.value, [*part.headers], at_ms),)
