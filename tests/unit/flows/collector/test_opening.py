"""The collector's state as it begins: where the cursor stands, and what is certainly open."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.errors import ConfigurationError
from daemon.flows.skew import SKEW
from daemon.model import Cursor
from tests.doubles import CURSORS, LEDGER, PROJECT, START, MemoryKafka, in_virtual_time
from tests.unit.flows.collector.states import OPENING, OVERLAP, cursors, opened, put_cursor, settle


@in_virtual_time
async def test_the_first_cursor_is_now_and_is_written_before_anything_else() -> None:
    """So that what finishes from now on is behind it, whoever collects."""
    kafka = MemoryKafka.usual()
    async with opened(kafka) as (state, _):
        assert state.cursor == Cursor(None, START)
        assert cursors(kafka) == [Cursor(None, START)]


@in_virtual_time
async def test_the_first_cursor_is_not_behind_what_is_open() -> None:
    """What was submitted before the collector's first start is collected, too."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a"], seconds=-500)
    settle(kafka, ["b"], seconds=-900, ledger=1)
    async with opened(kafka) as (state, _):
        assert state.cursor == Cursor(None, START - timedelta(seconds=900) - SKEW)


@in_virtual_time
async def test_a_first_cursor_can_be_told_where_to_start() -> None:
    """By a setting, as far as nothing that is open needs an earlier one."""
    kafka = MemoryKafka.usual()
    begin = START - timedelta(days=3)
    async with opened(kafka, replace(OPENING, start_at=begin)) as (state, _):
        assert state.cursor == Cursor(None, begin)


@in_virtual_time
async def test_a_cursor_that_is_there_is_gone_on_from() -> None:
    """The last one written counts, and nothing is written anew."""
    kafka = MemoryKafka.usual()
    put_cursor(kafka, Cursor("x", START - OVERLAP, 3))
    put_cursor(kafka, Cursor("y", START, 5))
    async with opened(kafka, replace(OPENING, start_at=START - OVERLAP)) as (state, _):
        assert state.cursor == Cursor("y", START, 5)
        assert kafka.transactions == []


@in_virtual_time
async def test_a_cursor_that_was_taken_away_is_made_anew() -> None:
    """By a tombstone, on purpose."""
    kafka = MemoryKafka.usual()
    put_cursor(kafka, Cursor("x", START - OVERLAP, 3))
    kafka.put(CURSORS, None, key=PROJECT.encode())
    async with opened(kafka) as (state, _):
        assert state.cursor == Cursor(None, START)


@pytest.mark.fault(31)
@pytest.mark.parametrize("value", [b"x", b'{"v":9,"item_id":"a","finished_at":"2026-05-04T12:00:00Z"}'])
@in_virtual_time
async def test_a_cursor_that_cannot_be_read_ends_the_start(value: bytes) -> None:
    """Damaged or newer: nothing is collected from a guessed place."""
    kafka = MemoryKafka.usual()
    kafka.put(CURSORS, value, key=PROJECT.encode())
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await opened(kafka).__aenter__()


@in_virtual_time
async def test_another_projects_cursor_ends_the_start() -> None:
    """Two projects cannot share a ledger; the message says what to change."""
    kafka = MemoryKafka.usual()
    put_cursor(kafka, Cursor("x", START), project="other")
    with pytest.raises(ConfigurationError, match="TOLOKAD_KAFKA__GROUP_ID"):
        await opened(kafka).__aenter__()


@in_virtual_time
async def test_a_ledger_that_cannot_be_read_ends_the_start() -> None:
    """A newer release has written it."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, b"\x09" + b"\x00" * 60, key=b"a")
    with pytest.raises(ConfigurationError, match="version 9"):
        await opened(kafka).__aenter__()


@in_virtual_time
async def test_opening_waits_for_what_an_open_transaction_hides() -> None:
    """Behind it may be tombstones: what they closed must not be published again."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b"])
    kafka.stable[LEDGER, 0] = 2
    kafka.put(LEDGER, None, key=b"a")
    opening = asyncio.ensure_future(opened(kafka).__aenter__())
    await asyncio.sleep(20)
    assert not opening.done()
    kafka.stable.clear()
    kafka.wake()
    state, _ = await opening
    assert (state.ledger.find("a"), state.ledger.was_closed("a"), len(state.ledger)) == (None, True, 1)
