"""The next batch fills while the one before it is under way."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from daemon.errors import Held, Transient
from daemon.flows.batches.batching import BatchLimits, Filling
from daemon.flows.batches.filling import SPARE_SECONDS, WINDOWS_A_TURN, Source, filled
from daemon.flows.records.items import ItemReader, ReadAll
from daemon.flows.records.spec import InputSpec
from daemon.flows.records.windows import WINDOW, Found
from daemon.flows.waiting import REST_SECONDS
from daemon.model import BareRecord, Batch, Item, Record
from tests.doubles import INPUT, FakeRecord, in_virtual_time, turns

LINGER_SECONDS = 5.0


class FakeReader:
    """Gives out what a test puts in, or raises it."""

    def __init__(self) -> None:
        self.coming: deque[FakeRecord | Exception] = deque()
        self.asked: list[int] = []
        self.gathering: list[tuple[int, float]] = []
        self._put = asyncio.Event()
        self._last = 0
        self.passed = 0

    def put(self, *coming: bytes | Exception | None) -> None:
        """Have these read next."""
        for value in coming:
            if isinstance(value, Exception):
                self.coming.append(value)
            else:
                self.coming.append(FakeRecord(self._last, value))
                self._last += 1
        self._put.set()

    def may_gather(self, max_bytes: int, max_wait_seconds: float) -> None:
        """See `daemon.ports.Reader.may_gather`."""
        self.gathering.append((max_bytes, max_wait_seconds))

    async def read(self, max_records: int, max_wait_seconds: float) -> Sequence[Record]:
        """See `daemon.ports.Reader.read`."""
        return await self.read_bare(max_records, max_wait_seconds)

    async def read_bare(self, max_records: int, max_wait_seconds: float) -> Sequence[FakeRecord]:
        """See `daemon.ports.Reader.read_bare`."""
        self.asked.append(max_records)
        if not self.coming:
            self._put.clear()
            try:
                async with asyncio.timeout(max_wait_seconds):
                    await self._put.wait()
            except TimeoutError:
                return ()
        found: list[FakeRecord] = []
        while self.coming and len(found) < max_records:
            if isinstance(head := self.coming[0], Exception):
                if found:
                    break
                self.coming.popleft()
                raise head
            found.append(head)
            self.coming.popleft()
        return found

    def position(self, partition: int) -> int:
        """See `daemon.ports.Reader.position`."""
        assert partition == 0
        return self._last - len(self.coming) + self.passed


def read(records: Sequence[BareRecord], _: str) -> list[Found]:
    """Read records as items."""
    return [None if record.value is None else Item(record, record.value, 0) for record in records]


PLAIN = ItemReader(InputSpec({"text": {"type": "string"}}), None, 1000)


async def nothing() -> None:
    """Nothing is to be done at rest."""


def source_of(reader: FakeReader, limits: BatchLimits) -> Source:
    """The batches of partition 0."""
    return Source(reader, Filling(INPUT, 0, 0, limits, read), LINGER_SECONDS, asyncio.Lock())


@asynccontextmanager
async def batches_of(
    reader: FakeReader,
    max_items: int = 3,
    until: asyncio.Event | None = None,
    max_bytes: int = 10_000,
    at_rest: Callable[[], Awaitable[None]] = nothing,
) -> AsyncIterator[AsyncIterator[Batch]]:
    """The batches that are read."""
    filling = Filling(INPUT, 0, 0, BatchLimits(max_items, max_bytes), read)
    async with filled(
        Source(reader, filling, LINGER_SECONDS, asyncio.Lock()), until or asyncio.Event(), at_rest
    ) as batches:
        yield batches
        await batches.aclose()  # type: ignore[attr-defined]  # a generator: what a flow leaves to Python


async def waited_for(batches: AsyncIterator[Batch]) -> tuple[Batch, float]:
    """The next batch, and how long it took to come."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    batch = await anext(batches)
    return batch, loop.time() - started


@in_virtual_time
async def test_a_batch_that_is_full_is_given_out_at_once() -> None:
    """Nobody waits for more than fits."""
    reader = FakeReader()
    reader.put(b"{}", b"{}", b"{}")
    async with batches_of(reader) as batches:
        batch, seconds = await waited_for(batches)
    assert (batch.first, batch.end, seconds) == (0, 3, 0.0)


@in_virtual_time
async def test_a_batch_that_is_not_full_waits_for_so_long_since_its_first_record() -> None:
    """Later records do not prolong it."""
    reader = FakeReader()
    reader.put(b"{}")
    asyncio.get_running_loop().call_later(4, reader.put, b"{}")
    async with batches_of(reader) as batches:
        batch, seconds = await waited_for(batches)
    assert (batch.end, seconds) == (2, LINGER_SECONDS)


@in_virtual_time
async def test_a_batch_that_fills_while_it_lingers_goes_out_then() -> None:
    """Whatever comes first."""
    reader = FakeReader()
    reader.put(b"{}")
    asyncio.get_running_loop().call_later(2, reader.put, b"{}", b"{}", b"{}")
    async with batches_of(reader) as batches:
        batch, seconds = await waited_for(batches)
        assert (batch.end, seconds) == (3, 2.0)
        batch, seconds = await waited_for(batches)
        assert (batch.first, batch.end, seconds) == (3, 4, LINGER_SECONDS)


@in_virtual_time
async def test_nothing_is_given_out_before_something_comes() -> None:
    """There are no empty batches, and the first record's wait begins when it comes."""
    reader = FakeReader()
    asyncio.get_running_loop().call_later(100, reader.put, b"{}")
    async with batches_of(reader) as batches:
        _, seconds = await waited_for(batches)
    assert seconds == 100 + LINGER_SECONDS


@in_virtual_time
async def test_while_a_batch_lingers_what_comes_may_be_gathered() -> None:
    """Not beyond the moment when it is due, and not more than it has room for; then again one by one."""
    reader = FakeReader()
    async with batches_of(reader, max_items=9) as batches:
        await turns()
        reader.put(b"{}")
        await turns()
        assert reader.gathering[-1][1] == pytest.approx(LINGER_SECONDS - SPARE_SECONDS)
        await asyncio.sleep(LINGER_SECONDS / 2)
        reader.put(b"{}")
        await turns()
        assert reader.gathering[-1][1] == pytest.approx(LINGER_SECONDS / 2 - SPARE_SECONDS)
        few = reader.gathering[-1][0]
        reader.put(*[b"{}"] * 6)
        await turns()
        assert reader.gathering[-1][0] < few
        reader.put(b"{}")
        await waited_for(batches)
        await asyncio.sleep(LINGER_SECONDS)
    assert reader.gathering[-1][1] == 0


@pytest.mark.fault(62)
@in_virtual_time
async def test_a_batch_of_tombstones_is_a_batch() -> None:
    """Their offsets have to be settled."""
    reader = FakeReader()
    reader.put(None, None)
    async with batches_of(reader) as batches:
        batch, _ = await waited_for(batches)
    assert (batch.items, batch.skipped, batch.end) == ((), 2, 2)


@pytest.mark.fault(65)
@in_virtual_time
async def test_while_nobody_asks_the_next_batch_grows_to_its_limits_and_reading_stops() -> None:
    """Memory is bounded by one batch under way and one that is full."""
    reader = FakeReader()
    reader.put(b"{}")
    async with batches_of(reader) as batches:
        first, _ = await waited_for(batches)
        reader.put(*[b"{}"] * 10)
        await asyncio.sleep(60)
        assert len(reader.coming) == 7
        second, seconds = await waited_for(batches)
        assert (first.end, second.first, second.end, seconds) == (1, 1, 4, 0.0)
        await turns()
        assert len(reader.coming) == 4


@in_virtual_time
async def test_a_batch_that_lingered_unasked_is_given_out_at_once() -> None:
    """Its first record has waited long enough, whoever it waited for."""
    reader = FakeReader()
    reader.put(b"{}")
    async with batches_of(reader) as batches:
        await waited_for(batches)
        reader.put(b"{}")
        await asyncio.sleep(60)
        _, seconds = await waited_for(batches)
    assert seconds == 0.0


@in_virtual_time
async def test_the_reader_is_asked_for_no_more_than_fits() -> None:
    """So that what waits for the next batch stays small."""
    reader = FakeReader()
    reader.put(b"{}")
    async with batches_of(reader, max_items=3) as batches:
        await turns()
        reader.put(b"{}", b"{}", b"{}", b"{}")
        await waited_for(batches)
        await waited_for(batches)
    assert max(reader.asked) <= 3


@in_virtual_time
async def test_what_did_not_fit_begins_the_next_batch() -> None:
    """In the order it came, with nothing between."""
    reader = FakeReader()
    reader.put(*[b"x" * 100] * 4)
    async with batches_of(reader, max_items=10, max_bytes=300) as batches:
        ranges = [((await anext(batches)).end) for _ in range(2)]
    assert ranges == [2, 4]


@pytest.mark.parametrize(("taken_seconds", "waited_seconds"), [(0.03, 0.02), (3.0, 0.0)])
@in_virtual_time
async def test_a_batch_that_is_soon_full_can_be_waited_for(
    taken_seconds: float, waited_seconds: float
) -> None:
    """It is told by how long it took to become what it is."""
    reader = FakeReader()
    source = source_of(reader, BatchLimits(4, 10_000))
    filler = asyncio.ensure_future(source.fill())
    reader.put(b"{}", b"{}", b"{}")
    await asyncio.sleep(taken_seconds)
    loop = asyncio.get_running_loop()
    loop.call_later(0.02, reader.put, b"{}")
    before = loop.time()
    await source.soon(0.06)
    assert loop.time() - before == pytest.approx(waited_seconds)
    filler.cancel()


@pytest.mark.parametrize("failure", [Transient("gone"), Held("offset_out_of_range", "gone")])
@in_virtual_time
async def test_a_readers_failure_surfaces(failure: Exception) -> None:
    """Whoever uses the batches hears of it, also while nothing comes."""
    reader = FakeReader()
    asyncio.get_running_loop().call_later(7, reader.put, failure)
    with pytest.raises(type(failure)):
        async with batches_of(reader) as batches:
            await anext(batches)


@in_virtual_time
async def test_a_failure_that_comes_while_a_batch_is_under_way_surfaces_after_it() -> None:
    """What is being delivered is not disturbed."""
    reader = FakeReader()
    reader.put(b"{}", b"{}", b"{}")
    async with batches_of(reader) as batches:
        await anext(batches)
        reader.put(Transient("gone"))
        await asyncio.sleep(60)
        with pytest.raises(Transient):
            await anext(batches)


@in_virtual_time
async def test_a_failure_surfaces_only_behind_the_batches_before_it() -> None:
    """A batch that has waited unasked is given out first."""
    reader = FakeReader()
    reader.put(*[b"{}"] * 3)
    async with batches_of(reader) as batches:
        await anext(batches)
        reader.put(*[b"{}"] * 2, Transient("gone"))
        await asyncio.sleep(60)
        batch = await anext(batches)
    assert (batch.first, batch.end) == (3, 5)


@in_virtual_time
async def test_the_event_ends_the_batches() -> None:
    """While nothing comes, while one lingers, and before the first is asked for."""
    for coming in ((), (b"{}",)):
        reader, stopping = FakeReader(), asyncio.Event()
        reader.put(*coming)
        asyncio.get_running_loop().call_later(1, stopping.set)
        async with batches_of(reader, until=stopping) as batches:
            assert [batch async for batch in batches] == []


@in_virtual_time
async def test_after_the_event_a_batch_that_is_there_is_not_given_out() -> None:
    """Intake stops; what was not announced is read again by whoever comes next."""
    reader, stopping = FakeReader(), asyncio.Event()
    reader.put(*[b"{}"] * 6)
    async with batches_of(reader, until=stopping) as batches:
        await anext(batches)
        stopping.set()
        assert [batch async for batch in batches] == []


@in_virtual_time
async def test_whoever_leaves_early_leaves_nothing_behind() -> None:
    """Reading ends with the block, whatever ended it."""
    reader = FakeReader()
    reader.put(*[b"{}"] * 6)

    async def use() -> None:
        async with batches_of(reader) as batches:
            await anext(batches)
            raise LookupError

    with pytest.raises(LookupError):
        await use()
    asked = len(reader.asked)
    await asyncio.sleep(60)
    assert len(reader.asked) == asked


@in_virtual_time
async def test_what_is_for_no_reader_is_settled_too() -> None:
    """The end of a transaction behind the last record makes a range of its own, once nothing else comes."""
    reader = FakeReader()
    reader.put(b"a")
    async with batches_of(reader) as batches:
        batch, _ = await waited_for(batches)
        assert (batch.first, batch.end, len(batch.items)) == (0, 1, 1)
        reader.passed = 2
        batch, _ = await waited_for(batches)
        assert (batch.first, batch.end, batch.items, batch.skipped) == (1, 3, (), 0)


@in_virtual_time
async def test_a_batch_that_is_due_is_told_ahead_and_stays_the_next() -> None:
    """Full or lingered; asked again, it is the same one; a failure behind it does not hide it."""
    reader = FakeReader()
    reader.put(*[b"{}"] * 4)
    source = Source(
        reader, Filling(INPUT, 0, 0, BatchLimits(3, 10_000), read), LINGER_SECONDS, asyncio.Lock()
    )
    assert source.due() is None
    async with filled(source, asyncio.Event(), nothing) as batches:
        await turns()
        full = source.due()
        assert full is not None
        assert (full.end, source.due() is full, await anext(batches) is full) == (3, True, True)
        await turns()
        assert source.due() is None
        await asyncio.sleep(LINGER_SECONDS)
        lingered = source.due()
        reader.put(Transient("gone"))
        await asyncio.sleep(60)
        assert await anext(batches) is lingered
        await batches.aclose()  # type: ignore[attr-defined]  # a generator: what a flow leaves to Python


@in_virtual_time
async def test_a_batch_behind_one_that_is_due_is_told_as_well() -> None:
    """Once it is due itself; all come in their order."""
    reader = FakeReader()
    reader.put(*[b"{}"] * 7)
    source = Source(
        reader, Filling(INPUT, 0, 0, BatchLimits(3, 10_000), read), LINGER_SECONDS, asyncio.Lock()
    )
    async with filled(source, asyncio.Event(), nothing) as batches:
        await turns()
        assert source.due(1) is None
        first = source.due()
        await turns()
        second = source.due(1)
        assert first is not None
        assert second is not None
        await turns()
        assert (source.due(2), source.due(), source.due(1)) == (None, first, second)
        assert [await anext(batches), await anext(batches)] == [first, second]
        assert (await anext(batches)).first == second.end
        await batches.aclose()  # type: ignore[attr-defined]  # a generator: what a flow leaves to Python


@in_virtual_time
async def test_once_in_every_rest_something_may_be_done() -> None:
    """When nothing has come for a while; not again until there was a batch, which is not held up for long."""
    reader, rests = FakeReader(), list[float]()
    loop = asyncio.get_running_loop()

    async def at_rest() -> None:
        rests.append(loop.time())

    began = loop.time()
    async with batches_of(reader, at_rest=at_rest) as batches:
        loop.call_later(60, reader.put, b"{}")
        await anext(batches)
        reader.put(b"{}")
        await anext(batches)
        loop.call_later(60, reader.put, b"{}")
        await anext(batches)
    assert [at - began for at in rests] == [REST_SECONDS, 60 + 2 * LINGER_SECONDS + REST_SECONDS]


@in_virtual_time
async def test_what_fails_at_rest_ends_the_batches() -> None:
    """Whoever uses them starts over."""

    async def at_rest() -> None:
        raise Transient("no answer")

    async with batches_of(FakeReader(), at_rest=at_rest) as batches:
        with pytest.raises(Transient, match="no answer"):
            await anext(batches)


@pytest.mark.parametrize(("read_all", "at_once"), [(read, WINDOW), (PLAIN.read_all, WINDOWS_A_TURN * WINDOW)])
@in_virtual_time
async def test_many_records_are_taken_in_a_few_at_a_time(read_all: ReadAll, at_once: int) -> None:
    """Of all ways together: whoever waits for an answer has its turn in between."""
    turn, fillings, fillers = asyncio.Lock(), [], []
    count = 2 * at_once + 50
    for partition in (0, 1):
        reader = FakeReader()
        reader.put(*[b'{"text":"a"}'] * count)
        fillings.append(Filling(INPUT, partition, 0, BatchLimits(2 * count, 10_000_000), read_all))
        source = Source(reader, fillings[-1], LINGER_SECONDS, turn)
        fillers.append(asyncio.ensure_future(source.fill()))
    left = [4 * count]
    while left[-1] > 2 * count:
        await asyncio.sleep(0)
        left.append(sum(filling.room for filling in fillings))
    for filler in fillers:
        filler.cancel()
    await asyncio.wait(fillers)
    assert max(before - after for before, after in pairwise(left)) == at_once
