"""Programs at work beside the sink: how they are started, and what they have cost so far."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.kafka import free_port
from tests.system.processes import TOLOKAD, foreign_variables

LIMIT_SECONDS = 600.0
LOOK_SECONDS = 0.02
SELDOM_SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Program:
    """A process that runs; `address` is where it serves HTTP."""

    process: "subprocess.Popen[bytes]"
    address: str

    @property
    def cpu_seconds(self) -> float:
        """What it has used of the processors so far, its start included."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def resident_mib(self) -> float:
        """Memory that is in use now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().split("VmRSS:")[1].split()
        return int(status[0]) / 1024

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that have these labels; 0 while it does not answer."""
        try:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                text = (await http.get(f"{self.address}/metrics")).text
        except httpx.HTTPError:
            return 0.0
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    async def published(self) -> float:
        """How many results it has published; asked seldom, for an answer costs it milliseconds."""
        return await self.metric("tolokad_results_published_total")

    async def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                return (await http.get(f"{self.address}/readyz")).is_success
        except httpx.HTTPError:
            return False


@dataclass(frozen=True, slots=True)
class Sink:
    """The Toloka of a run."""

    program: Program
    http: httpx.AsyncClient

    @property
    def url(self) -> str:
        """Its address."""
        return self.program.address

    async def stats(self) -> dict[str, float]:
        """What it has taken; nothing while it does not answer."""
        try:
            found: dict[str, float] = (await self.http.get("/stats")).json()
        except httpx.HTTPError:
            return {}
        return found

    async def taken(self, count: float) -> dict[str, float]:
        """What it has taken once it is so many items."""
        return await until(self.stats, lambda found: found.get("items", -1) >= count)

    async def be(self, mood: str) -> None:
        """From now on: well, deaf or mute."""
        (await self.http.put("/mood", params={"as": mood})).raise_for_status()

    async def items(self) -> list[dict[str, Any]]:
        """Everything that it has."""
        found: list[dict[str, Any]] = []
        query = {"sort": "id", "limit": "1000"}
        while True:
            page = (await self.http.get("/items", params=query)).json()
            found += page["content"]
            if not page["has_more"]:
                return found
            query["id_gt"] = found[-1]["id"]


async def until(
    ask: Callable[[], Awaitable[Found]], enough: Callable[[Found], bool], every_seconds: float = LOOK_SECONDS
) -> Found:
    """Ask until the answer is enough; returns it.

    Raises:
        TimeoutError: it never was.
    """
    end = time.monotonic() + LIMIT_SECONDS
    while not enough(found := await ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {LIMIT_SECONDS:g} s: {found}")
        await asyncio.sleep(every_seconds)
    return found


@asynccontextmanager
async def running(
    command: Sequence[str], log: Path, environment: Mapping[str, str], port: int = 0
) -> AsyncIterator[Program]:
    """Run a program as long as the block lasts."""
    strangers = foreign_variables()
    inherited = {name: value for name, value in os.environ.items() if name not in strangers}
    with log.open("ab") as out:
        # Forking takes milliseconds, and nothing else is under way.
        process = subprocess.Popen(  # noqa: ASYNC220 - see above
            command, stdout=out, stderr=out, env={**inherited, **environment}
        )
    try:
        yield Program(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@asynccontextmanager
async def sink(
    folder: Path, latency_seconds: float = 0.0, work_seconds: float = 0.0, per_second: float = 0.0
) -> AsyncIterator[Sink]:
    """A sink of its own; see tests.benchmarks.sink."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.sink"]
    command += map(str, (port, latency_seconds, work_seconds, per_second))
    async with (
        running(command, folder / "sink.log", {}, port) as program,
        httpx.AsyncClient(base_url=program.address, timeout=30, trust_env=False) as http,
    ):
        found = Sink(program, http)
        await found.taken(0)
        yield found


@asynccontextmanager
async def replica(folder: Path, variables: Mapping[str, str]) -> AsyncIterator[Program]:
    """One tolokad, told these settings; see `tests.benchmarks.stage.settings`."""
    port = free_port()
    environment = {**variables, "TOLOKAD_HTTP__PORT": str(port)}
    async with running([TOLOKAD, "run"], folder / "tolokad.log", environment, port) as program:
        yield program


@asynccontextmanager
async def reference(name: str, folder: Path, variables: Mapping[str, str]) -> AsyncIterator[Program]:
    """What one would write instead; see tests.benchmarks.references."""
    command = [sys.executable, "-m", "tests.benchmarks.references", name]
    async with running(command, folder / f"{name}.log", variables) as program:
        yield program
