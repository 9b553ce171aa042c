"""Whatever bytes come from Toloka or stand in our topics, a decoder raises its documented error and no other.

`TOLOKAD_FUZZ_EXAMPLES` says how many documents each decoder is given (150); `make soak` gives more.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon import content
from daemon.edges.toloka import app_bulk, app_items, operations, tasks_items
from daemon.edges.toloka.answers import complaint, refusal
from daemon.edges.toloka.sending import Answer
from daemon.edges.toloka.wire import MalformedError
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.model import Cursor, Intent, Item
from tests.doubles import START, FakeRecord, packed_items

EXAMPLES = int(os.environ.get("TOLOKAD_FUZZ_EXAMPLES", "150"))
NOW = datetime(2026, 5, 4, tzinfo=UTC)

ITEM = (
    b'{"id":"a","status":"COMPLETED","input_data":{"text":"x","n":[1,2.5,{"a":null}]},"output_data":{},'
    b'"created_at":"2021-10-03T09:49:14.123","finished_at":"2021-10-03T09:49:15"}'
)
PAGE = b'{"content":[' + ITEM + b"," + ITEM + b'],"has_more":true}'
REFUSAL = (
    b'{"request_id":"r","code":"VALIDATION_ERROR","message":"m","payload":{"input_data.0.text":'
    b'{"code":"VALUE_REQUIRED","message":"May not be null","params":{}},"interval":"MIN"}}'
)
TASKS = (
    b'{"items":[{"id":"t","created":"2021-10-03T09:49:14.123","input_values":{"a":1},"overlap":1}],'
    b'"has_more":false}'
)
OPERATION = b'{"id":"op","type":"TASK.BATCH_CREATE","status":"SUCCESS","details":{"success_count":1}}'
LOG = (
    b'[{"type":"TASK_CREATE","success":true,"input":{"__item_idx":"0"},"output":{"task_id":"t"}},'
    b'{"type":"TASK_VALIDATE","success":false,"input":{"__item_idx":"1"},"output":{"code":"X"}}]'
)
RECORD = FakeRecord(7, b"", key=b"key", headers=(("h", b"v"), ("none", None)))
ENTRY = next(iter(packed_items([Item(RECORD, b"", 5)], 8, START)))
INTENT = codec.intent_metadata(Intent("attempt", 9, START, START)).encode()
CURSOR = codec.cursor_value(Cursor("item", START, 3, START))
MARK = codec.mark_value(12)

# What strangers' documents are made of, and what breaks readers of JSON.
_PIECES = st.sampled_from(
    [
        *(b"", b"null", b"true", b"-0", b"1e999", b"NaN", b"9" * 400, b'""', b'"\\ud800"', b"\xff\xfe"),
        *(b"[]", b"{}", b'{"a":1,"a":2}', b"[" * 2000, b'{"a":' * 2000, b"\x00", b'"2021-13-40T99:99"'),
        *(b'"\\u0000"', b"-1", b"18446744073709551616", b"0.1", b'"+275760-09-13"', b'"-2021-01-01"'),
    ]
)
_MARKS = (b",", b":", b'"', b"[", b"]", b"{", b"}")


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid document with a few cuts, and other things where something stood."""
    data = valid
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 40)))
        if draw(st.booleans()):
            # From one mark to the next, so that what comes out is often JSON.
            begin, end = _token(data, begin)
        data = data[:begin] + draw(_PIECES | st.binary(max_size=8)) + data[end:]
    return data


def _token(data: bytes, begin: int) -> tuple[int, int]:
    starts = [at + 1 for mark in _MARKS if (at := data.rfind(mark, 0, begin)) >= 0]
    start = max(starts, default=0)
    ends = [at for mark in _MARKS if (at := data.find(mark, start)) >= 0]
    return start, min(ends, default=len(data))


def _answer(status: int) -> Callable[[bytes], Answer]:
    return lambda body: Answer(status, {"retry-after": body[:20].decode(errors="replace")}, body, 0.1)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


DECODERS: dict[str, tuple[Callable[[bytes], object], bytes, type[Exception] | None]] = {
    "a page": (lambda data: app_items.page_of(data, 2), PAGE, MalformedError),
    "an item": (app_items.item_of, ITEM, MalformedError),
    "the ids of a batch": (
        lambda data: app_bulk.outcome(_answer(200)(data), 2, NOW),
        b'["id-1","id-2"]',
        None,
    ),
    "a refused batch": (lambda data: app_bulk.outcome(_answer(400)(data), 2, NOW), REFUSAL, None),
    "a refusal": (lambda data: refusal("x", _answer(429)(data), NOW), REFUSAL, None),
    "a complaint": (lambda data: complaint(_answer(500)(data)), REFUSAL, None),
    "an intent": (lambda data: codec.read_intent(_text(data)), INTENT, codec.UnreadableError),
    "a ledger record": (ledger_records.unpack, ENTRY, codec.UnreadableError),
    "a cursor": (codec.read_cursor, CURSOR, codec.UnreadableError),
    "a mark": (codec.read_mark, MARK, codec.UnreadableError),
    "a tombstone": (
        lambda data: tombstones.origin_of(((tombstones.ORIGIN_HEADER, data),)),
        b"moderation.items/1/7",
        codec.UnreadableError,
    ),
    "a page of tasks": (lambda data: tasks_items.tasks_page(data, 2), TASKS, MalformedError),
    "an operation": (lambda data: operations.operation_of(data, "op"), OPERATION, MalformedError),
    "an operation's log": (
        lambda data: operations.log_of(data, [Item(RECORD, b'{"input_values":{"a":1}}', 5)], 7),
        LOG,
        MalformedError,
    ),
    "an input record": (content.parse, ITEM, content.ContentError),
}


@pytest.mark.fault(46, 47, 48, 59, 60)
@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_raises_its_documented_error_and_no_other(name: str) -> None:
    """Arbitrary bytes, and valid documents in which something was cut, doubled or replaced."""
    decode, valid, documented = DECODERS[name]
    assert decode(valid) is not None

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated(valid) | st.binary(max_size=200))
    def fuzz(data: bytes) -> None:
        try:
            decode(data)
        except Exception as error:
            if documented is None or not isinstance(error, documented):
                raise

    fuzz()
