"""`tolokad cursor set` moves the collector's bookmark, to where there is something to look for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.app.kit import steering
from daemon.app.kit.kafka import FENCED_TRIES
from daemon.edges.kafka.topics import Topic
from daemon.errors import ConfigurationError, Fenced, UnavailableAtStart
from daemon.flows.records import codec
from daemon.model import Cursor
from daemon.settings import load
from tests.doubles import CURSORS, LEDGER, MemoryKafka
from tests.unit.app.test_starting import USUAL

HOUR = timedelta(hours=1)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> MemoryKafka:
    """What the command reaches."""
    cluster = MemoryKafka.usual()

    @asynccontextmanager
    async def reached(_: Any) -> AsyncIterator[Any]:
        yield cluster, {LEDGER: Topic(LEDGER, 2, {})}

    monkeypatch.setattr(steering, "reached", reached)
    return cluster


def cursors(kafka: MemoryKafka) -> list[Cursor]:
    """Every cursor that was written."""
    return [codec.read_cursor(record.value or b"") for record in kafka.written(CURSORS)]


async def test_the_cursor_is_not_set_ahead(kafka: MemoryKafka) -> None:
    """A slip of the year would have nothing looked for until then; clocks may differ by minutes."""
    now = datetime.now(UTC)
    with pytest.raises(ConfigurationError, match="not later than now"):
        await steering.set_cursor(load(USUAL), now + HOUR)
    assert cursors(kafka) == []
    for moment in (now - HOUR, now + timedelta(minutes=4)):
        await steering.set_cursor(load(USUAL), moment)
        assert cursors(kafka)[-1].finished_at == moment


@pytest.mark.parametrize("times", [1, FENCED_TRIES])
async def test_a_busy_collector_is_fenced_again(kafka: MemoryKafka, times: int) -> None:
    """It takes its writer back in between; somebody who does so each time has the last word."""
    fences = iter([Fenced("taken back")] * times)
    kafka.spoil = lambda _: next(fences, None)
    asked = steering.set_cursor(load(USUAL), datetime.now(UTC) - HOUR)
    if times < FENCED_TRIES:
        await asked
    else:
        with pytest.raises(UnavailableAtStart, match="try again"):
            await asked
    assert len(cursors(kafka)) == (times < FENCED_TRIES)


async def test_a_task_is_no_place_for_the_cursor(kafka: MemoryKafka) -> None:
    """An assignment is found by its time alone, and the help and the page say so."""
    environment = {**USUAL, "TOLOKAD_TOLOKA__API": "tasks", "TOLOKAD_TOLOKA__POOL_ID": "38315862"}
    with pytest.raises(ConfigurationError, match="give a time"):
        await steering.set_cursor(load(environment), "000248a756--6b0e6621f43ff0c13d62192c")
    assert cursors(kafka) == []
