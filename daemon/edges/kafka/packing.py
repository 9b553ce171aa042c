"""Records on their way into the client's batches, by the thousand."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from daemon.model import Append, Appends, Column

# Key, value, headers, timestamp in milliseconds.
_Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int]
# The broker's default message.max.bytes is 1,048,588 for a whole batch of records.
RECORD_BATCH_BYTES = 900_000
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


def packed(create_batch: Callable[[], Any], parts: Iterable[Append | Column]) -> Iterable[Any]:
    """The client's batches, each below the broker's limit; a record above it goes alone and is refused."""
    now_ms = time.time_ns() // 1_000_000
    batch, count = create_batch(), 0
    # Its own `append` takes twice the time, for serializers that we do not have.
    add = batch._builder.append  # noqa: SLF001 - see above
    for key, value, headers, at in _rows(parts, now_ms):
        if add(count, at, key, value, headers) is None:
            yield _closed(batch, count)
            batch, count = create_batch(), 0
            add = batch._builder.append  # noqa: SLF001 - see above
            add(count, at, key, value, headers)
        count += 1
    if count:
        yield _closed(batch, count)


def _rows(parts: Iterable[Append | Column], now_ms: int) -> Iterable[_Row]:
    for part in parts:
        if isinstance(part, Column):
            yield from zip(part.keys, part.values, repeat(_NO_HEADERS), repeat(now_ms))
        else:
            at_ms = now_ms if part.timestamp_ms is None else part.timestamp_ms
            yield part.key, part.value, [*part.headers], at_ms


def _closed(batch: Any, count: int) -> Any:
    batch._relative_offset = count  # noqa: SLF001 - what `append` would have counted
    batch.close()
    return batch
