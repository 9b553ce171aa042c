"""One partition's log, as a broker keeps it."""

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

from daemon.model import Append, Headers
from tests.simulation.broker.errors import OutOfRangeError


class StoredRecord(NamedTuple):
    """A record, as a reader gets it; fits `daemon.model.Record`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Entry:
    """What stands at an offset: a record, or a control record, which readers never see."""

    record: StoredRecord | None
    offset: int
    state: Literal["open", "committed", "aborted", "control"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought, and where the next one begins."""

    records: Sequence[StoredRecord]
    next_offset: int


def _offset(entry: Entry) -> int:
    return entry.offset


class PartitionLog:
    """Offsets grow by one for every record and every transaction marker, and nothing fills a gap.

    Producers are named by their transactional id: one has one open transaction at most.
    """

    def __init__(self, topic: str, partition: int, max_record_bytes: int) -> None:
        self.topic = topic
        self.partition = partition
        self.max_record_bytes = max_record_bytes
        self.start = 0
        self.high_watermark = 0
        self._entries: list[Entry] = []
        self._open: dict[str, list[Entry]] = {}
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def last_stable(self) -> int:
        """The first offset that read_committed readers must not pass."""
        # Open transactions stand in the order in which they began.
        return next(iter(self._open.values()))[0].offset if self._open else self.high_watermark

    def first_since(self, time_ms: int) -> int:
        """The first offset whose record is not older; the end where there is none."""
        fresh = (e.offset for e in self._entries if e.record is not None and e.record.timestamp >= time_ms)
        return next(fresh, self.high_watermark)

    def append(self, item: Append, now_ms: int, producer: str | None = None) -> int:
        """Write a record; without a producer it is committed at once. Returns its offset."""
        stamp = now_ms if item.timestamp_ms is None else item.timestamp_ms
        record = StoredRecord(
            self.topic, self.partition, self.high_watermark, stamp, item.key, item.value, tuple(item.headers)
        )
        entry = Entry(record, record.offset, "committed" if producer is None else "open")
        if producer is not None:
            self._open.setdefault(producer, []).append(entry)
        self._put(entry)
        return record.offset

    def mark(self, producer: str, *, committed: bool) -> None:
        """End a producer's transaction here."""
        for entry in self._open.pop(producer, ()):
            entry.state = "committed" if committed else "aborted"
        self._put(Entry(None, self.high_watermark, "control"))

    def _put(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.high_watermark += 1
        self._wake()

    def fetch(self, offset: int, limit: int) -> Fetched:
        """What a read_committed reader gets from this offset.

        Raises:
            OutOfRangeError: the offset is not in the log.
        """
        if not self.start <= offset <= self.high_watermark:
            raise OutOfRangeError(
                f"{self.topic}-{self.partition} holds {self.start} to {self.high_watermark}, not {offset}"
            )
        records: list[StoredRecord] = []
        stable = self.last_stable
        begin = len(self._entries) if offset >= stable else bisect_left(self._entries, offset, key=_offset)
        for entry in islice(self._entries, begin, None):
            if entry.offset >= stable:
                break
            if entry.record is not None and entry.state == "committed":
                if len(records) == limit:
                    return Fetched(records, entry.offset)
                records.append(entry.record)
        return Fetched(records, max(offset, stable))

    def committed(self) -> list[StoredRecord]:
        """Everything that any read_committed reader will ever see of what is ended now."""
        return [entry.record for entry in self._entries if entry.record and entry.state == "committed"]

    def compact(self, before: int) -> None:
        """Keep only the last committed record of each key below an offset; tombstones stay.

        As the cleaner does, it stops at the last stable offset, and what was aborted goes.
        """
        before = min(before, self.last_stable)
        last = {
            entry.record.key: entry.offset
            for entry in self._entries
            if entry.record and entry.offset < before and entry.state == "committed"
        }
        kept = set(last.values())
        self._entries = [e for e in self._entries if e.offset >= before or e.offset in kept]

    def delete_before(self, offset: int) -> None:
        """Let retention take what lies below an offset."""
        self.start = max(self.start, min(offset, self.high_watermark))
        self._entries = [entry for entry in self._entries if entry.offset >= self.start]
        self._wake()

    def wait(self, waiter: "asyncio.Future[None]") -> None:
        """Be woken when something changes."""
        self._waiting = [each for each in self._waiting if not each.done()]
        self._waiting.append(waiter)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
