"""What stands between tolokad and Toloka: a door with a certificate, and a proxy that leads to it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.kafka import free_port

CHUNK_BYTES = 1 << 16
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """Listens on one port of loopback, for as long as it is entered."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, with this certificate."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=tls)

    async def close(self) -> None:
        """Stop listening, and end every connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What becomes of one connection."""
        raise NotImplementedError

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        """Carry bytes both ways until either end has had enough."""
        there, back = await asyncio.open_connection("127.0.0.1", port)
        self._writers.add(back)
        await asyncio.gather(_carry(reader, back), _carry(there, writer))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self.serve(reader, writer)
        writer.close()


class Door(Listener):
    """Ends TLS in front of a server that speaks HTTP.

    Args:
        target: the server's port.
    """

    def __init__(self, target: int) -> None:
        super().__init__()
        self._target = target

    async def show(self, certificate: Path) -> None:
        """From now on be known by the certificate and key in this file; open connections end."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        await self.close()
        await self.open(context)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand everything on."""
        await self.lead(reader, writer, self._target)


class Tunnel(Listener):
    """A proxy that grants CONNECT to one host, which only it knows.

    Args:
        host: the name and port that it leads from.
        target: the port that it leads to.

    Attributes:
        heads: every request that it was sent.
        refusal: the status line with which it refuses, if it does.
    """

    def __init__(self, host: str, target: int) -> None:
        super().__init__()
        self._host = host
        self._target = target
        self.heads: list[str] = []
        self.refusal: str | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one CONNECT."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        granted = head.startswith(f"CONNECT {self._host} HTTP/1.1\r\n")
        refusal = self.refusal if granted else "404 Not Found"
        if refusal is not None:
            writer.write(f"HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self.lead(reader, writer, self._target)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()
