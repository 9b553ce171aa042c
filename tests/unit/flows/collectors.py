"""A collector over a Kafka and a Toloka in memory, and what it has published."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

import msgspec

from daemon.flows.collecting import Collecting, CollectIntervals, CollectorParts
from daemon.flows.collector.state import CollectOptions
from daemon.flows.gate import Gate
from daemon.flows.looks.foreign import Foreign
from daemon.flows.records import codec
from daemon.flows.watching import CollectWatch
from daemon.model import Cursor, Finished, Item, NotNow, Page, UnknownCursor
from tests.doubles import (
    CURSORS,
    GROUP,
    INPUT,
    LEDGER,
    OUTPUT,
    PROJECT,
    START,
    FakeRecord,
    FakeTime,
    MemoryKafka,
    ScriptedResults,
    finished,
    fresh_holds,
    item,
    outlets,
    packed_items,
    seeded,
)

INTERVAL_SECONDS = 1.0
OVERLAP = timedelta(seconds=60)
ID = f"{GROUP}.collect.{PROJECT}"


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


def ended(*ids: str, first: float = 0) -> tuple[Finished, ...]:
    """Items that finished one second after the other."""
    return tuple(finished(item_id, body(item_id), first + index) for index, item_id in enumerate(ids))


class Collector:
    """A collector, and the world around it; items are open whose ids it is given."""

    def __init__(self, *ids: str, kafka: MemoryKafka | None = None, publish_foreign: bool = False) -> None:
        self.kafka = kafka or MemoryKafka.usual()
        self.time = FakeTime()
        self.api = ScriptedResults()
        self.holds, self.metrics = fresh_holds()
        self.gate = Gate("collect", self.holds, seeded(), self.metrics)
        self.stopping = asyncio.Event()
        self.confirmed = 0
        if kafka is None:
            self.kafka.put(CURSORS, codec.cursor_value(Cursor("x", START)), key=PROJECT.encode())
        self.settle(*ids)
        watch = CollectWatch(self.metrics)
        names = count()
        parts = CollectorParts(
            kafka=self.kafka,
            api=self.api,
            toloka_clock=self.time,
            gate=self.gate,
            holds=self.holds,
            watch=watch,
            rng=seeded(),
            new_incarnation=lambda: f"{id(self)}-{next(names)}",
        )
        intervals = CollectIntervals(INTERVAL_SECONDS, 1000, 30, timedelta(hours=1), 300, 10.0)
        foreign = Foreign(self.kafka, GROUP, INPUT, watch)
        opening = CollectOptions(outlets(), OVERLAP, None, publish_foreign)
        self.collecting = Collecting(ID, opening, parts, intervals, foreign, self._still_ours)

    async def _still_ours(self, stopping: asyncio.Event) -> None:
        assert not stopping.is_set()
        self.confirmed += 1

    def settle(self, *ids: str) -> None:
        """What a way writes for items whose content is their id."""
        for item_id in ids:
            log = self.kafka.logs[LEDGER][0]
            record = FakeRecord(len(log), body(item_id))
            content = item(0, body(item_id)).content_hash
            (packed,) = packed_items([Item(record, b"", content)], len(log) + 1, START)
            self.kafka.put(LEDGER, packed, key=item_id.encode())
            self.kafka.put(LEDGER, codec.mark_value(len(log)), key=codec.mark_key(INPUT, 0))

    def script(self, *pages: Page | UnknownCursor | NotNow) -> None:
        """What the next `tail`s answer."""
        self.api.pages = deque(pages)

    def results(self) -> list[str]:
        """The ids of the results, in the order they were published."""
        return [
            msgspec.json.decode(append.value or b"")["item"]["id"]
            for _, transaction in self.kafka.transactions
            for append in transaction.appends
            if append.topic == OUTPUT
        ]

    def cursor(self) -> Cursor:
        """The one that was written last."""
        return codec.read_cursor(self.kafka.written(CURSORS)[-1].value or b"")


@asynccontextmanager
async def running(ours: Collector, seconds: float) -> AsyncIterator[Collector]:
    """The collector has run for so long; it is drained at the end."""
    task = asyncio.ensure_future(ours.collecting.run(ours.stopping))
    await asyncio.sleep(seconds)
    yield ours
    ours.stopping.set()
    await task


async def ran(ours: Collector, seconds: float) -> Collector:
    """Run a collector for so long, then drain it."""
    async with running(ours, seconds):
        pass
    return ours


def page(items: Sequence[Finished], *, more: bool = False) -> Page:
    """One answer."""
    return Page(tuple(items), more)
