"""Pure: what answers of both APIs hold: text, times and content, any of which may be malformed."""

from datetime import UTC, datetime
from typing import Any

from daemon import content
from daemon.model import EPOCH

# No item of ours holds what cannot be hashed, and none has this hash but by a chance of 2^-64.
UNHASHABLE = 0

_BARE_EPOCH = EPOCH.replace(tzinfo=None)


class MalformedError(ValueError):
    """An answer is not what Toloka documents."""


def text_of(value: Any) -> str:
    """Text that is not empty.

    Raises:
        MalformedError: it is none.
    """
    if not isinstance(value, str) or not value:
        raise MalformedError("text is wanted")
    return value


def time_of(text: Any) -> datetime:
    """A time as Toloka writes it: UTC, usually without zone, 0 to 6 fraction digits; a Z of either case.

    Raises:
        MalformedError: it is none.
    """
    try:
        written = text_of(text)
        moment = datetime.fromisoformat(written.upper() if written.endswith("z") else written)
        # What `replace(tzinfo=UTC)` comes to, in a sixth of its time.
        return EPOCH + (moment - _BARE_EPOCH) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedError("a time is wanted") from None


def hash_of(sent: Any) -> int:
    """The content hash of what an item or task was made of.

    UNHASHABLE where it has none, or is no object, such as null where content was deleted.
    """
    if not isinstance(sent, dict):
        return UNHASHABLE
    try:
        return content.content_hash(sent)
    except content.ContentError:
        return UNHASHABLE


def has_more_of(value: Any) -> bool | None:
    """A page's `has_more`; None where it is missing.

    Raises:
        MalformedError: it is neither true nor false.
    """
    if not isinstance(value, bool | None):
        raise MalformedError("a page with a has_more that is neither true nor false")
    return value


def filter_time(moment: datetime) -> str:
    """A time as filters take it: UTC, ISO 8601 without zone."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
