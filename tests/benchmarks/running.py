"""One program at work beside the sink: how fast it is, and what that costs."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.kafka import free_port
from tests.system.processes import TOLOKAD, foreign_variables

LIMIT_SECONDS = 300.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done: so many items of a topic, in requests of `count`, by a sink this slow."""

    name: str
    topic: str
    items: int
    count: int
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run came to; `cpu` is the program's own, its start included."""

    job: str
    program: str
    items_per_second: float
    cpu_seconds_per_million: float
    resident_mib: float
    requests: int

    def row(self) -> dict[str, Any]:
        """As a line of JSON."""
        return asdict(self)


def spent(pid: int) -> tuple[float, float]:
    """Processor seconds of a process so far, and its peak of resident memory in MiB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS, int(status[0]) / 1024


@asynccontextmanager
async def program(
    command: Sequence[str], log: Path, environment: Mapping[str, str]
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run a program as long as the block lasts."""
    strangers = foreign_variables()
    inherited = {name: value for name, value in os.environ.items() if name not in strangers}
    with log.open("ab") as out:
        # Forking takes milliseconds, and nothing else is under way.
        process = subprocess.Popen(  # noqa: ASYNC220 - see above
            command, stdout=out, stderr=out, env={**inherited, **environment}
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@asynccontextmanager
async def sink(latency_seconds: float, log: Path) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    """A sink of its own: its address, and a client to ask it."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.sink", str(port), str(latency_seconds)]
    async with (
        program(command, log, {}),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as http,
    ):
        await until(lambda: stats(http), lambda found: found is not None)
        yield f"http://127.0.0.1:{port}", http


async def stats(http: httpx.AsyncClient) -> dict[str, Any] | None:
    """What the sink has taken; None while it does not answer."""
    try:
        found: dict[str, Any] = (await http.get("/stats")).json()
    except httpx.HTTPError:
        return None
    return found


async def until(ask: Any, enough: Any) -> Any:
    """Ask until the answer is enough; returns it.

    Raises:
        TimeoutError: it never was.
    """
    end = time.monotonic() + LIMIT_SECONDS
    while not enough(found := await ask()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {LIMIT_SECONDS:g} s: {found}")
        await asyncio.sleep(0.02)
    return found


def settings(job: Job, broker: str, url: str, group: str) -> dict[str, str]:
    """What both kinds of program are told, each under its own names."""
    tolokad = {
        "KAFKA__BOOTSTRAP_SERVERS": broker,
        "KAFKA__GROUP_ID": group,
        "KAFKA__INPUT_TOPIC": job.topic,
        "KAFKA__OUTPUT_TOPIC": f"{group}.results",
        "KAFKA__DEAD_LETTER_TOPIC": f"{group}.dead",
        "KAFKA__CREATE_TOPICS": "true",
        "TOLOKA__URL": url,
        "TOLOKA__PROJECT_ID": "P",
        "TOLOKA__TOKEN": "bench",
        "TOLOKA__REQUESTS_PER_SECOND": "100000",
        "TOLOKA__ITEMS_PER_MINUTE": "1000000000",
        "TOLOKA__ITEMS_PER_DAY": "1000000000",
        "SUBMIT__MAX_ITEMS": str(job.count),
        "SUBMIT__LINGER_SECONDS": "0.2",
        "HTTP__PORT": str(free_port()),
        "LOG__LEVEL": "WARNING",
    }
    plain = {"BROKER": broker, "TOPIC": job.topic, "GROUP": group, "COUNT": str(job.count)}
    posts_to = f"{url}/api/app/v0/app-projects/P/items/bulk"
    return {f"TOLOKAD_{name}": value for name, value in tolokad.items()} | plain | {"URL": posts_to}


def command_of(name: str) -> list[str]:
    """How a program is started."""
    if name == "tolokad":
        return [TOLOKAD, "run"]
    return [sys.executable, "-m", "tests.benchmarks.references", name]


async def ingest(job: Job, name: str, broker: str, folder: Path) -> Figures:
    """Have one program take the job's items to a fresh sink."""
    group = f"bench-{name}-{time.time_ns()}"
    async with sink(job.latency_seconds, folder / "sink.log") as (url, http):
        variables = settings(job, broker, url, group) | {"TOLOKAD_COLLECT__ENABLED": "false"}
        async with program(command_of(name), folder / f"{name}.log", variables) as process:
            done = await until(
                lambda: stats(http), lambda found: found is not None and found["items"] >= job.items
            )
            cpu, resident = spent(process.pid)
    seconds = max(done["last"] - done["first"], 1e-3)
    per_million = cpu / done["items"] * 1e6
    return Figures(job.name, name, done["items"] / seconds, per_million, resident, done["requests"])
