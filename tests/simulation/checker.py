"""Was the promise kept? Compares what went in with what came out, and with what Toloka was asked to do."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from daemon.content import canonical
from daemon.flows.records import codec, orders
from tests.simulation.broker.log import StoredRecord
from tests.simulation.scenario import CURSORS, DEAD, GROUP, INPUT, LEDGER, RESULTS, VANISHING
from tests.simulation.world import SimWorld
from tests.simulator.items import TERMINAL

Origin = tuple[int, int]
FOREIGN_TEXT = "foreign"
# Dead letters of what Toloka was paid for.
CREATED_CODES = frozenset({b"ITEM_VANISHED", b"RESULT_TOO_LARGE"})


@dataclass(slots=True)
class Accounts:
    """Everything that is in the topics, as a read_committed reader finds it."""

    inputs: dict[Origin, StoredRecord] = field(default_factory=dict)
    results: dict[Origin, list[tuple[StoredRecord, dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    dead: dict[Origin, list[StoredRecord]] = field(default_factory=lambda: defaultdict(list))
    foreign: Counter[str] = field(default_factory=Counter)


def accounts(world: SimWorld) -> Accounts:
    """Read all topics."""
    found = Accounts()
    for record in _records(world, INPUT):
        found.inputs[record.partition, record.offset] = record
    for record in _records(world, RESULTS):
        value = msgspec.json.decode(record.value or b"")
        origin = value["origin"]
        if origin is None:
            found.foreign[value["item"]["id"]] += 1
        else:
            found.results[origin["partition"], origin["offset"]].append((record, value))
    for record in _records(world, DEAD):
        headers = dict(record.headers)
        place = (int(headers[f"tolokad-origin-{name}"] or b"") for name in ("partition", "offset"))
        found.dead[next(place), next(place)].append(record)
    return found


def _records(world: SimWorld, topic: str) -> list[StoredRecord]:
    return [record for log in world.cluster.topics[topic] for record in log.committed()]


def missing(world: SimWorld) -> list[Origin]:
    """Input records, tombstones aside, that have come to no end yet."""
    found = accounts(world)
    return [
        origin
        for origin, record in found.inputs.items()
        if record.value is not None and not found.results.get(origin) and not found.dead.get(origin)
    ]


def unsettled(world: SimWorld) -> Iterator[str]:
    """What is still under way, the cheap questions first; nothing once all has come to rest."""
    yield from unsettled_batches(world)
    if late := missing(world):
        yield f"{len(late)} inputs without an end: {late[:5]}"


def unsettled_batches(world: SimWorld) -> Iterator[str]:
    """What of the input is not settled, and what is open."""
    for partition, log in enumerate(world.cluster.topics[INPUT]):
        committed = world.cluster.groups.committed(GROUP, INPUT, [partition], stable=True).get(partition)
        if committed is None:
            yield "the coordinator is loading"
        elif committed.metadata or committed.offset != log.high_watermark:
            yield f"partition {partition} is at {committed} of {log.high_watermark}"
    if world.cluster.transactions.open_ids:
        yield f"open transactions: {world.cluster.transactions.open_ids}"
    if still := _open_items(world):
        yield f"{len(still)} items are open in the ledger: {sorted(still)[:5]}"


def _open_items(world: SimWorld) -> Mapping[bytes, bytes]:
    still: dict[bytes, bytes] = {}
    for record in _records(world, LEDGER):
        key = record.key or b""
        if key.startswith(codec.MARK_PREFIX) or key == codec.ALTERED_KEY:
            continue
        if record.value is None:
            still.pop(key, None)
        else:
            still[key] = record.value
    return still


def settled_seconds(world: SimWorld) -> dict[str, float]:
    """When the first ledger record of each item was written."""
    seconds: dict[str, float] = {}
    for log in world.cluster.topics[LEDGER]:
        for record in log.committed():
            if record.value is not None:
                seconds.setdefault((record.key or b"").decode(), record.timestamp / 1000)
    return seconds


def slow_results(world: SimWorld, healed_at: float, patience_seconds: float) -> Iterator[str]:
    """Results that came long after the last of: the item's end, its settling, the end of all faults.

    Ends without a time, and what was archived, only a sweep can find.
    """
    ends = {item.id: item for item in world.toloka.record}
    settled = settled_seconds(world)
    for log in world.cluster.topics[RESULTS]:
        for record in log.committed():
            value = msgspec.json.decode(record.value or b"")
            item = ends[value["item"]["id"]]
            if item.finished_us is None or item.status == "ARCHIVE" or value["origin"] is None:
                continue
            could = max(item.finished_us / 1e6, settled.get(item.id, 0.0), healed_at)
            if record.timestamp / 1000 - could > patience_seconds:
                late = record.timestamp / 1000 - could
                yield f"the result of {value['origin']} came {late:.0f} s later than it could: {item}"


def problems(world: SimWorld) -> Iterator[str]:
    """Everything that breaks the promise, once all has come to rest."""
    found = accounts(world)
    yield from _counted(found)
    for origin, answers in found.results.items():
        for record, value in answers:
            yield from _result_problems(world, found.inputs.get(origin), record, value)
    for origin, letters in found.dead.items():
        for record in letters:
            yield from _letter_problems(found.inputs.get(origin), record)
    yield from _spending(world, found)
    yield from _foreign_problems(world, found)
    yield from cursor_problems(world)


def _counted(found: Accounts) -> Iterator[str]:
    for origin, record in found.inputs.items():
        results, letters = len(found.results.get(origin, ())), len(found.dead.get(origin, ()))
        wanted = 0 if record.value is None else 1
        if results + letters != wanted:
            yield f"input {origin} has {results} results and {letters} dead letters: {record.value!r}"
    for origin in {*found.results, *found.dead} - set(found.inputs):
        yield f"an answer to {origin}, which was never asked"


def _result_problems(
    world: SimWorld, source: StoredRecord | None, record: StoredRecord, value: dict[str, Any]
) -> Iterator[str]:
    if source is None:
        return
    where = f"the result of {(source.partition, source.offset)}"
    headers, item = record.headers, value["item"]
    if record.key != source.key:
        yield f"{where} has the key {record.key!r}, not {source.key!r}"
    wanted = (
        *source.headers,
        ("toloka-item-id", item["id"].encode()),
        ("toloka-status", item["status"].encode()),
    )
    if tuple(headers) != wanted:
        yield f"{where} has the headers {headers}"
    if value["origin"]["timestamp"] != source.timestamp or value["origin"]["topic"] != INPUT:
        yield f"{where} has the origin {value['origin']}"
    if item["status"] not in TERMINAL:
        yield f"{where} is {item['status']}"
    if canonical(item["input_data"]) != content_of(world, source):
        yield f"{where} answers {item['input_data']}, not {source.value!r}"


def content_of(world: SimWorld, source: StoredRecord) -> bytes:
    """The canonical content of the item that a record asks for."""
    item = msgspec.json.decode(source.value or b"")
    if world.scenario.takes_id and item.get("id") is None:
        item["id"] = f"{source.topic}-{source.partition}-{source.offset}"
    return canonical(item)


def _letter_problems(source: StoredRecord | None, record: StoredRecord) -> Iterator[str]:
    if source is None:
        return
    where = f"the dead letter of {(source.partition, source.offset)}"
    if (record.key, record.value) != (source.key, source.value):
        yield f"{where} differs: {record}"
    if tuple(record.headers[: len(source.headers)]) != tuple(source.headers):
        yield f"{where} has other headers: {record.headers}"
    gone = dict(record.headers)["tolokad-error-code"] == b"ITEM_VANISHED"
    if gone and VANISHING.encode() not in (source.value or b""):
        yield f"{where} says that its item has vanished, which nothing has made it do"


def _spending(world: SimWorld, found: Accounts) -> Iterator[str]:
    """As many items were created with a content as records asked for it and were not refused."""
    asked = Counter(
        content_of(world, found.inputs[origin])
        for origin in {*found.results, *(o for o, letters in found.dead.items() if _was_created(letters))}
        if origin in found.inputs
    )
    there = Counter(
        canonical(item.input_data) for item in world.toloka.record if not _is_foreign(item.input_data)
    )
    for content in {*asked, *there}:
        if asked[content] != there[content]:
            yield f"{there[content]} items were made where {asked[content]} were asked for: {content!r}"


def _was_created(letters: Sequence[StoredRecord]) -> bool:
    return any(dict(letter.headers)["tolokad-error-code"] in CREATED_CODES for letter in letters)


def oversized(world: SimWorld) -> int:
    """How many results were too large for their topic."""
    codes = (dict(record.headers)["tolokad-error-code"] for record in _records(world, DEAD))
    return sum(1 for code in codes if code == b"RESULT_TOO_LARGE")


def made(world: SimWorld) -> int:
    """How many items Toloka was ever paid for by us."""
    return sum(1 for item in world.toloka.record if not _is_foreign(item.input_data))


def _is_foreign(input_data: Mapping[str, Any]) -> bool:
    return str(input_data.get("text", "")).startswith(FOREIGN_TEXT)


def _foreign_problems(world: SimWorld, found: Accounts) -> Iterator[str]:
    publish = world.scenario.settings.collect.unknown_items == "publish"
    theirs = {item.id for item in world.toloka.record if _is_foreign(item.input_data)}
    for item_id, count in found.foreign.items():
        if not publish or item_id not in theirs or count != 1:
            yield f"the item {item_id} was published {count} times as foreign"


def cursor_problems(world: SimWorld) -> Iterator[str]:
    """Where the cursor went back."""
    last = None
    for record in _records(world, CURSORS):
        if orders.is_order(record.key or b""):
            continue
        cursor = codec.read_cursor(record.value or b"")
        if last is not None and (cursor.finished_at, cursor.published) < (last.finished_at, last.published):
            yield f"the cursor went back from {last} to {cursor}"
        last = cursor
