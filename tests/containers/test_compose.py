"""What `docker compose up` brings up does the main job, each part confined, and drains cleanly."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.containers.engine import REPOSITORY, Engine
from tests.containers.images import Images
from tests.system.processes import Scrape

# The first test waits for the images and for everything to become healthy.
pytestmark = pytest.mark.timeout(600)

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.5
# Grafana is in no registry that tests can reach.
SERVICES = ("kafka", "simulator", "items", "tolokad-1", "tolokad-2", "prometheus", "alertmanager")
# The same file with ports that nobody else has: any free one.
PORTS = {"tolokad-1": 8080, "tolokad-2": 8080, "prometheus": 9090, "alertmanager": 9093}


@dataclass(frozen=True)
class Stack:
    """What `docker compose up` has started."""

    engine: Engine
    overrides: str

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose."""
        files = ("--file", "docker-compose.yml", "--file", self.overrides)
        return self.engine.docker("compose", "--project-name", "stack", *files, *arguments)

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"stack-{service}-1"

    def get(self, service: str, path: str) -> str:
        """Ask a service from outside."""
        address = self.compose("port", service, str(PORTS[service])).strip()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def scrapes(self) -> list[Scrape]:
        """Both replicas' metrics."""
        return [Scrape(self.get(name, "/metrics")) for name in ("tolokad-1", "tolokad-2")]

    def total(self, name: str) -> float:
        """A metric, both replicas together."""
        return sum(scrape(name) for scrape in self.scrapes())

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers."""
        answer = json.loads(self.get("prometheus", f"/api/v1/query?query={expression}"))
        return list(answer["data"]["result"])


def until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait until something holds that no event tells of."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(POLL_SECONDS)


@pytest.fixture(scope="module")
def stack(engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything but Grafana, healthy."""
    assert images
    path = tmp_path_factory.mktemp("compose") / "ports.yml"
    path.write_text(_overrides())
    stack = Stack(engine, str(path))
    try:
        stack.compose("up", "--detach", "--no-build", "--pull", "never", "--wait", *SERVICES)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def _overrides() -> str:
    ports = "".join(f'  {name}: {{ports: !override ["127.0.0.1::{port}"]}}\n' for name, port in PORTS.items())
    return f"services:\n{ports}"


def test_it_does_the_main_job(stack: Stack) -> None:
    """Items go in by themselves, come back as results, and Prometheus sees both replicas."""
    until(lambda: stack.total("tolokad_results_published_total") >= 20, lambda: _logs(stack))
    assert stack.total("tolokad_items_submitted_total") > 0
    assert stack.total("tolokad_items_dead_lettered_total") == 0
    until(lambda: len(stack.query("tolokad_build_info")) == 2, lambda: str(stack.query("up")))
    assert {found["value"][1] for found in stack.query("up")} == {"1"}


def test_prometheus_has_the_rules_and_knows_where_to_send_alerts(stack: Stack) -> None:
    """The rules of deploy/prometheus are loaded, and Alertmanager is found."""
    groups = json.loads(stack.get("prometheus", "/api/v1/rules"))["data"]["groups"]
    assert {rule["type"] for group in groups for rule in group["rules"]} == {"alerting", "recording"}
    managers = json.loads(stack.get("prometheus", "/api/v1/alertmanagers"))["data"]
    assert [each["url"] for each in managers["activeAlertmanagers"]] == [
        "http://alertmanager:9093/api/v2/alerts"
    ]


def test_a_replica_is_confined(stack: Stack) -> None:
    """Nobody's root, no capability, no new privileges, nothing to write to; the program is process 1."""
    status = stack.compose("exec", "--no-TTY", "tolokad-1", "cat", "/proc/1/status")
    found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(found["Uid"].split()) == {"10001"}
    assert set(found["Gid"].split()) == {"10001"}
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == int(found["CapBnd"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    command = stack.compose("exec", "--no-TTY", "tolokad-1", "cat", "/proc/1/cmdline")
    assert command.rstrip("\0").split("\0")[1:] == ["/opt/tolokad/bin/tolokad", "run"]
    inspected = stack.engine.inspect(stack.container("tolokad-1"))["HostConfig"]
    assert inspected["ReadonlyRootfs"]
    assert inspected["Memory"] == 512 * 1024 * 1024


def test_health_is_the_programs_own_word(stack: Stack) -> None:
    """The engine calls a replica healthy because `tolokad healthcheck` does."""
    state = stack.engine.state(stack.container("tolokad-1"))
    assert state["Health"]["Status"] == "healthy"
    assert stack.compose("exec", "--no-TTY", "tolokad-1", "tolokad", "healthcheck") == ""


def test_secrets_stay_in_their_files(stack: Stack) -> None:
    """The token is in no environment, no command and no log."""
    secret = (REPOSITORY / "deploy" / "compose" / "simulator.token").read_text().strip()
    assert secret not in json.dumps(stack.engine.inspect(stack.container("tolokad-1")))
    assert secret not in stack.compose("logs", "tolokad-1", "tolokad-2")


def test_stop_drains_and_exits_with_0(stack: Stack) -> None:
    """SIGTERM under load: the replica finishes what is under way and ends with 0; the other one goes on."""
    stack.compose("stop", "tolokad-1")
    state = stack.engine.state(stack.container("tolokad-1"))
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    events = [json.loads(line)["event"] for line in _log(stack, "tolokad-1") if line.startswith("{")]
    assert events[-1] == "stopped"
    assert "drain_incomplete" not in events
    before = Scrape(stack.get("tolokad-2", "/metrics"))("tolokad_results_published_total")

    def goes_on() -> bool:
        scrape = Scrape(stack.get("tolokad-2", "/metrics"))
        return scrape("tolokad_results_published_total") >= before + 20

    until(goes_on, lambda: _logs(stack))


def _log(stack: Stack, service: str) -> list[str]:
    return stack.engine.docker("logs", stack.container(service)).splitlines()


def _logs(stack: Stack) -> str:
    return stack.compose("logs", "--tail", "20", "tolokad-1", "tolokad-2", "items")
