"""What an item says, whatever its spelling: strict JSON, and one hash for equal content.

Content is compared as canonical JSON: keys sorted, no spaces, every number as a double, so that what
Toloka gives back can be recognised as what it was sent.
"""

import json
from collections import Counter
from types import NoneType
from typing import Any

import msgspec
from xxhash import xxh3_64_intdigest

MAX_DEPTH = 100
# Of a key that a message repeats.
SHOWN_CHARACTERS = 100

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()
_canonical = msgspec.json.Encoder(order="deterministic")
_PLAIN = frozenset({str, bool, NoneType})
_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    NoneType: "null",
}
_write = _canonical.encode


class ContentError(ValueError):
    """A value is not an item; `code` is for machines, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse(value: bytes) -> dict[str, Any]:
    """The JSON object in a record's value.

    Raises:
        ContentError: NOT_JSON, NOT_AN_OBJECT, REPEATED_KEY or TOO_DEEP; lone surrogates, NaN, infinite
            numbers and bytes that are not UTF-8 are not JSON.
    """
    parsed = _decoded(value)
    _insist_unrepeated(value, parsed)
    return parsed


def parse_hashed(value: bytes) -> tuple[dict[str, Any], int]:
    """What `parse` and `content_hash` say, for less than both: most items are written canonically.

    Raises:
        ContentError: as `parse`.
    """
    parsed = _decoded(value)
    written = canonical(parsed)
    if written != value:
        _insist_unrepeated(value, parsed)
    return parsed, xxh3_64_intdigest(written)


def _decoded(value: bytes) -> dict[str, Any]:
    try:
        parsed = _decoder.decode(value)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, ValueError) as error:
        raise ContentError("NOT_JSON", f"not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ContentError("NOT_AN_OBJECT", f"an object is wanted, not {kind_of(parsed)}")
    return parsed


def kind_of(value: Any) -> str:
    """What JSON calls a value that was read, with its article."""
    return _KINDS.get(type(value), "something else")


def _insist_unrepeated(value: bytes, parsed: dict[str, Any]) -> None:
    # With no more colons than keys no key is there twice, nor is one in what is written the shortest way;
    # anything else is read once more with an eye on it.
    if value.count(b":") != len(parsed) and _encoder.encode(parsed) != value:
        _refuse_repeated_keys(value)


def _refuse_repeated_keys(value: bytes) -> None:
    try:
        json.loads(value, object_pairs_hook=_unrepeated)
    except RecursionError:
        raise _too_deep() from None
    except ContentError:
        raise
    except ValueError as error:
        raise ContentError("NOT_JSON", f"not JSON: {error}") from None


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ContentError("REPEATED_KEY", f"the key {twice[:SHOWN_CHARACTERS]!r} is there more than once")
    return members


def content_hash(parsed: dict[str, Any]) -> int:
    """64 bits of the canonical form, as an integer from 0 to 2^64 - 1.

    Raises:
        ContentError: TOO_DEEP.
    """
    return xxh3_64_intdigest(canonical(parsed))


def canonical(parsed: dict[str, Any]) -> bytes:
    """The canonical JSON of an object.

    Raises:
        ContentError: TOO_DEEP.
    """
    # Most items are flat and hold no numbers: nothing to rewrite then.
    return _write(parsed if _is_flat(parsed) else _with_doubles(parsed, MAX_DEPTH))


def _is_flat(parsed: dict[str, Any]) -> bool:
    """Whether an object holds no numbers and nothing nested."""
    for value in parsed.values():  # noqa: SIM110 - a generator takes twice the time, on the hot path
        if type(value) not in _PLAIN:
            return False
    return True


def _with_doubles(value: Any, depth: int) -> Any:
    if depth == 0:
        raise _too_deep()
    if isinstance(value, dict):
        return {name: _with_doubles(member, depth - 1) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_doubles(member, depth - 1) for member in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            # Adding zero takes the sign off a negative one.
            return float(value) + 0.0
        except OverflowError:
            return str(value)
    return value


def _too_deep() -> ContentError:
    return ContentError("TOO_DEEP", f"nested deeper than {MAX_DEPTH} levels")
