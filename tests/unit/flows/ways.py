"""One partition's way and the world around it, for the tests of what it does."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from daemon.flows.batches.batching import BatchLimits
from daemon.flows.batches.budgeting import Budget
from daemon.flows.batches.guarding import RejectionGuard
from daemon.flows.batches.shared_parts import SharedParts, SubmitOptions
from daemon.flows.batches.spending import Limits
from daemon.flows.doubts.quarantine import Patience
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.doubts.searching import Search
from daemon.flows.gate import Gate
from daemon.flows.holding import Holds
from daemon.flows.records import codec, ledger_records
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.flows.submitting import Submitting
from daemon.flows.watching import SubmitWatch
from daemon.metrics import Metrics
from daemon.model import (
    Accepted,
    Committed,
    Created,
    InDoubt,
    Item,
    Outcome,
)
from daemon.ports import Submissions
from tests.doubles import (
    DEAD,
    GROUP,
    INPUT,
    LEDGER,
    FakeTime,
    MemoryKafka,
    ScriptedSubmissions,
    created,
    fresh_holds,
    place,
    seeded,
)

QUARANTINE_SECONDS = 120
BUDGET = "budget"


def body(name: str | int) -> bytes:
    """Content."""
    return f'{{"text":"{name}"}}'.encode()


class Beside:
    """Another connection of a way's, to the same Toloka."""

    def __init__(self, way: "Way") -> None:
        self._way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self._way.api, name)


class TolokaTime:
    """See `daemon.ports.TolokaClock`; it goes by the time of the others, and may be set."""

    def __init__(self, time: FakeTime) -> None:
        self._time = time
        self.ahead = timedelta()

    def now(self) -> datetime:
        """See `daemon.ports.TolokaClock.now`."""
        return self._time.now() + self.ahead


class Way:
    """The way of a partition, and the world around it; another way's `shared` is shared."""

    def __init__(
        self,
        kafka: MemoryKafka | None = None,
        *,
        max_items: int = 4,
        partition: int = 0,
        shared: "Way | None" = None,
        total: int | None = None,
        connections: int = 1,
        guard: RejectionGuard | None = None,
        takes_id: bool = False,
        once: bool = False,
    ) -> None:
        self.kafka = kafka or MemoryKafka.usual()
        self.api = ScriptedSubmissions(accept=self.accept)
        self.time = FakeTime()
        self.toloka_time = TolokaTime(self.time)
        self.place = place(partition)
        own_holds, own_metrics = fresh_holds()
        self.holds: Holds = shared.holds if shared else own_holds
        self.metrics: Metrics = shared.metrics if shared else own_metrics
        self.gate: Gate = shared.gate if shared else Gate("submit", self.holds, seeded(), self.metrics)
        self.handed_over = asyncio.Event()
        self.handed_over.set()
        self.guard = guard or RejectionGuard(1.0, 1000)
        self.stopping = asyncio.Event()
        self.confirmed = 0
        self.created: list[Created] = []
        self.attempts = 0
        self.budget = None if total is None else Budget(self.kafka, BUDGET, Limits(None, total), seeded())
        names = ("id", "text") if takes_id else ("text",)
        spec = InputSpec({name: {"type": "string", "required": False} for name in names})
        self.submitting = self._assembled(ItemReader(spec, None, 10_000), max_items, connections, once=once)

    def _assembled(self, reader: ItemReader, max_items: int, connections: int, *, once: bool) -> Submitting:
        shared = SharedParts(
            kafka=self.kafka,
            clock=self.time,
            toloka_clock=self.toloka_time,
            gate=self.gate,
            holds=self.holds,
            watch=SubmitWatch(self.metrics),
            guard=self.guard,
            rng=seeded(),
            record_reader=reader,
            look_again=self._look_again,
            new_attempt=self._new_attempt,
            turn=asyncio.Lock(),
            budget=self.budget,
        )
        patience = Patience(timedelta(seconds=20), timedelta(seconds=QUARANTINE_SECONDS))
        clock, place = self.toloka_time, self.place
        search = Search(self.kafka, self.api, clock, place, patience, self.holds, self.metrics, seeded())
        resolver = Resolver(self.kafka, self.place, search, self.metrics, seeded())
        options = SubmitOptions("earliest", BatchLimits(max_items, 100_000), 0.5, 20.0, once)
        own = [self.api, *(cast("Submissions", Beside(self)) for _ in range(connections - 1))]
        return Submitting(self.place, shared, own, resolver, options, self._handed_over, self._still_ours)

    async def _look_again(self) -> None:
        """The spec is as it was."""

    def _new_attempt(self) -> str:
        self.attempts += 1
        return f"a-{self.attempts}"

    async def _handed_over(self, _: asyncio.Event) -> None:
        await self.handed_over.wait()

    async def _still_ours(self, stopping: asyncio.Event) -> None:
        assert not stopping.is_set()
        self.confirmed += 1

    def accept(self, items: Sequence[Item]) -> Accepted:
        """Create these items at Toloka."""
        ids = tuple(f"t-{len(self.created) + index}" for index in range(len(items)))
        self.created += [created(i, it.body) for i, it in zip(ids, items, strict=True)]
        return Accepted(ids)

    def script(self, *outcomes: Outcome | Callable[[Sequence[Item]], Outcome]) -> None:
        """What the next requests come to; later ones are accepted."""
        self.api.outcomes = deque(outcomes)

    def landed(self, items: Sequence[Item]) -> InDoubt:
        """The items are created and the answer is lost."""
        self.accept(items)
        self.api.listing = deque([list(self.created)])
        return InDoubt("reset")

    def lost(self, _: Sequence[Item]) -> InDoubt:
        """The request never arrived, and nobody knows."""
        self.api.listing = deque([list(self.created)])
        return InDoubt("timeout")

    def posted(self) -> list[str]:
        """The contents of each request, as one word."""
        return ["".join(str(msgspec.json.decode(b)["text"]) for b in bodies) for bodies in self.api.posted]

    def kinds(self) -> list[str]:
        """What was written to Kafka, in order."""
        return [transaction.kind for _, transaction in self.kafka.transactions]

    def open(self) -> dict[int, str]:
        """Offsets that the ledger has, with their ids."""
        return {
            ledger_records.peek_origin(record.value)[2]: (record.key or b"").decode()
            for record in self.kafka.written(LEDGER)
            if record.value is not None and not (record.key or b"").startswith(codec.MARK_PREFIX)
        }

    def dead(self) -> list[int]:
        """Offsets that are dead letters."""
        headers = [dict(record.headers) for record in self.kafka.written(DEAD)]
        return [int(named["tolokad-origin-offset"] or b"") for named in headers]

    @property
    def committed(self) -> Committed:
        """What the group has committed for the partition."""
        return self.kafka.offsets[GROUP, INPUT, 0]


def kafka_of(*contents: str) -> MemoryKafka:
    """A cluster whose input has an item for each of these, no JSON for an exclamation mark."""
    kafka = MemoryKafka.usual()
    for name in contents:
        kafka.put(INPUT, b"!" if name == "!" else None if name == "-" else body(name))
    return kafka


@asynccontextmanager
async def running(way: Way, seconds: float = 1.0) -> AsyncIterator[Way]:
    """The way has run for so long; it is drained at the end."""
    task = asyncio.ensure_future(way.submitting.run(way.stopping))
    await asyncio.sleep(seconds)
    yield way
    way.stopping.set()
    await task


async def ran(way: Way, seconds: float = 1.0) -> Way:
    """Run a way for so long, then drain it."""
    async with running(way, seconds):
        pass
    return way
