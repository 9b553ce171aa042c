"""JSON that decoders refuse."""

import json

import msgspec
import pytest

from daemon.odd_json import MAX_LEVELS, decoded, flattened


def nested(levels: int, inside: bytes = b"") -> bytes:
    """Lists in lists."""
    return b"[" * levels + inside + b"]" * levels


@pytest.mark.parametrize("levels", [1, MAX_LEVELS - 1, MAX_LEVELS])
def test_what_is_not_too_deep_stays(levels: int) -> None:
    """Every byte of it."""
    assert flattened(nested(levels, b'"[[[{{{\\"]"')) == nested(levels, b'"[[[{{{\\"]"')


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, MAX_LEVELS + 2, 100_000])
def test_what_is_too_deep_becomes_a_number(levels: int) -> None:
    """As long as it was, so that the rest stands where it stood; any decoder reads it then."""
    text = b'{"a":%b,"b":[%b,{"c":"]"}],"d":1}' % (nested(levels), nested(levels, b'{"x":"}]"}'))
    found = flattened(text)
    assert len(found) == len(text)
    assert found.endswith(b',{"c":"]"}],"d":1}')
    assert found.index(b'"b"') == text.index(b'"b"')
    for decode in (json.loads, msgspec.json.decode):
        assert decode(found)["b"][1:] == [{"c": "]"}]


@pytest.mark.parametrize(
    "text", [b"[" * 5000, b"]" * 5000, nested(5000)[1:], nested(5000) + b"]", b'"' + b"[" * 5000]
)
def test_what_is_no_json_stays_none(text: bytes) -> None:
    """However deep."""
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        decoded(text, msgspec.json.decode)


def test_what_can_be_decoded_is_not_touched() -> None:
    """And is looked at once."""
    looks = []

    def decode(text: bytes) -> int:
        looks.append(text)
        return 1

    assert decoded(b"[]", decode) == (b"[]", 1)
    assert looks == [b"[]"]
