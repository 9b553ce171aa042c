"""Pure: the ledger's records of open items, packed, for they are kept in memory by the million.

A value holds: version, partition, offset, how far behind it its batch ends, timestamp, submitted_at, content
hash, topic, key, headers, and where not just one result is awaited, how many and which are published: by id,
or by hash where they are so many that their ids would outgrow a message of Kafka's.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

import msgspec
import xxhash

from daemon.flows.records.codec import VERSION, UnreadableError, from_micros, insist_readable, micros
from daemon.model import Columns, Headers, Item, parts_of

# version, partition, offset, batch end less offset, timestamp in ms, submitted_at in µs, content hash
HEAD = struct.Struct(">BIQIqqQ")
# Its beginning, which all of a batch have in common, and what is each record's own.
OPENING = struct.Struct(">BI")
_OWN = "QIqqQ"
# Its end.
_SUBMITTED_HASH = struct.Struct(">qQ")
SUBMITTED_AT = HEAD.size - _SUBMITTED_HASH.size
_WANTED = struct.Struct(">H")
# A field begins with its length in one byte, and in five where it is longer than that can say.
LONG = struct.Struct(">BI")
LONGER, NONE = 254, 255
# No UTF-8 begins with one of them, and so no header's name does.
SHARES, HASHES = b"\xff", b"\xfe"
# More shares than these are kept as hashes.
MANY_SHARES = 1000
_HASH_BYTES = 8
# One of several results: its id, or a hash of it.
Share = str | int
# An item's key, headers, and how many results are awaited of it.
_Rest = tuple[bytes | None, Headers, int]
# What a tuple's own constructor comes to, in a third of its time: one is made for each result.
_new = tuple.__new__


class Origin(NamedTuple):
    """Which input record an item came from."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A ledger record, unpacked: an open item.

    `wanted` results are awaited, 0 where Toloka decides; those of the `published` shares are out already.
    """

    origin: Origin
    batch_end: int
    submitted_at: datetime
    content_hash: int
    key: bytes | None
    headers: Headers
    wanted: int = 1
    published: tuple[Share, ...] = ()

    def has_published(self, share: str) -> bool:
        """Whether this result is out already."""
        return bool(self.published) and (share in self.published or _hash(share) in self.published)


def pack(
    topic: str, partition: int, items: Sequence[Item], batch_end: int, submitted_at: datetime
) -> Sequence[bytes]:
    """The ledger's value for each item of one batch, all of one partition."""
    if not items:
        return ()
    submitted = micros(submitted_at)
    # All of a batch begin alike, and those without key and headers end alike.
    opening = OPENING.pack(VERSION, partition)
    name = _sized(topic.encode())
    bare = name + _sized(None)
    whole = _with_rest(len(bare)).pack
    values: list[bytes] = []
    for part in parts_of(items):
        offsets, times_ms, hashes = _columns_of(part)
        behind = [batch_end - offset for offset in offsets]
        packed = map(
            whole, repeat(opening), offsets, behind, times_ms, repeat(submitted), hashes, repeat(bare)
        )
        values += packed if _are_bare(part) else map(_laden, packed, repeat(bare), repeat(name), _rests(part))
    return values


def _columns_of(part: Sequence[Item]) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Offsets, timestamps, content hashes."""
    if isinstance(part, Columns):
        return part.offsets, part.timestamps, part.hashes
    records = [item.record for item in part]
    return (
        [record.offset for record in records],
        [record.timestamp for record in records],
        [item.content_hash for item in part],
    )


def _are_bare(part: Sequence[Item]) -> bool:
    if isinstance(part, Columns):
        return part.keys is None
    return all(item.record.key is None and not item.record.headers and item.wanted == 1 for item in part)


def _rests(part: Sequence[Item]) -> Iterable[_Rest]:
    if isinstance(part, Columns):
        return zip(part.keys or repeat(None), part.headers or repeat(()), repeat(1))
    return ((item.record.key, item.record.headers, item.wanted) for item in part)


def _laden(value: bytes, bare: bytes, name: bytes, rest: _Rest) -> bytes:
    """A bare item's value, with what this one has besides."""
    key, headers, wanted = rest
    fields = (name, _sized(key), *_packed_headers(headers))
    shares = b"" if wanted == 1 else _packed_shares(wanted, ())
    return value.removesuffix(bare) + b"".join(fields) + shares


@lru_cache(16)
def _with_rest(size: int) -> struct.Struct:
    """What all of a batch have in common, what is the record's own, and so many bytes behind it."""
    return struct.Struct(f">{OPENING.size}s{_OWN}{size}s")


def publishing(entry: Entry, packed: bytes, share: str) -> bytes | None:
    """An entry's ledger value once this result is published, too; None where none is awaited any more.

    `packed` is its ledger value; `share` is not among those that are published.
    """
    published = (*entry.published, share)
    if len(published) == entry.wanted:
        return None
    before = _packed_shares(entry.wanted, entry.published)
    return packed.removesuffix(before) + _packed_shares(entry.wanted, _shortened(published))


def _shortened(published: Sequence[Share]) -> Sequence[Share]:
    if len(published) <= MANY_SHARES:
        return published
    return [share if isinstance(share, int) else _hash(share) for share in published]


def _hash(share: str) -> int:
    return xxhash.xxh3_64_intdigest(share.encode())


def _packed_shares(wanted: int, published: Sequence[Share]) -> bytes:
    """A last field that stands alone, for those of headers come in pairs, and begins as no name can."""
    if published and isinstance(published[0], int):
        return _sized(HASHES + _WANTED.pack(wanted) + struct.pack(f">{len(published)}Q", *published))
    return _sized(SHARES + _WANTED.pack(wanted) + "\n".join(map(str, published)).encode())


def _packed_headers(headers: Headers) -> Iterable[bytes]:
    for name, value in headers:
        yield _sized(name.encode())
        yield _sized(value)


def _sized(data: bytes | None) -> bytes:
    if data is None:
        return bytes((NONE,))
    size = len(data)
    return (bytes((size,)) if size < LONGER else LONG.pack(LONGER, size)) + data


def unpack(packed: bytes) -> Entry:
    """The open item that a ledger value describes.

    Raises:
        UnreadableError: it is damaged, or of a newer release.
    """
    try:
        version, partition, offset, behind, timestamp, submitted, content_hash = HEAD.unpack_from(packed)
        insist_readable(version)
        topic, key, *fields = _unsized(packed, HEAD.size)
        origin = _new(Origin, ((topic or b"").decode(), partition, offset, timestamp))
        moment = from_micros(submitted)
        if not fields:
            return Entry(origin, offset + behind, moment, content_hash, key, ())
        has_shares = len(fields) % 2 and (fields[-1] or b"").startswith((SHARES, HASHES))
        wanted, published = _shares(fields.pop() or b"") if has_shares else (1, ())
        names = [name.decode() for name in fields[::2] if name is not None]
        headers = tuple(zip(names, fields[1::2], strict=True))
        return Entry(origin, offset + behind, moment, content_hash, key, headers, wanted, published)
    except (struct.error, ValueError, OverflowError) as error:
        raise UnreadableError(f"a ledger record is damaged: {error}") from error


def _shares(field: bytes) -> tuple[int, tuple[Share, ...]]:
    (wanted,) = _WANTED.unpack_from(field, len(SHARES))
    published = field[len(SHARES) + _WANTED.size :]
    if field.startswith(HASHES):
        return wanted, struct.unpack(f">{len(published) // _HASH_BYTES}Q", published)
    return wanted, tuple(published.decode().split("\n")) if published else ()


def _unsized(packed: bytes, at: int) -> Sequence[bytes | None]:
    fields: list[bytes | None] = []
    end = len(packed)
    while at < end:
        size = packed[at]
        at += 1
        if size == NONE:
            fields.append(None)
            continue
        if size == LONGER:
            _, size = LONG.unpack_from(packed, at - 1)
            at += LONG.size - 1
        fields.append(packed[at : at + size])
        at += size
    if at != end:
        raise UnreadableError("a ledger record is cut short")
    return fields


def check(packed: bytes) -> None:
    """Insist that a ledger value is one that this release reads.

    Raises:
        UnreadableError: it is damaged, or of a newer release.
    """
    if len(packed) <= HEAD.size:
        raise UnreadableError("a ledger record is cut short")
    insist_readable(packed[0])


def peek_origin(packed: bytes) -> tuple[str, int, int]:
    """Topic, partition and offset of an entry's origin, without unpacking the rest."""
    _, partition, offset, *_ = HEAD.unpack_from(packed)
    # The first field; Kafka has no topic whose name is so long that its length takes more than one byte.
    name_at = HEAD.size + 1
    topic = packed[name_at : name_at + packed[HEAD.size]]
    return topic.decode(), partition, offset


def peek_submitted(packed: bytes) -> datetime:
    """When an entry's item was submitted, without unpacking the rest."""
    return from_micros(peek_submitted_micros(packed))


def peek_submitted_micros(packed: bytes) -> int:
    """The same in microseconds since 1970."""
    micros: int = _SUBMITTED_HASH.unpack_from(packed, SUBMITTED_AT)[0]
    return micros


def peek_hash(packed: bytes) -> int:
    """An entry's content hash, without unpacking the rest."""
    content_hash: int = _SUBMITTED_HASH.unpack_from(packed, SUBMITTED_AT)[1]
    return content_hash


def peek_batch(packed: bytes) -> tuple[int, int]:
    """What entries of one batch have in common: the input partition and the batch's end."""
    _, partition, offset, behind, *_ = HEAD.unpack_from(packed)
    return partition, offset + behind
