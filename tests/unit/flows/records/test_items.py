"""A record's value becomes the item that is sent, byte for byte where possible."""

import json
from typing import Any

import pytest

from daemon.content import content_hash, parse
from daemon.flows.records.items import ItemReader, standing
from daemon.flows.records.spec import InputSpec
from daemon.model import Flaw, Item
from tests.doubles import INPUT, FakeRecord

WITH_ID = InputSpec({"id": {"type": "string", "required": False}, "text": {"type": "string"}})
WITHOUT_ID = InputSpec({"text": {"type": "string"}})
OPTIONAL = InputSpec({"id": {"type": "string", "required": False}})


def read(value: bytes | None, spec: InputSpec = WITHOUT_ID, **options: Any) -> Item | Flaw:
    """Read one record at offset 7 of partition 3."""
    fields = {name: options.pop(name) for name in ("key", "headers") if name in options}
    reader = ItemReader(spec, options.pop("pointer", None), options.pop("max_bytes", 1000), **options)
    return reader.read(FakeRecord(7, value, **fields), standing(INPUT, 3))


def item_of(value: bytes, spec: InputSpec = WITHOUT_ID, **options: Any) -> Item:
    """The item in a record that has one."""
    found = read(value, spec, **options)
    assert isinstance(found, Item), found
    return found


def flaw_of(value: bytes | None, spec: InputSpec = WITHOUT_ID, **options: Any) -> Flaw:
    """Why there is no item."""
    found = read(value, spec, **options)
    assert isinstance(found, Flaw), found
    return found


@pytest.mark.parametrize(
    "value",
    [
        b'{"text":"a"}',
        b' { "text" : "\\u00e9\\/" , "n" : 1.50, "big": 12345678901234567890123 }\n',
        '{"text":"é"}'.encode(),
    ],
)
def test_an_item_is_sent_byte_for_byte(value: bytes) -> None:
    """Spaces, escapes and the spelling of numbers stay as the producer wrote them."""
    found = item_of(value)
    assert (found.body, found.identified) == (value, False)
    assert found.content_hash == content_hash(parse(value))


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (b'{"text":"a"}', b'{"id":"moderation.items-3-7","text":"a"}'),
        (b' \n{ "text" : "a" }\t', b'{"id":"moderation.items-3-7","text" : "a" }\t'),
        (b'{"text":"a","x":{"id":"b"}}', b'{"id":"moderation.items-3-7","text":"a","x":{"id":"b"}}'),
    ],
)
def test_an_item_without_id_gets_one_spliced_in_front(value: bytes, body: bytes) -> None:
    """Everything behind the opening brace stays byte for byte."""
    found = item_of(value, WITH_ID)
    assert (found.body, found.identified) == (body, True)
    assert found.content_hash == content_hash(parse(body))


@pytest.mark.parametrize("value", [b"{}", b"{ }", b" {\n}\n"])
def test_an_empty_item_gets_an_id_without_a_comma(value: bytes) -> None:
    """What is sent must be JSON still."""
    assert parse(item_of(value, OPTIONAL).body) == {"id": f"{INPUT}-3-7"}


def test_an_id_that_is_null_is_replaced() -> None:
    """A second `id` beside it would be a repeated key."""
    found = item_of(b'{"text":"a","id":null}', WITH_ID)
    assert parse(found.body) == {"text": "a", "id": f"{INPUT}-3-7"}
    assert found.identified
    assert found.content_hash == content_hash(parse(found.body))


@pytest.mark.parametrize("own", ['"mine"', '""'])
def test_an_id_of_its_own_is_kept(own: str) -> None:
    """The producer's id is sent on, and is not taken for one that nobody else can have."""
    value = f'{{"id":{own},"text":"a"}}'.encode()
    found = item_of(value, WITH_ID)
    assert (found.body, found.identified) == (value, False)


def test_an_id_of_another_type_is_a_flaw() -> None:
    """It is neither sent nor replaced."""
    assert flaw_of(b'{"id":5,"text":"a"}', WITH_ID).code == "STRING_EXPECTED"


def test_no_id_is_added_where_the_spec_has_none() -> None:
    """Toloka would refuse a field that it does not know."""
    assert item_of(b'{"text":"a"}').body == b'{"text":"a"}'


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({"max_length": 19}, False),
        ({"max_length": 20}, True),
        ({"min_length": 21}, False),
        ({"allowed_values": ["a", "b"]}, False),
    ],
)
def test_no_id_is_added_that_the_spec_forbids(rule: dict[str, Any], *, given: bool) -> None:
    """The item is right without one: with ours it would be a dead letter, alone or among others."""
    spec = InputSpec({"id": {"type": "string", "required": False, **rule}, "text": {"type": "string"}})
    bare, own = b'{"text":"a"}', b'{"id":"moderation.items-3-7","text":"a"}'
    found = item_of(bare, spec)
    assert (found.body, found.identified) == ((own, True) if given else (bare, False))
    [same] = ItemReader(spec, None, 1000).read_all([FakeRecord(7, bare)], standing(INPUT, 3))
    assert isinstance(same, Item)
    assert (same.body, same.identified, same.content_hash) == (
        found.body,
        found.identified,
        found.content_hash,
    )


@pytest.mark.fault(63)
def test_two_records_with_equal_content_are_told_apart_by_our_id() -> None:
    """The id holds topic, partition and offset."""
    reader = ItemReader(WITH_ID, None, 1000)
    hashes = set()
    for partition, offset in ((0, 1), (1, 0), (0, 11), (1, 10)):
        found = reader.read(FakeRecord(offset, b'{"text":"a"}'), standing(INPUT, partition))
        assert isinstance(found, Item)
        hashes.add(found.content_hash)
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("pointer", "value", "body"),
    [
        ("/payload", b'{"payload":{"text":"a"},"x":1}', b'{"text":"a"}'),
        ("/a/b", b'{"a":{"b":{"text":"a"}}}', b'{"text":"a"}'),
        ("/a/1", b'{"a":[0,{"text":"a"}]}', b'{"text":"a"}'),
        ("/a~1b/c~0d", b'{"a/b":{"c~d":{"text":"a"}}}', b'{"text":"a"}'),
        ("/~01", b'{"~1":{"text":"a"}}', b'{"text":"a"}'),
        ("/", b'{"":{"text":"a"}}', b'{"text":"a"}'),
        ("", b'{"text":"a"}', b'{"text":"a"}'),
    ],
)
def test_a_pointer_finds_the_item_inside_the_record(pointer: str, value: bytes, body: bytes) -> None:
    """As RFC 6901 says, escapes included; the record stays whole for dead letters."""
    found = item_of(value, pointer=pointer)
    assert found.body == body
    assert found.record.value == value


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("/payload", b"{}", "POINTER_MISSES"),
        ("/a/b", b'{"a":1}', "POINTER_MISSES"),
        ("/a/b", b'{"a":"b"}', "POINTER_MISSES"),
        ("/a/5", b'{"a":[]}', "POINTER_MISSES"),
        ("/a/x", b'{"a":[{}]}', "POINTER_MISSES"),
        ("/a/b", b'{"a":null}', "POINTER_MISSES"),
        ("/a", b'{"a":[]}', "NOT_AN_OBJECT"),
        ("/a", b'{"a":null}', "NOT_AN_OBJECT"),
        ("/a", b"not json", "NOT_JSON"),
        ("/a", b'{"a":{"text":"x","text":"y"}}', "REPEATED_KEY"),
    ],
)
def test_a_pointer_that_finds_no_object_is_a_flaw(pointer: str, value: bytes, code: str) -> None:
    """The dead letter says whether nothing was there, or something else."""
    assert flaw_of(value, pointer=pointer).code == code


@pytest.mark.parametrize("index", ["-1", "00", "+0", " 0"])
def test_an_index_is_written_in_digits_without_leading_zeros(index: str) -> None:
    """What RFC 6901 calls no index finds nothing."""
    assert flaw_of(b'{"a":[{"text":"a"}]}', pointer=f"/a/{index}").code == "POINTER_MISSES"


def test_an_item_inside_a_record_gets_its_id_too() -> None:
    """The pointer comes first, the id goes into what it finds."""
    found = item_of(b'{"p":{"text":"a"}}', WITH_ID, pointer="/p")
    assert found.body == b'{"id":"moderation.items-3-7","text":"a"}'


def test_an_item_as_large_as_a_request_allows_is_sent() -> None:
    """The limit counts the bytes that are sent, and is inclusive."""
    value = b'{"text":"%s"}' % (b"a" * 89)
    assert len(value) == 100
    assert item_of(value, max_bytes=100).body == value
    assert flaw_of(value, max_bytes=99).code == "TOO_LARGE"


@pytest.mark.fault(61)
def test_an_item_that_its_id_makes_too_large_is_refused() -> None:
    """What counts is the body with the id."""
    value = b'{"text":"%s"}' % (b"a" * 89)
    assert flaw_of(value, WITH_ID, max_bytes=100).code == "TOO_LARGE"


def test_a_small_item_in_a_large_record_is_sent() -> None:
    """Only what is sent counts."""
    value = json.dumps({"p": {"text": "a"}, "rest": "x" * 5000}).encode()
    assert item_of(value, pointer="/p", max_bytes=100).body == b'{"text":"a"}'


@pytest.mark.fault(61)
@pytest.mark.parametrize(
    "fields",
    [
        {"key": b"k" * 101},
        {"headers": (("name", b"v" * 95),)},
        {"headers": (("n" * 95, None),)},
        {"key": b"k" * 50, "headers": (("n", b"v" * 45),)},
        {"headers": tuple(("", b"") for _ in range(13))},
    ],
)
def test_key_and_headers_that_fit_no_ledger_record_are_refused(fields: dict[str, Any]) -> None:
    """Names, values and the space for their lengths count together with the key."""
    assert flaw_of(b'{"text":"a"}', max_overhead_bytes=100, **fields).code == "HEADERS_TOO_LARGE"


def test_key_and_headers_at_the_limit_are_kept() -> None:
    """The limit is inclusive."""
    assert item_of(b'{"text":"a"}', max_overhead_bytes=100, key=b"k" * 100)
    assert item_of(b'{"text":"a"}', max_overhead_bytes=100, headers=(("abcd", b"v" * 88),))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "NOT_JSON"),
        (b"[]", "NOT_AN_OBJECT"),
        (b'{"text":"a","text":"b"}', "REPEATED_KEY"),
        (b'{"text":"a","x":' + b"[" * 200 + b"]" * 200 + b"}", "TOO_DEEP"),
        (b"{}", "VALUE_REQUIRED"),
        (b'{"text":1}', "STRING_EXPECTED"),
        (b'{"text":"\\ud800"}', "NOT_JSON"),
    ],
)
def test_what_cannot_be_an_item_is_a_flaw_with_its_code(value: bytes, code: str) -> None:
    """Nothing is raised: a record that is no item becomes a dead letter."""
    found = flaw_of(value, max_bytes=10_000)
    assert found.code == code
    assert found.message
    assert found.request_id is None


@pytest.mark.parametrize("pointer", [None, "/p"])
def test_huge_integers_survive_being_written_again(pointer: str | None) -> None:
    """Where an item has to be encoded anew, nothing is raised and nothing is rounded."""
    inner = b'{"text":"a","id":null,"n":123456789012345678901234567890}'
    value = inner if pointer is None else b'{"p":' + inner + b"}"
    assert parse(item_of(value, WITH_ID, pointer=pointer).body)["n"] == 123456789012345678901234567890


@pytest.mark.parametrize("value", [b'{"text":1}', b'{"text":"%s"}' % (b"a" * 1000)])
def test_what_other_checks_would_have_sent_is_what_they_would_have_sent(value: bytes) -> None:
    """With the id that it would have been given; what can be no item was never sent."""
    reader, where = ItemReader(WITH_ID, None, 1000), standing(INPUT, 3)
    found = reader.read_unchecked(FakeRecord(7, value), where)
    assert isinstance(found, Item)
    assert found.body == b'{"id":"%s-7",' % where.encode() + value[1:]
    assert isinstance(reader.read(FakeRecord(7, value), where), Flaw)
    assert isinstance(reader.read_unchecked(FakeRecord(7, value[:-1]), where), Flaw)
