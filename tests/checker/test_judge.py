"""The checker finds each violation that is planted, and nothing where there is none."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.checker import Judge, Kind, Progress, Record, Rules, Verdict
from tests.checker.content import content_of, object_in

TOPIC = "in"
HEADERS = (("traceparent", b"00-11-22-01"), ("x", None), ("x", b"twice"))
CODE = "VALUE_REQUIRED"


@dataclass
class World:
    """What was read: three items, of which the third is dead, and a tombstone; tests spoil it."""

    asked: list[Record] = field(default_factory=list)
    created: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[Record] = field(default_factory=list)
    results: list[Record] = field(default_factory=list)
    dead_letters: list[Record] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    rules: Rules = field(default_factory=lambda: Rules(TOPIC))

    def verdict(self) -> Verdict:
        """Judge it."""
        judge = Judge(self.rules)
        for entry in self.asked:
            judge.asked(entry)
        for line in self.created:
            judge.created(line)
        feeds = (
            (judge.kept, self.ledger),
            (judge.dead_letter, self.dead_letters),
            (judge.result, self.results),
        )
        for take, records in feeds:
            for record in records:
                take(record)
        return judge.verdict(self.progress)


def item(number: int) -> dict[str, Any]:
    """What Toloka has for the record at this offset, to which it belongs by its id."""
    return {
        "id": f"T{number}",
        "app_project_id": "P",
        "status": "COMPLETED",
        "input_data": {"id": f"{TOPIC}-0-{number}", "text": f"text {number}", "n": number},
        "output_data": {"result": ["OK"]},
        "errors": [],
        "created_at": "2026-01-01T00:00:00.5",
        "finished_at": "2026-01-01T00:00:01.25",
    }


def asked(offset: int, value: dict[str, Any] | None) -> Record:
    """An input record."""
    data = None if value is None else json.dumps(value).encode()
    return Record(TOPIC, 0, offset, 1000 + offset, b"key%d" % offset, data, HEADERS)


def result(number: int, **changes: Any) -> Record:
    """The right result of the record at this offset, with parts of its value changed."""
    origin = {"topic": TOPIC, "partition": 0, "offset": number, "timestamp": 1000 + number}
    value = {"origin": origin, "submitted_at": "2026-01-01T00:00:00.1Z", "item": item(number)} | changes
    headers = (*HEADERS, ("toloka-item-id", b"T%d" % number), ("toloka-status", b"COMPLETED"))
    key = b"key%d" % number
    # Published 1.75 s after it finished, at 00:00:03 of 2026.
    return Record("out", 0, number, 1_767_225_603_000, key, json.dumps(value).encode(), headers)


def dead_letter(source: Record, code: str = CODE) -> Record:
    """The right dead letter of a record."""
    added = {
        "tolokad-error-code": code,
        "tolokad-error-message": "no text",
        "tolokad-request-id": "1-2",
        "tolokad-origin-topic": TOPIC,
        "tolokad-origin-partition": str(source.partition),
        "tolokad-origin-offset": str(source.offset),
        "tolokad-failed-at": "2026-01-01T00:00:00Z",
    }
    headers = (*source.headers, *((name, text.encode()) for name, text in added.items()))
    return source._replace(topic="dead", headers=headers)


@pytest.fixture
def world() -> World:
    """Nothing is wrong here, and all is done."""
    records = [asked(0, {"text": "text 0", "n": 0}), asked(1, {"text": "text 1", "n": 1.0})]
    records += [asked(2, {"no": "text"}), asked(3, None)]
    entries = [{**item(number), "finished_at": None, "status": "NEW"} for number in (0, 1)]
    return World(
        asked=records,
        created=entries,
        results=[result(0), result(1)],
        dead_letters=[dead_letter(records[2])],
        progress=[Progress(0, 4, 4, "")],
    )


def test_nothing_is_wrong_where_nothing_is(world: World) -> None:
    """One outcome each, as it should be: nothing is found, and the account adds up."""
    verdict = world.verdict()
    assert verdict.ok, str(verdict)
    assert verdict.complete
    assert (verdict.inputs, verdict.results, verdict.dead_letters, verdict.skipped) == (4, 2, 1, 1)
    assert verdict.created == 2
    assert verdict.latency_seconds == (1.75, 1.75, 1.75)


def changed(record: Record, **headers: bytes | None) -> Record:
    """The record with the values of some headers replaced; None takes one away."""
    names = {name.replace("-", "_"): name for name, _ in record.headers}
    new = {names[name]: value for name, value in headers.items()}
    kept = ((name, new.get(name, value)) for name, value in record.headers)
    return record._replace(headers=tuple((n, v) for n, v in kept if n not in new or v is not None))


def spoilt(world: World) -> Iterator[tuple[Kind, World]]:
    """Each violation, planted once; results are those of offsets 0 and 1."""
    first, second = world.results
    (dead,) = world.dead_letters
    (a, b) = world.created
    moved = replace(world, results=[first, result(1, item=item(0))])
    yield "lost", replace(world, results=[first], created=[a, b])
    yield "lost", replace(world, dead_letters=[])
    yield "result_twice", replace(world, results=[first, second, second._replace(offset=9)])
    yield "dead_letter_twice", replace(world, dead_letters=[dead, dead])
    yield "both", replace(world, dead_letters=[dead, dead_letter(world.asked[0])])
    yield "item_twice", moved
    yield "submitted_twice", replace(world, created=[a, b, {**b, "id": "T9"}])
    yield "submitted_twice", replace(world, created=[a, b, {**b, "id": "T9", "input_data": _sent(world, 2)}])
    yield "unasked", replace(world, created=[a, b, {**b, "id": "T9", "input_data": {"text": "else"}}])
    yield "unknown_origin", replace(world, results=[first, second, result(7)])
    yield "unknown_origin", replace(world, results=[first, second, result(3)])
    yield "unknown_origin", replace(world, results=[first, second, result(1, origin=None)])
    yield "unknown_origin", replace(world, dead_letters=[dead, dead_letter(asked(7, {}))])
    yield "wrong_key", replace(world, results=[first, second._replace(key=None)])
    yield "wrong_headers", replace(world, results=[first, changed(second, traceparent=b"other")])
    yield "wrong_headers", replace(world, results=[first, changed(second, toloka_status=b"ERROR")])
    yield "wrong_headers", replace(world, results=[first, second._replace(headers=second.headers[1:])])
    yield "wrong_value", replace(world, results=[first, second, second._replace(value=b"{}")])
    yield "wrong_value", replace(world, results=[first, result(1, submitted_at="2026-01-01")])
    yield "wrong_value", replace(world, results=[first, result(1, more=1)])
    yield "wrong_origin", replace(world, results=[first, result(1, origin=_origin(1, timestamp=5))])
    yield "wrong_item", moved
    yield "wrong_item", replace(world, results=[first, result(1, item=item(1) | {"created_at": "2027"})])
    yield "wrong_item", replace(world, created=[a, b, {**b, "status": "ERROR", "finished_at": "2026"}])
    yield "wrong_dead_letter", replace(world, dead_letters=[dead._replace(value=b"{}")])
    yield "wrong_dead_letter", replace(world, dead_letters=[dead._replace(key=b"other")])
    yield "wrong_dead_letter", replace(world, dead_letters=[changed(dead, traceparent=None)])
    yield "wrong_dead_letter", replace(world, dead_letters=[changed(dead, tolokad_error_code=None)])
    yield "wrong_dead_letter", replace(world, dead_letters=[changed(dead, tolokad_failed_at=b"now")])


def _origin(number: int, **changes: Any) -> dict[str, Any]:
    return {"topic": TOPIC, "partition": 0, "offset": number, "timestamp": 1000 + number} | changes


def _sent(world: World, offset: int) -> dict[str, Any]:
    """What would be sent for a record without an id."""
    value: dict[str, Any] = json.loads(world.asked[offset].value or b"")
    return value | {"id": f"{TOPIC}-0-{offset}"}


def test_each_violation_is_found(world: World) -> None:
    """Whatever is planted is found under its name, and spoils the verdict."""
    planted = set()
    for kind, bad in spoilt(world):
        verdict = bad.verdict()
        assert verdict.counts[kind] >= 1, f"{kind}: {verdict}"
        assert not verdict.ok
        assert kind in {finding.kind for finding in verdict.findings}
        planted.add(kind)
    assert planted == world.verdict().counts.keys()


def test_open_item_is_not_lost(world: World) -> None:
    """A record without result is open while the ledger has its item, and lost once the ledger has not."""
    kept = Record("ledger", 0, 0, 0, b"T1", b"packed", ())
    verdict = replace(world, results=world.results[:1], ledger=[kept]).verdict()
    assert (verdict.ok, verdict.complete, verdict.open) == (True, False, 1)
    closed = replace(world, results=world.results[:1], ledger=[kept, kept._replace(value=None)])
    assert closed.verdict().counts["lost"] == 1


def test_record_behind_the_offset_waits(world: World) -> None:
    """What lies at or behind the committed offset is not lost but still to be submitted."""
    later = replace(world, results=world.results[:1], created=world.created[:1])
    verdict = replace(later, dead_letters=[], progress=[Progress(0, 1, 4, "")]).verdict()
    assert (verdict.ok, verdict.complete, verdict.waiting) == (True, False, 2)


def test_intent_that_is_left_is_not_the_end(world: World) -> None:
    """A committed offset with metadata announces something: that is no end, and no violation."""
    verdict = replace(world, progress=[Progress(0, 4, 4, '{"v":1}')]).verdict()
    assert verdict.ok
    assert not verdict.complete


def test_equal_contents_are_counted(world: World) -> None:
    """Items that carry the same id and text are matched by their number, not one by one."""
    same = {"id": "mine", "text": "same"}
    twin = {**world.created[0], "input_data": same}
    both = [asked(4, same), asked(5, same)]
    pair = [{**twin, "id": "T4"}, {**twin, "id": "T5"}]
    ended = [result(n, item=item(n) | {"input_data": same}) for n in (4, 5)]
    more = replace(
        world,
        asked=world.asked + both,
        results=world.results + ended,
        progress=[Progress(0, 6, 6, "")],
    )
    assert replace(more, created=world.created + pair).verdict().ok
    third = replace(more, created=[*world.created, *pair, {**twin, "id": "T6"}])
    assert third.verdict().counts["submitted_twice"] == 1


def test_vanished_item_was_paid_for(world: World) -> None:
    """A dead letter that says that Toloka lost the item does not make the item unasked for."""
    gone = dead_letter(world.asked[1], "ITEM_VANISHED")
    verdict = replace(world, results=world.results[:1], dead_letters=[*world.dead_letters, gone]).verdict()
    assert verdict.ok, str(verdict)


def test_foreign_items_are_wrong_only_where_nobody_else_creates_any(world: World) -> None:
    """Items and results of others spoil nothing where the deployment shares its project."""
    other = {**world.created[0], "id": "T8", "input_data": {"text": "theirs"}}
    theirs = result(8, origin=None, item=item(8))
    shared = replace(world, created=[*world.created, other], results=[*world.results, theirs])
    assert not shared.verdict().ok
    verdict = replace(shared, rules=Rules(TOPIC, foreign=True)).verdict()
    assert (verdict.ok, verdict.foreign) == (True, 1)


def test_item_inside_a_record_is_found_by_its_pointer(world: World) -> None:
    """With a JSON Pointer the content compared is that of the item, not of the whole record."""
    inside = asked(0, {"a/b": {"item": {"text": "text 0", "n": 0}}})
    nested = replace(world, asked=[inside, *world.asked[1:]], rules=Rules(TOPIC, item_pointer="/a~1b/item"))
    assert nested.verdict().counts["wrong_item"] == 1  # offset 1 has no such member


@pytest.mark.parametrize(
    "text", ["[1]", '{"a":1,"a":2}', '{"a":NaN}', "{", "\xff", "9" * 5000, "[" * 9000, "null"]
)
def test_what_is_no_item_has_no_content(text: str) -> None:
    """A value that cannot be an item is none to the checker either."""
    assert object_in(text.encode("latin-1")) is None


def test_content_goes_by_meaning() -> None:
    """Order of keys and spelling of numbers make no difference; a lone surrogate makes it no content."""
    assert content_of({"a": 1, "b": -0.0}) == content_of({"b": 0, "a": 1.0})
    assert content_of({"a": True}) != content_of({"a": 1})
    assert content_of({"a": "\ud800"}) is None


def test_verdict_reads_well(world: World) -> None:
    """The table has a row for every kind of violation, and the line of a failed test says what is wrong."""
    verdict = replace(world, dead_letters=[]).verdict()
    assert verdict.table().row_count >= len(verdict.counts) + 8
    assert "wrong: {'lost': 1}" in str(verdict)


def test_findings_are_bounded(world: World) -> None:
    """Of many violations of one kind only the first are kept, and all are counted."""
    many = [result(100 + number) for number in range(500)]
    verdict = replace(world, results=world.results + many).verdict()
    assert verdict.counts["unknown_origin"] == 500
    assert len(verdict.findings) == 20
