"""The event loop of `tolokad run`: uvloop's, less two of its ways that an outage would bring out."""

import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """Looks names up in threads of Python's, and gives out no connection that is closed already.

    What uvloop has once begun to look up it goes on with, two names at a time, though nobody waits any more:
    where the resolver is silent, each try to connect would stand in the queue of all later ones, leave an
    error in the log, and hold up the end of the process.
    """

    async def getaddrinfo(  # type: ignore[override] # said in short
        self, host: Any, port: Any, **hints: int
    ) -> Sequence[tuple[Any, ...]]:
        """See `asyncio.AbstractEventLoop.getaddrinfo`."""
        return await self.run_in_executor(None, partial(socket.getaddrinfo, host, port, **hints))

    async def create_connection(
        self, protocol_factory: Any, host: str | None = None, port: int | None = None, **options: Any
    ) -> tuple[Any, Any]:
        """See `asyncio.AbstractEventLoop.create_connection`; the error is that of the last address."""
        transport, protocol = await self._connected(protocol_factory, host, port, **options)
        # What was said over TLS before it was closed is still to be read: it may be why we are refused.
        if not options.get("ssl"):
            _insist_open(transport)
        return transport, protocol

    async def _connected(
        self, protocol_factory: Any, host: str | None, port: int | None, **options: Any
    ) -> tuple[Any, Any]:
        connect: Callable[..., Awaitable[tuple[Any, Any]]] = super().create_connection
        if host is None or _is_address(host):
            return await connect(protocol_factory, host, port, **options)
        if options.get("ssl"):
            options = {"server_hostname": host, **options}
        addresses = [found[4][0] for found in await self.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for address in addresses[:-1]:
            try:
                return await connect(protocol_factory, address, port, **options)
            except ssl.SSLError:
                raise
            except OSError:
                continue
        return await connect(protocol_factory, addresses[-1], port, **options)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _insist_open(transport: Any) -> None:
    """Have a transport know its socket from here on, whatever becomes of it.

    A client that asks a closed one for the first time gets None from it, and stumbles.

    Raises:
        OSError: it is closed already.
    """
    connection = transport.get_extra_info("socket")
    if connection is None:
        raise ConnectionResetError("closed as soon as it was made")
    try:
        connection.getpeername()
    except OSError:
        transport.abort()
        raise
