"""A partition's intent in doubt, and the world around it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from daemon.flows.doubts.quarantine import Patience
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.doubts.searching import Search
from daemon.flows.records import codec
from daemon.model import Batch, Committed, Created, Intent, Outcome
from tests.doubles import (
    GROUP,
    INPUT,
    LEDGER,
    START,
    FakeTime,
    MemoryKafka,
    ScriptedSubmissions,
    fresh_holds,
    item,
    packed_items,
    place,
    seeded,
)

INTENT = Intent("a-1", 3, START, START)
QUARANTINE_SECONDS = 120.0
PATIENCE = Patience(timedelta(seconds=20), timedelta(seconds=QUARANTINE_SECONDS))


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


def batch_of(contents: str, partition: int = 1, *, identified: bool = True) -> Batch:
    """A batch with one item for each letter, its content."""
    items = [item(index, body(name), partition, identified=identified) for index, name in enumerate(contents)]
    return Batch(INPUT, partition, 0, len(items), tuple(items))


def mixed(contents: str) -> Batch:
    """A batch of which only the first item has an id of ours: records may bring ids of their own."""
    items = [item(index, body(name), 1, identified=index == 0) for index, name in enumerate(contents)]
    return Batch(INPUT, 1, 0, len(items), tuple(items))


class Doubt:
    """A resolver of partition 1, and the world around it."""

    def __init__(self, *listing: Sequence[Created] | Exception, partition: int = 1) -> None:
        self.kafka = MemoryKafka.usual(partitions=3)
        self.api = ScriptedSubmissions()
        self.api.listing.extend(listing)
        self.holds, self.metrics = fresh_holds()
        self.stopping = asyncio.Event()
        self.written: list[Intent] = []
        self.noted: Callable[[Intent], Awaitable[None]] = self._noted
        self._partition = partition
        here, clock = place(partition), FakeTime()
        self.time = clock
        search = Search(self.kafka, self.api, clock, here, PATIENCE, self.holds, self.metrics, seeded())
        self.resolver = Resolver(self.kafka, here, search, self.metrics, seeded())

    async def _noted(self, written: Intent) -> None:
        self.written.append(written)
        self.intend(self._partition, written)

    async def resolve(self, batch: Batch, intent: Intent = INTENT) -> Batch | None:
        """Resolve it, as its intent stands in Kafka."""
        self.intend(batch.partition, intent, batch.first)

        return await self.resolver.resolve(batch, intent, _never, self.noted, self.stopping)

    def intend(self, partition: int, intent: Intent | None, offset: int = 0) -> None:
        """What another partition's way has announced."""
        metadata = "" if intent is None else codec.intent_metadata(intent)
        self.kafka.offsets[GROUP, INPUT, partition] = Committed(offset, metadata)

    def settle(self, item_id: str, offset: int, partition: int) -> None:
        """What another batch has settled."""
        (packed,) = packed_items([item(offset, partition=partition)], offset + 1, START)
        self.kafka.put(LEDGER, packed, 0, key=item_id.encode())

    def outcomes(self) -> dict[str, float]:
        """How doubts ended."""
        metric = self.metrics.intents_resolved
        names = ("adopted", "resubmitted", "partial", "held")
        return {name: count for name in names if (count := metric.labels(name)._value.get())}


async def _never(_: Batch) -> tuple[Intent, Outcome] | None:
    raise AssertionError("sent again, though it could be carried out twice")


def pairs(resolved: Batch | None) -> dict[int, str]:
    """Offsets that were adopted, with their ids."""
    assert resolved is not None
    return {found.record.offset: item_id for found, item_id in resolved.adopted}


def left(resolved: Batch | None) -> list[int]:
    """Offsets that are still to be sent."""
    assert resolved is not None
    return [found.record.offset for found in resolved.items]


def seconds() -> float:
    """Since the attempt was announced."""
    return asyncio.get_running_loop().time()
