"""A Docker Engine of the tests' own: started by hand, with its own socket and folder, gone afterwards."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[2]
# `.ci/system-needs` unpacks Compose and Buildx here.
PLUGINS: Final = REPOSITORY / ".cache" / "docker-plugins"
START_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 400.0
POLL_SECONDS: Final = 0.1


class NoEngineError(Exception):
    """No container can be run here; the message says why."""


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        environment: what makes `docker` talk to it.
    """

    environment: Mapping[str, str]

    def docker(self, *arguments: str, check: bool = True, **more: str) -> str:
        """Run a `docker` command; returns its standard output.

        Raises:
            AssertionError: it failed; the message holds what it said.
        """
        ended = subprocess.run(
            ["docker", *arguments],
            cwd=REPOSITORY,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        said = ended.stdout[-4000:] + ended.stderr[-4000:]
        assert ended.returncode == 0 or not check, f"docker {' '.join(arguments)}: {said}"
        return ended.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of a container or an image."""
        (found,) = json.loads(self.docker("inspect", name))
        return dict(found)

    def state(self, container: str) -> dict[str, Any]:
        """Whether it runs, its health, its exit code."""
        return dict(self.inspect(container)["State"])


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Start an engine whose images and containers live in a folder; both are gone at the end.

    Raises:
        NoEngineError: a program is missing, or the engine does not come up on this machine.
    """
    for program in ("dockerd", "docker", "mmdebstrap", "runc"):
        if shutil.which(program) is None:
            raise NoEngineError(f"{program} is not installed (apt-get install docker.io mmdebstrap)")
    if not (PLUGINS / "docker-compose").exists():
        raise NoEngineError("Compose v2 is not there: run .ci/system-needs")
    socket = f"unix://{folder / 'docker.sock'}"
    (folder / "client").mkdir(parents=True)
    (folder / "client" / "cli-plugins").symlink_to(PLUGINS)
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            ["dockerd", "--config-file", str(_configuration(folder, socket))], stdout=log, stderr=log
        )
    engine = Engine({**os.environ, "DOCKER_HOST": socket, "DOCKER_CONFIG": str(folder / "client")})
    try:
        _await(engine, process, folder / "dockerd.log")
        yield engine
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _configuration(folder: Path, socket: str) -> Path:
    path = folder / "daemon.json"
    path.write_text(
        json.dumps(
            {
                "hosts": [socket],
                "data-root": str(folder / "data"),
                "exec-root": str(folder / "exec"),
                "pidfile": str(folder / "dockerd.pid"),
                # The machine's firewall and its default bridge are left as they are.
                "iptables": False,
                "ip6tables": False,
                "bridge": "none",
                # Raising a limit is not allowed in every sandbox.
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}},
            }
        )
    )
    return path


def _await(engine: Engine, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not engine.docker("version", "--format", "{{.Server.Version}}", check=False).strip():
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(errors="replace").splitlines()[-3:]
            raise NoEngineError(f"no container engine can run here: {' | '.join(last)}")
        time.sleep(POLL_SECONDS)
