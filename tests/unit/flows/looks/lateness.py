"""A collector whose items are looked for long after they were submitted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec

from daemon.errors import Held
from daemon.flows.collector.opening import open_state
from daemon.flows.collector.state import CollectOptions, CollectorState
from daemon.flows.looks.second_looks import Overlapping
from daemon.flows.looks.sweeping import Sweeping
from daemon.flows.records import codec
from daemon.flows.watching import CollectWatch
from daemon.metrics import Metrics
from daemon.model import Cursor, Item
from tests.doubles import (
    CURSORS,
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
    item,
    outlets,
    packed_items,
)

AFTER = timedelta(hours=1)
EVERY_SECONDS = 300.0
# Requests a second: so many are never made.
MANY = 1_000_000
OVERLAP = timedelta(seconds=60)
LISTING_FAILED = Held("listing_failed", "Toloka does not answer")


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


class Late:
    """A state whose items were submitted at START, and who looks for them later."""

    def __init__(self, kafka: MemoryKafka, state: CollectorState, metrics: Metrics, time: FakeTime) -> None:
        self.kafka = kafka
        self.state = state
        self.time = time
        self.metrics = metrics
        self.api = ScriptedResults()
        watch = CollectWatch(metrics)
        self.sweeping = Sweeping(self.api, kafka, time, watch, AFTER, EVERY_SECONDS, MANY)
        self.overlapping = Overlapping(self.api, OVERLAP, 30, state.cursor.finished_at)

    def finish(self, *ids: str, status: str = "COMPLETED") -> None:
        """Toloka has these, in this status."""
        seconds = None if status in {"NEW", "NO_MONEY", "PROCESSING", "STOPPED"} else 5.0
        self.api.items |= {i: finished(i, body(i), seconds, status) for i in ids}

    async def sweep(self, minutes: float) -> int:
        """Sweep until there is nothing left to do, so long after START; returns the steps it took."""
        self.time.moved = minutes * 60
        for steps in range(1000):
            if not await self.sweeping.step(self.state, self.time.moved):
                return steps
        raise AssertionError("a sweep without end")

    def results(self) -> list[str]:
        """The ids of the results."""
        return [msgspec.json.decode(r.value or b"")["item"]["id"] for r in self.kafka.written(OUTPUT)]

    def stalled(self, status: str) -> float:
        """The gauge."""
        value: float = self.metrics.stalled_items.labels(status)._value.get()
        return value


@asynccontextmanager
async def late(*ids: str, apart_seconds: float = 0, cursor_seconds: float = 0) -> AsyncIterator[Late]:
    """A collector whose ledger has these open, submitted at START and so far apart."""
    kafka, metrics, time = MemoryKafka.usual(), Metrics(), FakeTime()
    for offset, item_id in enumerate(ids):
        moment = START + timedelta(seconds=offset * apart_seconds)
        record = FakeRecord(offset, body(item_id), key=b"k", headers=(("h", b"v"),))
        content = item(0, body(item_id)).content_hash
        (packed,) = packed_items([Item(record, b"", content)], offset + 1, moment)
        kafka.put(INPUT, body(item_id), key=b"k", headers=(("h", b"v"),))
        kafka.put(LEDGER, packed, key=item_id.encode())
    kafka.put(LEDGER, codec.mark_value(len(ids)), key=codec.mark_key(INPUT, 0))
    cursor = Cursor("x", START + timedelta(seconds=cursor_seconds))
    kafka.put(CURSORS, codec.cursor_value(cursor), key=PROJECT.encode())
    opening = CollectOptions(outlets(), OVERLAP, None)
    async with (
        kafka.writer("collect") as writer,
        open_state(kafka, opening, writer, time, CollectWatch(metrics), "me") as (state, _, _),
    ):
        yield Late(kafka, state, metrics, time)
