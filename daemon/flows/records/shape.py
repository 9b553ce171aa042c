"""Pure: an app's `input_spec` as a type, by which many items are decoded, checked and hashed in few steps.

What is not of the shape may be right all the same: whoever looks at items one by one decides that.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter, itemgetter
from typing import Annotated, Any, Literal, NamedTuple, Union

import msgspec
from msgspec import UNSET, UnsetType
from xxhash import xxh3_64_intdigest

# No string of JSON holds a newline as it is, so that none can reach from one value into the next.
_BETWEEN = b"\n"
_OPEN = frozenset(b"{")
_INDEX = re.compile(r"at `\$\[(\d+)\]")
_BYTE = re.compile(r"\(byte (\d+)\)")
_CUT = "truncated"
_TYPES: Mapping[str, type] = {"boolean": bool, "string": str, "url": str, "integer": float, "float": float}
_ARRAY = "array_"
# How an encoded number begins, or a part of one, that canonical JSON spells without its sign.
_SIGNED_ZERO = b"-0.0"
_BOUNDS = frozenset({"min_length", "max_length"})

_first_byte: Any = itemgetter(0)
_encode_lines = msgspec.json.Encoder().encode_lines


class Plain(NamedTuple):
    """Items of the shape: their content hashes, and which of them were given an id.

    `lines` is their bodies, a line each; None where one has more.
    """

    lines: bytes | None
    bodies: Sequence[bytes]
    hashes: Sequence[int]
    identified: Sequence[bool]


class Misfit(NamedTuple):
    """Not all values are items of the shape: about where the first one is that is not."""

    at: int


class Shape:
    """Items that have fields of a spec and no others.

    One at least of the `fields`, an `input_spec`, is of a kind that a type can tell.
    """

    def __init__(self, fields: Mapping[str, Mapping[str, Any]]) -> None:
        # In the order of canonical JSON, which the encoder keeps.
        names = sorted(name for name, rule in fields.items() if _type(rule) is not None)
        attributes = {f"field{number}": name for number, name in enumerate(names)}
        item: Any = msgspec.defstruct(
            "PlainItem",
            [_attribute(own, fields[name], takes_none=name != "id") for own, name in attributes.items()],
            rename=attributes,
            kw_only=True,
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decode_lines = msgspec.json.Decoder(item).decode_lines
        self._id = next((own for own, name in attributes.items() if name == "id"), None)
        self._has_numbers = any("float" in str(_type(fields[name])) for name in names)

    def read(self, values: Sequence[bytes], identity: Callable[[int], str] | None) -> Plain | Misfit:
        """The items that these are the JSON of, or where there is one that is not of the shape.

        None of the `values` is empty. `identity` tells the `id` for the item at an index that has none; None
        where none is to be given.
        """
        text = _BETWEEN.join(values)
        try:
            items = self._decode_lines(text)
        except (msgspec.DecodeError, ValueError) as error:
            return Misfit(_index(str(error), values))
        # Of as many objects, none inside another, as there are values, with one at the beginning of each,
        # each is within its own.
        if len(items) != len(values) or not _OPEN.issuperset(map(_first_byte, values)):
            return Misfit(0)
        lacking = [False] * len(items)
        if identity is not None and self._id is not None:
            identities = list(map(attrgetter(self._id), items))
            if UNSET in identities:
                lacking = [own is UNSET for own in identities]
                values = self._identify(values, items, identity, lacking)
                text = _BETWEEN.join(values)
        encoded = _encode_lines(items)
        if self._is_canonical(text, encoded):
            return Plain(text, values, list(map(xxh3_64_intdigest, values)), lacking)
        respelled = encoded.split(_BETWEEN)[:-1]
        if (index := self._first_doubtful(values, respelled)) is not None:
            return Misfit(index)
        return Plain(as_lines(values), values, list(map(xxh3_64_intdigest, respelled)), lacking)

    def _identify(
        self,
        values: Sequence[bytes],
        items: Sequence[Any],
        identity: Callable[[int], str],
        lacking: Sequence[bool],
    ) -> Sequence[bytes]:
        bodies = list(values)
        for index in (index for index, lacks in enumerate(lacking) if lacks):
            own = identity(index)
            setattr(items[index], str(self._id), own)
            bodies[index] = identified(bodies[index], own.encode())
        return bodies

    def _is_canonical(self, text: bytes, encoded: bytes) -> bool:
        """Whether all values are spelled as canonical JSON spells them, so that each is what is hashed."""
        is_same = len(encoded) == len(text) + len(_BETWEEN) and encoded.startswith(text)
        return is_same and not (self._has_numbers and _SIGNED_ZERO in encoded)

    def _first_doubtful(self, values: Sequence[bytes], lines: Sequence[bytes]) -> int | None:
        """The first value that may repeat a key, or whose encoded form may not be the canonical one.

        Without numbers no value is shorter than its shortest spelling, and one that repeats a key is longer.
        """
        if not self._has_numbers and list(map(len, values)) == list(map(len, lines)):
            return None
        for index, (value, line) in enumerate(zip(values, lines, strict=True)):
            if (self._has_numbers or len(value) != len(line)) and not _is_respelled(value, line):
                return index
        return None


def as_lines(values: Sequence[bytes]) -> bytes | None:
    """These, a line each; None where one has more."""
    text = _BETWEEN.join(values)
    return text if len(text.split(_BETWEEN)) == len(values) else None


def identified(body: bytes, identity: bytes) -> bytes:
    """The JSON of an object that has no `id`, with this one in front."""
    inside = body.lstrip()[1:].lstrip()
    comma = b"" if inside.startswith(b"}") else b","
    return b'{"id":"' + identity + b'"' + comma + inside


def _is_respelled(value: bytes, line: bytes) -> bool:
    """Whether a value certainly has as many keys as its encoded form, which is certainly canonical.

    Every colon outside of strings stands behind a key; those inside are the same in both, if none is escaped.
    """
    return b"\\" not in value and value.count(b":") == line.count(b":") and _SIGNED_ZERO not in line


def _index(error: str, values: Sequence[bytes]) -> int:
    if named := _INDEX.search(error):
        return min(int(named[1]), len(values) - 1)
    if _CUT in error:
        return len(values) - 1
    if at := _BYTE.search(error):
        ends = list(accumulate(len(value) + len(_BETWEEN) for value in values))
        return min(bisect_right(ends, int(at[1]) - 1), len(values) - 1)
    return 0


def shape_of(fields: Mapping[str, Mapping[str, Any]]) -> Shape | None:
    """The shape of a spec's items; None where a required field is of a kind that no type can tell."""
    if any(_type(rule) is None and is_required(rule) for rule in fields.values()):
        return None
    return Shape(fields) if any(_type(rule) is not None for rule in fields.values()) else None


def is_required(rule: Mapping[str, Any]) -> bool:
    """Whether there must be a value."""
    return bool(rule.get("required", True) and not rule.get("hidden", False))


def _attribute(own: str, rule: Mapping[str, Any], *, takes_none: bool) -> tuple[Any, ...]:
    if is_required(rule):
        return (own, _type(rule))
    kinds = (_type(rule), UnsetType, None) if takes_none else (_type(rule), UnsetType)
    return (own, Union[kinds], UNSET)  # noqa: UP007 - made at run time


def _type(rule: Mapping[str, Any]) -> Any:
    """A type whose values are certainly right; None where a type cannot tell."""
    kind = str(rule.get("type", ""))
    scalar: Any = _scalar(kind.removeprefix(_ARRAY), rule)
    if scalar is None or not kind.startswith(_ARRAY):
        return scalar
    of_these: Any = list[scalar]
    return _bounded(of_these, rule, min_length="min_size", max_length="max_size")


def _scalar(kind: str, rule: Mapping[str, Any]) -> Any:
    found = _TYPES.get(kind)
    if allowed := rule.get("allowed_values"):
        is_text = found is str and all(isinstance(value, str) for value in allowed)
        return Literal[tuple(allowed)] if is_text and not _BOUNDS.intersection(rule) else None
    if kind == "string":
        return _bounded(str, rule, min_length="min_length", max_length="max_length")
    if kind == "integer":
        return _bounded(Annotated[float, msgspec.Meta(multiple_of=1)], rule, ge="min_value", le="max_value")
    return _bounded(float, rule, ge="min_value", le="max_value") if kind == "float" else found


def _bounded(kind: Any, rule: Mapping[str, Any], **names: str) -> Any:
    bounds = {bound: rule[name] for bound, name in names.items() if rule.get(name) is not None}
    try:
        return Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind
    except (TypeError, ValueError):
        # No such bound can be, so that something else must be meant.
        return None
