"""Toloka's network in virtual time: a client for the daemon's connections, and a simulated Toloka behind it.

It stands in for the HTTP client and all below it, in whole parts of messages instead of bytes. What is above
is the daemon's own: which connection is used, the held-back last byte, what a failure means. A connection can
end at every stage of a request. The bytes themselves are proved by the tests on real sockets.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

import httpcore
import httpx

from daemon.edges.toloka.bodies import Upload
from tests.simulation.loop import Process, VirtualLoop, current_process
from tests.simulator import Exchange, Request, Response, Toloka

# What the real client adds of its own and Toloka looks at.
OWN_HEADERS = {"accept-encoding": "gzip"}


@dataclass(slots=True)
class Weather:
    """What the network and Toloka's front do at present.

    Attributes:
        hop_seconds: one way; each message draws between half and twice of it.
        serve_seconds: how long Toloka works on a request, at most.
        refusing: connections are refused.
        hold_next_seconds: how much longer the next request's last part is on its way.
        longest_hold_seconds: the most that `hold_next_seconds` was so far.
        longest_delay_seconds: the most that a request has been delayed so far once it had arrived.
        close_share: answers after which the server closes the connection: at once where it is 1, else a
            little later, when the next request may be on its way already.
    """

    hop_seconds: float = 0.005
    serve_seconds: float = 0.05
    refusing: bool = False
    hold_next_seconds: float = 0.0
    longest_hold_seconds: float = 0.0
    longest_delay_seconds: float = 0.0
    close_share: float = 0.0


class Net:
    """The way to Toloka.

    Args:
        loop: the virtual loop.
        rng: for delays.
        toloka: who answers.
        weather: changed by whoever injects faults.
        passed: is told of each request as it is sent, served and answered: whose, and which.

    `answered` is told what each request was answered.
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
        self.answered: Callable[[Request, Response], None] = _unnoticed

    def hop(self) -> float:
        """Draw how long one message is on its way."""
        return self.weather.hop_seconds * (0.5 + 1.5 * self.rng.random())


def _unnoticed(_request: Request, _response: Response) -> None:
    """Take no notice."""


@dataclass(slots=True)
class SimRequest:
    """What the daemon does with an `httpx.Request`."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    stream: Upload | None = None
    extensions: dict[str, Callable[[str, Mapping[str, Any]], Awaitable[None]]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is counted as."""
        if self.method == "POST":
            return "post"
        return "list" if self.path.endswith("/items") else "get"


class SimClient(httpx.AsyncClient):
    """What the daemon uses of `httpx.AsyncClient`: one connection, made when it is needed.

    Args:
        net: the way.
    """

    def __init__(self, net: Net) -> None:
        # Without super(): nothing of the real client is there.
        self._net = net
        self._end: ClientEnd | None = None

    def build_request(self, method: str, url: Any, **given: Any) -> Any:
        """See `httpx.AsyncClient.build_request`."""
        headers = {name.lower(): value for name, value in given["headers"].items()} | OWN_HEADERS
        path, _, query = url.partition("?")
        return SimRequest(method, path, query or urlencode(given["params"] or ()), headers)

    async def send(self, request: Any, **_: Any) -> Any:
        """See `httpx.AsyncClient.send`; with `stream`."""
        end = self._end
        if end is None or end.readable:
            self._leave()
            end = self._end = await self._connected(request)
        try:
            await end.upload(request)
            return await end.answer()
        except BaseException:
            self._leave()
            raise

    async def _connected(self, request: SimRequest) -> "ClientEnd":
        trace = request.extensions["trace"]
        await trace("connection.connect_tcp.started", {})
        await asyncio.sleep(self._net.hop())
        if self._net.weather.refusing:
            self._net.passed(current_process(), "refused connection")
            raise httpx.ConnectError("connection refused")
        end = ClientEnd(self._net)
        await trace("connection.connect_tcp.complete", {"return_value": end})
        return end

    def _leave(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end = None

    async def aclose(self) -> None:
        """See `httpx.AsyncClient.aclose`."""
        self._leave()


class ClientEnd:
    """The client's end of a connection; fits `daemon.edges.toloka.connection`'s view of one."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._owner = current_process()
        self._server = ServerEnd(net, self, self._owner)
        self._answer: SimAnswer | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.ended = False
        self.reset = False

    @property
    def readable(self) -> bool:
        """Something has come that nobody has read, be it the connection's end."""
        return self.ended or self._answer is not None

    def get_extra_info(self, info: str) -> Any:
        """Whether there is something to read, which is all that is asked for."""
        return self.readable if info == "is_readable" else None

    async def upload(self, request: SimRequest) -> None:
        """Send a request; one that breaks off because of an early answer is no failure yet."""
        if request.stream is None:
            await self._write(request, b"", last=True)
            return
        self._net.passed(self._owner, "post begun")
        await asyncio.sleep(0)
        try:
            async for chunk in request.stream:
                await self._write(request, chunk, last=request.stream.finished)
        except httpcore.WriteError:
            return

    async def _write(self, request: SimRequest, data: bytes, *, last: bool) -> None:
        if self.reset:
            raise httpcore.WriteError("connection reset")
        self._server.send(request, data, last=last)
        if not last:
            self._net.passed(self._owner, "post half")
        await asyncio.sleep(0)

    async def answer(self) -> "SimAnswer":
        """The answer, as soon as its head is there."""
        while self._answer is None:
            await self.more()
        answer, self._answer = self._answer, None
        return answer

    async def more(self) -> None:
        """Wait for whatever comes next.

        Raises:
            httpx.ReadError, httpx.RemoteProtocolError: nothing will.
        """
        if not self.ended:
            self._waiting = self._net.loop.create_future()
            await self._waiting
        if self.reset and self._answer is None:
            raise httpx.ReadError("connection reset")
        if self.ended and self._answer is None:
            raise httpx.RemoteProtocolError("the server hung up without an answer, or in the middle of it")

    def arrive(self, answer: "SimAnswer") -> None:
        """An answer, or the part of it that comes before the connection's end."""
        self._answer = answer
        self._wake()

    def end(self, *, reset: bool) -> None:
        """The server's end of the connection."""
        self.ended, self.reset = True, reset
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self) -> None:
        """Hang up."""
        self._server.hung_up()


@dataclass(slots=True)
class SimAnswer:
    """What the daemon does with an `httpx.Response`.

    Attributes:
        whole: nothing of the body is missing.
        stream: let go of once the answer is read.
    """

    status_code: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    end: ClientEnd
    stream: object = None

    @property
    def is_error(self) -> bool:
        """4xx or 5xx."""
        return self.status_code >= 400

    async def aiter_raw(self) -> AsyncIterator[bytes]:
        """The body, as far as it comes."""
        if self.body:
            yield self.body
        while not self.whole:
            await self.end.more()

    async def aclose(self) -> None:
        """Leave what is still to come."""
        if not self.whole:
            self.end.close()


class ServerEnd:
    """The server's end: takes requests in, has them answered, carries out what becomes of the answers."""

    def __init__(self, net: Net, client: ClientEnd, owner: Process | None) -> None:
        self._net = net
        self._later = net.loop.world_later
        self._client = client
        self._owner = owner
        self._arrives_at = 0.0
        self._body = b""
        self._exchange: Exchange | None = None
        self._closed = False

    # --- requests

    def send(self, request: SimRequest, data: bytes, *, last: bool) -> None:
        """A part on its way here, the head with the first one; they keep their order."""
        net, now = self._net, self._net.loop.time()
        seconds = net.hop()
        if last and request.method == "POST":
            net.passed(self._owner, "post sent")
            seconds, net.weather.hold_next_seconds = seconds + net.weather.hold_next_seconds, 0.0
        self._arrives_at = max(self._arrives_at, now + seconds)
        self._later(self._arrives_at - now, self._receive, request, data, last)

    def hung_up(self) -> None:
        """The client has closed: what has not arrived whole is dropped, what has goes on."""
        self._later(self._net.hop(), self._forget)

    def _forget(self) -> None:
        self._closed = True

    def _receive(self, request: SimRequest, data: bytes, last: bool) -> None:  # noqa: FBT001 - a timer's argument
        if self._closed:
            self._net.passed(self._owner, "sent to a closed connection")
            return
        if self._exchange is None:
            self._exchange, self._body = self._net.toloka.begin(request.method, request.path), b""
        self._body += data
        exchange = self._exchange
        if last or (exchange.cut_in_request and self._body):
            self._exchange = None
            seconds = exchange.delay_seconds + self._net.rng.random() * self._net.weather.serve_seconds
            whole = Request(request.method, request.path, request.query, request.headers, self._body)
            self._later(seconds, self._finish, request.kind, exchange, whole)

    def _finish(self, kind: str, exchange: Exchange, request: Request) -> None:
        response = exchange.finish(request)
        self._net.answered(request, response)
        self._net.passed(self._owner, f"{kind} served")
        disruption = response.disruption
        if disruption.commits_after_seconds:
            self._later(disruption.commits_after_seconds + 0.001, self._net.toloka.advance)
        self._later(disruption.delay_seconds + self._net.hop(), self._answer, response)

    # --- answers

    def _answer(self, response: Response) -> None:
        disruption = response.disruption
        if self._closed or disruption.hang:
            return
        if disruption.cut == "before_answer":
            self._end(reset=disruption.reset)
            return
        headers = {name.lower(): value for name, value in response.headers.items()}
        if disruption.cut == "in_answer":
            # Without a body it is the head that is cut, which is no answer at all.
            if response.body:
                half = response.body[: len(response.body) // 2]
                self._client.arrive(SimAnswer(response.status, headers, half, whole=False, end=self._client))
            self._end(reset=disruption.reset)
            return
        self._client.arrive(SimAnswer(response.status, headers, response.body, whole=True, end=self._client))
        share = self._net.weather.close_share
        if share == 1.0:
            self._end()
        elif share and self._net.rng.random() < share:
            self._later(self._net.hop(), self._end)

    def _end(self, *, reset: bool = False) -> None:
        self._closed = True
        self._client.end(reset=reset)
