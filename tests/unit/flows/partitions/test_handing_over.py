"""Handing over: who gets a partition lets a predecessor that is well finish what it has announced."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from daemon.errors import Transient
from daemon.flows.partitions import handing_over
from daemon.flows.partitions.handing_over import FRESH, handed_over
from daemon.flows.records import codec
from daemon.model import Committed, Intent
from tests.doubles import GROUP, INPUT, FakeTime, MemoryKafka, place

QUIET_SECONDS = 0.09
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing_over, "QUIET_SECONDS", QUIET_SECONDS)
    monkeypatch.setattr(handing_over, "LOOK_SECONDS", QUIET_SECONDS / 3)


def announced(at: datetime, *, doubt_at: datetime | None = None, doubted: bool = False) -> Committed:
    """What stands in Kafka of a batch of two items."""
    intent = Intent("a", 2, LONG_AGO, at, doubt_at=doubt_at, doubt_end=4 if doubt_at else 0, doubted=doubted)
    return Committed(0, codec.intent_metadata(intent))


async def waiting(
    kafka: MemoryKafka, standing: Committed, until: asyncio.Event | None = None
) -> "asyncio.Task[None]":
    """Wait for the one who left this, for longer than a moment already."""
    kafka.offsets[GROUP, INPUT, 0] = standing
    task = asyncio.ensure_future(handed_over(kafka, FakeTime(), place(), until or asyncio.Event()))
    await asyncio.sleep(2 * QUIET_SECONDS)
    return task


async def test_a_batch_that_was_just_announced_is_waited_for() -> None:
    """Until nothing is announced any more."""
    kafka = MemoryKafka.usual()
    task = await waiting(kafka, announced(FakeTime().now()))
    assert not task.done()
    kafka.offsets[GROUP, INPUT, 0] = Committed(2, "")
    await task


async def test_the_last_of_two_batches_counts() -> None:
    """The first may have been announced long ago, while another was sent behind it just now."""
    task = await waiting(MemoryKafka.usual(), announced(LONG_AGO, doubt_at=FakeTime().now()))
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize(
    "standing",
    [
        Committed(-1, ""),
        Committed(2, ""),
        Committed(2, "unreadable"),
        announced(FakeTime().now() - FRESH),
        announced(FakeTime().now(), doubted=True),
    ],
    ids=["never committed", "settled", "unreadable", "old", "in doubt"],
)
async def test_nothing_else_is_waited_for(standing: Committed) -> None:
    """What was announced before the group can have missed a dead owner is taken over at once."""
    assert (await waiting(MemoryKafka.usual(), standing)).done()


async def test_a_batch_that_is_announced_in_the_next_moment_is_waited_for() -> None:
    """The old owner hears of the group's decision a moment after the new one."""
    kafka = MemoryKafka.usual()
    kafka.offsets[GROUP, INPUT, 0] = Committed(0, "")
    task = asyncio.ensure_future(handed_over(kafka, FakeTime(), place(), asyncio.Event()))
    await asyncio.sleep(QUIET_SECONDS / 2)
    kafka.offsets[GROUP, INPUT, 0] = announced(FakeTime().now())
    await asyncio.sleep(2 * QUIET_SECONDS)
    assert not task.done()
    task.cancel()


async def test_it_is_not_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that goes on announcing does not know that the partition is another's: it must be fenced."""
    monkeypatch.setattr(handing_over, "FRESH", timedelta(seconds=0.2))
    await (await waiting(MemoryKafka.usual(), announced(FakeTime().now() + timedelta(hours=1))))


async def test_stopping_ends_it() -> None:
    """A replica that is to stop waits for nobody."""
    until = asyncio.Event()
    task = await waiting(MemoryKafka.usual(), announced(FakeTime().now()), until)
    until.set()
    async with asyncio.timeout(FRESH.total_seconds() / 2):
        await task


async def test_a_failure_is_left_to_the_way() -> None:
    """Whoever takes the partition over meets it again and says so."""

    class Silent(MemoryKafka):
        async def committed(self, *_: object, **__: object) -> dict[int, Committed]:
            raise Transient("no coordinator")

    await handed_over(Silent(), FakeTime(), place(), asyncio.Event())


async def test_a_transaction_that_was_left_open_does_not_hide_what_is_certain() -> None:
    """What stands before it is looked at; its end may be long in coming."""

    class Undecided(MemoryKafka):
        async def committed(
            self, group: str, topic: str, partitions: Collection[int], *, stable: bool = True
        ) -> Mapping[int, Committed]:
            if stable:
                raise Transient("an open transaction")
            return await super().committed(group, topic, partitions)

    task = await waiting(Undecided.usual(), announced(FakeTime().now()))
    assert not task.done()
    task.cancel()
