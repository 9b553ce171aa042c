"""A start that cannot succeed: one clear message, the way out, and the documented exit code."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.canary import CANARY
from tests.kafka import free_port
from tests.kafka.fixtures import Cluster
from tests.kafka.topics import Topics
from tests.simulator.serving import spawn
from tests.simulator.world import MODERATION_PROJECT
from tests.system.processes import TOLOKAD, foreign_variables
from tests.system.wrong_starts import CONFIGURATION, NOTHING, OK, RUNS, UNAVAILABLE

# Longer than the 30 s that a start waits for a service.
PATIENCE_SECONDS: Final = 90.0
Ended = subprocess.CompletedProcess[str]
# All runs go on beside the first of these tests.
pytestmark = pytest.mark.timeout(300)


# Taken once: pytest writes the current test's name into the environment while other threads start programs.
OWN = {name: value for name, value in os.environ.items() if name not in foreign_variables()}


@dataclass(frozen=True)
class Bench:
    """A world in which all is well, and programs run in it.

    Attributes:
        environment: usable settings.
        names: what is filled into settings and expectations.
    """

    environment: Mapping[str, str]
    names: Mapping[str, str]

    def run(self, arguments: tuple[str, ...], given: Mapping[str, str] = NOTHING) -> Ended:
        """Run a command to its end."""
        more = {f"TOLOKAD_{name}": value.format_map(self.names) for name, value in given.items()}
        return subprocess.run(
            [TOLOKAD, *arguments],
            env={**OWN, **self.environment, **more},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def bench(kafka: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Topics of every kind, a simulator, and a token in a file."""
    servers, group = kafka.bootstrap_servers, f"start-{free_port()}"
    token_file = tmp_path_factory.mktemp("secrets") / "token"
    token_file.write_text(CANARY)
    names = _topics(servers, group) | {"token_file": str(token_file), "free": str(free_port())}
    with spawn("--credentials", f"ApiKey {CANARY}") as url:
        environment = {
            "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": servers,
            "TOLOKAD_KAFKA__GROUP_ID": group,
            "TOLOKAD_KAFKA__INPUT_TOPIC": names["items"],
            "TOLOKAD_KAFKA__OUTPUT_TOPIC": names["results"],
            "TOLOKAD_KAFKA__DEAD_LETTER_TOPIC": names["dead"],
            "TOLOKAD_TOLOKA__URL": url,
            "TOLOKAD_TOLOKA__PROJECT_ID": MODERATION_PROJECT,
            "TOLOKAD_TOLOKA__TOKEN": CANARY,
            "TOLOKAD_HTTP__HOST": "127.0.0.1",
            "TOLOKAD_HTTP__PORT": "0",
        }
        yield Bench(environment, names | {"taken": url.rpartition(":")[2]})


def _topics(servers: str, group: str) -> dict[str, str]:
    """Make the topics; returns their names by what they are for."""
    plain = {name: f"{group}.{name}" for name in ("items", "results", "dead", "plain")}
    compacted = {name: f"{group}.{name}" for name in ("ledger", "cursors", "compacted")}

    async def make() -> None:
        topics = Topics(servers)
        for name in plain.values():
            await topics.create(name)
        for name in compacted.values():
            await topics.create(name, configs={"cleanup.policy": "compact"})

    asyncio.run(make())
    return plain | compacted


@pytest.fixture(scope="module", autouse=True)
def runs(bench: Bench) -> Iterator[Mapping[str, Future[Ended]]]:
    """Every run, started as soon as there is a place: the patient ones first, for they mostly wait.

    They go on beside the tests of this module, and are looked at last.
    """
    patient_first = sorted(RUNS, key=lambda name: RUNS[name].code != UNAVAILABLE)
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield {name: pool.submit(bench.run, RUNS[name].arguments, RUNS[name].given) for name in patient_first}


def test_check(bench: Bench) -> None:
    """`check` looks at the settings, `check --connect` at Kafka and Toloka, too; each has its tick."""
    alone, connected = bench.run(("check",)), bench.run(("check", "--connect"))
    assert (alone.returncode, connected.returncode) == (OK, OK), connected.stdout + connected.stderr
    assert re.fullmatch(r"✓ settings: .+\n", alone.stdout)
    assert [line[:2] for line in connected.stdout.splitlines()] == ["✓ "] * len(connected.stdout.splitlines())
    for part in ("settings", "kafka", "toloka", MODERATION_PROJECT, bench.names["items"]):
        assert part in connected.stdout


def test_check_that_fails(bench: Bench) -> None:
    """`check --connect` says what is wrong in words and in JSON, and exits as a start would."""
    given = {"TOLOKA__PROJECT_ID": "nobodys"}
    ended = bench.run(("check", "--connect", "--json"), given)
    assert ended.returncode == CONFIGURATION, ended.stdout + ended.stderr
    report = json.loads(ended.stdout)
    assert not report["ok"]
    assert [each["name"] for each in report["checks"] if not each["ok"]] == ["project"]
    assert any("TOLOKAD_TOLOKA__PROJECT_ID" in each["message"] for each in report["checks"])
    assert "✗ project" in bench.run(("check", "--connect"), given).stdout


def test_config(bench: Bench) -> None:
    """`config` shows every effective setting, and never the token."""
    ended = bench.run(("config",))
    assert ended.returncode == OK, ended.stderr
    shown = dict(line.split("=", 1) for line in ended.stdout.splitlines())
    assert shown["TOLOKAD_KAFKA__LEDGER_TOPIC"] == bench.names["ledger"]
    assert shown["TOLOKAD_SUBMIT__MAX_ITEMS"] == "1000"
    assert shown["TOLOKAD_TOLOKA__TOKEN"] == "********"
    assert CANARY not in ended.stdout
    assert CANARY not in bench.run(("config", "--json")).stdout


def test_healthcheck_without_daemon(bench: Bench) -> None:
    """`healthcheck` exits 1 and says where it asked when nobody is there."""
    ended = bench.run(("healthcheck",), {"HTTP__PORT": "{free}"})
    assert ended.returncode == 1
    assert f"127.0.0.1:{bench.names['free']}/livez" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_version_and_help(bench: Bench) -> None:
    """`version` and `--help` work without any settings."""
    nothing = Bench({}, bench.names)
    assert re.fullmatch(r"tolokad \d+\.\d+\.\d+\n", nothing.run(("version",)).stdout)
    assert "healthcheck" in nothing.run(("--help",)).stdout


def test_module_is_the_same_program(bench: Bench) -> None:
    """`python -m daemon` is tolokad."""
    python = str(Path(TOLOKAD).with_name("python"))
    ended = subprocess.run(
        [python, "-m", "daemon", "version"], capture_output=True, text=True, check=True, env=OWN
    )
    assert ended.stdout == bench.run(("version",)).stdout


@pytest.mark.parametrize("name", RUNS)
def test_failed_start(name: str, runs: Mapping[str, Future[Ended]], bench: Bench) -> None:
    """What is wrong is named on standard error, with the way out; no stack trace, no secret."""
    expected, ended = RUNS[name], runs[name].result()
    assert ended.returncode == expected.code, ended.stderr
    for words in expected.says:
        assert words.format_map(bench.names) in ended.stderr
    assert len(ended.stderr.splitlines()) == expected.lines, ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert CANARY not in ended.stdout + ended.stderr
