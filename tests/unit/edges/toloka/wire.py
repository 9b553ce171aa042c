"""A server that does on the wire exactly what a test's script says, and a clock that a test moves."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from daemon.edges.toloka.clocks import DateClock
from daemon.edges.toloka.endpoint import Endpoint, tls_context
from daemon.metrics import Metrics
from daemon.ports import Clock

CANARY = "y0_canary-0123456789"
AUTHORIZATION = f"OAuth {CANARY}"


@dataclass
class FakeClock:
    """Stands still unless a test moves it."""

    elapsed_seconds: float = 1000.0
    wall_seconds: float = 1_790_000_000.0

    def elapsed(self) -> float:
        """See `daemon.ports.Clock.elapsed`."""
        return self.elapsed_seconds

    def wall(self) -> float:
        """See `daemon.ports.Clock.wall`."""
        return self.wall_seconds


@dataclass(frozen=True)
class Request:
    """A request that a script has read, whole or in part."""

    method: str
    target: str
    headers: Mapping[str, str]
    connection: int
    body: bytes = b""

    @property
    def path(self) -> str:
        """As it was sent, percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """Name to text, decoded; of a repeated name the last."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def size(self) -> int:
        """Bytes that the body should have."""
        return int(self.headers.get("content-length", "0"))


class Connection:
    """One accepted connection, as a script uses it."""

    def __init__(
        self, wire: "Wire", number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.reader = reader
        self._wire = wire
        self._writer = writer

    async def head(self) -> Request:
        """Read a request's head only."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        request = Request(method, target, headers, self.number)
        self._wire.heads.append(request)
        return request

    async def request(self) -> Request:
        """Read a whole request."""
        head = await self.head()
        body = await self.reader.readexactly(head.size)
        whole = Request(head.method, head.target, head.headers, head.connection, body)
        self._wire.requests.append(whole)
        return whole

    async def say(self, text: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(text)
        await self._writer.drain()

    def write(self, *texts: bytes) -> None:
        """Send each as it is, without a pause between them."""
        for text in texts:
            self._writer.write(text)

    async def answer(
        self, status: int = 200, body: bytes = b"{}", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer."""
        await self.say(answer(status, body, headers))

    def close(self) -> None:
        """End the connection in order."""
        self._writer.close()

    def reset(self) -> None:
        """Close so that the other side gets a reset."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def rest(self) -> bytes:
        """Everything until the other side ends the connection."""
        chunks = []
        with suppress(ConnectionError):
            while chunk := await self.reader.read(1 << 20):
                chunks.append(chunk)
        return b"".join(chunks)


Script = Callable[[Connection], Awaitable[object]]


@dataclass
class Wire:
    """The server: what it was asked, and where it listens."""

    script: Script
    url: str = ""
    heads: list[Request] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    accepted: int = 0
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rsplit(":", 1)[1])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the script on a new connection."""
        self.accepted += 1
        self.tasks.append(asyncio.ensure_future(self._run(Connection(self, self.accepted, reader, writer))))

    async def _run(self, connection: Connection) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self.script(connection)
        finally:
            connection.close()


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    """Run the script on every connection until the block ends; a script's failure is the test's."""
    wire = Wire(script)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=tls)
    wire.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        for task in wire.tasks:
            task.cancel()
        for result in await asyncio.gather(*wire.tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


def answer(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} Because", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def json_answer(value: Any, status: int = 200) -> tuple[int, bytes]:
    """An answer for `answering`, from any value."""
    return status, msgspec.json.encode(value)


def answering(*answers: tuple[int, bytes] | tuple[int, bytes, Mapping[str, str]]) -> Script:
    """Answer whole requests in this order, on whichever connection; the last one for ever."""
    left = list(answers)

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            status, body, *headers = left.pop(0) if len(left) > 1 else left[0]
            await connection.answer(status, body, *headers)

    return script


def endpoint(
    url: str,
    *,
    clock: Clock | None = None,
    authorization: Callable[[], str] = lambda: AUTHORIZATION,
    account_id: str | None = None,
    proxy: str | None = None,
    tls: ssl.SSLContext | None = None,
) -> Endpoint:
    """An endpoint with a canary for a credential and metrics of its own."""
    clock = clock or FakeClock()
    return Endpoint(
        url=url,
        authorization=authorization,
        account_id=account_id,
        tls=tls or _TLS,
        proxy=proxy,
        clock=clock,
        toloka_clock=DateClock(clock),
        metrics=Metrics(),
    )


def requests_counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Operation and outcome to how often, where at all."""
    samples = [s for metric in metrics.toloka_requests.collect() for s in metric.samples]
    return {
        (s.labels["operation"], s.labels["outcome"]): s.value
        for s in samples
        if s.name.endswith("_total") and s.value
    }


def free_ports(count: int) -> Sequence[int]:
    """Ports where nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


_TLS = tls_context(None)
