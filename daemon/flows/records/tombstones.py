"""Pure: what a tombstone in the ledger says of the item that it closes: whose it was, and as of when."""

from daemon.flows.records.codec import UnreadableError
from daemon.flows.records.ledger_records import Origin
from daemon.model import Headers, Record

ORIGIN_HEADER = "tolokad-origin"
# As of when a tombstone closes its item, by Toloka's clock, in milliseconds since 1970. The record's own
# timestamp must be the machine's, for a broker refuses one that is far ahead of its clock.
CLOSED_HEADER = "tolokad-closed"
# The origin of an item that somebody else created.
FOREIGN = ("", -1, -1)


def origin_header(origin: Origin | None) -> tuple[str, bytes]:
    """Names the record that an item came from; without origin, says that the item was foreign."""
    topic, partition, offset = (origin.topic, origin.partition, origin.offset) if origin else FOREIGN
    return ORIGIN_HEADER, f"{topic}/{partition}/{offset}".encode()


def origin_of(headers: Headers) -> tuple[str, int, int] | None:
    """Topic, partition and offset that a tombstone names; None where it names none.

    Raises:
        UnreadableError: it names something else.
    """
    named = dict(headers).get(ORIGIN_HEADER)
    if named is None:
        return None
    try:
        topic, partition, offset = named.decode().rsplit("/", 2)
        return topic, int(partition), int(offset)
    except ValueError as error:
        raise UnreadableError(f"a tombstone's origin is unreadable: {named[:200]!r}") from error


def closed_header(closed_ms: int) -> tuple[str, bytes]:
    """Says as of when an item is closed: milliseconds since 1970, by Toloka's clock."""
    return CLOSED_HEADER, b"%d" % closed_ms


def closed_ms(record: Record) -> int:
    """As of when a tombstone closes its item; by the record's own timestamp where it does not say."""
    named = named_closed_ms(record)
    return record.timestamp if named is None else named


def named_closed_ms(record: Record) -> int | None:
    """As of when a tombstone says that it closes its item; None where it does not say."""
    named = dict(record.headers).get(CLOSED_HEADER) or b""
    return int(named) if named.isdigit() else None
