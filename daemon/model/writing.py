"""What is written to Kafka."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import msgspec

from daemon.model.items import Headers


class Append(msgspec.Struct, frozen=True, gc=False):
    """A record to be written."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


class Column(msgspec.Struct, frozen=True, gc=False):
    """Many records without headers for one partition: so many keys, and a value for each."""

    topic: str
    partition: int
    keys: Sequence[bytes]
    values: Sequence[bytes]

    def each(self) -> Iterator[Append]:
        """The records one by one."""
        rows = zip(self.keys, self.values, strict=True)
        return (Append(self.topic, self.partition, key, value) for key, value in rows)


class Appends(Sequence[Append]):
    """Records to be written, in their order, some of them in columns: those need no object each."""

    def __init__(self, parts: Sequence[Append | Column]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[Append]:
        for part in self.parts:
            if isinstance(part, Column):
                yield from part.each()
            else:
                yield part

    def __len__(self) -> int:
        return sum(len(part.keys) if isinstance(part, Column) else 1 for part in self.parts)

    @overload
    def __getitem__(self, index: int) -> Append: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Append]: ...
    def __getitem__(self, index: int | slice) -> Append | Sequence[Append]:
        return tuple(self)[index]


@dataclass(frozen=True, slots=True)
class OffsetCommit:
    """A group's offset to be committed with its metadata."""

    group: str
    topic: str
    partition: int
    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """Everything that becomes visible together, or not at all; `kind` labels its metrics."""

    kind: str
    appends: Sequence[Append] = field(default=())
    offset: OffsetCommit | None = None
