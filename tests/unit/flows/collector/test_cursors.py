"""Where the collector stands, as its topic tells it."""

import asyncio

import pytest

from daemon.flows.collector.cursors import read_cursor
from daemon.flows.records import codec, orders
from daemon.model import Append, Cursor, Transaction
from tests.doubles import CURSORS, PROJECT, START, MemoryKafka, in_virtual_time

CURSOR = Cursor("a", START, 1)


@in_virtual_time
async def test_an_open_transaction_holds_up_only_who_wants_all_of_it() -> None:
    """A collector was killed in the middle of one: a start need not wait until the broker ends it."""
    kafka = MemoryKafka(logs={CURSORS: [[]]})
    async with kafka.writer("w") as writer:
        for item_id in ("a", "b"):
            value = codec.cursor_value(Cursor(item_id, START, 1))
            await writer.transact(Transaction("results", [Append(CURSORS, 0, PROJECT.encode(), value)]))
    kafka.stable[CURSORS, 0] = 1
    found, _ = await read_cursor(kafka, CURSORS, PROJECT, whole=False)
    assert found == CURSOR
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await read_cursor(kafka, CURSORS, PROJECT)


async def test_what_operators_have_said_is_no_cursor() -> None:
    """It stands in the same topic, before and behind it."""
    kafka = MemoryKafka(logs={CURSORS: [[]]})
    kafka.put(CURSORS, b"1", 0, key=orders.pause_key("submit"))
    kafka.put(CURSORS, codec.cursor_value(CURSOR), 0, key=PROJECT.encode())
    kafka.put(CURSORS, None, 0, key=orders.pause_key("submit"))
    found, _ = await read_cursor(kafka, CURSORS, PROJECT)
    assert found == CURSOR
