"""Pure: records that are looked at together, for in most windows all of them become items without a flaw."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from daemon.flows.records.shape import Misfit, Plain, Shape, as_lines
from daemon.model import BareRecord, Columns, Flaw, Item

# What a record holds; None for a tombstone.
Found = Item | Flaw | None
# This many records are looked at together.
WINDOW = 256
# That pays only while fewer than one record in this many does not fit.
RECORDS_PER_MISFIT = 8

_key_of, value_of, _headers_of = attrgetter("key"), attrgetter("value"), attrgetter("headers")
_offset_of, _timestamp_of = attrgetter("offset"), attrgetter("timestamp")


class Window:
    """One record at least, all of one partition, and no tombstone among them.

    Args:
        records: in the order of their offsets.
        values: theirs.
        is_bare: whether none of them has a key or headers.
        identity: the `id` for the item of the record at an offset, if it has none; None where none is given.
        each: what is found of a record that is looked at by itself.
    """

    def __init__(
        self,
        records: Sequence[BareRecord],
        values: Sequence[bytes],
        is_bare: bool,  # noqa: FBT001 - of the records
        identity: Callable[[int], str] | None,
        each: Callable[[BareRecord], Found],
    ) -> None:
        self._records = records
        self._values = values
        self._is_bare = is_bare
        self._identity = identity
        self._each = each

    def read(self, shape: Shape) -> Sequence[Found]:
        """What is found of each, in columns if all of them are of the shape."""
        read = self._read(shape, 0, len(self._records))
        if isinstance(read, Misfit):
            return self._read_around(shape, read.at)
        return self._in_columns(read) or list(self._apart(read, 0, len(self._records)))

    def _read(self, shape: Shape, start: int, end: int) -> Plain | Misfit:
        values, identity = self._values[start:end], self._identity
        if identity is None:
            return shape.read(values, None)
        return shape.read(values, lambda index: identity(self._records[start + index].offset))

    def _read_around(self, shape: Shape, misfit: int) -> Sequence[Found]:
        """Read together what stands between those that are not of the shape; about here is the first."""
        found: list[Found] = []
        count, end = len(self._records), misfit
        patience = count // RECORDS_PER_MISFIT - 1
        while (start := len(found)) < count and patience > 0:
            if start < end:
                read = self._read(shape, start, end)
                if isinstance(read, Misfit):
                    # Those before it first, together.
                    patience -= 1
                    end = start + read.at
                    continue
                found += self._apart(read, start, end)
            found += map(self._each, self._records[end : end + 1])
            end = count
        found += map(self._each, self._records[start:])
        return found

    def _apart(self, read: Plain, start: int, end: int) -> Iterable[Item]:
        return map(Item, self._records[start:end], read.bodies, read.hashes, read.identified)

    def _in_columns(self, read: Plain) -> Columns | None:
        """All of them; None where a value has more than one line."""
        values = as_lines(self._values) if any(read.identified) else read.lines
        if values is None or read.lines is None:
            return None
        records, count = self._records, len(self._records)
        first, end = records[0].offset, records[-1].offset + 1
        # In most logs there is no gap.
        offsets = range(first, end) if end - first == count else list(map(_offset_of, records))
        times_ms = list(map(_timestamp_of, records))
        if self._is_bare:
            return Columns(read.lines, values, offsets, times_ms, read.hashes, read.identified)
        keys, headers = list(map(_key_of, records)), list(map(_headers_of, records))
        return Columns(read.lines, values, offsets, times_ms, read.hashes, read.identified, keys, headers)


def are_bare(records: Sequence[BareRecord]) -> bool:
    """Whether none of them has a key or headers."""
    return not any(map(_headers_of, records)) and list(map(_key_of, records)).count(None) == len(records)
