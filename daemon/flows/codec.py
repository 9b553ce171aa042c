"""Pure: bytes to and from the records of the topics (design: records).

The ledger's value is packed, for it is kept in memory by the million: version, batch, topic, partition,
offset, timestamp, submitted_at, content hash, key, headers, and where not just one result is awaited, how
many and which are published. The rest is JSON.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from daemon.model import Cursor, Headers, Intent, Item, Tally

VERSION = 1
# One more than is written, so that a release can be rolled back.
NEWEST_READABLE = VERSION + 1
MARK_PREFIX = b"offset/"
# Written once Toloka has given back other content than it was sent: from then on comparing proves nothing.
ALTERED_KEY = b"altered"
# Written, as a tombstone that opens nothing, when an operator has set the cursor: open the book anew.
REOPEN_KEY = b"cursor/set"
ORIGIN_HEADER = "tolokad-origin"
FOREIGN = ("", -1, -1)

# What an intent says of itself, where it is so.
INTENT_FLAGS = ("once", "decided", "doubted", "claiming")

# What strangers' bytes, read as JSON and taken for what they should be, may raise.
UNREADABLE = (msgspec.DecodeError, ValueError, TypeError, KeyError, OverflowError, RecursionError)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# version, batch end, partition, offset, timestamp in ms, submitted_at in µs, content hash, topic length
_HEAD = struct.Struct(">BQIQqqQB")
# Its beginning, which all of a batch have in common, and what is each record's own.
_BATCH = struct.Struct(">BQI")
_OWN = struct.Struct(">QqqQ")
_LENGTH = struct.Struct(">i")
_WANTED = struct.Struct(">H")
# No UTF-8 begins with it, and so no header's name does.
_SHARES = b"\xff"
_NONE = -1
_json = msgspec.json.Encoder()


class UnreadableError(ValueError):
    """Bytes of ours that are damaged, or newer than this release reads."""


class Origin(NamedTuple):
    """Which input record an item came from."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Entry(NamedTuple):
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
    published: tuple[str, ...] = ()


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def micros_of(span: timedelta) -> int:
    """A time span in microseconds, exactly."""
    return span // _MICROSECOND


def from_micros(value: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=value)


def iso(moment: datetime) -> str:
    """UTC, ISO 8601 with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# --- ledger ----------------------------------------------------------------------------------------------


def pack_entries(items: Sequence[Item], batch_end: int, submitted_at: datetime) -> Sequence[bytes]:
    """The ledger's value for each item of one batch, all of one partition."""
    if not items:
        return ()
    submitted = micros(submitted_at)
    topic = items[0].record.topic.encode()
    # All of a batch begin alike, and those without key and headers end alike.
    opening = _BATCH.pack(VERSION, batch_end, items[0].record.partition)
    name = bytes((len(topic),)) + topic
    bare, own = name + _sized(None), _OWN.pack
    values = []
    for record, _, content_hash, _, wanted in items:
        rest = bare
        if record.key is not None or record.headers:
            rest = b"".join((name, _sized(record.key), *_packed_headers(record.headers)))
        if wanted != 1:
            rest += _packed_shares(wanted, ())
        values.append(opening + own(record.offset, record.timestamp, submitted, content_hash) + rest)
    return values


def publishing(entry: Entry, packed: bytes, share: str) -> bytes | None:
    """An entry's ledger value once this result is published, too; None where none is awaited any more.

    Args:
        entry: the item.
        packed: its ledger value.
        share: the result's; it is not among those that are published.
    """
    published = (*entry.published, share)
    if len(published) == entry.wanted:
        return None
    before = _packed_shares(entry.wanted, entry.published)
    return packed.removesuffix(before) + _packed_shares(entry.wanted, published)


def _packed_shares(wanted: int, published: Iterable[str]) -> bytes:
    """A last field that stands alone, for those of headers come in pairs, and begins as no name can."""
    return _sized(_SHARES + _WANTED.pack(wanted) + "\n".join(published).encode())


def _packed_headers(headers: Headers) -> Iterable[bytes]:
    for name, value in headers:
        yield _sized(name.encode())
        yield _sized(value)


def _sized(data: bytes | None) -> bytes:
    return _LENGTH.pack(_NONE) if data is None else _LENGTH.pack(len(data)) + data


def unpack_entry(packed: bytes) -> Entry:
    """The open item that a ledger value describes.

    Raises:
        UnreadableError: it is damaged, or of a newer release.
    """
    try:
        version, end, partition, offset, timestamp, submitted, content_hash, size = _HEAD.unpack_from(packed)
        _insist_readable(version)
        at = _HEAD.size + size
        origin = Origin(packed[_HEAD.size : at].decode(), partition, offset, timestamp)
        key, *fields = _unsized(packed, at)
        has_shares = len(fields) % 2 and (fields[-1] or b"").startswith(_SHARES)
        wanted, published = _shares(fields.pop() or b"") if has_shares else (1, ())
        names = [name.decode() for name in fields[::2] if name is not None]
        headers = tuple(zip(names, fields[1::2], strict=True))
        moment = from_micros(submitted)
        return Entry(origin, end, moment, content_hash, key, headers, wanted, published)
    except (struct.error, ValueError, OverflowError) as error:
        raise UnreadableError(f"a ledger record is damaged: {error}") from error


def _shares(field: bytes) -> tuple[int, tuple[str, ...]]:
    (wanted,) = _WANTED.unpack_from(field, len(_SHARES))
    published = field[len(_SHARES) + _WANTED.size :].decode()
    return wanted, tuple(published.split("\n")) if published else ()


def _unsized(packed: bytes, at: int) -> Iterable[bytes | None]:
    while at < len(packed):
        (size,) = _LENGTH.unpack_from(packed, at)
        if size < _NONE:
            raise UnreadableError("a ledger record has a negative length")
        at += _LENGTH.size
        yield None if size == _NONE else packed[at : at + size]
        at += max(size, 0)
    if at != len(packed):
        raise UnreadableError("a ledger record is cut short")


def check_entry(packed: bytes) -> None:
    """Insist that a ledger value is one that this release reads.

    Raises:
        UnreadableError: it is damaged, or of a newer release.
    """
    if len(packed) < _HEAD.size:
        raise UnreadableError("a ledger record is cut short")
    _insist_readable(packed[0])


def peek_origin(packed: bytes) -> tuple[str, int, int]:
    """Topic, partition and offset of an entry's origin, without unpacking the rest."""
    head = _HEAD.unpack_from(packed)
    return packed[_HEAD.size : _HEAD.size + head[7]].decode(), head[2], head[3]


def peek_submitted(packed: bytes) -> datetime:
    """When an entry's item was submitted, without unpacking the rest."""
    return from_micros(_HEAD.unpack_from(packed)[5])


def peek_hash(packed: bytes) -> int:
    """An entry's content hash, without unpacking the rest."""
    content_hash: int = _HEAD.unpack_from(packed)[6]
    return content_hash


def peek_batch(packed: bytes) -> tuple[int, int]:
    """What entries of one batch have in common: the input partition and the batch's end."""
    head = _HEAD.unpack_from(packed)
    return head[2], head[1]


def tombstone_headers(origin: Origin | None) -> Headers:
    """What a tombstone still says of the item that it closes; without origin, that it was foreign."""
    topic, partition, offset = (origin.topic, origin.partition, origin.offset) if origin else FOREIGN
    return ((ORIGIN_HEADER, f"{topic}/{partition}/{offset}".encode()),)


def tombstone_origin(headers: Headers) -> tuple[str, int, int] | None:
    """Topic, partition and offset that a tombstone names; None where it names none.

    Raises:
        UnreadableError: it names something else.
    """
    named = dict(headers).get(ORIGIN_HEADER)
    if named is None:
        return None
    try:
        topic, partition, offset = named.decode().rsplit("/", 2)
        return topic, int(partition), int(offset)
    except ValueError as error:
        raise UnreadableError(f"a tombstone's origin is unreadable: {named[:200]!r}") from error


def is_note(key: bytes) -> bool:
    """Whether a ledger record speaks of no item, but of the ledger."""
    return key.startswith(MARK_PREFIX) or key in {ALTERED_KEY, REOPEN_KEY}


def mark_key(topic: str, partition: int) -> bytes:
    """The key of a partition's mark in the ledger."""
    return MARK_PREFIX + f"{topic}/{partition}".encode()


def mark_value(offset: int, tally: Tally | None = None) -> bytes:
    """The last settled offset of a partition, and how many of its items were submitted that day."""
    counted = {} if tally is None else {"day": tally.day.isoformat(), "items": tally.items}
    return _json.encode({"v": VERSION, "offset": offset, **counted})


def read_tally(value: bytes) -> Tally | None:
    """The count in a mark; None where it has none, or none that this release reads."""
    try:
        fields = msgspec.json.decode(value)
        return Tally(date.fromisoformat(fields["day"]), int(fields["items"]))
    except UNREADABLE:
        return None


def read_mark_key(key: bytes) -> tuple[str, int]:
    """The topic and partition of a mark."""
    topic, partition = key.removeprefix(MARK_PREFIX).decode().rsplit("/", 1)
    return topic, int(partition)


def read_mark(value: bytes | None) -> int:
    """The last settled offset that a mark tells; -1 where it was taken away.

    Raises:
        UnreadableError: it is damaged, or of a newer release.
    """
    if value is None:
        return -1
    try:
        fields = msgspec.json.decode(value)
        _insist_readable(fields["v"])
        return int(fields["offset"])
    except UNREADABLE as error:
        raise UnreadableError(f"a mark is unreadable: {value[:200]!r}") from error


# --- intent ----------------------------------------------------------------------------------------------


def intent_metadata(intent: Intent) -> str:
    """The metadata of a committed offset that announces an attempt; far below Kafka's 4,096 bytes."""
    fields = {"v": VERSION, "attempt": intent.attempt, "end": intent.end}
    times = {"since": iso(intent.since), "at": iso(intent.at)}
    flags = {name: True for name in INTENT_FLAGS if getattr(intent, name)}
    return _json.encode({**fields, **times, **flags}).decode()


def read_intent(metadata: str) -> Intent | None:
    """The intent that committed metadata holds; None where it is empty.

    Raises:
        UnreadableError: the metadata is somebody else's, damaged, or of a newer release.
    """
    if not metadata:
        return None
    try:
        fields = msgspec.json.decode(metadata)
        _insist_readable(fields["v"])
        since, at = time(fields["since"]), time(fields["at"])
        flags = {name: fields.get(name, False) is True for name in INTENT_FLAGS}
        return Intent(str(fields["attempt"]), int(fields["end"]), since, at, **flags)
    except UNREADABLE as error:
        raise UnreadableError(
            f"the committed offset's metadata is not an intent: {metadata[:200]!r}"
        ) from error


def time(value: Any) -> datetime:
    """A moment as records hold it: ISO 8601, or seconds since 1970; UTC where it names no zone.

    Raises:
        ValueError, TypeError, OverflowError: it is none.
    """
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _insist_readable(version: object) -> None:
    if not isinstance(version, int) or not 1 <= version <= NEWEST_READABLE:
        raise UnreadableError(f"version {version} is not one of 1 to {NEWEST_READABLE}")


# --- cursor ----------------------------------------------------------------------------------------------


def cursor_value(cursor: Cursor) -> bytes:
    """The value of the cursor's record."""
    fields = {"v": VERSION, "item_id": cursor.item_id, "finished_at": iso(cursor.finished_at)}
    looked = {} if cursor.looked_until is None else {"looked_until": iso(cursor.looked_until)}
    return _json.encode({**fields, "published": cursor.published, **looked})


def order_value(at: datetime) -> bytes:
    """The value of an operator's word in the cursor topic."""
    return _json.encode({"v": VERSION, "at": iso(at)})


def read_cursor(value: bytes) -> Cursor:
    """The cursor in a record's value.

    Raises:
        UnreadableError: it is damaged, or of a newer release.
    """
    try:
        fields = msgspec.json.decode(value)
        _insist_readable(fields["v"])
        if not isinstance(fields["item_id"], str | None):
            raise TypeError("its item_id is no text")
        finished_at, published = time(fields["finished_at"]), int(fields.get("published", 0))
        looked = fields.get("looked_until")
        return Cursor(fields["item_id"], finished_at, published, None if looked is None else time(looked))
    except UNREADABLE as error:
        raise UnreadableError(f"the cursor is unreadable: {value[:200]!r}") from error
