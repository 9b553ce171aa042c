"""The core behind aiohttp: carries requests in, and carries out what becomes of the answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulator.control import PREFIX as CONTROL_PREFIX
from tests.simulator.control import Control
from tests.simulator.messages import Request, Response

if TYPE_CHECKING:
    from tests.simulator.core import Toloka

Sleep = Callable[[float], Awaitable[None]]
RESET = struct.pack("ii", 1, 0)
POLL_SECONDS = 0.02
NO_DATE = ""


class Shell:
    """An HTTP server's handler.

    Args:
        toloka: the core.
        control: what answers under /_simulator/.
        sleep: waits as many seconds as a fault delays an exchange.
    """

    def __init__(self, toloka: Toloka, control: Control, sleep: Sleep) -> None:
        self._toloka = toloka
        self._control = control
        self._sleep = sleep

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(client_max_size=0)
        application.on_response_prepare.append(_drop_aiohttp_headers)
        application.router.add_route("*", "/{anything:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._respond(request)
        except ConnectionResetError:
            # The client left in the middle: nobody is there to be answered.
            return web.Response()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith(CONTROL_PREFIX):
            body = await request.read()
            return _whole(self._control.handle(Request(request.method, path, query, request.headers, body)))
        exchange = self._toloka.begin(request.method, path)
        body = await (request.content.readany() if exchange.cut_in_request else request.read())
        if exchange.delay_seconds:
            await self._sleep(exchange.delay_seconds)
        response = exchange.finish(Request(request.method, path, query, request.headers, body))
        return await self._deliver(request, response)

    async def _deliver(self, request: web.Request, response: Response) -> web.StreamResponse:
        disruption = response.disruption
        if disruption.commits_after_seconds:
            # A millisecond more, for the loop's clock and Toloka's may round differently.
            due_seconds = disruption.commits_after_seconds + 0.001
            asyncio.get_running_loop().call_later(due_seconds, self._toloka.advance)
        if disruption.delay_seconds:
            await self._sleep(disruption.delay_seconds)
        if disruption.hang:
            await _client_gone(request)
            return _cut(request, reset=True)
        if disruption.cut == "before_answer":
            return _cut(request, reset=disruption.reset)
        if disruption.cut == "in_answer":
            return await _send_half(request, response)
        return await _send_chunked(request, response) if response.chunked else _whole(response)


def _headers(response: Response) -> dict[str, str]:
    return {"Date": NO_DATE, **response.headers}


def _whole(response: Response) -> web.Response:
    return web.Response(status=response.status, headers=_headers(response), body=response.body)


def _stream(response: Response) -> web.StreamResponse:
    return web.StreamResponse(status=response.status, headers=_headers(response))


async def _send_half(request: web.Request, response: Response) -> web.StreamResponse:
    """Send the head, which promises the whole body, and half of the body."""
    stream = _stream(response)
    stream.content_length = len(response.body)
    await stream.prepare(request)
    await stream.write(response.body[: len(response.body) // 2])
    _cut(request, reset=response.disruption.reset)
    return stream


async def _send_chunked(request: web.Request, response: Response) -> web.StreamResponse:
    stream = _stream(response)
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    await stream.write(response.body)
    await stream.write_eof()
    return stream


def _cut(request: web.Request, *, reset: bool) -> web.Response:
    """Close the connection; the response returned goes nowhere."""
    transport = request.transport
    if transport is not None and reset:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    elif transport is not None:
        transport.close()
    return web.Response()


async def _client_gone(request: web.Request) -> None:
    """Wait until the client closes its connection."""
    # aiohttp signals this to a handler only by cancelling it, which would undo commits that come late.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 # no event
        await asyncio.sleep(POLL_SECONDS)


async def _drop_aiohttp_headers(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Leave the Date to the core: where it sends none, aiohttp would add one by the host's clock."""
    if response.headers["Date"] == NO_DATE:
        del response.headers["Date"]
    response.headers.popall("Server", None)
