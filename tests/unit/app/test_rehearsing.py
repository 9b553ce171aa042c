"""`tolokad dry-run` names a partition that a run would not go on with, and counts nothing of it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.app.kit import rehearsing
from daemon.app.kit.progress import Progress
from daemon.app.kit.rehearsing import Rehearsal
from daemon.cli import looking
from daemon.flows.kit.outcomes import Coordinates
from daemon.flows.records import codec
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.model import Committed
from daemon.settings import load
from tests.doubles import GROUP, INPUT, LEDGER, MemoryKafka, in_virtual_time
from tests.unit.app.gone import IN_DOUBT, RECORDS, where_records_are_gone
from tests.unit.app.test_starting import USUAL

READER = ItemReader(InputSpec({}), None, 1_000)


async def rehearsed(
    monkeypatch: pytest.MonkeyPatch,
    committed: Committed,
    start: int,
    end: int,
    mark: bytes | None = None,
    *,
    marked: int = 0,
    start_from: str = "earliest",
) -> Rehearsal:
    """What is said of a log with these ends; the `mark` is that of the partition `marked`."""
    kafka = MemoryKafka.usual()
    for _ in range(RECORDS):
        kafka.put(INPUT, b"{}")
    kafka.starts[INPUT, 0] = start
    del kafka.logs[INPUT][0][end:]
    kafka.offsets[GROUP, INPUT, 0] = committed
    if mark is not None:
        kafka.put(LEDGER, mark, 1, key=codec.mark_key(INPUT, marked))

    @asynccontextmanager
    async def reached(*_: object) -> AsyncIterator[tuple[Any, Mapping[str, Any]]]:
        yield kafka, {}

    async def toloka_of(*_: object) -> Any:
        return SimpleNamespace(service=SimpleNamespace(item_price=None, record_reader=READER))

    monkeypatch.setattr(rehearsing, "reached", reached)
    monkeypatch.setattr(rehearsing, "toloka_of", toloka_of)
    with Progress() as progress:
        settings = load({**USUAL, "TOLOKAD_KAFKA__START_FROM": start_from})
        return await rehearsing.rehearse(settings, None, progress)


@where_records_are_gone
@in_virtual_time
async def test_a_partition_whose_records_are_gone_is_named(
    committed: Committed, start: int, end: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds there until somebody decides: nothing is sent, and nothing in doubt is decided on."""
    found = await rehearsed(monkeypatch, committed, start, end)
    place = Coordinates(INPUT, 0, committed.offset)
    assert (found.held, found.records, found.in_doubt) == ([place], 0, 0)
    assert found.as_json()["held"] == [place.as_json()]
    *_, last = looking.dry_run_lines(found)
    assert last.startswith(f"✗ held: {INPUT}-0@{committed.offset}: ")


@pytest.mark.parametrize(
    ("committed", "start", "read", "in_doubt"),
    [(Committed(3, ""), 3, 3, 0), (Committed(6, ""), 0, 0, 0), (Committed(2, IN_DOUBT), 2, 1, 3)],
)
@in_virtual_time
async def test_a_partition_that_goes_on_is_not(
    committed: Committed, start: int, read: int, in_doubt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read from its committed offset on, or from behind what is in doubt."""
    found = await rehearsed(monkeypatch, committed, start, RECORDS)
    assert (found.held, found.records, found.in_doubt) == ([], read, in_doubt)
    assert "held" not in found.as_json()


@pytest.mark.parametrize(("settled", "read"), [(4, 0), (codec.NOTHING_SETTLED, RECORDS)])
@in_virtual_time
async def test_a_group_that_has_lost_its_offset_does_not_begin_anew(
    settled: int, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run would hold, where the ledger shows that it was submitted from; its mark says up to where."""
    found = await rehearsed(monkeypatch, Committed(-1, ""), 0, RECORDS, codec.mark_value(settled))
    assert (found.held, found.records) == ([] if read else [Coordinates(INPUT, 0, settled)], read)


@pytest.mark.parametrize(("marked", "read"), [(0, 0), (1, RECORDS)])
@in_virtual_time
async def test_a_partition_that_was_added_is_read_from_its_beginning(
    marked: int, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run does, that begins behind what was there: none of it was."""
    mark = codec.mark_value(codec.NOTHING_SETTLED)
    found = await rehearsed(
        monkeypatch, Committed(-1, ""), 0, RECORDS, mark, marked=marked, start_from="latest"
    )
    assert (found.held, found.records) == ([], read)


@pytest.mark.parametrize(("began", "held"), [(4, [Coordinates(INPUT, 0, 4)]), (RECORDS, [])])
@in_virtual_time
async def test_a_group_that_has_begun_behind_what_was_there_does_not_do_so_again(
    began: int, held: list[Coordinates], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has lost its offset before anything was settled: a run would hold where more has come since."""
    mark = codec.mark_value(codec.NOTHING_SETTLED, began=began)
    found = await rehearsed(monkeypatch, Committed(-1, ""), 0, RECORDS, mark, start_from="latest")
    assert (found.held, found.records) == (held, 0)
