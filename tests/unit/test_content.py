"""What is JSON, strictly, and which spellings say the same."""

import json
from typing import Any, ClassVar

import pytest

from daemon import content
from daemon.content import MAX_DEPTH, ContentError, canonical, content_hash, parse


def nested(depth: int, leaf: bytes = b"{}") -> bytes:
    """An object with so many objects around a leaf."""
    return b'{"a":' * depth + leaf + b"}" * depth


def code_of(value: bytes) -> str:
    """The code that a value is refused with, when it is parsed and hashed."""
    with pytest.raises(ContentError) as refused:
        content_hash(parse(value))
    return refused.value.code


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        (b"{}", {}),
        (b' \t\r\n{ "a" : 1 }\n', {"a": 1}),
        (b'{"a":"\\u00e9","b":"\xc3\xa9"}', {"a": "é", "b": "é"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"":{"":[]}}', {"": {"": []}}),
        (b'{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}', {"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 1}]}),
        (b'{"a":18446744073709551616}', {"a": 2**64}),
        (b'{"a": 18446744073709551616}', {"a": 2**64}),
        (b'{"a":"\\u0000\\/"}', {"a": "\x00/"}),
    ],
)
def test_json_objects_are_read_whatever_their_spelling(value: bytes, parsed: dict[str, Any]) -> None:
    """Spaces, escapes, empty names and integers of any size are all JSON."""
    assert parse(value) == parsed


@pytest.mark.fault(59, 60)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"  ", id="blank"),
        pytest.param(b'{"a":1', id="cut short"),
        pytest.param(b'{"a":1}{}', id="two values"),
        pytest.param(b'{"a":1,}', id="trailing comma"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":[Infinity]}', id="Infinity"),
        pytest.param(b'{"a":-Infinity}', id="-Infinity"),
        pytest.param(b'{"a":1e400}', id="above every double"),
        pytest.param(b'{"a":01}', id="leading zero"),
        pytest.param(b'{"a":+1}', id="plus"),
        pytest.param(b'{"a":.5}', id="no digit before the point"),
        pytest.param(b'{"a":"\\ud800"}', id="lone high surrogate"),
        pytest.param(b'{"a": "\\udc00x"}', id="lone low surrogate"),
        pytest.param(b'{"\\ud800":1}', id="lone surrogate in a name"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"a":"\xc0\x80"}', id="overlong UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="BOM"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-32-le"), id="UTF-32"),
        pytest.param(b'{"a":"\x01"}', id="control character"),
        pytest.param(b'{"a":"\n"}', id="newline in a string"),
        pytest.param(b'{"a":"\\x41"}', id="unknown escape"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="5,000 digits"),
        pytest.param(b'{"a": ' + b"9" * 5000 + b"}", id="5,000 digits, spaced"),
        pytest.param(b'{"a":1}// done', id="comment"),
    ],
)
def test_what_is_not_json_is_refused_with_one_code(value: bytes) -> None:
    """Whatever is wrong with the bytes, the code is NOT_JSON and nothing else is raised."""
    assert code_of(value) == "NOT_JSON"


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b"[]", "an array"),
        (b"null", "null"),
        (b"true", "a boolean"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b'"{}"', "a string"),
        (b"[{}]", "an array"),
    ],
)
def test_json_that_is_no_object_is_refused_as_such(value: bytes, kind: str) -> None:
    """An item is an object; what it is instead is told in the words of JSON."""
    with pytest.raises(ContentError, match=f"^an object is wanted, not {kind}$") as raised:
        parse(value)
    assert raised.value.code == "NOT_AN_OBJECT"


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b'{"a":1,"a":1}', id="same value"),
        pytest.param(b'{"a":1,"b":2,"a":3}', id="apart"),
        pytest.param(b'{"a":1,"\\u0061":2}', id="escaped"),
        pytest.param(b'{"x":{"a":1,"a":2}}', id="inside an object"),
        pytest.param(b'{"x":[{"a":1,"a":2}]}', id="inside an array"),
        pytest.param(b'{"":1,"":1}', id="empty name"),
    ],
)
def test_a_repeated_key_is_refused_wherever_it_stands(value: bytes) -> None:
    """Readers differ in which of the two they take, so neither is taken."""
    assert code_of(value) == "REPEATED_KEY"


@pytest.mark.fault(60)
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 5_000, 200_000])
@pytest.mark.parametrize("opening", [b'{"a":', b'{"a": '])
def test_a_depth_bomb_is_refused(depth: int, opening: bytes) -> None:
    """However deep, it is a ContentError, never a RecursionError."""
    assert code_of(opening * depth + b"1" + b"}" * depth) == "TOO_DEEP"


@pytest.mark.fault(60)
def test_an_array_bomb_is_refused() -> None:
    """Arrays nest as objects do."""
    assert code_of(b'{"a":' + b"[" * 300 + b"]" * 300 + b"}") == "TOO_DEEP"


def test_what_nests_as_deep_as_is_allowed_is_hashed() -> None:
    """The limit is on containers around each other."""
    assert content_hash(parse(nested(MAX_DEPTH - 1)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(b'{"a":1,"b":2}', b'{"b":2,"a":1}', id="order"),
        pytest.param(b'{"x":{"a":1,"b":2}}', b'{"x":{"b":2,"a":1}}', id="order inside"),
        pytest.param(b'{"a":1}', b' { "a" : 1 } ', id="spaces"),
        pytest.param(b'{"a":1}', b'{"a":1.0}', id="integer and float"),
        pytest.param(b'{"a":100}', b'{"a":1e2}', id="exponent"),
        pytest.param(b'{"a":0.1}', b'{"a":0.10}', id="trailing zero"),
        pytest.param(b'{"a":9007199254740993}', b'{"a":9007199254740992}', id="beyond a double's integers"),
        pytest.param(b'{"a":1180591620717411303424}', b'{"a":1.180591620717411303424E21}', id="70 bits"),
        pytest.param(b'{"a":"\\u00e9"}', '{"a":"é"}'.encode(), id="escapes"),
        pytest.param(b'{"a":"\\/"}', b'{"a":"/"}', id="escaped slash"),
        pytest.param(b'{"\\u0061":1}', b'{"a":1}', id="escaped name"),
        pytest.param(b'{"a":0}', b'{"a":-0}', id="minus zero, an integer"),
    ],
)
def test_equal_content_has_one_hash(one: bytes, other: bytes) -> None:
    """What Toloka gives back may be spelt otherwise than what it was sent."""
    assert canonical(parse(one)) == canonical(parse(other))
    assert content_hash(parse(one)) == content_hash(parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":2}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":0}', b'{"a":false}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":"e\\u0301"}', b'{"a":"\\u00e9"}'),
        (b'{"a":""}', b'{"a":" "}'),
        (b'{"a":0.1}', b'{"a":0.10000000000000002}'),
    ],
)
def test_other_content_has_another_hash(one: bytes, other: bytes) -> None:
    """Types, order in arrays, presence and letters all count."""
    assert canonical(parse(one)) != canonical(parse(other))


def test_the_canonical_form_is_sorted_json_without_spaces_and_with_doubles() -> None:
    """The form is the documented one, so that another release computes the same."""
    value = b'{ "b": [1, 2.5, null, true], "a": {"d": "x", "c": -3} }'
    assert canonical(parse(value)) == b'{"a":{"c":-3.0,"d":"x"},"b":[1.0,2.5,null,true]}'


def test_flat_text_takes_the_short_way_to_the_same_form() -> None:
    """The way for items without numbers must not differ from the general one."""
    flat = {"b": "x", "a": None, "c": True}
    assert canonical(flat) == b'{"a":null,"b":"x","c":true}'
    assert json.loads(canonical({**flat, "d": {}})) == {**flat, "d": {}}


def test_an_integer_above_every_double_still_has_a_hash() -> None:
    """It cannot be compared as a double, and must not raise."""
    huge = b'{"a":' + b"9" * 4300 + b"}"
    assert content_hash(parse(huge)) != content_hash(parse(huge.replace(b"9", b"8")))


def test_minus_zero_is_zero() -> None:
    """As numbers they are equal, and a server may well drop the sign."""
    assert canonical(parse(b'{"a":-0.0}')) == canonical(parse(b'{"a":0}'))


class CountedName(str):
    """Text that counts how often it is compared."""

    __slots__ = ()
    comparisons: ClassVar[list[int]] = [0]

    def __eq__(self, other: object) -> bool:
        self.comparisons[0] += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_finding_a_repeated_key_takes_time_in_proportion() -> None:
    """One record of some hundred kilobytes must not stand the event loop still."""
    pairs: list[tuple[str, Any]] = [(CountedName(f"k{number}"), 1) for number in range(1_000)]
    with pytest.raises(ContentError):
        content._unrepeated([*pairs, pairs[-1]])
    assert CountedName.comparisons[0] <= 10 * len(pairs)


def test_a_message_stays_short_whatever_the_key() -> None:
    """The message becomes a header of the dead letter, which must not outgrow the topic's limit."""
    key = "\\u0001" * 10_000
    with pytest.raises(ContentError) as refused:
        parse(f'{{"{key}":1,"{key}":1}}'.encode())
    assert len(str(refused.value)) <= 1_000
