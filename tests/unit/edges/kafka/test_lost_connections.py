"""A connection that the event loop has closed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest, ListGroupsRequest

from daemon.edges.kafka.lost_connections import heed_closed_connections


@pytest.fixture
async def transport() -> AsyncIterator[asyncio.Transport]:
    """One that was closed at once, and whose end nobody has been told of yet."""

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        loop, (host, port) = asyncio.get_running_loop(), server.sockets[0].getsockname()
        transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
        transport.abort()
        yield transport


@pytest.fixture
async def connection(transport: asyncio.Transport) -> AIOKafkaConnection:
    """The client's, over it."""
    heed_closed_connections()
    connection = AIOKafkaConnection("127.0.0.1", 0)
    connection._reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(connection._reader)
    loop = asyncio.get_running_loop()
    connection._writer = asyncio.StreamWriter(transport, protocol, connection._reader, loop)
    connection._read_task = connection._create_reader_task()
    return connection


async def test_a_request_over_a_closed_connection_finds_it_lost(connection: AIOKafkaConnection) -> None:
    """What the loop closed before the client knew is an error of the network: the client connects anew."""
    with pytest.raises(KafkaConnectionError):
        connection.send(ApiVersionRequest())
    assert not connection.connected()


async def test_a_request_that_the_broker_does_not_know_is_none_that_was_lost(
    connection: AIOKafkaConnection,
) -> None:
    """It is refused for what it is, and the connection stays: to connect anew would mend nothing."""
    with pytest.raises(IncompatibleBrokerVersion):
        connection.send(ListGroupsRequest())
    assert connection.connected()
    connection._versions = {ListGroupsRequest.API_KEY: (99, 99)}
    with pytest.raises(NotImplementedError):
        connection.send(ListGroupsRequest())
    assert connection.connected()
    connection.close()
