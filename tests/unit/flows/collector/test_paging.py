"""The next page is asked for while one is being published, and nothing is asked for in vain."""

import asyncio
from collections import deque
from dataclasses import replace
from datetime import timedelta

from daemon.flows.collector.paging import Pages
from daemon.model import Cursor, Page
from tests.doubles import START, ScriptedResults, in_virtual_time

HERE = Cursor("a", START)
THERE = Cursor("b", START + timedelta(seconds=1))
FIRST, SECOND = Page((), has_more=True), Page((), has_more=False)


@in_virtual_time
async def test_what_was_asked_for_ahead_is_the_answer() -> None:
    """Asked for once, however far the cursor has counted meanwhile."""
    api = ScriptedResults(pages=deque([FIRST]))
    async with Pages(api, 10) as pages:
        pages.ask_ahead(HERE, THERE)
        await asyncio.sleep(1)
        assert api.tails == [THERE]
        assert await pages.behind(replace(THERE, published=7)) is FIRST
    assert api.tails == [THERE]


@in_virtual_time
async def test_the_answer_to_another_question_is_none() -> None:
    """Where the cursor did not go where it was expected, it is asked again."""
    api = ScriptedResults(pages=deque([FIRST, SECOND]))
    async with Pages(api, 10) as pages:
        pages.ask_ahead(HERE, THERE)
        await asyncio.sleep(1)
        assert await pages.behind(HERE) is SECOND
    assert api.tails == [THERE, HERE]


@in_virtual_time
async def test_a_page_that_leads_nowhere_is_not_asked_for_at_once() -> None:
    """It will be asked for after an interval; an answer from before would say less."""
    api = ScriptedResults()
    async with Pages(api, 10) as pages:
        pages.ask_ahead(HERE, replace(HERE, published=7))
        await asyncio.sleep(1)
        assert api.tails == []


class _Slow(ScriptedResults):
    """Answers after a minute, or not at all."""

    cancelled = 0

    async def tail(self, cursor: Cursor, limit: int) -> Page:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError(cursor, limit)


@in_virtual_time
async def test_nothing_is_under_way_when_the_block_has_ended() -> None:
    """What was asked for ahead is given up."""
    api = _Slow()
    async with Pages(api, 10) as pages:
        pages.ask_ahead(HERE, THERE)
        await asyncio.sleep(1)
    assert api.cancelled == 1
