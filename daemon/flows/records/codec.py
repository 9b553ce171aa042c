"""Pure: bytes to and from the records of the topics (deploy/topics-and-records.md).

All of them are JSON, except the ledger's of open items (`daemon.flows.records.ledger_records`).
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from daemon.model import EPOCH, Cursor, Intent, Tally

VERSION = 1
# One more than is written, so that a release can be rolled back.
NEWEST_READABLE = VERSION + 1
MARK_PREFIX = b"offset/"
# What the mark says of a partition that was there when its group began.
NOTHING_SETTLED = -1
# Written once Toloka has given back other content than it was sent: from then on comparing proves nothing.
ALTERED_KEY = b"altered"
# Written, as a tombstone that opens nothing, when an operator has set the cursor: read the state anew.
REOPEN_KEY = b"cursor/set"

# The metadata of an offset that was seen behind the end of its log. It is no intent, and whoever commits an
# offset by hand takes it away.
ASTRAY = '{"v":1,"astray":true}'
# What an intent says of itself, where it is so.
INTENT_FLAGS = ("once", "decided", "doubted", "claiming")

# What strangers' bytes, read as JSON and taken for what they should be, may raise.
UNREADABLE = (msgspec.DecodeError, ValueError, TypeError, KeyError, OverflowError, RecursionError)

_MICROSECOND = timedelta(microseconds=1)
_json = msgspec.json.Encoder()
# What was submitted together has one time, and the results of a page are of few batches.
_once_a_batch = lru_cache(maxsize=1024)


class UnreadableError(ValueError):
    """Bytes of ours that are damaged, or newer than this release reads."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - EPOCH) // _MICROSECOND


@_once_a_batch
def from_micros(value: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value)


@_once_a_batch
def iso(moment: datetime) -> str:
    """UTC, ISO 8601 with `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


# --- marks -------------------------------------------------------------------------------------------------


def is_about_ledger(key: bytes) -> bool:
    """Whether a ledger record speaks of no item, but of the ledger."""
    return key.startswith(MARK_PREFIX) or key in {ALTERED_KEY, REOPEN_KEY}


def mark_key(topic: str, partition: int) -> bytes:
    """The key of a partition's mark in the ledger."""
    return MARK_PREFIX + f"{topic}/{partition}".encode()


def mark_value(offset: int, tally: Tally | None = None, began: int | None = None) -> bytes:
    """The last settled offset of a partition, and how many of its items were submitted that day.

    `began` is where its group began, behind what was there.
    """
    counted = {} if tally is None else {"day": tally.day.isoformat(), "items": tally.items}
    begun = {} if began is None else {"began": began}
    return _json.encode({"v": VERSION, "offset": offset, **counted, **begun})


def read_tally(value: bytes) -> Tally | None:
    """The count in a mark; None where it has none, or none that this release reads."""
    try:
        fields = msgspec.json.decode(value)
        return Tally(date.fromisoformat(fields["day"]), int(fields["items"]))
    except UNREADABLE:
        return None


def read_began(value: bytes | None) -> int | None:
    """Where the group began, as a mark tells; None where it has none, or none that this release reads."""
    try:
        return None if value is None else int(msgspec.json.decode(value)["began"])
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
        return NOTHING_SETTLED
    try:
        fields = msgspec.json.decode(value)
        insist_readable(fields["v"])
        return int(fields["offset"])
    except UNREADABLE as error:
        raise UnreadableError(f"a mark is unreadable: {value[:200]!r}") from error


# --- intent ----------------------------------------------------------------------------------------------


def intent_metadata(intent: Intent) -> str:
    """The metadata of a committed offset that announces an attempt; far below Kafka's 4,096 bytes."""
    fields = {"v": VERSION, "attempt": intent.attempt, "end": intent.end}
    times = {"since": iso(intent.since), "at": iso(intent.at)}
    flags = {name: True for name in INTENT_FLAGS if getattr(intent, name)}
    behind: dict[str, Any] = {"doubt_end": intent.doubt_end} if intent.reach > intent.end else {}
    if behind and intent.doubt_at is not None:
        behind["doubt_at"] = iso(intent.doubt_at)
    return _json.encode({**fields, **times, **behind, **flags}).decode()


def read_intent(metadata: str) -> Intent | None:
    """The intent that committed metadata holds; None where there is none.

    Raises:
        UnreadableError: the metadata is somebody else's, damaged, or of a newer release.
    """
    if metadata in {"", ASTRAY}:
        return None
    try:
        fields = msgspec.json.decode(metadata)
        insist_readable(fields["v"])
        since, at = read_time(fields["since"]), read_time(fields["at"])
        flags = {name: fields.get(name, False) is True for name in INTENT_FLAGS}
        return Intent(
            str(fields["attempt"]),
            int(fields["end"]),
            since,
            at,
            doubt_end=int(fields.get("doubt_end", 0)),
            doubt_at=read_time(fields["doubt_at"]) if "doubt_at" in fields else None,
            **flags,
        )
    except UNREADABLE as error:
        raise UnreadableError(
            f"the committed offset's metadata is not an intent: {metadata[:200]!r}"
        ) from error


def read_time(value: Any) -> datetime:
    """A moment as records hold it: ISO 8601, or seconds since 1970; UTC where it names no zone.

    Raises:
        ValueError, TypeError, OverflowError: it is none.
    """
    if isinstance(value, int | float):
        return EPOCH + timedelta(seconds=value)
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def insist_readable(version: object) -> None:
    """Insist that a record's version is one that this release reads.

    Raises:
        UnreadableError: it is not.
    """
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
        insist_readable(fields["v"])
        if not isinstance(fields["item_id"], str | None):
            raise TypeError("its item_id is no text")
        finished_at, published = read_time(fields["finished_at"]), int(fields.get("published", 0))
        looked = fields.get("looked_until")
        return Cursor(
            fields["item_id"], finished_at, published, None if looked is None else read_time(looked)
        )
    except UNREADABLE as error:
        raise UnreadableError(f"the cursor is unreadable: {value[:200]!r}") from error
