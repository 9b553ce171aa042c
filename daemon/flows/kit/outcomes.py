"""Pure: which input record a result or a dead letter answers, as its own bytes tell."""

from typing import NamedTuple

import msgspec

from daemon.flows.records.codec import UNREADABLE
from daemon.flows.records.outputs import ORIGIN_HEADERS
from daemon.model import Headers, Record
from daemon.odd_json import decoded


class Coordinates(NamedTuple):
    """A record's topic, partition and offset."""

    topic: str
    partition: int
    offset: int

    def as_json(self) -> dict[str, object]:
        """As the commands print it."""
        return self._asdict()


def place_of(record: Record) -> Coordinates:
    """Where a record stands itself."""
    return Coordinates(record.topic, record.partition, record.offset)


class _Origin(msgspec.Struct):
    topic: str
    partition: int
    offset: int


class _Named(msgspec.Struct):
    id: str


class _Result(msgspec.Struct):
    origin: _Origin | None
    assignment: _Named | None = None


_results = msgspec.json.Decoder(_Result)


def result_origin(value: bytes | None) -> tuple[Coordinates | None, str]:
    """What a result answers, and its assignment's id where an item can have several results.

    None for a result of a foreign item.

    Raises:
        ValueError: it is no result.
    """
    try:
        # An item is published as it comes, whatever people have written into it.
        _, result = decoded(value or b"", _results.decode)
    except UNREADABLE as error:
        raise ValueError(f"no result: {error}") from error
    origin, assignment = result.origin, result.assignment
    place = None if origin is None else Coordinates(origin.topic, origin.partition, origin.offset)
    return place, "" if assignment is None else assignment.id


def dead_letter_origin(headers: Headers) -> Coordinates:
    """What a dead letter answers.

    Raises:
        ValueError: its headers do not tell.
    """
    # The last of a name counts: the record's own headers come first.
    told = {name: value for name, value in headers if name in ORIGIN_HEADERS}
    try:
        topic, partition, offset = ((told[name] or b"").decode() for name in ORIGIN_HEADERS)
        return Coordinates(topic, int(partition), int(offset))
    except (KeyError, ValueError) as error:
        raise ValueError(f"no dead letter: {error}") from error
