"""What an item says, whatever its spelling: worked out apart from tolokad's own way of doing it."""

import hashlib
import json
from typing import Any, NoReturn

DIGEST_BYTES = 16


def digest(*parts: bytes | None) -> bytes:
    """A digest of some byte strings in order; None differs from the empty string."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for part in parts:
        state.update(b"-" if part is None else b"%d:" % len(part))
        state.update(part or b"")
    return state.digest()


def content_of(parsed: object) -> bytes | None:
    """The digest of a JSON value's canonical form: keys sorted, every number a double.

    None where there is no such form: a lone surrogate, or nesting that is too deep.
    """
    try:
        text = json.dumps(_with_doubles(parsed), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return digest(text.encode())
    except (UnicodeEncodeError, RecursionError, OverflowError):
        return None


def object_in(value: bytes) -> dict[str, Any] | None:
    """The JSON object in a record's value; None where there is none that could be an item."""
    try:
        parsed = json.loads(value.decode(), object_pairs_hook=_unrepeated, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is there twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _with_doubles(value: object) -> object:
    if isinstance(value, dict):
        return {name: _with_doubles(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_with_doubles(member) for member in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Adding zero makes -0.0 and 0.0 the same.
        return float(value) + 0.0
    return value
