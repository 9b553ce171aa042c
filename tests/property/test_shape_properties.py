"""Many items at once are read exactly as they are read one by one."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from daemon.edges.toloka.app_bulk import body_of
from daemon.flows.records.items import ItemReader
from daemon.flows.records.ledger_records import pack
from daemon.flows.records.shape import Misfit, shape_of
from daemon.flows.records.spec import InputSpec
from daemon.flows.records.windows import Found
from daemon.model import Columns, Item, body_bytes, in_parts, timestamps_of
from tests.doubles import INPUT, START_MS, FakeRecord

# Less what room an identity may need, some are near it.
MAX_BYTES = 400
TEXT = {"type": "string"}
OPTIONAL = {"required": False}
SPECS: Sequence[Mapping[str, Mapping[str, Any]]] = (
    {"a": TEXT},
    {"id": {**TEXT, **OPTIONAL}, "a": {**TEXT, **OPTIONAL}},
    {"id": {**TEXT, **OPTIONAL}, "a": {**TEXT, "max_length": 3}, "b": {"type": "url", **OPTIONAL}},
    {"a": {"type": "boolean"}, "b": {**TEXT, **OPTIONAL, "allowed_values": ["x", ":", "a"]}},
    {"a": {"type": "float", **OPTIONAL, "max_value": 5}, "b": {"type": "integer", **OPTIONAL}},
    {"é": {"type": "array_string", **OPTIONAL, "max_size": 2}, "a": {"type": "array_float", **OPTIONAL}},
    {"a": {**TEXT, "hidden": True}, "b": {"type": "json", **OPTIONAL}},
)
NO_OBJECTS = (
    *(b"{", b"}", b"[]", b"{},{}", b'{"a":"x"', b'"b":"y"}', b" ", b"1", b"\xff"),
    *(b'{"a":"x"} {"a":"x"}', b'{"a":"x"}\n{"a":"x"}', b'{"a":', b"\n"),
)

WITHOUT_ID = InputSpec({"id": {"type": "url", **OPTIONAL}, "a": TEXT})
WITH_ID = InputSpec({"id": {**TEXT, **OPTIONAL}, "a": TEXT})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from([-0.0, 0.5, 1.0, 1e300, 10**25, -0.05]),
    st.sampled_from(["", "x", ":", "a:b", '"', "\\", "\n", "é", "😀", "long text", "-0.0", "},{"]),
)
members: st.SearchStrategy[Any] = st.one_of(scalars, scalars, st.lists(scalars, max_size=3), st.just({}))
objects = st.dictionaries(st.sampled_from(["id", "a", "b", "é", "more"]), members, max_size=3)


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """An object in one of the ways in which JSON can be written, or with a key twice, or no object at all."""
    item = draw(objects)
    way = draw(st.integers(0, 9))
    if way == 0:
        return draw(st.sampled_from(NO_OBJECTS))
    ascii_only, separators = draw(st.booleans()), draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    if draw(st.booleans()):
        item = dict(sorted(item.items()))
    text = json.dumps(item, ensure_ascii=ascii_only, separators=separators, indent=1 if way == 1 else None)
    if way == 2:
        text = text.replace("{", '{"a":"first",', 1) if item else text
    if way == 3:
        text = f" {text}\n"
    return text.encode()


def told(found: Found) -> Any:
    """An item without its record, of which what it holds is told instead."""
    if not isinstance(found, Item):
        return found
    record = found.record
    held = (record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
    return held, msgspec.structs.replace(found, record=FakeRecord(0, None))


@example(SPECS[4], [b'{"a":-0.0}'] * 16)
@given(st.sampled_from(SPECS), st.lists(spelled(), min_size=1, max_size=20))
def test_many_are_read_as_each(fields: Mapping[str, Mapping[str, Any]], values: list[bytes]) -> None:
    """Whatever stands beside it, a record becomes the same item with the same hash, or has the same flaw."""
    reader = ItemReader(InputSpec(fields), None, MAX_BYTES)
    records = [FakeRecord(offset, value) for offset, value in enumerate(values * 3)]
    found = map(told, reader.read_all(records, "items-0"))
    assert list(found) == [told(reader.read(record, "items-0")) for record in records]


@st.composite
def fitting(draw: st.DrawFn, *, laden: bool) -> Sequence[FakeRecord]:
    """Records whose values are of the shape, with gaps between their offsets."""
    records, offset = [], draw(st.integers(0, 9))
    for _ in range(draw(st.integers(1, 12))):
        item = {"a": draw(st.sampled_from(["", "x", "},{", "é", "a:b"]))}
        if own := draw(st.sampled_from(["", "", "mine"])):
            item["id"] = own
        separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        value = json.dumps(item, ensure_ascii=False, separators=separators).encode()
        key = draw(st.sampled_from([None, b"", b"k"])) if laden else None
        headers = draw(headers_of) if laden else ()
        records.append(FakeRecord(offset, value, timestamp=START_MS + offset, key=key, headers=headers))
        offset += draw(st.sampled_from([1, 1, 3]))
    return records


headers_of = st.lists(
    st.tuples(st.sampled_from(["n", "é"]), st.sampled_from([None, b"", b"v" * 300])), max_size=2
)


@given(st.sampled_from([WITHOUT_ID, WITH_ID]), st.booleans().flatmap(lambda laden: fitting(laden=laden)))
def test_columns_are_sent_and_kept_as_items_are(spec: InputSpec, records: Sequence[FakeRecord]) -> None:
    """Gaps between offsets, ids of their own or of ours, keys and headers make no difference."""
    reader = ItemReader(spec, None, 10_000)
    each = [item for item in (reader.read(record, "items-0") for record in records) if isinstance(item, Item)]
    assume(len(each) == len(records))
    columns = reader.read_all(records, "items-0")
    assert isinstance(columns, Columns)
    items = in_parts([columns, each, []])
    both = [*each, *each]
    assert list(map(told, items)) == list(map(told, both))
    assert (len(items), body_bytes(items)) == (len(both), body_bytes(both))
    assert list(timestamps_of(items)) == list(timestamps_of(both))
    assert columns.beside_bytes == sum(
        len(item.record.key or b"")
        + sum(len(name) + len(value or b"") for name, value in item.record.headers)
        for item in each
    )
    assert body_of(items, force_new_original=True) == body_of(both, force_new_original=True)
    end, at = records[-1].offset + 1, datetime(2026, 5, 4, tzinfo=UTC)
    assert pack(INPUT, 3, items, end, at) == pack(INPUT, 3, both, end, at)


@pytest.mark.parametrize("ending", [b"\n", b" \n", b"\n\n"])
def test_what_ends_with_a_newline_is_read_as_by_itself(ending: bytes) -> None:
    """It is more than a line, and where lines are counted it would pass for two values."""
    reader = ItemReader(WITHOUT_ID, None, MAX_BYTES)
    records = [FakeRecord(0, b'{"a": "x"}' + ending), FakeRecord(1, b'{"a": "y"}')]
    found = reader.read_all(records, "items-0")
    assert list(map(told, found)) == [told(reader.read(record, "items-0")) for record in records]


@pytest.mark.parametrize(
    "values",
    [
        (b'{"a":"x"},{"a":"y"}', b""),
        (b'{"a":"x"', b'"b":"y"}', b'{"a":"z"},{"a":"z"}'),
        (b'{"a":"x"} {"a":"y"}',),
        (b'{"a":"x"} {"a":"y"}', b" "),
        (b'{"a":"x"}\n{"a":"y"}', b"\n"),
        (b'{"a":"x ', b'y"}'),
        (b'{"a":"x"}', b'{"a":"y"', b"}"),
        (b'{"a":"x","a":"y"}',),
        (b'{"a":"x","a":"\\u003a"}',),
    ],
)
def test_what_only_looks_like_items_is_no_plain_one(values: Sequence[bytes]) -> None:
    """Values that make items only together, or that repeat a key, are left to a look at each."""
    shape = shape_of({"a": TEXT, "b": {**TEXT, **OPTIONAL}})
    assert shape is not None
    assert isinstance(shape.read(values, None), Misfit)


@pytest.mark.parametrize("last", [b'{"a":"y"', b'{"a":1}', b'{"a":"y"}]', b'{"a":"y" "b":"z"}'])
def test_the_one_that_does_not_fit_is_found(last: bytes) -> None:
    """Those before it are read together, without another look at each."""
    shape = shape_of({"a": TEXT, "b": {**TEXT, **OPTIONAL}})
    assert shape is not None
    assert shape.read((b'{"a":"x"}', b'{"a":"x"}', last), None) == Misfit(2)


@pytest.mark.parametrize(
    "fields",
    [{"a": {"type": "json"}}, {"a": {"type": "coordinates"}}, {"a": {**TEXT, "max_length": -1}}, {}],
)
def test_no_shape(fields: Mapping[str, Mapping[str, Any]]) -> None:
    """Where a type cannot tell of a required field, or there is none, there is no shape."""
    assert shape_of(fields) is None
