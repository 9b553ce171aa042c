"""Pure: items at Toloka that hold what no item of ours may, so that they hide no other item of their page.

One that cannot be read would stop both flows, until somebody has deleted it.
"""

from typing import Any

import msgspec

from daemon import content
from daemon.edges.toloka.wire import MalformedError
from daemon.odd_json import decoded, repeats_a_member

_LOOKED_AT = ("id", "status", "created_at", "finished_at")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def looked_at(raw: bytes) -> dict[str, Any]:
    """What the flows look at of an item that holds what no item of ours may; its result may, too.

    Raises:
        MalformedError: it has a key twice, or is no JSON even where it is looked at.
    """
    try:
        readable, members = decoded(raw, members_once)
        found = {name: msgspec.json.decode(members[name]) for name in _LOOKED_AT if name in members}
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not an item: {error}") from None
    if "input_data" in members:
        found["input_data"] = _compared(bytes(members["input_data"]), readable, raw)
    return found


def members_once(text: bytes) -> dict[str, msgspec.Raw]:
    """The members of an object.

    Raises:
        ValueError: one is there twice, or it is no JSON.
        RecursionError: it is nested too deep.
    """
    members = _members.decode(text)
    if repeats_a_member(text):
        raise ValueError("a key is there twice")
    return members


def _compared(input_data: bytes, readable: bytes, raw: bytes) -> Any:
    """An item's content; None where it cannot be compared with ours."""
    at = readable.find(input_data, readable.find(b'"input_data"'))
    if raw[at : at + len(input_data)] != input_data:
        return None
    try:
        return content.parse(input_data)
    except content.ContentError:
        return None
