"""`tolokad resolve` decides on the batch that was shown, and on nothing that is under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from daemon.app.kit import resolving
from daemon.app.kit.resolving import DoubtfulBatch, NothingInDoubtError
from daemon.errors import ConfigurationError, UnavailableAtStart
from daemon.flows.records import codec
from daemon.model import Committed, Intent
from daemon.settings import load
from tests.doubles import DEAD, GROUP, INPUT, MemoryKafka, MemoryWriter, in_virtual_time, place
from tests.unit.app.test_starting import USUAL

SECONDS = 20.0
LONG_AGO = timedelta(minutes=2)
DECIDING = pytest.mark.parametrize("way", ["resubmit", "dead-letter"])


class Daemon(MemoryKafka):
    """A Kafka where a daemon goes on working.

    Attributes:
        on_look: what it does once somebody has looked at the offset.
        on_fence: what it has done just before somebody fences it; once.
    """

    def __init__(self) -> None:
        super().__init__(MemoryKafka.usual().logs)
        for n in range(6):
            self.put(INPUT, b'{"text":"%d"}' % n)
        self.on_look: Any = lambda: None
        self.on_fence: Any = lambda: None

    async def committed(self, *asked: Any, **how: Any) -> Any:
        """See `daemon.ports.Kafka.committed`."""
        found = await super().committed(*asked, **how)
        self.on_look()
        return found

    @asynccontextmanager
    async def writer(self, transactional_id: str) -> AsyncIterator[MemoryWriter]:
        """See `daemon.ports.Kafka.writer`."""
        act, self.on_fence = self.on_fence, lambda: None
        act()
        async with super().writer(transactional_id) as writer:
            yield writer

    def announce(
        self, first: int, attempt: str, since: datetime | None = None, ago: timedelta = timedelta(0)
    ) -> None:
        """Write down that two records are sent, so long ago; `since` then."""
        at = datetime.now(UTC) - ago
        intent = Intent(attempt, first + 2, since or at, at)
        self.offsets[GROUP, INPUT, 0] = Committed(first, codec.intent_metadata(intent))


@asynccontextmanager
async def sending(kafka: Daemon, every_seconds: float, *attempts: str) -> AsyncIterator[None]:
    """The first batch, in doubt for long, is announced again and again."""
    since = datetime.now(UTC) - LONG_AGO

    async def send() -> None:
        for attempt in attempts:
            kafka.announce(0, attempt, since)
            await asyncio.sleep(every_seconds)

    task = asyncio.ensure_future(send())
    await asyncio.sleep(0)
    yield
    task.cancel()


@asynccontextmanager
async def asked(kafka: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DoubtfulBatch]:
    """What the command asks of the first partition; nobody reaches Toloka."""

    async def away(*_: object) -> None:
        raise UnavailableAtStart("away")

    monkeypatch.setattr(resolving, "toloka_of", away)
    async with AsyncExitStack() as stack:
        yield DoubtfulBatch(load(USUAL), kafka, place(), stack)


@DECIDING
@in_virtual_time
async def test_what_is_announced_meanwhile_is_not_decided(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody is asked, the batch is settled and the next one sent: nothing is in doubt any more."""
    kafka = Daemon()
    async with asked(kafka, monkeypatch) as work:
        kafka.announce(0, "one", ago=LONG_AGO)
        shown = await work.doubt(way)
        assert (shown.batch.first, shown.batch.end) == (0, 2)
        kafka.announce(2, "two")
        with pytest.raises(NothingInDoubtError):
            await work.decide(way)
    assert (kafka.transactions, kafka.written(DEAD)) == ([], [])


@in_virtual_time
async def test_a_busy_partition_has_nothing_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another batch is under way each time: none of them is taken for one in doubt."""
    kafka = Daemon()
    kafka.announce(0, "one")
    kafka.on_look = lambda: kafka.announce(2, "two")
    async with asked(kafka, monkeypatch) as work:
        with pytest.raises(NothingInDoubtError):
            await work.doubt("resubmit")


@DECIDING
@in_virtual_time
async def test_a_batch_that_is_sent_anew_is_waited_for(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was shown is announced once more, before or after the fence: it is decided when that is over."""
    kafka = Daemon()
    async with asked(kafka, monkeypatch) as work:
        kafka.announce(0, "one", ago=LONG_AGO)
        since = (await work.doubt(way)).intent.since
        kafka.announce(0, "two", since)
        kafka.on_fence = lambda: kafka.announce(0, "three", since)
        begun = asyncio.get_running_loop().time()
        assert await work.decide(way) == 2
        assert asyncio.get_running_loop().time() - begun == pytest.approx(2 * SECONDS, abs=1)


@in_virtual_time
async def test_a_batch_that_is_sent_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is announced anew each time is not decided, and that is said."""
    kafka = Daemon()
    async with asked(kafka, monkeypatch) as work, sending(kafka, SECONDS / 2, *map(str, range(100))):
        with pytest.raises(UnavailableAtStart, match="anew"):
            await work.doubt("resubmit")


@in_virtual_time
async def test_an_attempt_that_counts_once_is_no_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that is asked for again and again under its id is in doubt all the while."""
    kafka = Daemon()
    async with asked(kafka, monkeypatch) as work, sending(kafka, SECONDS / 4, *["the one"] * 100):
        assert (await work.doubt("resubmit")).batch.end == 2


@pytest.mark.parametrize("way", ["adopt", "resubmit", "dead-letter"])
@pytest.mark.parametrize(("start", "kept"), [(1, 6), (0, 1)])
@in_virtual_time
async def test_what_is_gone_cannot_be_decided(
    way: str, start: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was deleted or its topic was made anew: that is said at once, with the way out."""
    kafka = Daemon()
    kafka.announce(0, "one", ago=LONG_AGO)
    kafka.starts[INPUT, 0] = start
    del kafka.logs[INPUT][0][kept:]
    async with asked(kafka, monkeypatch) as work, asyncio.timeout(60):
        monkeypatch.setattr(work, "_ask_about", nobody)
        with pytest.raises(ConfigurationError, match=r"0 to 2, is not among them\. .* range_gone"):
            await work.doubt(way)


async def nobody(*, insist: bool) -> None:
    """Toloka is not needed to see that."""
