"""A real Apache Kafka in KRaft mode, owned by the process that starts it."""

import asyncio
import base64
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.kafka import acls, jars, wire
from tests.kafka.errors import KafkaUnavailableError
from tests.kafka.guardian import Guardian
from tests.kafka.ports import free_port
from tests.kafka.properties import CLIENT, Listeners, server_properties
from tests.kafka.security import Security

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 20.0
# For speed in the long run, and for a start half a second sooner.
JAVA_OPTIONS = ("-Xmx512m", "-XX:+UseSerialGC")
QUICK_JAVA_OPTIONS = (*JAVA_OPTIONS, "-XX:TieredStopAtLevel=1")

_HERE = Path(__file__).parent
_POLL_SECONDS = 0.02
_PROBE_TIMEOUT_SECONDS = 2.0
_LOGGING = (
    f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}",
    f"-Dlog4j.configuration=file:{_HERE / 'log4j.properties'}",
)


def new_cluster_id() -> str:
    """An id as Kafka's storage tool makes them: a UUID in 22 letters."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


@dataclass(eq=False)
class EmbeddedKafka:
    """One broker on loopback with its own folder; dies with this process, however that ends.

    `with EmbeddedKafka() as kafka:` or `async with`; or `start()` and at the end `close()`. Ports and
    data outlive `stop()` and `kill()`, so that `start()` brings the same broker back. The internal
    listener is plaintext and direct: for tests that look behind a proxy or an access rule.

    Attributes:
        version: one of `jars.VERSIONS`.
        port: where clients' listener listens.
        advertised_port: where clients are told to connect, if not `port`: that of a proxy.
        data: a folder to keep after `close()`; a temporary one by default.
        properties: server properties that win over everything set here.
        security: protection of the clients' listener.
        java_options: for the broker's virtual machine.
        cluster_id: of the cluster that its data folder is made for.
        controller_port: where other nodes of its cluster reach its controller; nobody else comes there.
        archived: whether its classes are taken from an archive, which is made where there is none yet.
    """

    version: str = jars.DEFAULT_VERSION
    port: int = field(default_factory=free_port)
    advertised_port: int | None = None
    data: Path | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    security: Security = field(default_factory=Security)
    java_options: Sequence[str] = JAVA_OPTIONS
    cluster_id: str = field(default_factory=new_cluster_id)
    controller_port: int = field(default_factory=free_port)
    archived: bool = True
    _internal_port: int = field(default_factory=free_port, init=False)
    _folder: Path | None = field(default=None, init=False)
    _guardian: Guardian | None = field(default=None, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def bootstrap_servers(self) -> str:
        """The clients' address: the advertised one, so a proxy's where there is one."""
        return f"127.0.0.1:{self.advertised_port or self.port}"

    @property
    def internal_servers(self) -> str:
        """The owner's address: plaintext, past every proxy, user and access rule."""
        return f"127.0.0.1:{self._internal_port}"

    @property
    def folder(self) -> Path:
        """Where properties, log and data are; raises KafkaUnavailableError before the first start."""
        if self._folder is None:
            raise KafkaUnavailableError("the broker has not been started, or is closed")
        return self._folder

    @property
    def log_path(self) -> Path:
        """What the broker has printed: warnings and errors."""
        return self.folder / "broker.log"

    @property
    def pid(self) -> int:
        """The Java process; raises KafkaUnavailableError while none runs."""
        return self._running().pid

    def start(self) -> Self:
        """Start, or start again on the same data and ports; returns when requests are answered.

        Raises:
            KafkaUnavailableError: Java or Maven is missing, or the broker did not come up; the
                message ends with its log.
        """
        if self._process is not None:
            raise KafkaUnavailableError("the broker is running already")
        java, classpath = jars.java(), f"{jars.libs(self.version)}/*"
        guardian = self._guardian or self._settle_in()
        runtime = [java, "-cp", classpath, *_LOGGING]
        if self.archived:
            runtime.append(f"-XX:SharedArchiveFile={jars.archive(self.version, self._archive)}")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(guardian, runtime)
        command = [*runtime, *self.java_options, "kafka.Kafka", str(self.folder / "server.properties")]
        self._process = guardian.launch(command, self.log_path)
        self._await_ready(self._process)
        return self

    def stop(self) -> None:
        """Shut down in good order (SIGTERM); the data stays. Does nothing while none runs."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._gone()

    def kill(self) -> None:
        """End at once (SIGKILL); the data stays as it is. Does nothing while none runs.

        Kafka 4.3.1 loses the markers of a transaction whose commit it answered just before: after
        the next start the transaction hangs and read_committed readers stop before it, until the same
        producer ends another there (about every second kill right after a commit, and now and then a
        `stop()` on a busy machine). 3.9.2 writes them then.
        """
        if self._process is not None:
            self._process.kill()
            self._gone()

    def restart(self) -> None:
        """Shut down in good order, then start on the same data and ports."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the broker (SIGSTOP): connections stay open and nothing is answered.

        Frozen for longer than its session (2 s), it is fenced for a moment when it goes on, and its
        partitions have no leader until it has been let in again.
        """
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        # The signal is only a request: this returns when every thread has stopped.
        os.waitpid(process.pid, os.WUNTRACED)

    def resume(self) -> None:
        """Let a frozen broker go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def wait(self) -> int:
        """Block until the broker ends by itself; returns its exit code."""
        return self._running().wait()

    def close(self) -> None:
        """Kill what runs and remove the folder, unless `data` was given."""
        self.kill()
        if self._guardian is not None:
            self._guardian.close()
        self._guardian = self._folder = None

    def allow(self, *rules: acls.Acl) -> None:
        """Add access rules; needs a `security` with `authorizer`."""
        acls.create(self._internal_port, *rules)

    def revoke(self, *rules: acls.Acl) -> None:
        """Take access rules back."""
        acls.delete(self._internal_port, *rules)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def _archive(self, path: Path) -> None:
        """Have another one run, and at its end Java write down which classes it has loaded."""
        options = (*QUICK_JAVA_OPTIONS, f"-XX:ArchiveClassesAtExit={path}")
        with EmbeddedKafka(self.version, java_options=options, archived=False) as broker:
            os.kill(broker.pid, signal.SIGTERM)
            # However long it takes: an archive that is cut off is none.
            if broker.wait() < 0:
                path.unlink(missing_ok=True)

    def _settle_in(self) -> Guardian:
        """Make the folder with its properties, and the guardian that removes it."""
        temporary = self.data is None
        self._folder = self.data or Path(tempfile.mkdtemp(prefix="tolokad-kafka-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._guardian = Guardian(self._folder if temporary else None)
        protection = self.security.properties(CLIENT, self._folder)
        text = server_properties(self.listeners, self._folder / "data", protection, self.properties)
        (self._folder / "server.properties").write_text(text)
        return self._guardian

    @property
    def listeners(self) -> Listeners:
        """Where it listens, and whom it sends there."""
        return Listeners(
            client=self.port,
            internal=self._internal_port,
            controller=self.controller_port,
            advertised=self.advertised_port or self.port,
            protocol=self.security.protocol,
        )

    def _format(self, guardian: Guardian, runtime: Sequence[str]) -> None:
        # With `=`, for one id in 64 begins with a minus.
        cluster = f"--cluster-id={self.cluster_id}"
        config = ["--config", str(self.folder / "server.properties")]
        tool = ["kafka.tools.StorageTool", "format", cluster, *config, *self.security.scram_arguments()]
        process = guardian.launch([*runtime, *QUICK_JAVA_OPTIONS, *tool], self.log_path)
        exit_code = process.wait(START_TIMEOUT_SECONDS)
        guardian.forget()
        if exit_code != 0:
            raise self._failure(f"could not format its data folder (exit code {exit_code})")

    def _await_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if process.poll() is not None:
                self._gone()
                raise self._failure(f"ended with exit code {process.returncode}")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failure(f"was not ready within {START_TIMEOUT_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        if not wire.has_broker(self._internal_port, timeout_seconds=_PROBE_TIMEOUT_SECONDS):
            return False
        # What a protected listener answers, only its users can ask; the internal one spoke for it.
        protected = self.security.protocol != "PLAINTEXT"
        probe = wire.accepts if protected else wire.has_broker
        return probe(self.port, timeout_seconds=_PROBE_TIMEOUT_SECONDS)

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise KafkaUnavailableError("the broker is not running")
        return self._process

    def _gone(self) -> None:
        self._running().wait()
        self._process = None
        if self._guardian is not None:
            self._guardian.forget()

    def _failure(self, what: str) -> KafkaUnavailableError:
        log = self.log_path.read_text(errors="replace")[-2000:]
        return KafkaUnavailableError(f"Kafka {self.version} {what}; the end of its log:\n{log}")
