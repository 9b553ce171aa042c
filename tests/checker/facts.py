"""Pure: what is kept of each record, and what is wrong with one result or one dead letter by itself."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.checker.content import content_of, digest, object_in
from tests.checker.shapes import Shown

Headers = Sequence[tuple[str, bytes | None]]
Place = tuple[int, int]

REQUIRED_HEADERS = frozenset(
    {
        "tolokad-error-code",
        "tolokad-error-message",
        "tolokad-origin-topic",
        "tolokad-origin-partition",
        "tolokad-origin-offset",
        "tolokad-failed-at",
    }
)
ADDED_HEADERS = REQUIRED_HEADERS | {"tolokad-request-id", "tolokad-value"}
ORIGIN_KEYS = ("topic", "partition", "offset", "timestamp")
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


class Record(NamedTuple):
    """A record as it was read from Kafka; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Rules:
    """What this deployment does on purpose.

    Attributes:
        input_topic: where items come from.
        adds_id: the app's `input_spec` has a field `id`, so that tolokad gives one to items without.
        item_pointer: where the item stands in a record, as a JSON Pointer; "" for the whole.
        foreign: items that others create, and their results, are nothing wrong.
        tasks: the items are tasks, and each has as many results as its overlap.
    """

    input_topic: str
    adds_id: bool = True
    item_pointer: str = ""
    foreign: bool = False
    tasks: bool = False


class Asked(NamedTuple):
    """Digests of an input record; `content` is None where it can be no item.

    `wanted` is how many results it asks for.
    """

    timestamp: int
    key: bytes
    headers: bytes
    value: bytes
    content: bytes | None
    wanted: int = 1


class Creation(NamedTuple):
    """What is kept of an item at Toloka; status and end are None while the end is not known."""

    content: bytes | None
    project: str
    created_at: str
    status: str | None
    finished_at: str | None


def asked_by(record: Record, rules: Rules) -> Asked:
    """What an input record asks for."""
    item = _item(record, rules)
    content: Any = item
    wanted = 1
    if rules.tasks and item is not None:
        content, wanted = item.get("input_values"), item.get("overlap") or 1
    return Asked(
        record.timestamp,
        digest(record.key),
        _digest_of(record.headers),
        digest(record.value),
        content_of(content) if isinstance(content, dict) else None,
        wanted,
    )


def created_as(entry: Mapping[str, Any]) -> Creation:
    """What a line of the simulator's record says."""
    finished = entry.get("finished_at")
    status = None if finished is None else entry["status"]
    content, place = content_of(entry["input_data"]), entry.get("app_project_id") or entry["pool_id"]
    return Creation(content, place, entry["created_at"], status, finished)


def origin_place(headers: Mapping[str, bytes | None]) -> Place | None:
    """Partition and offset that a dead letter names; None where it names none."""
    try:
        partition, offset = headers["tolokad-origin-partition"], headers["tolokad-origin-offset"]
        return int(partition or b""), int(offset or b"")
    except (KeyError, ValueError):
        return None


def wrong_headers(headers: Headers, asked: Asked, shown: Shown) -> str | None:
    """What is wrong with a result's headers: the record's own come first, unchanged, then two more."""
    kept, added = headers[:-2], list(headers[-2:])
    expected = [("toloka-item-id", shown.id.encode()), ("toloka-status", shown.status.encode())]
    if added != expected:
        return f"added {added}"
    return None if _digest_of(kept) == asked.headers else f"kept {kept}"


def wrong_value(value: Mapping[str, Any]) -> str | None:
    """What is wrong with the shape of a result that has an origin."""
    if tuple(value["origin"]) != ORIGIN_KEYS:
        return "the origin's keys"
    submitted = value["submitted_at"]
    fine = isinstance(submitted, str) and UTC_TIME.fullmatch(submitted)
    return None if fine else f"submitted_at {submitted!r}"


def wrong_item(shown: Shown, creation: Creation | None, asked: Asked) -> str | None:
    """What is wrong with a result's item: it is what Toloka has, and what the record asked for."""
    if creation is None:
        return f"Toloka never created {shown.id!r}"
    # Neither an end that is not known yet nor a time that results do not show.
    known = 2 if shown.created_at is None else 3 if creation.status is None else len(Creation._fields)
    names = Creation._fields[:known]
    different = [name for name in names if getattr(shown, name) != getattr(creation, name)]
    if different:
        return f"Toloka has {shown.id} with another {', '.join(different)}"
    return None if shown.content == asked.content else "content of another record"


def wrong_dead_letter(record: Record, asked: Asked) -> str | None:
    """What is wrong with a dead letter: the record unchanged, then why."""
    kept, added = _parted(record.headers)
    if not added.keys() >= REQUIRED_HEADERS or not all(added.values()):
        return f"headers {added}"
    if not UTC_TIME.fullmatch((added["tolokad-failed-at"] or b"").decode()):
        return f"failed at {added['tolokad-failed-at']!r}"
    if (digest(record.key), _digest_of(kept)) != (asked.key, asked.headers):
        return "another key, or other headers"
    gone = record.value is None and added.get("tolokad-value") == b"missing"
    return None if gone or digest(record.value) == asked.value else "another value"


def seconds_of(text: str) -> float:
    """Unix seconds of one of Toloka's times, which are UTC, mostly without saying so."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _digest_of(headers: Headers) -> bytes:
    return digest(*(part for name, value in headers for part in (name.encode(), value)))


def _parted(headers: Headers) -> tuple[Headers, dict[str, bytes | None]]:
    """The record's own headers, and what was added behind them: each name once."""
    added: dict[str, bytes | None] = {}
    if headers and headers[-1][0] == "toloka-item-id":
        # Last of all, where Toloka had taken the item.
        added["toloka-item-id"] = headers[-1][1]
    for name, value in reversed(headers[: len(headers) - len(added)]):
        if name not in ADDED_HEADERS or name in added:
            break
        added[name] = value
    return headers[: len(headers) - len(added)], added


def _item(record: Record, rules: Rules) -> dict[str, Any] | None:
    found: Any = object_in(record.value or b"")
    for part in rules.item_pointer.split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        return None
    item: dict[str, Any] = found
    if rules.adds_id and not rules.tasks and item.get("id") is None:
        item = {**item, "id": f"{record.topic}-{record.partition}-{record.offset}"}
    return item
