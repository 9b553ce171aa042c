"""Pure: dead letters as an operator sees them, which of them are meant, and which were sent back already."""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import or_
from typing import NamedTuple

from daemon.flows.collector.origins import MISSING_HEADER
from daemon.flows.kit.outcomes import Coordinates, dead_letter_origin
from daemon.flows.records import codec
from daemon.flows.records.outputs import (
    ATTEMPTS_HEADER,
    ERROR_CODE_HEADER,
    ERROR_MESSAGE_HEADER,
    FAILED_AT_HEADER,
)
from daemon.model import Append, Record

# This many dead letters share one record that says which of them were sent back: a bit each.
CHUNK = 65_536
_VERSION = b"\x01"
_NONE = bytes(CHUNK // 8)
# What two machines' clocks may differ by: to send a letter back twice would be worse than to pass it over.
CLOCKS_APART_MS = 3_600_000
# Whoever writes the input may have put anything there, also more digits than Python makes a number of.
_COUNT = re.compile("[0-9]{1,9}")


class Letter(NamedTuple):
    """A dead letter: where it stands, what it answers (None where that is unreadable), and why.

    `attempts` is how often its record was sent back to the input topic.
    """

    record: Record
    origin: Coordinates | None
    code: str
    message: str
    failed_at: datetime | None
    attempts: int

    @property
    def has_value(self) -> bool:
        """The record's value was still there when it became a dead letter."""
        return self.record.value is not None and MISSING_HEADER not in self.record.headers

    def as_json(self) -> Mapping[str, object]:
        """As `dlq list --json` prints it."""
        return {
            "partition": self.record.partition,
            "offset": self.record.offset,
            "origin": None if self.origin is None else self.origin.as_json(),
            "code": self.code,
            "message": self.message,
            "failed_at": None if self.failed_at is None else codec.iso(self.failed_at),
            "attempts": self.attempts,
        }

    def replayed(self, topic: str) -> Append:
        """The record as it goes back: as it was, but for a header that says how often it has."""
        headers = self.record.headers
        # The record's own come before all that say why, whatever they are called.
        why = max((at for at, (name, _) in enumerate(headers) if name == ERROR_CODE_HEADER), default=None)
        own = [(name, value) for name, value in headers[:why] if name != ATTEMPTS_HEADER]
        attempts = (ATTEMPTS_HEADER, str(self.attempts + 1).encode())
        partition = self.record.partition if self.origin is None else self.origin.partition
        return Append(topic, partition, self.record.key, self.record.value, (*own, attempts))


def letter_of(record: Record) -> Letter:
    """A dead letter's own words; what is missing or unreadable is left out."""
    told = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
    try:
        origin: Coordinates | None = dead_letter_origin(record.headers)
    except ValueError:
        origin = None
    try:
        failed_at: datetime | None = codec.read_time(told[FAILED_AT_HEADER]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError):
        failed_at = None
    attempts = told.get(ATTEMPTS_HEADER, "")
    count = int(attempts) if _COUNT.fullmatch(attempts) else 0
    code, message = told.get(ERROR_CODE_HEADER, ""), told.get(ERROR_MESSAGE_HEADER, "")
    return Letter(record, origin, code, message, failed_at, count)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters are meant; None leaves a question open."""

    code: str | None = None
    since: datetime | None = None
    key: str | None = None

    def __contains__(self, letter: Letter) -> bool:
        if self.code is not None and letter.code != self.code:
            return False
        if self.since is not None and (letter.failed_at is None or letter.failed_at < self.since):
            return False
        return self.key is None or letter.record.key == self.key.encode(errors="surrogateescape")


class Replayed:
    """Which dead letters were sent back already: bitmaps, `CHUNK` offsets each.

    Offsets alone would not do: whoever replays one code leaves others behind, which another replay may want.
    Nor do they tell a topic from a deleted one of its name: there they begin anew, with younger letters.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._added: dict[tuple[int, int], bytearray] = {}
        self._changed: set[tuple[int, int]] = set()

    def read(self, partition: int, chunk: int, value: bytes | None, written_ms: int) -> None:
        """Take in a bitmap's record, and when it was written in milliseconds since 1970.

        Raises:
            UnreadableError: it is damaged, or of a newer release.
        """
        if value is None:
            self._told.pop((partition, chunk), None)
            return
        try:
            bits = zlib.decompress(value[1:]) if value[:1] == _VERSION else b""
        except zlib.error as error:
            raise codec.UnreadableError(f"what was replayed is unreadable: {error}") from error
        if len(bits) != CHUNK // 8:
            raise codec.UnreadableError("what was replayed is unreadable, or of a newer release")
        self._told[partition, chunk] = bits, written_ms

    def __contains__(self, record: Record) -> bool:
        """Ask for every letter, in order: one that was written after it was sent back is of another topic."""
        chunk, place = divmod(record.offset, CHUNK)
        bits, written_ms = self._told.get((record.partition, chunk), (_NONE, 0))
        if _has(bits, place) and record.timestamp > written_ms + CLOCKS_APART_MS:
            self._told = {at: told for at, told in self._told.items() if at[0] != record.partition}
            bits = _NONE
        return _has(bits, place) or _has(self._added.get((record.partition, chunk), _NONE), place)

    def add(self, record: Record) -> None:
        """This one is sent back now."""
        chunk, place = divmod(record.offset, CHUNK)
        bits = self._added.setdefault((record.partition, chunk), bytearray(CHUNK // 8))
        bits[place // 8] |= 1 << place % 8
        self._changed.add((record.partition, chunk))

    def changes(self) -> Iterator[tuple[int, int, bytes]]:
        """Partition, chunk and value of the bitmaps that have changed since this was asked."""
        for at in sorted(self._changed):
            told, _ = self._told.get(at, (_NONE, 0))
            both = bytes(map(or_, told, self._added[at]))
            yield *at, _VERSION + zlib.compress(both)
        self._changed.clear()


def _has(bits: bytes | bytearray, place: int) -> bool:
    return bool(bits[place // 8] >> place % 8 & 1)
