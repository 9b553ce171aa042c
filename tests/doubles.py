"""Small stand-ins for the ports: a Kafka and a Toloka in memory, and clocks that tests move."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from itertools import takewhile
from random import Random
from typing import Any, ParamSpec

from daemon.content import content_hash, parse
from daemon.errors import Fenced, Held, NoTopic, Transient
from daemon.flows.collector.publishing import Outlets
from daemon.flows.holding import Holds
from daemon.flows.place import Place
from daemon.flows.records import ledger_records
from daemon.metrics import Metrics
from daemon.model import (
    Append,
    Committed,
    Created,
    Cursor,
    Deadline,
    Finished,
    Headers,
    Intent,
    Item,
    NotNow,
    Outcome,
    Page,
    Sight,
    Tally,
    Transaction,
    UnknownCursor,
)
from daemon.ports import Known, Wanted
from tests.simulation.loop import VirtualLoop

GROUP = "tolokad"
INPUT, OUTPUT, DEAD = "moderation.items", "moderation.results", "moderation.dead-letters"
LEDGER, CURSORS, PROJECT = "tolokad.ledger", "tolokad.cursors", "p-1"
START = datetime(2026, 5, 4, 12, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)

P = ParamSpec("P")


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on a loop where waiting costs nothing, and waiting for ever is an error.

    A task that the test leaves behind fails it: what a flow starts it also ends.
    """

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        loop = VirtualLoop()
        try:
            left = loop.run_until_complete(_to_its_end(test(*args, **kwargs)))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()
        assert left == [], "the test left tasks behind"

    return run


async def _to_its_end(test: Coroutine[Any, Any, None]) -> list[str]:
    """Run a test; returns the tasks that it left behind, which are ended."""
    try:
        await test
        await turns()
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return [repr(task.get_coro()) for task in left]


async def turns(count: int = 20) -> None:
    """Let everything that can run do so, without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


# --- records, items, times ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """See `daemon.model.Record`."""

    offset: int = 0
    value: bytes | None = b"{}"
    topic: str = INPUT
    partition: int = 0
    timestamp: int = START_MS
    key: bytes | None = None
    headers: Headers = ()


def item(offset: int, body: bytes | None = None, partition: int = 0, *, identified: bool = False) -> Item:
    """An item whose record says just what is sent; by default, content of its own."""
    body = b'{"text":"%d"}' % offset if body is None else body
    return Item(
        FakeRecord(offset, body, partition=partition, headers=()),
        body,
        content_hash(parse(body)),
        identified,
    )


def packed_items(items: Sequence[Item], batch_end: int, submitted_at: datetime) -> Sequence[bytes]:
    """The ledger's values of items whose records say where they stand."""
    record: Any = items[0].record
    return ledger_records.pack(record.topic, record.partition, items, batch_end, submitted_at)


def finished(
    item_id: str, body: bytes, seconds: float | None = 0.0, status: str = "COMPLETED", created: float = 0.0
) -> Finished:
    """An item that finished so many seconds after START; None for one without that time."""
    end = None if seconds is None else START + timedelta(seconds=seconds)
    raw = b'"item":{"id":"%s","input_data":%s}' % (item_id.encode(), body)
    begin = START + timedelta(seconds=created)
    return Finished(item_id, status, begin, end, content_hash(parse(body)), raw)


def sight(item: Finished) -> Sight:
    """What a look at such an item shows."""
    return Sight(item.status, item.content_hash, (item,))


def created(item_id: str, body: bytes, seconds: float = 0.0, status: str = "NEW") -> Created:
    """An item as a listing by creation time shows it."""
    return Created(item_id, START + timedelta(seconds=seconds), content_hash(parse(body)), status)


class FakeTime:
    """Every clock in one: the loop's time, or where no loop runs, what a test has set."""

    def __init__(self) -> None:
        self.moved = 0.0

    def elapsed(self) -> float:
        """See `daemon.ports.Clock.elapsed`."""
        try:
            return self.moved + asyncio.get_running_loop().time()
        except RuntimeError:
            return self.moved

    def wall(self) -> float:
        """See `daemon.ports.Clock.wall`."""
        return START.timestamp() + self.elapsed()

    def now(self) -> datetime:
        """See `daemon.ports.TolokaClock.now`."""
        return START + timedelta(seconds=self.elapsed())


def fresh_holds() -> tuple[Holds, Metrics]:
    """Holds, and the metrics that show them."""
    metrics = Metrics()
    return Holds(metrics), metrics


def place(partition: int = 0, ledger_partitions: int = 2) -> Place:
    """Where the way of a partition writes."""
    return Place(GROUP, INPUT, partition, LEDGER, ledger_partitions, DEAD, 2)


def outlets() -> Outlets:
    """Where the collector writes."""
    return Outlets(PROJECT, OUTPUT, 2, LEDGER, 2, CURSORS, DEAD, 2, max_result_bytes=100_000)


# --- Kafka -------------------------------------------------------------------------------------------


@dataclass
class MemoryKafka:
    """See `daemon.ports.Kafka`; transactions are carried out at once, and whole.

    Attributes:
        logs: every topic's partitions; None stands for a control or aborted record.
        starts: where a log begins, if not at 0.
        stable: where committed readers must stop, if an open transaction stands in their way.
        offsets: what groups have committed.
        transactions: everything written, with the name of the writer.
        spoil: is asked before each transaction; what it returns is raised instead.
        sealed: what writers were asked to seal: their name, the partitions, the group.
        gate: held by whoever wants to keep transactions waiting.
    """

    logs: dict[str, list[list[FakeRecord | None]]] = field(default_factory=dict)
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    stable: dict[tuple[str, int], int] = field(default_factory=dict)
    offsets: dict[tuple[str, str, int], Committed] = field(default_factory=dict)
    transactions: list[tuple[str, Transaction]] = field(default_factory=list)
    epochs: dict[str, int] = field(default_factory=dict)
    sealed: list[tuple[str, frozenset[tuple[str, int]], str | None]] = field(default_factory=list)
    spoil: Callable[[Transaction], Exception | None] = lambda _: None
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    readers: int = 0

    @classmethod
    def usual(cls, partitions: int = 2) -> "MemoryKafka":
        """With all topics, of so many partitions each, but for the cursors' one."""
        counts = dict.fromkeys((INPUT, OUTPUT, DEAD, LEDGER), partitions) | {CURSORS: 1}
        return cls({name: [[] for _ in range(count)] for name, count in counts.items()})

    def put(self, topic: str, value: bytes | None, partition: int = 0, **fields: Any) -> FakeRecord:
        """Append a record."""
        log = self.logs[topic][partition]
        record = FakeRecord(len(log), value, topic, partition, **fields)
        log.append(record)
        self.wake()
        return record

    def put_all(self, appends: Sequence[Append]) -> None:
        """Append what a transaction holds."""
        for append in appends:
            at = START_MS if append.timestamp_ms is None else append.timestamp_ms
            fields = {"key": append.key, "headers": tuple(append.headers), "timestamp": at}
            self.put(append.topic, append.value, append.partition, **fields)

    def wake(self) -> None:
        """Let readers look again."""
        self.arrived.set()
        self.arrived = asyncio.Event()

    def written(self, topic: str) -> list[FakeRecord]:
        """The records of a topic, partition by partition."""
        return [record for log in self.logs[topic] for record in log if record is not None]

    def commits(self) -> list[tuple[int, str]]:
        """Every offset that was committed, with its metadata, in order."""
        found = (transaction.offset for _, transaction in self.transactions)
        return [(commit.offset, commit.metadata) for commit in found if commit is not None]

    @asynccontextmanager
    async def reader(self, topic: str, offsets: Mapping[int, int]) -> AsyncIterator["MemoryReader"]:
        """See `daemon.ports.Kafka.reader`."""
        self.readers += 1
        yield MemoryReader(self, topic, dict(offsets))
        self.readers -= 1

    @asynccontextmanager
    async def writer(self, transactional_id: str) -> AsyncIterator["MemoryWriter"]:
        """See `daemon.ports.Kafka.writer`."""
        epoch = self.epochs[transactional_id] = self.epochs.get(transactional_id, 0) + 1
        yield MemoryWriter(self, transactional_id, epoch)

    async def committed(
        self,
        group: str,
        topic: str,
        partitions: Collection[int],
        *,
        stable: bool = True,  # noqa: ARG002 - no offset is ever undecided here
    ) -> Mapping[int, Committed]:
        """See `daemon.ports.Kafka.committed`."""
        return {p: self.offsets.get((group, topic, p), Committed(-1, "")) for p in partitions}

    async def partitions(self, topic: str) -> frozenset[int]:
        """See `daemon.ports.Kafka.partitions`."""
        return frozenset(range(len(self.logs[topic])))

    async def start_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.start_offsets`."""
        if topic not in self.logs:
            raise NoTopic(topic)
        return {p: self.starts.get((topic, p), 0) for p in self._shown(topic, partitions)}

    async def end_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.end_offsets`."""
        return {p: len(self.logs[topic][p]) for p in self._shown(topic, partitions)}

    def _shown(self, topic: str, partitions: Collection[int]) -> Collection[int]:
        known = range(len(self.logs[topic]))
        if not set(partitions) <= set(known):
            raise Transient(f"{topic}: Kafka does not show its partitions {partitions}")
        return partitions or known

    async def stable_offsets(self, topic: str) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.stable_offsets`."""
        return {p: self.stable.get((topic, p), len(log)) for p, log in enumerate(self.logs[topic])}

    async def offsets_at(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.offsets_at`."""

        def first(log: Sequence["FakeRecord | None"]) -> int:
            fresh = (offset for offset, record in enumerate(log) if record and record.timestamp >= time_ms)
            return next(fresh, len(log))

        return {p: first(log) for p, log in enumerate(self.logs[topic])}


class MemoryReader:
    """See `daemon.ports.Reader`."""

    def __init__(self, kafka: MemoryKafka, topic: str, positions: dict[int, int]) -> None:
        self._kafka = kafka
        self._topic = topic
        self._positions = positions

    def position(self, partition: int) -> int:
        """See `daemon.ports.Reader.position`."""
        return self._positions[partition]

    def may_gather(self, max_bytes: int, max_wait_seconds: float) -> None:
        """See `daemon.ports.Reader.may_gather`: it need not, and does not."""

    async def read_bare(self, max_records: int, max_wait_seconds: float) -> Sequence[FakeRecord]:
        """See `daemon.ports.Reader.read_bare`."""
        return await self.read(max_records, max_wait_seconds)

    async def read(self, max_records: int, max_wait_seconds: float) -> Sequence[FakeRecord]:
        """See `daemon.ports.Reader.read`."""
        if not (found := self._fetch(max_records)):
            try:
                async with asyncio.timeout(max_wait_seconds):
                    await self._kafka.arrived.wait()
            except TimeoutError:
                return ()
            found = self._fetch(max_records)
        return found

    def _fetch(self, max_records: int) -> list[FakeRecord]:
        found: list[FakeRecord] = []
        for partition in self._positions:
            self._fetch_from(partition, max_records, found)
        return found

    def _fetch_from(self, partition: int, max_records: int, found: list[FakeRecord]) -> None:
        log, where = self._kafka.logs[self._topic][partition], (self._topic, partition)
        position, end = self._positions[partition], self._kafka.stable.get(where, len(log))
        if position < self._kafka.starts.get(where, 0) or position > len(log):
            raise Held("offset_out_of_range", f"{where} at {position}")
        while position < end and len(found) < max_records:
            if (record := log[position]) is not None:
                found.append(record)
            position += 1
        self._positions[partition] = position


class MemoryWriter:
    """See `daemon.ports.Writer`."""

    def __init__(self, kafka: MemoryKafka, name: str, epoch: int) -> None:
        self._kafka = kafka
        self._name = name
        self._epoch = epoch

    async def transact(self, transaction: Transaction) -> None:
        """See `daemon.ports.Writer.transact`."""
        kafka = self._kafka
        async with kafka.gate:
            if self._epoch != kafka.epochs[self._name]:
                raise Fenced(self._name)
            if (error := kafka.spoil(transaction)) is not None:
                raise error
            kafka.transactions.append((self._name, transaction))
            kafka.put_all(transaction.appends)
            if (commit := transaction.offset) is not None:
                where = (commit.group, commit.topic, commit.partition)
                kafka.offsets[where] = Committed(commit.offset, commit.metadata)

    async def seal(self, partitions: Collection[tuple[str, int]], group: str | None = None) -> None:
        """See `daemon.ports.Writer.seal`; nothing is ever lost here."""
        if self._epoch != self._kafka.epochs[self._name]:
            raise Fenced(self._name)
        self._kafka.sealed.append((self._name, frozenset(partitions), group))


# --- Toloka ------------------------------------------------------------------------------------------


@dataclass
class ScriptedSubmissions:
    """See `daemon.ports.Submissions`; says what a test has written down, or accepts.

    Attributes:
        outcomes: of the next requests; a callable is asked with the items.
        readies: what the next `ready` answers.
        listing: what `created` answers, an error raised; the last one again and again.
        posted: the bodies of each request.
        asked: since and until of each listing.
        within: and how far back from the newest item it reached.
        answers: what each listing was answered.
    """

    outcomes: deque[Outcome | Callable[[Sequence[Item]], Outcome]] = field(default_factory=deque)
    readies: deque[NotNow | None] = field(default_factory=deque)
    listing: deque[Sequence[Created] | Exception] = field(default_factory=deque)
    posted: list[list[bytes]] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    asked: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    within: list[timedelta | None] = field(default_factory=list)
    answers: list[Sequence[Created]] = field(default_factory=list)
    accept: Callable[[Sequence[Item]], Outcome] | None = None
    resumed: list[Tally] = field(default_factory=list)

    def resume(self, tally: Tally) -> None:
        """See `daemon.ports.Submissions.resume`."""
        self.resumed.append(tally)

    async def ready(self, count: int) -> NotNow | None:
        """See `daemon.ports.Submissions.ready`."""
        assert count > 0
        return self.readies.popleft() if self.readies else None

    async def submit(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """See `daemon.ports.Submissions.submit`."""
        del deadline
        self.posted.append([item.body for item in items])
        self.intents.append(intent)
        outcome = self.outcomes.popleft() if self.outcomes else self.accept
        assert outcome is not None, "a request that the test did not expect"
        return outcome(items) if callable(outcome) else outcome

    async def created(
        self,
        since: datetime,
        until: datetime | None,
        within: timedelta | None = None,
        wanted: Wanted | None = None,
    ) -> Sequence[Created]:
        """See `daemon.ports.Submissions.created`."""
        self.within.append(within)
        self.asked.append((since, until))
        answer = self.listing.popleft() if len(self.listing) > 1 else self.listing[0]
        if isinstance(answer, Exception):
            raise answer
        found = [each for each in answer if wanted is None or wanted(each)]
        self.answers.append(found)
        return found


@dataclass
class ScriptedResults:
    """See `daemon.ports.Results`; says what a test has written down.

    Attributes:
        pages: what the next `tail`s answer; afterwards there is nothing new.
        spans: what each `finished` yields; an error raised.
        listed: what `created_items` answers.
        listed_at_once: items in a page of that.
        items: by id; what is not there is unknown to Toloka.
        unsaid: ids of which nothing is said, whatever is asked.
        failing: raised by every look at items, once.
    """

    pages: deque[Page | UnknownCursor | NotNow] = field(default_factory=deque)
    spans: deque[Sequence[Sequence[Finished]]] = field(default_factory=deque)
    listed: Sequence[Finished] = ()
    listed_at_once: int = 1000
    items: dict[str, Finished] = field(default_factory=dict)
    unsaid: set[str] = field(default_factory=set)
    failing: deque[Exception] = field(default_factory=deque)
    tails: list[Cursor] = field(default_factory=list)
    looks: list[tuple[datetime, datetime]] = field(default_factory=list)
    windows: list[tuple[datetime, datetime]] = field(default_factory=list)
    pages_listed: int = 0
    asked: list[list[str]] = field(default_factory=list)
    requests_by_id: int = 1
    observe: Callable[[], None] = lambda: None

    async def tail(self, cursor: Cursor, limit: int) -> Page | UnknownCursor | NotNow:
        """See `daemon.ports.Results.tail`."""
        assert limit > 0
        self.observe()
        self.tails.append(cursor)
        return self.pages.popleft() if self.pages else Page((), has_more=False)

    async def finished(
        self, since: datetime, until: datetime, known: Known | None = None
    ) -> AsyncIterator[Sequence[Finished]]:
        """See `daemon.ports.Results.finished`."""
        del known
        self.looks.append((since, until))
        self._fail()
        for page in self.spans.popleft() if self.spans else ():
            yield page

    async def created_items(
        self, since: datetime, until: datetime
    ) -> AsyncGenerator[Mapping[str, Sight], None]:
        """See `daemon.ports.Results.created_items`; a page holds `listed_at_once`."""
        self.windows.append((since, until))
        self._fail()
        for first in range(0, len(self.listed), self.listed_at_once):
            page = self.listed[first : first + self.listed_at_once]
            self.pages_listed += 1
            yield {item.item_id: sight(item) for item in page}

    async def by_id(self, item_ids: Collection[str]) -> Mapping[str, Sight | None]:
        """See `daemon.ports.Results.by_id`."""
        self.asked.append(sorted(item_ids))
        self._fail()
        told = takewhile(lambda item_id: item_id not in self.unsaid, item_ids)
        found = {i: sight(self.items[i]) if i in self.items else None for i in told}
        if item_ids and not found:
            raise Held("listing_failed", "Toloka answered 500")
        return found

    def _fail(self) -> None:
        if self.failing:
            raise self.failing.popleft()


def seeded() -> Random:
    """Randomness that is the same in every run."""
    return Random(20260504)
