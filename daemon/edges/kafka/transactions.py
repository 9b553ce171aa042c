"""A transactional producer that is used until its first failure and then thrown away.

After any failure the outcome may be unknown and the client's sequence numbers may have a gap (KIP-360
is not implemented by aiokafka), so a writer is never mended: its owner opens the next one, whose start
fences this one and waits for the end of whatever it left open (KIP-98).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from daemon.edges.kafka import kafka_client, silent_brokers
from daemon.edges.kafka.packing import RECORD_BATCH_BYTES, BatchBytes, by_place, packed
from daemon.edges.kafka.topics import Partitions, insist_on_places
from daemon.errors import Fenced, Transient
from daemon.metrics import Metrics
from daemon.model import Append, Transaction
from daemon.settings import KafkaSettings

# A frozen writer must not hold up the collector's reading for longer.
TRANSACTION_TIMEOUT_SECONDS = 30.0
# Below the broker's timeout, so that a writer gives up before the broker does it for it.
START_SECONDS = 25.0
COMMIT_SECONDS = 20.0
# After a commit the coordinator is busy for some ms; aiokafka's 100 ms would be slept through each time.
RETRY_BACKOFF_MS = 5


class _Delivery(NamedTuple):
    """A batch of records on its way to a topic, and what becomes of it."""

    topic: str
    batch: Any
    outcome: "asyncio.Future[Any]"


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
    producer = AIOKafkaProducer(
        **kafka_client.connection(settings, client_id),
        transactional_id=transactional_id,
        transaction_timeout_ms=int(TRANSACTION_TIMEOUT_SECONDS * 1000),
        max_batch_size=RECORD_BATCH_BYTES,
        retry_backoff_ms=RETRY_BACKOFF_MS,
        linger_ms=0,
    )
    silent_brokers.pass_over_the_silent(producer.client)
    try:
        with kafka_client.translated(f"starting the writer {transactional_id}"):
            async with asyncio.timeout(START_SECONDS):
                await producer.start()
        yield TransactionalWriter(producer, transactional_id, metrics, sizes, partitions)
    finally:
        await kafka_client.stop(producer)


class TransactionalWriter:
    """See `daemon.ports.Writer`."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
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
        self._has_strays = False
        self._watch_for_strays()

    async def transact(self, transaction: Transaction) -> None:
        """See `daemon.ports.Writer.transact`."""
        started = time.perf_counter()
        deliveries: list[_Delivery] = []
        with self._unspent():
            try:
                with kafka_client.translated(f"a transaction ({transaction.kind}) of {self._id}"):
                    async with asyncio.timeout(COMMIT_SECONDS):
                        await self._carry_out(transaction, deliveries)
            except Exception:
                self._metrics.transaction_failures.labels(transaction.kind).inc()
                raise
            finally:
                self._forget(deliveries)
        seconds = time.perf_counter() - started
        self._metrics.transaction_seconds.labels(transaction.kind).observe(seconds)

    async def seal(self, partitions: Collection[tuple[str, int]], group: str | None = None) -> None:
        """See `daemon.ports.Writer.seal`."""
        try:
            with self._unspent(), kafka_client.translated(f"sealing what {self._id} has written"):
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self._seal(partitions, group)
        except Fenced:
            raise
        except Transient:
            # To the client a partition that is not there is one that does not answer.
            await insist_on_places(self._partitions, partitions)
            raise
        finally:
            self._forget(())

    async def _seal(self, partitions: Collection[tuple[str, int]], group: str | None) -> None:
        await self._producer.begin_transaction()
        manager, sender = self._producer._txn_manager, self._producer._sender  # noqa: SLF001 - the client shows it nowhere else
        for topic, partition in partitions:
            manager.maybe_add_partition_to_txn(TopicPartition(topic, partition))
        # The client adds a group only along with offsets for it, and there are none.
        while group is not None and not await sender._do_add_offsets_to_txn(group):  # noqa: SLF001 - see above
            continue
        await self._producer.commit_transaction()

    @contextmanager
    def _unspent(self) -> Iterator[None]:
        """Whatever fails in this block was the last that this writer did."""
        if self._spent:
            raise Transient(f"the writer {self._id} has failed before")
        self._spent = True
        yield
        self._spent = self._has_strays

    def _watch_for_strays(self) -> None:
        """Notice requests that were not answered: the client sends them once more, without a word.

        The first of the two may arrive later, on its way through a proxy, and would be taken for a part of
        the next transaction: a commit of half of it, or other metadata than its own. A new producer, whose
        epoch is another, is what it cannot belong to.
        """
        client = self._producer.client
        send = client.send

        async def watched(*arguments: Any, **named: Any) -> Any:
            try:
                return await send(*arguments, **named)
            except kafka_errors.NodeNotReadyError:
                # It was not sent.
                raise
            except kafka_errors.KafkaError:
                self._has_strays = True
                raise

        client.send = watched

    def _forget(self, deliveries: Iterable[_Delivery]) -> None:
        """Look at each outcome, so that none is reported as an exception that nobody retrieved."""
        # The producer keeps the end of the transaction as a future of its own.
        waiter = self._producer._txn_manager._transaction_waiter  # noqa: SLF001 - the client shows it nowhere else
        for outcome in (waiter, *(delivery.outcome for delivery in deliveries)):
            if outcome is not None and outcome.done() and not outcome.cancelled():
                outcome.exception()
            elif outcome is not None:
                outcome.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _carry_out(self, transaction: Transaction, deliveries: list[_Delivery]) -> None:
        await self._producer.begin_transaction()
        try:
            await self._send(transaction.appends, deliveries)
            if (commit := transaction.offset) is not None:
                place = TopicPartition(commit.topic, commit.partition)
                what = OffsetAndMetadata(commit.offset, commit.metadata)
                await self._producer.send_offsets_to_transaction({place: what}, commit.group)
            # commit_transaction() would not notice a record that was refused: look at each first.
            await asyncio.gather(*(delivery.outcome for delivery in deliveries))
        except (kafka_errors.KafkaError, kafka_errors.IllegalOperation):
            # A denied write leaves the producer in a state where every call is "illegal", or a broker that
            # was never told of the partition calls it so; the producer knows the cause.
            ended = self._producer._txn_manager._transaction_waiter  # noqa: SLF001 - the client shows it nowhere else
            self._learn_from(deliveries)
            for future in (ended, *(delivery.outcome for delivery in deliveries)):
                if future.done() and not future.cancelled() and (cause := future.exception()) is not None:
                    # What it did not expect it wraps in an error that says nothing.
                    inner = cause.__cause__
                    raise (inner if isinstance(inner, kafka_errors.KafkaError) else cause) from None
            raise
        await self._producer.commit_transaction()

    def _learn_from(self, deliveries: Iterable[_Delivery]) -> None:
        """A topic may refuse a batch of records although it takes each of them.

        Raises:
            Transient: the next writer sends smaller ones.
        """
        for topic, batch, outcome in deliveries:
            refused = outcome.exception() if outcome.done() and not outcome.cancelled() else None
            if isinstance(refused, kafka_client.TOO_LARGE) and batch.record_count() > 1:
                self._sizes.refused(topic, batch.size())
                raise Transient(
                    f"{topic} takes no {batch.size()} bytes at once: smaller batches from here on"
                )

    async def _send(self, appends: Sequence[Append], deliveries: list[_Delivery]) -> None:
        for (topic, partition), group in by_place(appends).items():
            # The client takes it for all of its life; it looks at it again for each batch.
            self._producer._message_accumulator._batch_size = self._sizes.of(topic)  # noqa: SLF001 - see above
            for batch in packed(self._producer.create_batch, group):
                outcome = await self._producer.send_batch(batch, topic, partition=partition)
                # One by one: what was sent before a failure is looked at, too.
                deliveries.append(_Delivery(topic, batch, outcome))
