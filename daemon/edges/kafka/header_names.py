"""Headers whose names are not UTF-8: anybody may write them, and the client cannot read their records.

What cannot be decoded becomes U+FFFD, as in Kafka's own clients. It costs some microseconds a record, so that
it is done only for the rest of a fetch in which there was such a name.
"""

from collections.abc import Callable, Iterator
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy

# The version of Kafka's format that has headers.
_WITH_HEADERS = 2


class Records:
    """What one fetch has brought of a partition, as the client's own class gives it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        batches = MemoryRecords(data)
        self.has_next: Callable[[], bool] = batches.has_next
        self.next_batch: Callable[[], Any] = batches.next_batch
        self.size_in_bytes: Callable[[], int] = batches.size_in_bytes

    def again(self, offset: int) -> "LenientRecords":
        """The same once more, less the batches that end before this offset."""
        return LenientRecords(self._data, offset)


class LenientRecords(_MemoryRecordsPy):  # type: ignore[misc] # the client has no types
    """Batches in which any header name can be read."""

    def __init__(self, data: bytes, offset: int) -> None:
        super().__init__(data)
        while self._has_headers() and _Batch(self._next_slice).next_offset <= offset:
            self._cache_next()

    def next_batch(self) -> Any:
        """See the client's own."""
        if not self._has_headers():
            return super().next_batch()
        batch = _Batch(self._next_slice)
        self._cache_next()
        return batch

    def _has_headers(self) -> bool:
        return bool(self.has_next() and self._next_slice[self.MAGIC_OFFSET] >= _WITH_HEADERS)


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc] # as above
    """The client's own parser, over bytes that decode leniently."""

    _buffer: bytearray

    def __iter__(self) -> Iterator[Any]:
        super().__iter__()
        self._buffer = _Lenient(self._buffer)
        return self


class _Lenient(bytearray):
    """Only header names are decoded out of a batch."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Lenient(found) if isinstance(found, bytearray) else found

    def decode(self, *_: str) -> str:
        """As text, whatever it is."""
        return bytes(self).decode("utf-8", "replace")
