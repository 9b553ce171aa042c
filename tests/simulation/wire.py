"""A network for the HTTP client, in virtual time, with the simulated Toloka at its other end.

It stands in for sockets below httpcore, so that everything above is the daemon's own: its connections,
its held-back last byte, its reading of answers.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlsplit

import httpcore

from tests.simulation.loop import Process, VirtualLoop, current_process
from tests.simulator import Exchange, Request, Response, Toloka

HEAD_END = b"\r\n\r\n"


@dataclass(slots=True)
class Weather:
    """What the network and Toloka's front do at present.

    Attributes:
        hop_seconds: one way; each message draws between half and twice of it.
        serve_seconds: how long Toloka works on a request, at most.
        refusing: connections are refused.
        hold_next_seconds: how much longer the next request's last part is on its way.
        close_share: answers after which the server closes the connection: at once where it is 1, else a
            little later, when the next request may be on its way already.
    """

    hop_seconds: float = 0.005
    serve_seconds: float = 0.05
    refusing: bool = False
    hold_next_seconds: float = 0.0
    close_share: float = 0.0


class Net(httpcore.AsyncNetworkBackend):
    """See `httpcore.AsyncNetworkBackend`.

    Args:
        loop: the virtual loop.
        rng: for delays.
        toloka: who answers.
        weather: changed by whoever injects faults.
        passed: is told of each request as it is sent, served and answered: whose, and which.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        rng: Random,
        toloka: Toloka,
        weather: Weather,
        passed: Callable[[Process | None, str], None],
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.toloka = toloka
        self.weather = weather
        self.passed = passed

    def hop(self) -> float:
        """Draw how long one message is on its way."""
        return self.weather.hop_seconds * self.rng.uniform(0.5, 2.0)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> "ClientEnd":
        """See `httpcore.AsyncNetworkBackend.connect_tcp`."""
        del host, port, timeout, local_address, socket_options
        await asyncio.sleep(self.hop())
        if self.weather.refusing:
            raise httpcore.ConnectError("connection refused")
        return ClientEnd(self)

    async def sleep(self, seconds: float) -> None:
        """See `httpcore.AsyncNetworkBackend.sleep`."""
        await asyncio.sleep(seconds)


class ClientEnd(httpcore.AsyncNetworkStream):
    """The client's end of a connection."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._server = ServerEnd(net, self, current_process())
        self._received = bytearray()
        self._ended = False
        self._reset = False
        self._changed = asyncio.Event()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `httpcore.AsyncNetworkStream.read`."""
        del timeout
        while not (self._received or self._ended):
            self._changed.clear()
            await self._changed.wait()
        if self._reset and not self._received:
            raise httpcore.ReadError("connection reset")
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See `httpcore.AsyncNetworkStream.write`."""
        del timeout
        if self._reset:
            raise httpcore.WriteError("connection reset")
        self._server.send(bytes(buffer))
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        """See `httpcore.AsyncNetworkStream.aclose`."""
        self._server.hung_up()

    def get_extra_info(self, info: str) -> Any:
        """Whether there is something to read, which is all that is asked for."""
        return bool(self._received or self._ended) if info == "is_readable" else None

    def arrive(self, data: bytes) -> None:
        """The server's bytes."""
        self._received += data
        self._changed.set()

    def end(self, *, reset: bool) -> None:
        """The server's end of the connection."""
        self._ended, self._reset = True, reset
        self._changed.set()


class ServerEnd:
    """The server's end: takes requests in, has them answered, carries out what becomes of the answers."""

    def __init__(self, net: Net, client: ClientEnd, owner: Process | None) -> None:
        self._net = net
        self._client = client
        self._owner = owner
        self._arrives_at = 0.0
        self._buffer = bytearray()
        self._head: _Head | None = None
        self._exchange: Exchange | None = None
        self._closed = False

    # --- requests

    def send(self, data: bytes) -> None:
        """Bytes on their way here; they keep their order."""
        net, now = self._net, self._net.loop.time()
        seconds = net.hop()
        if data.startswith(b"POST "):
            net.passed(self._owner, "post begun")
        if self._is_last(data):
            net.passed(self._owner, "post sent")
            seconds, net.weather.hold_next_seconds = seconds + net.weather.hold_next_seconds, 0.0
        self._arrives_at = max(self._arrives_at, now + seconds)
        net.loop.world.call_later(self._arrives_at - now, self._receive, data)

    def _is_last(self, data: bytes) -> bool:
        """The held-back last byte of an upload."""
        return len(data) == 1

    def hung_up(self) -> None:
        """The client has closed: what has not arrived whole is dropped, what has goes on."""
        self._net.loop.world.call_later(self._net.hop(), self._forget)

    def _forget(self) -> None:
        self._closed = True

    def _receive(self, data: bytes) -> None:
        if self._closed:
            return
        self._buffer += data
        if self._head is None and HEAD_END in self._buffer:
            raw, _, rest = bytes(self._buffer).partition(HEAD_END)
            self._head, self._buffer = _Head.of(raw), bytearray(rest)
            self._exchange = self._net.toloka.begin(self._head.method, self._head.path)
        if self._head is None or self._exchange is None:
            return
        whole = len(self._buffer) >= self._head.length
        if whole or (self._exchange.cut_in_request and self._buffer):
            head, exchange = self._head, self._exchange
            request = head.request(bytes(self._buffer[: head.length]))
            del self._buffer[: head.length]
            self._head = self._exchange = None
            seconds = exchange.delay_seconds + self._net.rng.uniform(0, self._net.weather.serve_seconds)
            self._net.loop.world.call_later(seconds, self._finish, head, exchange, request)

    def _finish(self, head: "_Head", exchange: Exchange, request: Request) -> None:
        response = exchange.finish(request)
        self._net.passed(self._owner, f"{head.kind} served")
        disruption = response.disruption
        if disruption.commits_after_seconds:
            due_seconds = disruption.commits_after_seconds + 0.001
            self._net.loop.world.call_later(due_seconds, self._net.toloka.advance)
        self._net.loop.world.call_later(disruption.delay_seconds + self._net.hop(), self._answer, response)

    # --- answers

    def _answer(self, response: Response) -> None:
        disruption = response.disruption
        if self._closed or disruption.hang:
            return
        if disruption.cut == "before_answer":
            self._end(reset=disruption.reset)
            return
        data = _serialized(response)
        if disruption.cut == "in_answer":
            self._client.arrive(data[: len(data) - max(len(response.body) // 2, 1)])
            self._end(reset=disruption.reset)
            return
        self._client.arrive(data)
        share = self._net.weather.close_share
        if share == 1.0:
            self._end()
        elif share and self._net.rng.random() < share:
            self._net.loop.world.call_later(self._net.hop(), self._end)

    def _end(self, *, reset: bool = False) -> None:
        self._closed = True
        self._client.end(reset=reset)


@dataclass(frozen=True, slots=True)
class _Head:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    length: int

    @classmethod
    def of(cls, raw: bytes) -> "_Head":
        first, *lines = raw.decode().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        url = urlsplit(target)
        return cls(method, url.path, url.query, headers, int(headers.get("content-length", "0")))

    def request(self, body: bytes) -> Request:
        return Request(self.method, self.path, self.query, self.headers, body)

    @property
    def kind(self) -> str:
        if self.method == "POST":
            return "post"
        return "list" if self.path.endswith("/items") else "get"


def _serialized(response: Response) -> bytes:
    """The answer as it goes over the wire; one without Content-Length is one chunk."""
    headers = dict(response.headers)
    body = response.body
    if response.chunked:
        headers["Transfer-Encoding"] = "chunked"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        headers["Content-Length"] = str(len(body))
    lines = [f"HTTP/1.1 {response.status} Answer", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + HEAD_END + body
