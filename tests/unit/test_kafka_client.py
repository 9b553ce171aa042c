"""Clients of Kafka are stopped, whatever becomes of it; their errors are told in our words."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from daemon.edges import kafka_client
from daemon.errors import Transient
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
