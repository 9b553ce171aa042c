"""Times of the API: integers of microseconds since 1970 inside, zoneless ISO 8601 outside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000


def microseconds(seconds: float) -> int:
    """Return seconds as whole microseconds."""
    return round(seconds * SECOND_US)


def floor(time_us: int, digits: int) -> int:
    """Return the time cut to `digits` fraction digits of a second."""
    unit: int = 10 ** (6 - digits)
    return time_us - time_us % unit


def render(time_us: int, digits: int, *, drop_zeros: bool, zone: str) -> str:
    """Return the time as the API writes it.

    Args:
        time_us: microseconds since 1970, UTC.
        digits: fraction digits, 0 to 6.
        drop_zeros: leave out trailing zeros of the fraction, and the fraction if nothing is left of it.
        zone: text after the time, "" or "Z".
    """
    text = (EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds")
    text = text[: len("2021-10-03T09:49:14.") + digits]
    if drop_zeros and digits:
        text = text.rstrip("0")
    return text.rstrip(".") + zone


def parse(text: str) -> int:
    """Return microseconds since 1970 of a date or a time; without a zone it is UTC.

    Raises:
        ValueError: it is neither.
    """
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // MICROSECOND


def http_date(time_us: int) -> str:
    """Return the time as a Date header."""
    return _date(time_us // SECOND_US)


@lru_cache(maxsize=16)
def _date(seconds: int) -> str:
    return format_datetime(EPOCH + timedelta(seconds=seconds), usegmt=True)
