"""A TCP proxy that breaks connections on demand, with the faults of Toxiproxy, in the test's own loop.

    async with Proxy("127.0.0.1", server_port) as proxy:
        proxy.set(upstream=Toxics(latency_seconds=0.2))     # towards the server
        proxy.set(downstream=Toxics(hang=True))             # answers vanish
        proxy.heal()
        proxy.reset(); await proxy.down(); await proxy.up()

A client that goes away does not take with it what it has sent: like bytes in a network it still
arrives, late where there is latency. A server that goes away resets its clients.
"""

import asyncio
import contextlib
import math
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tests.kafka.ports import free_port

CHUNK_BYTES = 65_536
# What a long latency can hold per direction before the sender is slowed down.
WINDOW_CHUNKS = 256
# A slow line is written to in steps of this length, so that healing it takes effect soon.
STEP_SECONDS = 0.05


@dataclass(frozen=True)
class Toxics:
    """What happens to the bytes of one direction; by default nothing.

    Attributes:
        latency_seconds: how long each chunk is under way; the order is kept.
        jitter_seconds: at most so much more or less, at random.
        bytes_per_second: the line's speed.
        slice_bytes: the size of the largest write.
        slice_delay_seconds: the pause after each write.
        limit_bytes: after so many, counted from now on, the connection is closed.
        limit_resets: it ends with RST.
        hang: accept and swallow everything; `heal()` resets a connection that lost bytes.
    """

    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    bytes_per_second: float = math.inf
    slice_bytes: int = CHUNK_BYTES
    slice_delay_seconds: float = 0.0
    limit_bytes: int | None = None
    limit_resets: bool = False
    hang: bool = False

    def delay_seconds(self, luck: float) -> float:
        """How long a chunk is under way; `luck`, from -1 to 1, is its share of the jitter."""
        return self.latency_seconds + luck * self.jitter_seconds

    def piece_bytes(self, passed: int) -> int:
        """How much may be written at once when so much has passed; 0 at the limit."""
        step = max(1.0, self.bytes_per_second * STEP_SECONDS)
        left = math.inf if self.limit_bytes is None else self.limit_bytes - passed
        return int(min(step, left, self.slice_bytes))

    def pause_seconds(self, written: int) -> float:
        """How long to wait after writing so many bytes."""
        return self.slice_delay_seconds + written / self.bytes_per_second


class Proxy:
    """Listens on loopback and forwards to one target; `set` switches faults for all connections.

    Args:
        target_host: where connections go to.
        target_port: as above.
        listen_port: 0 for a free one.
        seed: of the jitter.
    """

    def __init__(self, target_host: str, target_port: int, listen_port: int = 0, *, seed: int = 0) -> None:
        self.target = (target_host, target_port)
        self.port = listen_port or free_port()
        self.upstream = self.downstream = Toxics()
        self.accepted = 0
        self.clients_gone = 0
        self.bytes_passed = 0
        self.bytes_swallowed = 0
        self.random = random.Random(seed)
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: list[_Connection] = []

    @property
    def address(self) -> str:
        """Where clients connect, `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return sum(not connection.task.done() for connection in self._connections)

    def set(self, *, upstream: Toxics | None = None, downstream: Toxics | None = None) -> None:
        """Replace the toxics towards the target, towards the client, or both; open connections too."""
        self.upstream = upstream or self.upstream
        self.downstream = downstream or self.downstream
        self.notify()

    def heal(self) -> None:
        """End every toxic: what was delayed arrives at once; connections that lost bytes are reset."""
        self.set(upstream=Toxics(), downstream=Toxics())
        for connection in self._connections:
            if connection.lost_bytes:
                connection.end(reset=True)

    def reset(self) -> None:
        """End every connection on both sides with RST; what is under way is lost."""
        for connection in self._connections:
            connection.end(reset=True)

    async def down(self) -> None:
        """Refuse new connections and close the open ones."""
        if self._server is None:
            return
        self._server.close()
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.end(reset=False)
        for connection in connections:
            await connection.closed()
        await self._server.wait_closed()
        self._server = None

    async def up(self) -> None:
        """Listen, again on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the proxy can see: `await proxy.until(lambda: proxy.accepted == 2)`."""
        while not condition():
            await self._changed.wait()

    async def changed_within(self, seconds: float) -> None:
        """Wait so long, or until anything changes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def read_unit(self, reader: asyncio.StreamReader) -> bytes:
        """The client's next bytes that stay together, none at its end; a protocol's proxy overrides it."""
        return await reader.read(CHUNK_BYTES)

    async def gate(self, unit: bytes) -> None:
        """Awaited before a unit goes to the target; a protocol's proxy may make it wait."""

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._connections.append(_Connection(self, reader, writer))
        self.notify()


class _Connection:
    """A client's connection and the proxy's own to the target."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.lost_bytes = False
        self._resets = False
        self._writers = [writer]
        self.task = asyncio.create_task(self._run(reader, writer))

    def end(self, *, reset: bool) -> None:
        """Close both sides; what is under way is lost."""
        self._resets = self._resets or reset
        self.task.cancel()

    async def closed(self) -> None:
        """Wait for the end; what a receiver has not taken by now is lost.

        Raises:
            Exception: whatever the proxy itself stumbled over.
        """
        await asyncio.wait([self.task])
        for writer in self._writers:
            writer.transport.abort()
            # How the other end left is no concern of the proxy's.
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if not self.task.cancelled():
            self.task.result()

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(*self.proxy.target)
            self._writers.append(target_writer)
            async with asyncio.TaskGroup() as group:
                for pipe in (
                    _Upstream(self, reader, target_writer),
                    _Downstream(self, target_reader, writer),
                ):
                    group.create_task(pipe.fill())
                    group.create_task(pipe.drain())
        except OSError:
            # Nobody listens at the target: without a proxy, the client would have been refused.
            self._resets = True
        finally:
            for each in self._writers:
                _close(each, reset=self._resets)
            self.proxy.notify()


class _Pipe:
    """One direction: what comes in is queued with its time of arrival, travels, and is written."""

    def __init__(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connection = connection
        self.proxy = connection.proxy
        self.reader = reader
        self.writer = writer
        self._queue: asyncio.Queue[tuple[float, float, bytes]] = asyncio.Queue(WINDOW_CHUNKS)
        self._limited_by = Toxics()
        self._passed = 0

    @property
    def toxics(self) -> Toxics:
        """This direction's, as they are now."""
        raise NotImplementedError

    async def receive(self) -> bytes:
        """What the sender sent, nothing at its end."""
        raise NotImplementedError

    async def hand_on(self, unit: bytes) -> None:
        """Write to the receiver."""
        raise NotImplementedError

    async def fill(self) -> None:
        """Take in what the sender sends, until its end."""
        unit = b"-"
        while unit:
            unit = await self.receive()
            arrived = asyncio.get_running_loop().time()
            await self._queue.put((arrived, self.proxy.random.uniform(-1.0, 1.0), unit))

    async def drain(self) -> None:
        """Deliver it, the end included; a swallowed end leaves the connection half open."""
        ended = False
        while not ended:
            arrived, luck, unit = await self._queue.get()
            await self._travel(arrived, luck)
            if self.toxics.hang:
                self._swallow(unit)
            elif unit:
                await self.hand_on(unit)
            else:
                self._hand_on_end()
                ended = True

    async def write(self, unit: bytes) -> None:
        """Write in the pieces and at the speed that the toxics allow."""
        while unit:
            toxics = self.toxics
            piece = unit[: toxics.piece_bytes(self._passed_under(toxics))]
            if self.writer.is_closing():
                # uvloop refuses a write that asyncio would pass over.
                raise ConnectionResetError
            self.writer.write(piece)
            await self.writer.drain()
            self._count(len(piece))
            if toxics.piece_bytes(self._passed) == 0:
                self.connection.end(reset=toxics.limit_resets)
                break
            unit = unit[len(piece) :]
            await asyncio.sleep(toxics.pause_seconds(len(piece)))

    async def _travel(self, arrived: float, luck: float) -> None:
        clock = asyncio.get_running_loop().time
        while (left := arrived + self.toxics.delay_seconds(luck) - clock()) > 0:
            await self.proxy.changed_within(left)

    def _passed_under(self, toxics: Toxics) -> int:
        if self._limited_by is not toxics:
            self._limited_by, self._passed = toxics, 0
        return self._passed

    def _count(self, size: int) -> None:
        self._passed += size
        self.proxy.bytes_passed += size
        self.proxy.notify()

    def _swallow(self, unit: bytes) -> None:
        self.connection.lost_bytes = True
        self.proxy.bytes_swallowed += len(unit)
        self.proxy.notify()

    def _hand_on_end(self) -> None:
        # A receiver that is gone already needs no telling.
        if not self.writer.is_closing():
            with contextlib.suppress(OSError):
                self.writer.write_eof()


class _Upstream(_Pipe):
    """Towards the target: what a client has sent arrives, whatever became of the client."""

    @property
    def toxics(self) -> Toxics:
        return self.proxy.upstream

    async def receive(self) -> bytes:
        try:
            unit = await self.proxy.read_unit(self.reader)
        except ConnectionError:
            unit = b""
        if not unit:
            self.proxy.clients_gone += 1
            self.proxy.notify()
        return unit

    async def hand_on(self, unit: bytes) -> None:
        await self.proxy.gate(unit)
        try:
            await self.write(unit)
        except ConnectionError:
            self.connection.end(reset=True)


class _Downstream(_Pipe):
    """Towards the client: a target that breaks off resets it; what comes for one that is gone is dropped."""

    @property
    def toxics(self) -> Toxics:
        return self.proxy.downstream

    async def receive(self) -> bytes:
        try:
            return await self.reader.read(CHUNK_BYTES)
        except ConnectionError:
            self.connection.end(reset=True)
            return b""

    async def hand_on(self, unit: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self.write(unit)


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if not reset or writer.is_closing():
        writer.close()
        return
    # A linger time of zero makes the kernel send RST instead of FIN.
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
