"""A server between tolokad and Toloka that hands requests on and gives back whatever a test wants."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from tests.security.doors import Listener

# Called with the request's first line and the true body of the answer; writes the answer itself.
Spoiler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Meddler(Listener):
    """Spoils the answers to the requests of one kind.

    Args:
        target: where Toloka is.
        http: hands requests on.

    Attributes:
        kind: the method and a part of the path of requests that are spoilt, such as `POST /items/bulk`.
        left: how many are still to be spoilt.
    """

    def __init__(self, target: str, http: httpx.AsyncClient) -> None:
        super().__init__()
        self._target = target
        self._http = http
        self._spoil: Spoiler | None = None
        self.kind = ""
        self.left = 0
        self._instead = False

    def spoil(self, kind: str, times: int, spoiler: Spoiler, *, instead: bool = False) -> None:
        """From now on, so many times; the requests take effect nevertheless, unless it is `instead`."""
        self.kind, self.left, self._spoil, self._instead = kind, times, spoiler, instead

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer request after request."""
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *rest = head.split("\r\n")
            headers = {
                name.lower(): value for name, _, value in (each.partition(": ") for each in rest if each)
            }
            body = await reader.readexactly(int(headers.pop("content-length", "0")))
            method, path, _ = line.split(" ")
            headers.pop("host")
            spoilt = self._spoil is not None and self.left > 0 and self._meant(method, path)
            self.left -= spoilt
            if self._spoil is not None and spoilt and self._instead:
                return await self._spoil(b"", writer)
            answer = await self._http.request(method, self._target + path, headers=headers, content=body)
            if self._spoil is not None and spoilt:
                return await self._spoil(answer.content, writer)
            writer.write(whole(answer.status_code, answer.content, date=answer.headers["date"]))
            await writer.drain()

    def _meant(self, method: str, path: str) -> bool:
        verb, _, part = self.kind.partition(" ")
        return method == verb and part in path


def whole(status: int, body: bytes, **headers: str) -> bytes:
    """An answer as it goes over the wire; an underscore in a header's name is a hyphen."""
    given = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Because", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
