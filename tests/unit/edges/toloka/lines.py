"""Lines to a scripted server, and how a way uses one."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from daemon.edges.toloka.sending import Answer
from daemon.edges.toloka.transport import Line, Probe
from daemon.model import Deadline
from tests.unit.edges.toloka.wire import (
    Connection,
    FakeClock,
    Script,
    Wire,
    endpoint,
)

PROBE = Probe("project", "/probe")
# More than the sockets between two ends of a loopback connection take in.
LARGE = b"[" + b"x" * (16 << 20) + b"]"
SMALL = b'{"items":[]}'
IDS = (200, b'["a"]')


def deadline(clock: FakeClock, seconds: float = 20.0) -> Deadline:
    """The deadline of an attempt that begins now."""
    return Deadline(clock.elapsed(), clock.wall(), seconds)


@asynccontextmanager
async def line_to(wire: Wire, **options: Any) -> Any:
    """A line to a scripted server."""
    async with Line(endpoint(wire.url, **options), PROBE) as line:
        yield line


async def post(line: Line, clock: FakeClock, body: bytes = SMALL, seconds: float = 20.0) -> Answer:
    """Warm the line and post, as a way does."""
    await line.warm()
    return await line.post("bulk", "/bulk", body, deadline(clock, seconds), seconds)


def after_probe(then: Callable[[Connection], Awaitable[object]], *, everywhere: bool = False) -> Script:
    """Answer the probe, then do this; on connections behind the first one, answer everything."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.answer()
        if connection.number == 1 or everywhere:
            await then(connection)
            return
        while True:
            await connection.request()
            await connection.answer(*IDS)

    return script
