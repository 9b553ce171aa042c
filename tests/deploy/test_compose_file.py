"""docker-compose.yml: every part confined and watched, every variable one that tolokad takes."""

import re
from typing import Any

import pytest

from daemon.settings import load
from tests.deploy.yamls import REPOSITORY, documents

(COMPOSE,) = documents((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if name.startswith("tolokad-")}
# A variable of Compose with its default, as in ${NAME:-default} and ${NAME-default}.
FILLED = re.compile(r"\$\{\w+:?-([^}]*)\}")
# It has no port to ask at: whoever reads the input sees whether it works.
WITHOUT_HEALTH = {"items"}


def value(text: object) -> str:
    """A value as it is where nobody sets a variable."""
    return FILLED.sub(r"\1", str(text))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined_and_watched(name: str) -> None:
    """Limits for memory and CPU, a health check, a restart; ports on loopback only."""
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert service["restart"] == "unless-stopped"
    assert "healthcheck" in service or name in OURS or name in WITHOUT_HEALTH
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    if name != "kafka":
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_there_are_two_replicas() -> None:
    """Alike but for their ports, with longer to stop than a drain takes."""
    one, other = ({**service, "ports": None} for service in OURS.values())
    assert one == other
    given = {name: value(text) for name, text in one["environment"].items() if not name.endswith("_FILE")}
    settings = load({**given, "TOLOKAD_TOLOKA__TOKEN": "made-up"})
    assert float(one["stop_grace_period"].removesuffix("s")) >= settings.shutdown_seconds + 10
    assert {port.rpartition(":")[2] for each in OURS.values() for port in each["ports"]} == {
        str(settings.http.port)
    }


def test_secrets_are_files() -> None:
    """The token stands in no variable, and in the file where the replicas look for it."""
    for service in OURS.values():
        assert "TOLOKAD_TOLOKA__TOKEN" not in service["environment"]
        assert service["environment"]["TOLOKAD_TOLOKA__TOKEN_FILE"] == "/run/secrets/toloka_token"
        assert service["secrets"] == ["toloka_token"]
    assert (REPOSITORY / value(COMPOSE["secrets"]["toloka_token"]["file"])).is_file()


def test_one_file_leads_to_a_real_toloka() -> None:
    """It sets just variables that the compose file reads, and switches simulator and made-up items off."""
    lines = (REPOSITORY / "deploy" / "compose" / "toloka.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    text = (REPOSITORY / "docker-compose.yml").read_text()
    assert [name for name in given if f"${{{name}" not in text] == []
    assert given["TOLOKA_URL"].startswith("https://")
    assert given["SIMULATED"] == "0"
    for name in ("simulator", "items"):
        assert SERVICES[name]["scale"] == "${SIMULATED:-1}"


def test_images_are_named_with_their_versions() -> None:
    """Except those that are built here."""
    for name, service in SERVICES.items():
        image, _, tag = value(service["image"]).partition(":")
        assert tag != "latest" or "build" in service or name == "items", image
