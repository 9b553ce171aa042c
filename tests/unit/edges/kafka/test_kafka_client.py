"""Clients of Kafka are stopped, whatever becomes of it; their errors are told in our words."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    InvalidSessionTimeoutError,
    KafkaConnectionError,
)

from daemon.edges.kafka import kafka_client, silent_brokers
from daemon.errors import Held, Transient
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


async def test_a_connection_that_was_lost_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would ever be answered over the old one; one that stands is used again."""
    standing: list[bool] = []

    async def create(_host: str, _port: int, **_: object) -> Any:
        number = len(standing)
        standing.append(True)
        return SimpleNamespace(connected=lambda: standing[number])

    monkeypatch.setattr("aiokafka.client.create_conn", create)
    client = AIOKafkaClient()
    client.cluster = _Seen()
    silent_brokers.pass_over_the_silent(client)
    for _ in range(2):
        assert await client.ready(1)
    assert standing == [True]
    standing[0] = False
    for _ in range(2):
        assert await client.ready(1)
    assert standing == [False, True]
