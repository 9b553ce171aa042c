"""`tolokad audit` names a partition that cannot go on, even where none of its records is missing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from daemon.app.kit import auditing
from daemon.app.kit.auditing import Audited
from daemon.app.kit.progress import Progress
from daemon.cli import looking
from daemon.flows.kit.outcomes import Coordinates
from daemon.flows.records.outputs import dead_letter_append
from daemon.model import Committed, DeadLetter, Flaw
from daemon.settings import load
from tests.doubles import DEAD, GROUP, INPUT, START, MemoryKafka, in_virtual_time
from tests.unit.app.gone import IN_DOUBT, RECORDS, where_records_are_gone
from tests.unit.app.test_starting import USUAL


async def audited(
    monkeypatch: pytest.MonkeyPatch, committed: Committed | None, start: int = 0, end: int = RECORDS
) -> Audited:
    """The audit of a log with these ends, where all below the committed offset are dead letters."""
    kafka = MemoryKafka.usual()
    for offset in range(RECORDS):
        record = kafka.put(INPUT, b"{}")
        if committed is not None and start <= offset < min(committed.offset, end):
            kafka.put_all([dead_letter_append(DEAD, 2, DeadLetter(record, Flaw("X", "y")), START)])
    kafka.starts[INPUT, 0] = start
    del kafka.logs[INPUT][0][end:]
    if committed is not None:
        kafka.offsets[GROUP, INPUT, 0] = committed

    @asynccontextmanager
    async def reached(*_: object) -> AsyncIterator[tuple[Any, Mapping[str, Any]]]:
        yield kafka, {}

    monkeypatch.setattr(auditing, "reached", reached)
    with Progress() as progress:
        return await auditing.audit(load(USUAL), progress, toloka=False)


@where_records_are_gone
@in_virtual_time
async def test_a_partition_whose_records_are_gone_is_named(
    committed: Committed, start: int, end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted unread, or the topic was made anew: it holds, and not every record is accounted for."""
    found = await audited(monkeypatch, committed, start, end)
    place = Coordinates(INPUT, 0, committed.offset)
    assert (found.account.ok, found.ok, found.held) == (True, False, [place])
    assert found.as_json()["held"] == [place.as_json()]
    *_, last = looking.audit_lines(found)
    assert last.startswith(f"✗ held: {INPUT}-0@{committed.offset}: ")


@pytest.mark.parametrize(
    ("committed", "start"),
    [
        (None, 0),
        (None, 3),
        (Committed(3, ""), 3),
        (Committed(6, ""), 0),
        (Committed(2, IN_DOUBT), 2),
        (Committed(2, "somebody else's"), 0),
    ],
)
@in_virtual_time
async def test_a_partition_that_goes_on_is_not(
    committed: Committed | None, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, at either end of its log, in doubt, or held by what loses no record."""
    found = await audited(monkeypatch, committed, start)
    assert (found.ok, found.held) == (True, [])
    assert "held" not in found.as_json()
