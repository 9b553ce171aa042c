"""The fault proxy: every toxic does to a connection what its name says, and healing ends it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import pytest

from tests.kafka.proxy import END_TXN, KafkaProxy
from tests.proxy import Proxy, Toxics

FOREVER_SECONDS = 3600.0


class Echo:
    """A loopback server that sends everything back and remembers it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.break_off()
        await asyncio.gather(*self._tasks)
        await self._server.wait_closed()

    def break_off(self) -> None:
        """Close every connection from this side."""
        for writer in self._writers:
            writer.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.received += data
                writer.write(data)
        except ConnectionError:
            self.received += b"<reset>"
        writer.close()


class Client:
    """One connection through a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> bytes:
        """Send and read as much back."""
        self.writer.write(data)
        return await self.reader.readexactly(len(data))

    async def close(self, *, reset: bool = False) -> None:
        """Close at once, with FIN or RST, with no regard to what is under way."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Client]:
    """A client of the proxy, closed at the end."""
    client = Client(*await asyncio.open_connection("127.0.0.1", proxy.port))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """The server behind the proxy."""
    async with Echo() as server:
        yield server


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    """A healthy proxy in front of the echo."""
    async with Proxy("127.0.0.1", echo.port) as healthy:
        yield healthy


async def test_healthy_proxy_forwards_bytes_and_half_close(proxy: Proxy) -> None:
    """Without toxics a megabyte comes back unchanged, and the end of one direction is handed on."""
    data = bytes(range(256)) * 4096
    async with connected(proxy) as client:
        client.writer.write(data)
        client.writer.write_eof()
        assert await client.reader.read() == data


async def test_latency_delays_and_healing_releases(proxy: Proxy) -> None:
    """Delayed bytes are not lost: they arrive when the latency ends, in order."""
    async with connected(proxy) as slow:
        proxy.set(downstream=Toxics(latency_seconds=FOREVER_SECONDS))
        slow.writer.write(b"first ")
        await proxy.until(lambda: proxy.bytes_passed == len(b"first "))
        proxy.heal()
        assert await slow.ask(b"second") == b"first "
        assert await slow.reader.readexactly(6) == b"second"


async def test_latency_is_as_long_as_told(proxy: Proxy, echo: Echo) -> None:
    """Of two answers, the one with the shorter latency arrives first though it was asked for later."""
    arrivals: list[str] = []

    async def ask(name: str, client: Client) -> None:
        await client.ask(b"?")
        arrivals.append(name)

    proxy.set(upstream=Toxics(latency_seconds=0.3, jitter_seconds=0.01))
    async with Proxy("127.0.0.1", echo.port) as other, connected(proxy) as long, connected(other) as short:
        other.set(upstream=Toxics(latency_seconds=0.05))
        await asyncio.gather(ask("long", long), ask("short", short))
    assert arrivals == ["short", "long"]


async def test_jitter_keeps_the_order(proxy: Proxy) -> None:
    """However unevenly chunks are delayed, none overtakes another."""
    proxy.set(upstream=Toxics(latency_seconds=0.005, jitter_seconds=0.005))
    sent = b"".join(struct.pack(">i", number) for number in range(40))
    async with connected(proxy) as client:
        for start in range(0, len(sent), 4):
            client.writer.write(sent[start : start + 4])
            await asyncio.sleep(0)
        assert await client.reader.readexactly(len(sent)) == sent


async def test_bandwidth_lets_a_part_through(proxy: Proxy) -> None:
    """On a slow line the beginning arrives while the rest is still under way, and all of it once healed."""
    proxy.set(downstream=Toxics(bytes_per_second=20.0))
    async with connected(proxy) as client:
        client.writer.write(b"x" * 1000)
        assert await client.reader.readexactly(2) == b"xx"
        assert proxy.bytes_passed < 1100
        proxy.heal()
        assert await client.reader.readexactly(998) == b"x" * 998


async def test_slicer_writes_in_small_pieces(proxy: Proxy) -> None:
    """A sliced answer reaches the client in many reads, complete."""
    proxy.set(downstream=Toxics(slice_bytes=2, slice_delay_seconds=0.001))
    async with connected(proxy) as client:
        client.writer.write(b"0123456789")
        reads = [await client.reader.read(100)]
        while len(b"".join(reads)) < 10:
            reads.append(await client.reader.read(100))
    assert b"".join(reads) == b"0123456789"
    assert len(reads) > 1


async def test_limit_ends_the_connection_after_so_many_bytes(proxy: Proxy) -> None:
    """Exactly the allowed bytes of an answer arrive, then the connection ends."""
    async with connected(proxy) as client:
        assert await client.ask(b"not counted") == b"not counted"
        proxy.set(downstream=Toxics(limit_bytes=4))
        client.writer.write(b"0123456789")
        assert await client.reader.read() == b"0123"


async def test_limit_may_end_with_a_reset(proxy: Proxy, echo: Echo) -> None:
    """A request cut off in the middle reaches the server in part, and both sides see a reset."""
    proxy.set(upstream=Toxics(limit_bytes=4, limit_resets=True))
    async with connected(proxy) as client:
        client.writer.write(b"0123456789")
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(10)
    assert bytes(echo.received) in (b"0123", b"0123<reset>", b"<reset>")


async def test_limit_of_nothing_forwards_nothing(proxy: Proxy, echo: Echo) -> None:
    """With a limit of 0 the first byte ends the connection before it is forwarded."""
    proxy.set(upstream=Toxics(limit_bytes=0))
    async with connected(proxy) as client:
        client.writer.write(b"0123")
        assert await client.reader.read() == b""
    assert not echo.received


async def test_hang_swallows_and_healing_resets(proxy: Proxy, echo: Echo) -> None:
    """Answers vanish without an end, and the connection that lost them is reset by healing."""
    proxy.set(downstream=Toxics(hang=True))
    async with connected(proxy) as client:
        client.writer.write(b"question")
        await proxy.until(lambda: proxy.bytes_swallowed == len(b"question"))
        assert bytes(echo.received) == b"question"
        assert not client.reader.at_eof()
        proxy.heal()
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1)


async def test_healing_keeps_a_connection_that_lost_nothing(proxy: Proxy) -> None:
    """A connection that was idle while the line hung works on."""
    async with connected(proxy) as client:
        await client.ask(b"before")
        proxy.set(upstream=Toxics(hang=True), downstream=Toxics(hang=True))
        proxy.heal()
        assert await client.ask(b"after") == b"after"


async def test_reset_reaches_both_sides(proxy: Proxy, echo: Echo) -> None:
    """Client and server both see RST, not an end."""
    async with connected(proxy) as client:
        await client.ask(b"hello")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1)
        await asyncio.gather(*echo._tasks)
    assert bytes(echo.received) == b"hello<reset>"


async def test_down_closes_and_refuses_until_up(proxy: Proxy) -> None:
    """While down, open connections end and new ones are refused; afterwards the same port works again."""
    async with connected(proxy) as client:
        await client.ask(b"hello")
        await proxy.down()
        assert await client.reader.read() == b""
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.up()
    async with connected(proxy) as again:
        assert await again.ask(b"hello") == b"hello"


async def test_absent_target_resets_the_client(proxy: Proxy, echo: Echo) -> None:
    """Where nobody listens behind the proxy, its clients are cut off."""
    await echo.__aexit__()
    async with connected(proxy) as client:
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1)


async def test_what_a_client_sent_arrives_after_it_is_gone(proxy: Proxy, echo: Echo) -> None:
    """A request under way when its client breaks off still reaches the server."""
    proxy.set(upstream=Toxics(latency_seconds=FOREVER_SECONDS))
    async with connected(proxy) as client:
        client.writer.write(b"late")
        await client.writer.drain()
    await proxy.until(lambda: proxy.clients_gone == 1)
    proxy.heal()
    await proxy.until(lambda: proxy.bytes_passed >= 4)
    await proxy.until(lambda: proxy.connections == 0)
    assert bytes(echo.received) == b"late"


def request(api_key: int, body: bytes) -> bytes:
    """A frame as Kafka's clients send it: size, API key, rest."""
    return struct.pack(">ih", 2 + len(body), api_key) + body


@pytest.fixture
async def kafka_proxy(echo: Echo) -> AsyncIterator[KafkaProxy]:
    """A proxy that reads Kafka's framing, in front of the echo."""
    async with KafkaProxy("127.0.0.1", echo.port) as healthy:
        yield healthy


async def test_hold_stops_one_kind_of_request(kafka_proxy: KafkaProxy, echo: Echo) -> None:
    """A held request waits for its release, with what follows it; other connections go on."""
    hold = kafka_proxy.hold(END_TXN)
    end, other = request(END_TXN, b"commit"), request(0, b"produce")
    async with connected(kafka_proxy) as held, connected(kafka_proxy) as free:
        held.writer.write(end + other)
        await hold.caught()
        assert await free.ask(other) == other
        assert bytes(echo.received) == other
        hold.release()
        assert await held.reader.readexactly(len(end + other)) == end + other
        assert await held.ask(end) == end
    assert hold.count == 1


async def test_request_is_told_apart_however_it_is_cut(kafka_proxy: KafkaProxy) -> None:
    """A request that comes in several packets is one unit; the broken-off end of another is handed on."""
    end = request(END_TXN, b"commit")
    reader = asyncio.StreamReader()
    unit = asyncio.create_task(kafka_proxy.read_unit(reader))
    for start in range(0, len(end), 5):
        reader.feed_data(end[start : start + 5])
        await asyncio.sleep(0)
    assert await unit == end
    reader.feed_data(end[:7])
    reader.feed_eof()
    assert await kafka_proxy.read_unit(reader) == end[:7]
    assert await kafka_proxy.read_unit(reader) == b""


@pytest.mark.parametrize("reset", [False, True])
async def test_held_request_outlives_its_client(kafka_proxy: KafkaProxy, echo: Echo, *, reset: bool) -> None:
    """A commit whose client has given up and gone still arrives when the hold ends."""
    hold = kafka_proxy.hold(END_TXN)
    end = request(END_TXN, b"commit")
    async with connected(kafka_proxy) as client:
        client.writer.write(end)
        await hold.caught()
        await client.close(reset=reset)
        await kafka_proxy.until(lambda: kafka_proxy.clients_gone == 1)
    hold.release()
    await kafka_proxy.until(lambda: kafka_proxy.bytes_passed >= len(end))
    await kafka_proxy.until(lambda: kafka_proxy.connections == 0)
    assert bytes(echo.received) == end


async def test_hold_ends_by_itself_and_counts(kafka_proxy: KafkaProxy) -> None:
    """A request is stopped for its time, and with `times` only the first ones are."""
    hold = kafka_proxy.hold(END_TXN, seconds=0.01, times=1)
    async with connected(kafka_proxy) as client:
        assert await client.ask(request(END_TXN, b"1")) == request(END_TXN, b"1")
        assert await client.ask(request(END_TXN, b"2")) == request(END_TXN, b"2")
    assert hold.count == 1


async def test_reset_loses_a_held_request(kafka_proxy: KafkaProxy, echo: Echo) -> None:
    """A request that is held when its connection is reset never arrives."""
    hold = kafka_proxy.hold(END_TXN)
    async with connected(kafka_proxy) as client:
        client.writer.write(request(END_TXN, b"commit"))
        await hold.caught()
        kafka_proxy.reset()
        with pytest.raises(ConnectionResetError):
            await client.reader.readexactly(1)
        await kafka_proxy.until(lambda: kafka_proxy.connections == 0)
    hold.release()
    assert bytes(echo.received) in (b"", b"<reset>")


async def test_foreign_protocol_is_reported(echo: Echo) -> None:
    """What cannot be Kafka's framing ends the proxy with an error instead of being forwarded."""
    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with KafkaProxy("127.0.0.1", echo.port) as proxy, connected(proxy) as client:
            client.writer.write(b"\xff\xff\xff\xff GET / HTTP/1.1")
            assert await client.reader.read() == b""
    assert not echo.received


async def test_who_begins_with_tls_is_hung_up_on(kafka_proxy: KafkaProxy, echo: Echo) -> None:
    """As a broker without it does, and as whoever asks which protocol is spoken expects."""
    async with connected(kafka_proxy) as client:
        client.writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert await client.reader.read() == b""
    assert not echo.received
