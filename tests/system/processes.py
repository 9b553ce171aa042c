"""Programs that tests start, stop, freeze and kill by their own process ids, and that cannot outlive them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.kafka import free_port
from tests.kafka.guardian import Guardian

POLL_SECONDS: Final = 0.05
START_SECONDS: Final = 60.0
END_SECONDS: Final = 60.0
LOG_TAIL_LETTERS: Final = 3000
PREFIX: Final = "TOLOKAD_"
# With these, coverage measures a program that is started, too.
MEASURING: Final = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
TOLOKAD: Final = str(Path(sys.executable).with_name("tolokad"))


def foreign_variables() -> list[str]:
    """The variables of this process that the daemon would take for its own, the tests' among them."""
    return [name for name in os.environ if name.upper().startswith(PREFIX)]


class Process:
    """One program at a time, started again and again, whose output is appended to one log.

    Args:
        command: the program and its arguments.
        log: where standard output and error go.
        environment: variables on top of this process's own, less `TOLOKAD_…`.

    Attributes:
        measured: whether it is under coverage where this process is.
    """

    measured = True

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.command = list(command)
        self.log = log
        self.environment = dict(environment)
        self._guardian = Guardian(None)
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()
        self._guardian.forget()
        self._guardian.close()

    @property
    def pid(self) -> int:
        """The id of the process that runs, or ran last."""
        return self._started().pid

    @property
    def code(self) -> int | None:
        """The exit code, once it has ended."""
        return self._started().poll()

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, or start again."""
        assert not self.running, "it runs already"
        self._guardian.forget()
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        strangers = [name for name in foreign_variables() if name not in self.environment]
        strangers += () if self.measured else MEASURING
        unset = [argument for name in strangers for argument in ("-u", name)]
        self._process = self._guardian.launch(["env", *unset, *self.command], self.log, self.environment)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._started().send_signal(number)

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self._started().wait()

    def freeze(self) -> None:
        """SIGSTOP; returns when every thread has stopped."""
        self.signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def thaw(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    async def ended(self) -> int:
        """Wait for its end; returns the exit code, negative where a signal ended it.

        Raises:
            subprocess.TimeoutExpired: it goes on and on.
        """
        return await asyncio.to_thread(self._started().wait, END_SECONDS)

    async def stopped(self) -> int:
        """Ask it to stop (SIGTERM) and wait for its end; returns the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    def output(self) -> str:
        """What it has printed since it was started last."""
        # The log is made by the process itself, a moment after it was started.
        printed = self.log.read_bytes() if self.log.exists() else b""
        return printed[self._read_from :].decode(errors="replace")

    def _started(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "it was never started"
        return self._process


class Simulator(Process):
    """A Toloka that keeps a record of every item it ever created.

    Args:
        folder: for its record and its log; made where it is missing.
        credential: the `Authorization` header that it accepts.
        flags: as `python -m tests.simulator --help` lists them.
    """

    # Nothing of the daemon runs in it, and it would take half as long again for all that it does.
    measured = False

    def __init__(self, folder: Path, credential: str, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.record = folder / "created.ndjson"
        fixed = ["--port", str(self.port), "--record", str(self.record), "--credentials", credential]
        command = [sys.executable, "-m", "tests.simulator", *fixed, *flags]
        super().__init__(command, folder / "simulator.log", {})

    async def ready(self) -> None:
        """Wait until it listens; nobody is asked, so that no request is counted."""
        deadline = time.monotonic() + START_SECONDS
        while self.url not in self.output():
            assert self.running, self.output()
            assert time.monotonic() < deadline, self.output()
            await asyncio.sleep(POLL_SECONDS)


class Scrape:
    """What a replica's `/metrics` showed at one moment."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels; 0 where there is none."""
        wanted = labels.items()
        return sum(value for (at, has), value in self._samples.items() if at == name and wanted <= has)


class Replica(Process):
    """One `tolokad run`, with the port of its own for probes.

    Args:
        log: where its output goes.
        environment: its `TOLOKAD_` variables; `TOLOKAD_HTTP__PORT` is added.
        http: the client that asks it.
    """

    def __init__(self, log: Path, environment: Mapping[str, str], http: httpx.AsyncClient) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._http = http
        address = {"TOLOKAD_HTTP__HOST": "127.0.0.1", "TOLOKAD_HTTP__PORT": str(self.port)}
        super().__init__([TOLOKAD, "run"], log, {**environment, **address})

    async def get(self, path: str) -> httpx.Response:
        """Ask it; raises httpx.TransportError where it does not answer."""
        return await self._http.get(self.url + path)

    async def ready(self) -> None:
        """Wait until `/readyz` says so."""
        deadline = time.monotonic() + START_SECONDS
        while not await self._is_ready():
            assert self.running, f"it has ended: {self.output()[-LOG_TAIL_LETTERS:]}"
            assert time.monotonic() < deadline, f"it does not get ready: {self.output()[-LOG_TAIL_LETTERS:]}"
            await asyncio.sleep(POLL_SECONDS)

    async def scrape(self) -> Scrape:
        """Its metrics now."""
        answer = await self.get("/metrics")
        answer.raise_for_status()
        return Scrape(answer.text)

    def events(self, *names: str) -> Iterator[dict[str, Any]]:
        """What it has logged since it was started last: the events of these names, or all."""
        return _events(self.output(), names)

    def history(self, *names: str) -> Iterator[dict[str, Any]]:
        """What it has logged in all its lives."""
        return _events(self.log.read_text(errors="replace"), names)

    async def _is_ready(self) -> bool:
        try:
            return (await self.get("/readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _events(output: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    # Only LF ends a line: a text may hold U+2028, and a killed process leaves its last line half written.
    for line in output.split("\n"):
        if line.startswith("{") and line.endswith("}"):
            event = json.loads(line)
            if not names or event["event"] in names:
                yield event
