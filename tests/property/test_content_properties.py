"""However content is spelt it has one hash, and no bytes raise anything but ContentError."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.content import ContentError, canonical, content_hash, parse
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.model import Flaw, Item
from tests.doubles import FakeRecord

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
SPACES = st.text(" \t\r\n", max_size=2)


def spelt(draw: st.DrawFn, value: Any) -> str:
    """A value as JSON, in some order, with some spaces and escapes."""
    if isinstance(value, dict):
        members = draw(st.permutations(list(value.items())))
        pairs = [f"{spelt(draw, name)}{draw(SPACES)}:{spelt(draw, member)}" for name, member in members]
        return draw(SPACES) + "{" + draw(SPACES) + ",".join(pairs) + "}" + draw(SPACES)
    if isinstance(value, list):
        return draw(SPACES) + "[" + ",".join(spelt(draw, member) for member in value) + "]"
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value == float(value)
        and draw(st.booleans())
    ):
        return repr(float(value))
    return draw(SPACES) + json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def spellings(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """An object, and one way to write it."""
    value = draw(OBJECTS)
    return value, spelt(draw, value).encode()


@given(spellings())
@settings(max_examples=100, deadline=None)
def test_every_spelling_has_the_same_canonical_form(made: tuple[dict[str, Any], bytes]) -> None:
    """Order, spaces, escapes and the way a number is written play no part."""
    value, written = made
    again = json.dumps(value, sort_keys=True).encode()
    assert canonical(parse(written)) == canonical(parse(again))
    assert 0 <= content_hash(parse(written)) < 2**64


@given(spellings())
@settings(max_examples=80, deadline=None)
def test_an_item_keeps_its_bytes_and_gets_its_id(made: tuple[dict[str, Any], bytes]) -> None:
    """Spliced in front of whatever stands there; parsed again, it is the item and the id."""
    value, written = made
    value.pop("id", None)
    with_own = "id" in parse(written)
    reader = ItemReader(InputSpec({"id": {"type": "string", "required": False}}), None, 10**6)
    found = reader.read(FakeRecord(5, written), "items-2")
    if with_own and (isinstance(found, Flaw) or not found.identified):
        assert isinstance(found, Flaw) or found.body == written
        return
    assert isinstance(found, Item)
    parsed = parse(found.body)
    assert parsed.pop("id") == "items-2-5"
    assert canonical(parsed) == canonical(value)
    assert with_own or found.body.endswith(written.lstrip()[1:].lstrip() or b"}")
    assert found.content_hash == content_hash(parse(found.body))


@given(st.binary(max_size=60) | OBJECTS.map(lambda value: json.dumps(value).encode()), st.data())
@settings(max_examples=100, deadline=None)
def test_no_bytes_raise_anything_else(value: bytes, data: st.DataObject) -> None:
    """What is no item is a flaw, whatever it is."""
    changed = bytearray(value)
    for _ in range(data.draw(st.integers(0, 3))):
        changed.insert(data.draw(st.integers(0, len(changed))), data.draw(st.integers(0, 255)))
    with suppress(ContentError):
        content_hash(parse(bytes(changed)))
    found = ItemReader(InputSpec({"a": {"type": "string"}}), "/a/0", 50).read(
        FakeRecord(0, bytes(changed)), "items-0"
    )
    assert isinstance(found, Item | Flaw)


@given(st.binary(max_size=80))
@settings(max_examples=80, deadline=None)
def test_what_is_taken_for_json_is_json(value: bytes) -> None:
    """Python's own parser, told to be strict, reads the same."""
    try:
        parsed = parse(value)
    except ContentError:
        return
    assert json.loads(value.decode()) == parsed
