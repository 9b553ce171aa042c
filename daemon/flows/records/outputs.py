"""Pure: the records that people read: results and dead letters (deploy/topics-and-records.md).

A record goes to the partition of the input record it answers, as far as the topic has so many: what
shared a partition at the input still does, whichever partitioner its producer used.
"""

from datetime import datetime
from functools import lru_cache

import msgspec

from daemon.flows.records.codec import iso
from daemon.flows.records.ledger_records import Entry
from daemon.model import Append, DeadLetter, Finished, Headers

ERROR_CODE_HEADER = "tolokad-error-code"
ERROR_MESSAGE_HEADER = "tolokad-error-message"
REQUEST_ID_HEADER = "tolokad-request-id"
ORIGIN_HEADERS = ("tolokad-origin-topic", "tolokad-origin-partition", "tolokad-origin-offset")
FAILED_AT_HEADER = "tolokad-failed-at"
# How often a record was sent back; on the input record itself.
ATTEMPTS_HEADER = "tolokad-attempts"
ITEM_ID_HEADER = "toloka-item-id"
STATUS_HEADER = "toloka-status"

# The head of a record batch, and the lengths in front of a record's parts.
BATCH_OVERHEAD_BYTES = 150

_json = msgspec.json.Encoder()


def result_append(topic: str, partitions: int, entry: Entry, item: Finished) -> Append:
    """A result, in the partition of its input record as far as the output topic has it."""
    name, partition, offset, timestamp = entry.origin
    value = b'{"origin":{"topic":%b,"partition":%d,"offset":%d,"timestamp":%d},"submitted_at":"%b",%b}' % (
        _quoted(name),
        partition,
        offset,
        timestamp,
        iso(entry.submitted_at).encode(),
        item.raw,
    )
    return Append(topic, partition % partitions, entry.key, value, _result_headers(entry.headers, item))


@lru_cache(maxsize=64)
def _quoted(topic: str) -> bytes:
    return _json.encode(topic)


def foreign_append(topic: str, partitions: int, item: Finished) -> Append:
    """A result of an item that somebody else created: it has no origin, and its own id as the key."""
    value = b'{"origin":null,"submitted_at":null,' + item.raw + b"}"
    key = item.item_id.encode()
    return Append(topic, sum(key) % partitions, key, value, _result_headers((), item))


def _result_headers(headers: Headers, item: Finished) -> Headers:
    return (*headers, (ITEM_ID_HEADER, item.item_id.encode()), (STATUS_HEADER, item.status.encode()))


def append_bytes(append: Append) -> int:
    """What a record takes in a batch of its own, rounded up."""
    size = len(append.key or b"") + len(append.value or b"") + BATCH_OVERHEAD_BYTES
    for name, value in append.headers:
        size += len(name.encode()) + len(value or b"") + 10
    return size


def dead_letter_append(topic: str, partitions: int, letter: DeadLetter, failed_at: datetime) -> Append:
    """A dead letter: the record unchanged, then why; last the id that its item has at Toloka, if any."""
    record, flaw, item_id = letter
    request_id = ((REQUEST_ID_HEADER, flaw.request_id.encode("utf-8", "replace")),) if flaw.request_id else ()
    coordinates = (record.topic, str(record.partition), str(record.offset))
    headers = [
        *record.headers,
        (ERROR_CODE_HEADER, flaw.code.encode()),
        (ERROR_MESSAGE_HEADER, flaw.message.encode("utf-8", "replace")),
        *request_id,
        *((name, told.encode()) for name, told in zip(ORIGIN_HEADERS, coordinates, strict=True)),
        (FAILED_AT_HEADER, iso(failed_at).encode()),
    ]
    if item_id:
        headers.append((ITEM_ID_HEADER, item_id.encode()))
    return Append(topic, record.partition % partitions, record.key, record.value, headers)
