"""Ways to run the simulator: in this event loop, in a thread, in a process of its own."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from tests.simulator.control import Control
from tests.simulator.core import Toloka
from tests.simulator.items import record_json
from tests.simulator.shell import Shell, Sleep
from tests.simulator.tasks import task_record

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from tests.simulator.faults import Faults
    from tests.simulator.items import Item
    from tests.simulator.knobs import Knobs
    from tests.simulator.tasks import Task
    from tests.simulator.world import World

REPOSITORY = Path(__file__).parents[2]
SHUTDOWN_SECONDS = 0.05


@dataclass(frozen=True)
class Simulator:
    """A simulator that listens.

    Attributes:
        url: such as "http://127.0.0.1:40123", without a slash at the end.
        core: the Toloka behind it; use it only from the loop that serves it.
        control: what tests do behind its back; also only from that loop.
    """

    url: str
    core: Toloka
    control: Control

    @property
    def faults(self) -> Faults:
        """The faults that are set."""
        return self.core.faults


@asynccontextmanager
async def serve(
    knobs: Knobs | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 0,
    world: World | None = None,
    record: Path | None = None,
    ssl_context: ssl.SSLContext | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Sleep = asyncio.sleep,
) -> AsyncIterator[Simulator]:
    """Serve a Toloka until the block ends.

    Args:
        knobs: how it behaves.
        host: the address to listen on.
        port: 0 for any free one.
        seed: of its randomness.
        world: apps and projects; the usual ones if None.
        record: a file to which every new item is appended before its request is answered.
        ssl_context: for HTTPS.
        clock: unix seconds.
        sleep: waits as many seconds as a fault delays an exchange.
    """
    toloka = Toloka(clock, random.Random(seed), knobs, world)
    control = Control(toloka)
    runner = web.AppRunner(
        Shell(toloka, control, sleep).application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
    )
    with _recording(toloka, record):
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port, ssl_context=ssl_context)
            await site.start()
            address = f"{host}:{runner.addresses[0][1]}"
            yield Simulator(f"{'https' if ssl_context else 'http'}://{address}", toloka, control)
        finally:
            await runner.cleanup()


@contextmanager
def serve_in_thread(knobs: Knobs | None = None, *, seed: int = 0) -> Iterator[str]:
    """Serve a Toloka in a thread of its own until the block ends; yield its URL.

    Tests reach inside by the paths under /_simulator/ only.
    """
    loop, listens, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    urls: list[str] = []

    async def run() -> None:
        try:
            async with serve(knobs, seed=seed) as simulator:
                urls.append(simulator.url)
                listens.set()
                await ended.wait()
        finally:
            listens.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), name="toloka-simulator")
    thread.start()
    try:
        listens.wait()
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@contextmanager
def spawn(*flags: str) -> Iterator[str]:
    """Run the simulator as a process until the block ends; yield its URL.

    Args:
        flags: as `python -m tests.simulator --help` lists them.
    """
    command = [sys.executable, "-m", "tests.simulator", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, "the simulator ended before it listened"
            yield url
        finally:
            process.terminate()


@contextmanager
def _recording(toloka: Toloka, path: Path | None) -> Iterator[None]:
    """Append every new item to the file as a line of JSON, flushed at once."""
    if path is None:
        yield
        return
    encoder = msgspec.json.Encoder()
    with path.open("ab", buffering=0) as file:

        def write(items: Sequence[Item]) -> None:
            file.write(encoder.encode_lines([record_json(item, toloka.knobs) for item in items]))

        def write_tasks(tasks: Sequence[Task]) -> None:
            file.write(encoder.encode_lines([task_record(task, toloka.knobs) for task in tasks]))

        toloka.state.on_created = write
        toloka.state.on_tasks = write_tasks
        yield
