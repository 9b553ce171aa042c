"""A Toloka that costs little: `python -m tests.benchmarks.sink PORT LATENCY_SECONDS`.

It takes items in, keeps them, and has each finished as soon as it is accepted; it checks nothing else.
"""

import asyncio
import sys
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import msgspec

PROJECT = b'{"id":"P","app_id":"A","status":"READY","item_price":0.01,"errors":[],"read_only":false}'
APP = (
    b'{"id":"A","name":"text","input_spec":{"id":{"type":"string","required":false,"hidden":false},'
    b'"text":{"type":"string","required":true,"hidden":false}},"output_spec":{}}'
)
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nDate: {}\r\n\r\n"


class Bulk(msgspec.Struct):
    """A request's body."""

    items: list[msgspec.Raw]


class Shelf:
    """What was accepted, in the order it came."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.times: list[str] = []
        self.requests = 0
        self.received_bytes = 0
        self.first = self.last = 0.0

    def take(self, body: bytes, now: float) -> bytes:
        """Accept the items of a request; returns their ids as JSON."""
        begin = len(self.contents)
        self.contents += map(bytes, msgspec.json.decode(body, type=Bulk).items)
        self.times += [datetime.now(UTC).replace(tzinfo=None).isoformat()] * (len(self.contents) - begin)
        self.requests += 1
        self.received_bytes += len(body)
        self.first, self.last = self.first or now, now
        return msgspec.json.encode([f"{number:016x}" for number in range(begin, len(self.contents))])

    def page(self, after: str, limit: int) -> bytes:
        """What finished after this item."""
        begin = int(after, 16) + 1 if after else 0
        end = min(begin + limit, len(self.contents))
        rows = (
            b'{"id":"%016x","status":"COMPLETED","created_at":"%s","finished_at":"%s","input_data":%s,'
            b'"output_data":{"result":["OK"]}}'
            % (n, self.times[n].encode(), self.times[n].encode(), self.contents[n])
            for n in range(begin, end)
        )
        return b'{"content":[%s],"has_more":%s}' % (
            b",".join(rows),
            b"true" if end < len(self.contents) else b"false",
        )

    def stats(self) -> bytes:
        """How far it has come."""
        figures = {"items": len(self.contents), "requests": self.requests, "bytes": self.received_bytes}
        return msgspec.json.encode({**figures, "first": self.first, "last": self.last})


async def _answer(shelf: Shelf, method: str, target: str, body: bytes, latency_seconds: float) -> bytes:
    url = urlsplit(target)
    if method == "POST":
        ids = shelf.take(body, asyncio.get_running_loop().time())
        await asyncio.sleep(latency_seconds)
        return ids
    if url.path == "/stats":
        return shelf.stats()
    if url.path.endswith("/items"):
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        # Second looks ask by time: what they would find has been published from the tail.
        if "finished" not in query.get("sort", "") or "finished_lte" in query:
            return b'{"content":[],"has_more":false}'
        return shelf.page(query.get("after_id", ""), int(query.get("limit", "100")))
    return APP if "/apps/" in url.path else PROJECT


async def serve(port: int, latency_seconds: float) -> None:
    """Serve until the process is ended."""
    shelf = Shelf()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            first, *lines = head.split("\r\n")
            method, target, _ = first.split(" ")
            fields = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            answer = await _answer(shelf, method, target, body, latency_seconds)
            date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
            writer.write(HEAD.format(len(answer), date).encode() + answer)

    server = await asyncio.start_server(talk, "127.0.0.1", port, limit=2**24)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
