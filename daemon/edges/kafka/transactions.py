"""A transactional producer that is used until its first failure and then thrown away.

After any failure the outcome may be unknown, so a writer is never mended: its owner opens the next one, whose
start fences this one and waits for the end of whatever it left open (KIP-98).
"""

import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiokafka.client import AIOKafkaClient

from daemon.edges.kafka import kafka_client, silent_brokers
from daemon.edges.kafka.packing import BatchBytes, by_place, packed
from daemon.edges.kafka.producing import Producer, RefusedError
from daemon.edges.kafka.topics import Partitions, insist_on_places
from daemon.errors import Fenced, Transient
from daemon.metrics import Metrics
from daemon.model import Transaction
from daemon.settings import KafkaSettings

# A frozen writer must not hold up the collector's reading for longer.
TRANSACTION_TIMEOUT_SECONDS = 30.0
# Below the broker's timeout, so that a writer gives up before the broker does it for it.
START_SECONDS = 25.0
COMMIT_SECONDS = 20.0


@asynccontextmanager
async def writer(
    settings: KafkaSettings,
    client_id: str,
    transactional_id: str,
    metrics: Metrics,
    sizes: BatchBytes,
    partitions: Partitions,
) -> AsyncIterator["TransactionalWriter"]:
    """Start a producer: predecessors are fenced, and their open transactions ended, when this enters.

    Raises:
        Held: `not_permitted`, naming the transactional id.
        Transient: no start in time.
    """
    client = AIOKafkaClient(**kafka_client.connection(settings, client_id))
    silent_brokers.pass_over_the_silent(client)
    producer = Producer(client, transactional_id)
    try:
        with kafka_client.translated(f"starting the writer {transactional_id}"):
            async with producer.bounded(START_SECONDS):
                await client.bootstrap()
                await producer.start(TRANSACTION_TIMEOUT_SECONDS)
        yield TransactionalWriter(producer, transactional_id, metrics, sizes, partitions)
    finally:
        await kafka_client.stop(client)


class TransactionalWriter:
    """See `daemon.ports.Writer`."""

    def __init__(
        self,
        producer: Producer,
        transactional_id: str,
        metrics: Metrics,
        sizes: BatchBytes,
        partitions: Partitions,
    ) -> None:
        self._producer = producer
        self._id = transactional_id
        self._metrics = metrics
        self._sizes = sizes
        self._partitions = partitions
        self._spent = False

    async def transact(self, transaction: Transaction) -> None:
        """See `daemon.ports.Writer.transact`."""
        started = time.perf_counter()
        with self._unspent():
            try:
                with kafka_client.translated(f"a transaction ({transaction.kind}) of {self._id}"):
                    async with self._producer.bounded(COMMIT_SECONDS):
                        await self._carry_out(transaction)
            except Exception:
                self._metrics.transaction_failures.labels(transaction.kind).inc()
                raise
        seconds = time.perf_counter() - started
        self._metrics.transaction_seconds.labels(transaction.kind).observe(seconds)

    async def seal(self, partitions: Collection[tuple[str, int]], group: str | None = None) -> None:
        """See `daemon.ports.Writer.seal`."""
        try:
            with self._unspent(), kafka_client.translated(f"sealing what {self._id} has written"):
                async with self._producer.bounded(COMMIT_SECONDS):
                    await self._seal(partitions, group)
        except Fenced:
            raise
        except Transient:
            # To the client a partition that is not there is one that does not answer.
            await insist_on_places(self._partitions, partitions)
            raise

    async def _seal(self, partitions: Collection[tuple[str, int]], group: str | None) -> None:
        if partitions or group is not None:
            await self._producer.begin(partitions, group)
            await self._producer.commit()

    @contextmanager
    def _unspent(self) -> Iterator[None]:
        """Whatever fails in this block was the last that this writer did."""
        if self._spent:
            raise Transient(f"the writer {self._id} has failed before")
        self._spent = True
        yield
        # What went unanswered may arrive yet, on its way through a proxy, and would be taken for a part of
        # the next transaction: a commit of half of it, or other metadata than its own. A new producer, whose
        # epoch is another, is what it cannot belong to.
        self._spent = self._producer.has_strays

    async def _carry_out(self, transaction: Transaction) -> None:
        batches = {
            place: those
            for place, group in by_place(transaction.appends).items()
            if (those := list(packed(self._sizes.of(place[0]), group)))
        }
        commit = transaction.offset
        if not batches and commit is None:
            return
        await self._producer.begin(batches, None if commit is None else commit.group)
        try:
            await self._producer.write(batches)
        except RefusedError as refused:
            self._learn_from(refused)
            raise refused.cause from None
        if commit is not None:
            await self._producer.commit_offset(commit)
        await self._producer.commit()

    def _learn_from(self, refused: RefusedError) -> None:
        """A topic may refuse a batch of records although it takes each of them.

        Raises:
            Transient: the next writer sends smaller ones.
        """
        topic, size = refused.place[0], refused.batch.size
        if isinstance(refused.cause, kafka_client.TOO_LARGE) and refused.batch.count > 1:
            self._sizes.refused(topic, size)
            raise Transient(f"{topic} takes no {size} bytes at once: smaller batches from here on") from None
