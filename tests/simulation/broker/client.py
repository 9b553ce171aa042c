"""A client of the simulated cluster that fits `daemon.ports.Kafka`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import groupby
from typing import Literal

from daemon.errors import Fenced, Held, NoTopic, Transient
from daemon.model import Append, Committed, Transaction
from tests.simulation.broker.cluster import Cluster
from tests.simulation.broker.errors import BrokerError, FencedError, OutOfRangeError, TooLargeError
from tests.simulation.broker.log import PartitionLog, StoredRecord
from tests.simulation.broker.transactions import Place

# As the real adapters have them.
ANSWER_SECONDS = 20.0
ASK_AGAIN_SECONDS = 0.2
START_SECONDS = 25.0
COMMIT_SECONDS = 20.0
SUSPECT_SECONDS = 30.0

# What becomes of a commit. `unsent`: it never arrives. `unanswered`: it does, and the answer gets lost.
# `late`: it arrives after the client gave up. `refused` and `denied`: the client fails at once, and the
# commit happened, or not. `torn`: as `refused`, but the offset is lost, as a delayed EndTxn can leave it.
# `lost`: as `refused`, but the broker forgets to carry it out where the offset stands (as 4.3.1 may).
# `forgotten`: so, too, but the commit is answered as usual.
Fate = Literal["usual", "unsent", "unanswered", "late", "refused", "denied", "torn", "lost", "forgotten"]


class translated:  # noqa: N801 - read as a statement
    """Turn the broker's errors into the daemon's, as the real adapters do."""

    __slots__ = ("_doing",)

    def __init__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        doing = self._doing
        match error:
            case None:
                return
            case FencedError():
                raise Fenced(f"{doing}: fenced") from error
            case TooLargeError():
                raise Held("too_large", f"{doing}: {error}") from error
            case OutOfRangeError():
                raise Held("offset_out_of_range", f"{doing}: {error}") from error
            case TimeoutError():
                raise Transient(f"{doing}: no answer in time") from error
            case BrokerError():
                raise Transient(f"{doing}: {type(error).__name__}: {error}") from error


class SimKafka:
    """See `daemon.ports.Kafka`.

    Args:
        cluster: the cluster.
        fate: is asked what becomes of each commit.
        reader_dies: is asked before each read whether the reader fails.
    """

    def __init__(
        self,
        cluster: Cluster,
        fate: Callable[[Transaction], Fate] = lambda _transaction: "usual",
        reader_dies: Callable[[], bool] = lambda: False,
    ) -> None:
        self._cluster = cluster
        self._fate = fate
        self._reader_dies = reader_dies

    def reader(self, topic: str, offsets: Mapping[int, int]) -> AbstractAsyncContextManager["SimReader"]:
        """See `daemon.ports.Kafka.reader`."""
        return self._open_reader(topic, offsets)

    @asynccontextmanager
    async def _open_reader(self, topic: str, offsets: Mapping[int, int]) -> AsyncIterator["SimReader"]:
        with translated(f"opening a reader of {topic}"):
            await self._cluster.call("connect", _nothing, until=self._in(ANSWER_SECONDS))
        yield SimReader(self._cluster, topic, dict(offsets), self._reader_dies)

    def writer(self, transactional_id: str) -> AbstractAsyncContextManager["SimWriter"]:
        """See `daemon.ports.Kafka.writer`."""
        return self._open_writer(transactional_id)

    @asynccontextmanager
    async def _open_writer(self, transactional_id: str) -> AsyncIterator["SimWriter"]:
        with translated(f"starting the writer {transactional_id}"):
            init = partial(self._cluster.transactions.init, transactional_id)
            epoch = await self._cluster.call("init", init, until=self._in(START_SECONDS))
        yield SimWriter(self._cluster, transactional_id, epoch, self._fate)

    async def committed(
        self, group: str, topic: str, partitions: Collection[int], *, stable: bool = True
    ) -> Mapping[int, Committed]:
        """See `daemon.ports.Kafka.committed`."""
        with translated(f"asking for the committed offsets of {topic} in {group}"):
            ask, until = (
                partial(self._cluster.groups.committed, group, topic, partitions, stable=stable),
                self._in(ANSWER_SECONDS),
            )
            while True:
                found: Mapping[int, Committed] = await self._cluster.call("committed", ask, until=until)
                if all(partition in found for partition in partitions):
                    return found
                await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def partitions(self, topic: str) -> frozenset[int]:
        """See `daemon.ports.Kafka.partitions`."""
        return frozenset(await self._offsets(topic, lambda _: 0))

    async def start_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.start_offsets`."""
        return _of(partitions, await self._offsets(topic, lambda log: log.start))

    async def end_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.end_offsets`."""
        return _of(partitions, await self._offsets(topic, lambda log: log.high_watermark))

    async def stable_offsets(self, topic: str) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.stable_offsets`."""
        return await self._offsets(topic, lambda log: log.last_stable)

    async def offsets_at(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.offsets_at`."""
        return await self._offsets(topic, lambda log: log.first_since(time_ms))

    async def _offsets(self, topic: str, ask: Callable[[PartitionLog], int]) -> Mapping[int, int]:
        if (logs := self._cluster.topics.get(topic)) is None:
            raise NoTopic(f"the topic {topic} is not there")
        with translated(f"asking for offsets of {topic}"):
            found: dict[int, int] = await self._cluster.call(
                "offsets", lambda: {log.partition: ask(log) for log in logs}, until=self._in(ANSWER_SECONDS)
            )
        return found

    def _in(self, seconds: float) -> float:
        return self._cluster.loop.now + seconds


def _of(partitions: Collection[int], found: Mapping[int, int]) -> Mapping[int, int]:
    if missing := set(partitions) - set(found):
        raise Transient(f"Kafka does not show the partitions {sorted(missing)}")
    return {partition: found[partition] for partition in partitions or found}


class SimReader:
    """See `daemon.ports.Reader`."""

    def __init__(
        self, cluster: Cluster, topic: str, positions: dict[int, int], dies: Callable[[], bool]
    ) -> None:
        self._cluster = cluster
        self._logs = cluster.topics[topic]
        self._topic = topic
        self._positions = positions
        self._dies = dies
        self._answered_at = cluster.loop.now
        self._changed: asyncio.Future[None] | None = None

    def position(self, partition: int) -> int:
        """See `daemon.ports.Reader.position`."""
        return self._positions[partition]

    def may_gather(self, max_bytes: int, max_wait_seconds: float) -> None:
        """See `daemon.ports.Reader.may_gather`: it need not, and does not."""

    async def read_bare(self, max_records: int, max_wait_seconds: float) -> Sequence[StoredRecord]:
        """See `daemon.ports.Reader.read_bare`."""
        return await self.read(max_records, max_wait_seconds)

    async def read(self, max_records: int, max_wait_seconds: float) -> Sequence[StoredRecord]:
        """See `daemon.ports.Reader.read`."""
        if self._dies():
            raise Transient(f"the reader of {self._topic} has died")
        end = self._cluster.loop.now + max_wait_seconds
        while True:
            if (changed := self._pending()) is not None and not await _within(changed, end):
                return ()
            try:
                with translated(f"reading {self._topic}"):
                    found = await self._ask(max_records, end)
            except Transient as failure:
                if not isinstance(failure.__cause__, TimeoutError) or self._suspect:
                    raise
                return ()
            if found:
                return found

    @property
    def _suspect(self) -> bool:
        """The broker has not answered for so long that the reader is taken for broken."""
        return self._cluster.loop.now - self._answered_at > SUSPECT_SECONDS

    def _pending(self) -> "asyncio.Future[None] | None":
        """What is to be waited for before it is worth asking again."""
        return None if self._changed is None or self._changed.done() or self._suspect else self._changed

    async def _ask(self, max_records: int, until: float) -> list[StoredRecord]:
        """Fetch once; where there was nothing, the broker will say when that changes."""
        changed: asyncio.Future[None] = self._cluster.loop.create_future()
        fetch = partial(self._fetch, dict(self._positions), max_records, changed)
        found: list[StoredRecord]
        found, positions = await self._cluster.call("fetch", fetch, until=until)
        self._positions.update(positions)
        self._answered_at = self._cluster.loop.now
        self._changed = None if found else changed
        return found

    def _fetch(
        self, positions: dict[int, int], max_records: int, changed: "asyncio.Future[None]"
    ) -> tuple[list[StoredRecord], dict[int, int]]:
        """At the broker: what there is now, and the positions behind it; a wake-up call for later."""
        found: list[StoredRecord] = []
        partitions = sorted(positions)
        self._cluster.rng.shuffle(partitions)
        for partition in partitions:
            if len(found) < max_records:
                fetched = self._logs[partition].fetch(positions[partition], max_records - len(found))
                found += fetched.records
                positions[partition] = fetched.next_offset
            self._logs[partition].wait(changed)
        return found, positions


class SimWriter:
    """See `daemon.ports.Writer`."""

    def __init__(self, cluster: Cluster, name: str, epoch: int, fate: Callable[[Transaction], Fate]) -> None:
        self._cluster = cluster
        self._name = name
        self._epoch = epoch
        self._fate = fate
        self._spent = False

    async def transact(self, transaction: Transaction) -> None:
        """See `daemon.ports.Writer.transact`."""
        if self._spent:
            raise Transient(f"the writer {self._name} has failed before")
        self._spent = True
        with translated(f"a transaction ({transaction.kind}) of {self._name}"):
            await self._carry_out(transaction, self._cluster.loop.now + COMMIT_SECONDS)
        self._spent = False

    async def seal(self, partitions: Collection[Place], group: str | None = None) -> None:
        """See `daemon.ports.Writer.seal`."""
        self._spent = True
        until = self._cluster.loop.now + COMMIT_SECONDS
        server, name, epoch = self._cluster.transactions, self._name, self._epoch
        with translated(f"sealing what {name} has written"):
            await self._cluster.call(
                "seal", partial(server.seal, name, epoch, partitions, group), until=until
            )
            await self._cluster.call("end seal", partial(server.end, name, epoch), until=until)
        self._spent = False

    async def _carry_out(self, transaction: Transaction, until: float) -> None:
        server, name, epoch = self._cluster.transactions, self._name, self._epoch
        batches = _by_place(transaction.appends)
        places = sorted(batches)
        self._cluster.rng.shuffle(places)
        for place in places:
            part = {place: batches[place]}
            await self._cluster.call(
                f"produce {transaction.kind}", partial(server.produce, name, epoch, part), until=until
            )
        if (offset := transaction.offset) is not None:
            await self._cluster.call(
                f"add_offset {transaction.kind}", partial(server.add_offset, name, epoch, offset), until=until
            )
        if places or offset is not None:
            await self._commit(transaction.kind, self._fate(transaction), until)

    async def _commit(self, kind: str, fate: Fate, until: float) -> None:
        name = self._name
        end = partial(self._cluster.transactions.end, name, self._epoch)
        if fate in {"usual", "unanswered", "refused"}:
            await self._cluster.call(f"end {kind}", end, until=until)
        if fate == "late":
            seconds = self._cluster.rng.uniform(COMMIT_SECONDS, COMMIT_SECONDS + 15)
            await self._cluster.call(f"end {kind}", end, until=until, delay_seconds=seconds)
        if fate == "torn":
            tear = partial(self._cluster.transactions.end, name, self._epoch, torn=True)
            await self._cluster.call(f"end {kind}", tear, until=until)
        if fate in {"lost", "forgotten"}:
            lose = partial(self._cluster.transactions.end, name, self._epoch, lost=True)
            await self._cluster.call(f"end {kind}", lose, until=until)
        if fate in {"refused", "denied", "torn", "lost"}:
            raise Transient(f"a commit of {name} failed")
        if fate in {"unsent", "unanswered"}:
            await asyncio.sleep(until - self._cluster.loop.now)
            raise TimeoutError


async def _within(changed: "asyncio.Future[None]", end: float) -> bool:
    """Wait until something has changed; False where that does not happen in time."""
    loop = changed.get_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def wake(_: object = None) -> None:
        if not woken.done():
            woken.set_result(None)

    timer = loop.call_at(end, wake)
    changed.add_done_callback(wake)
    try:
        await woken
    finally:
        timer.cancel()
        changed.remove_done_callback(wake)
    return changed.done()


def _nothing() -> None:
    """See that the cluster answers."""


def _by_place(appends: Sequence[Append]) -> dict[Place, list[Append]]:
    ordered = sorted(appends, key=_place)
    return {place: list(group) for place, group in groupby(ordered, key=_place)}


def _place(append: Append) -> Place:
    return append.topic, append.partition
