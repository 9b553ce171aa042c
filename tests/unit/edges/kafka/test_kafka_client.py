"""Clients of Kafka are stopped, whatever becomes of it; their errors are told in our words."""

import asyncio
import gc
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    InvalidSessionTimeoutError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    ProducerFenced,
    RequestTimedOutError,
)
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import kafka_client, silent_brokers
from daemon.edges.kafka.packing import BatchBytes
from daemon.edges.kafka.transactions import TransactionalWriter
from daemon.errors import Held, Transient
from daemon.metrics import Metrics
from daemon.model import Append, Transaction
from tests.doubles import in_virtual_time


class Connections:
    """What a client talks through."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        """See the client's own."""
        self.closed = True


class Client:
    """Stops as a test says, and closes its connections last."""

    def __init__(self, error: BaseException | None, seconds: float) -> None:
        self.client = Connections()
        self._error = error
        self._seconds = seconds

    async def stop(self) -> None:
        """See the client's own."""
        await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error
        await self.client.close()


@pytest.mark.parametrize("seconds", [0.0, 1000.0])
@pytest.mark.parametrize("error", [None, asyncio.CancelledError(), OSError("reset"), AssertionError()])
def test_no_connection_is_left_open(error: BaseException | None, seconds: float) -> None:
    """Not by a stop that hangs, nor by one that fails or is cancelled by the client itself."""

    @in_virtual_time
    async def check() -> None:
        client = Client(error, seconds)
        await kafka_client.stop(client)
        assert client.client.closed

    check()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KafkaConnectionError("no broker"), "connecting: KafkaConnectionError: no broker"),
        (KafkaConnectionError(), "connecting: KafkaConnectionError"),
        (OSError("reset"), "connecting: OSError: reset"),
    ],
)
def test_an_error_is_named_once(error: Exception, told: str) -> None:
    """Kafka's own say their names themselves."""
    with pytest.raises(Transient) as caught, kafka_client.translated("connecting"):
        raise error
    assert str(caught.value) == told


def test_a_session_timeout_that_the_brokers_do_not_allow_is_named() -> None:
    """No retry mends it: it holds at once, with the variable and what bounds it."""
    with pytest.raises(Held, match="SESSION_TIMEOUT_SECONDS") as held, kafka_client.translated("joining"):
        raise InvalidSessionTimeoutError
    assert held.value.reason == "kafka"
    assert "group.min.session.timeout.ms" in held.value.detail


@pytest.mark.parametrize("seconds", [1.0, 100.0])
def test_a_connection_that_is_silent_is_given_up(seconds: float) -> None:
    """Every other question would go down the same hole; one that is answered stays."""

    @in_virtual_time
    async def check() -> None:
        client = Asked()
        with suppress(TimeoutError):
            async with kafka_client.answering(20.0, client):
                await asyncio.sleep(seconds)
        assert client.closed == (["conn"] if seconds > 20.0 else [])

    check()


class Asked:
    """The connections that a client talks over."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self._conns = {"broker": self}

    def close(self) -> None:
        """See the client's own connection."""
        self.closed.append("conn")


async def partitions(_topic: str) -> frozenset[int]:
    """Of every topic."""
    return frozenset({0})


class Producer:
    """A transactional producer whose requests are answered, or lost and sent again."""

    def __init__(self, failures: Sequence[Exception]) -> None:
        self.client = self
        self._failures = list(failures)
        self._txn_manager = SimpleNamespace(_transaction_waiter=None)

    async def send(self, *_: object) -> None:
        """See the client's own."""
        if self._failures:
            raise self._failures.pop()

    async def begin_transaction(self) -> None:
        """See the producer's own."""

    async def commit_transaction(self) -> None:
        """Sends until there is an answer, as the producer does."""
        while True:
            with suppress(KafkaError):
                return await self.client.send(0)


async def test_a_producer_stopped_by_force_leaves_no_task_behind() -> None:
    """One that waits for what will never be sent would be an error in the log when it is collected."""
    producer = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    accumulator = producer._message_accumulator
    place = TopicPartition("ledger", 0)
    unsent = accumulator._append_batch(accumulator.create_builder(), place)
    producer._sender._sender_task = asyncio.create_task(asyncio.Event().wait())
    await kafka_client.stop(producer, 0.01)
    assert isinstance(unsent.future.exception(), KafkaConnectionError)
    assert asyncio.all_tasks() == {asyncio.current_task()}


class TakingProducer(Producer):
    """One that takes whatever it is given."""

    def __init__(self) -> None:
        super().__init__([])
        self._message_accumulator = SimpleNamespace(_batch_size=0)
        self.batches: WeakSet[BatchBuilder] = WeakSet()

    def create_batch(self) -> BatchBuilder:
        """See the producer's own."""
        batch = BatchBuilder(self._message_accumulator._batch_size, 0)
        self.batches.add(batch)
        return batch

    async def send_batch(self, *_: object, partition: int) -> "asyncio.Future[int]":
        """See the producer's own."""
        taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        taken.set_result(partition)
        return taken


@in_virtual_time
async def test_what_was_written_is_not_kept() -> None:
    """A page of results may be megabytes, and every partition has a writer that may rest for days."""
    producer = TakingProducer()
    writer = TransactionalWriter(producer, "w", Metrics(), BatchBytes(), partitions)
    await writer.transact(Transaction("settle", [Append("results", 0, b"key", b"value")]))
    gc.collect()
    assert not producer.batches


@pytest.mark.parametrize(
    ("failures", "is_spent"),
    [([], False), ([NodeNotReadyError("not connected")], False), ([RequestTimedOutError("no answer")], True)],
)
def test_what_went_unanswered_was_a_writers_last(failures: Sequence[Exception], *, is_spent: bool) -> None:
    """The same request may arrive later, and would be taken for a part of its next transaction."""

    @in_virtual_time
    async def check() -> None:
        writer = TransactionalWriter(Producer(failures), "w", Metrics(), BatchBytes(), partitions)
        await writer.transact(Transaction("intent"))
        with pytest.raises(Transient) if is_spent else nullcontext():
            await writer.transact(Transaction("intent"))

    check()


@pytest.mark.parametrize(("error", "is_told"), [(ProducerFenced("w"), False), (ValueError("x"), True)])
def test_what_the_client_leaves_behind_is_passed_over(error: Exception, *, is_told: bool) -> None:
    """A call of ours has failed with it already; anything else that nobody waited for is told."""
    told: list[object] = []
    loop: Any = SimpleNamespace(default_exception_handler=told.append)
    kafka_client.pass_over_leftovers(
        loop, {"message": "Future exception was never retrieved", "exception": error}
    )
    assert bool(told) == is_told


async def test_a_silent_bootstrap_server_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen one takes the connection and answers nothing: the next is tried soon, and patience is kept."""
    monkeypatch.setattr(silent_brokers, "CONNECT_SECONDS", 0.05)
    accepted: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        client = AIOKafkaClient(bootstrap_servers=[f"127.0.0.1:{port}"] * 2)
        patience_ms = client._request_timeout_ms
        silent_brokers.pass_over_the_silent(client)
        with pytest.raises(KafkaConnectionError):
            await client.bootstrap()
        assert len(accepted) == 2
        assert client._request_timeout_ms == patience_ms
        for writer in accepted:
            writer.close()


class _Seen:
    """What a client knows of its brokers: each has its own port."""

    def broker_metadata(self, node: int) -> Any:
        return SimpleNamespace(host="localhost", port=node)


@in_virtual_time
async def test_a_silent_broker_is_waited_for_by_those_alone_who_want_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What needs another one goes on at once; nobody waits for long, also not behind somebody else."""
    silent, healthy = 1, 2

    async def create(_host: str, port: int, **_: object) -> Any:
        if port == silent:
            await asyncio.Event().wait()
        return SimpleNamespace(connected=lambda: True)

    monkeypatch.setattr("aiokafka.client.create_conn", create)
    client = AIOKafkaClient()
    client.cluster = _Seen()
    silent_brokers.pass_over_the_silent(client)
    began = asyncio.get_running_loop().time()
    waiting = [asyncio.create_task(client.ready(silent)) for _ in range(3)]
    await asyncio.sleep(1)
    assert await client.ready(healthy)
    assert asyncio.get_running_loop().time() - began == 1
    assert await asyncio.gather(*waiting) == [False] * len(waiting)
    assert asyncio.get_running_loop().time() - began == silent_brokers.CONNECT_SECONDS
    # Whether it is still a broker is looked at again.
    assert client._md_update_fut is not None


async def test_those_who_want_the_same_broker_have_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes while it is being opened waits for that one."""
    opened: list[int] = []

    async def create(_host: str, port: int, **_: object) -> Any:
        opened.append(port)
        await asyncio.sleep(0)
        return SimpleNamespace(connected=lambda: True)

    monkeypatch.setattr("aiokafka.client.create_conn", create)
    client = AIOKafkaClient()
    client.cluster = _Seen()
    silent_brokers.pass_over_the_silent(client)
    assert await asyncio.gather(*(client.ready(1) for _ in range(3))) == [True] * 3
    assert opened == [1]
