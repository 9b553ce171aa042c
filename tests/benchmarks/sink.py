"""A Toloka that costs little: `python -m tests.benchmarks.sink PORT [LATENCY [WORK [PER_SECOND]]]`, seconds.

It takes items in and keeps them. Each finishes WORK seconds after it was accepted, and where PER_SECOND is
given, never more than so many a second. Of the rest it has what is asked for: listings by time and by id.
`PUT /mood?as=deaf` has it swallow what is posted, `mute` carry it out without an answer, `well` neither.
"""

import asyncio
import sys
import time
from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import msgspec

PROJECT = b'{"id":"P","app_id":"A","status":"READY","item_price":0.01,"errors":[],"read_only":false}'
APP = (
    b'{"id":"A","name":"text","input_spec":{"id":{"type":"string","required":false,"hidden":false},'
    b'"text":{"type":"string","required":true,"hidden":false}},"output_spec":{}}'
)
HEAD = "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nDate: {}\r\n\r\n"
ROW = (
    b'{"id":"%016x","app_project_id":"P","status":"COMPLETED","created_at":"%s","started_at":"%s",'
    b'"finished_at":"%s","input_data":%s,"output_data":{"result":["OK"],"confidence":0.98},"errors":[]}'
)
NEW = b'{"id":"%016x","app_project_id":"P","status":"NEW","created_at":"%s","input_data":%s,"errors":[]}'


class Bulk(msgspec.Struct):
    """A request's body."""

    items: list[msgspec.Raw]


class Shelf:
    """What was accepted, in the order it came, which is that in which it finishes."""

    def __init__(self, work_seconds: float, per_second: float) -> None:
        self.contents: list[bytes] = []
        self.created, self.finished = array("d"), array("d")
        self.requests = self.received_bytes = 0
        self._work, self._gap = work_seconds, 1 / per_second if per_second else 0.0

    def take(self, body: bytes) -> bytes:
        """Accept the items of a request; returns their ids as JSON."""
        now, begin = time.time(), len(self.contents)
        self.contents += map(bytes, msgspec.json.decode(body, type=Bulk).items)
        count = len(self.contents) - begin
        last = self.finished[-1] if self.finished else 0.0
        first = max(now + self._work, last + self._gap)
        self.created.extend([now] * count)
        self.finished.extend([first + number * self._gap for number in range(count)])
        self.requests += 1
        self.received_bytes += len(body)
        return msgspec.json.encode([f"{number:016x}" for number in range(begin, len(self.contents))])

    def page(self, query: dict[str, str]) -> bytes:
        """What a listing by the time of finishing, or of creation, shows."""
        now, sort = time.time(), query.get("sort", "")
        begin, end = 0, bisect_right(self.finished, now) if "finished" in sort else len(self.contents)
        for name, times in (("finished", self.finished), ("created", self.created)):
            if since := query.get(f"{name}_gte"):
                begin = max(begin, bisect_left(times, _seconds(since)))
            if until := query.get(f"{name}_lte"):
                end = min(end, bisect_right(times, _seconds(until)))
        if after := query.get("after_id") or query.get("id_gt"):
            begin = max(begin, int(after, 16) + 1)
        shown = range(begin, min(begin + int(query.get("limit", "100")), end))
        rows = b",".join([self._row(number, now) for number in shown])
        return b'{"content":[%s],"has_more":%s}' % (rows, b"true" if shown.stop < end else b"false")

    def _row(self, number: int, now: float) -> bytes:
        created, finished = self.created[number], self.finished[number]
        if finished > now:
            return NEW % (number, _text(created), self.contents[number])
        return ROW % (number, _text(created), _text(created), _text(finished), self.contents[number])

    def stats(self) -> dict[str, float]:
        """How far it has come."""
        figures = {"items": len(self.contents), "requests": self.requests, "bytes": self.received_bytes}
        ends = (self.created[0], self.created[-1]) if self.created else (0.0, 0.0)
        return {**figures, "first": ends[0], "last": ends[1]}


def _text(seconds: float) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:26].removesuffix("+00:00").encode()


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Server:
    """Answers; `mood` is what it does with what is posted."""

    def __init__(self, shelf: Shelf, latency_seconds: float) -> None:
        self._shelf = shelf
        self._latency = latency_seconds
        self._mood = "well"
        self._posted = 0

    async def _answer(self, method: str, target: str, body: bytes) -> bytes | None:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if method == "POST":
            self._posted += 1
            ids = b"" if self._mood == "deaf" else self._shelf.take(body)
            await asyncio.sleep(self._latency)
            return ids if self._mood == "well" else None
        if method == "PUT":
            self._mood = query["as"]
            return b"{}"
        if url.path == "/stats":
            return msgspec.json.encode({**self._shelf.stats(), "posted": self._posted})
        if url.path.endswith("/items"):
            return self._shelf.page(query)
        return APP if "/apps/" in url.path else PROJECT

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
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
            answer = await self._answer(method, target, body)
            if answer is not None:
                date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
                writer.write(HEAD.format("200 OK", len(answer), date).encode() + answer)


async def serve(
    port: int, latency_seconds: float = 0.0, work_seconds: float = 0.0, per_second: float = 0.0
) -> None:
    """Serve until the process is ended."""
    server = Server(Shelf(work_seconds, per_second), latency_seconds)
    async with await asyncio.start_server(server.talk, "127.0.0.1", port, limit=2**24) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), *map(float, sys.argv[2:])))
