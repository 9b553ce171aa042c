"""The images of docker-compose.yml: ours built from the Dockerfile as it is, the others' by stand-ins."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.containers.engine import REPOSITORY, Engine
from tests.kafka import jars

STANDINS: Final = Path(__file__).parent / "standins"
BASE: Final = "localhost/tolokad-base:trixie"
# The Dockerfile's and the compose file's own defaults, so that both are tried unchanged.
PYTHON: Final = "python:3.13-slim-trixie"
KAFKA: Final = "apache/kafka:4.3.1"
PROMETHEUS: Final = "prom/prometheus:v3.5.0"
ALERTMANAGER: Final = "prom/alertmanager:v0.28.1"
PACKAGES: Final = "python3,python3-venv,ca-certificates,busybox"
# What of Java the broker needs.
MODULES: Final = "java.se,jdk.unsupported,jdk.crypto.ec,jdk.management"
AUTHORITIES: Final = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Images:
    """What was built.

    Attributes:
        base_bytes: the size of the base that tolokad's image stands on.
        bytes: the size of tolokad's image, its base included.
    """

    base_bytes: int
    bytes: int


def build(engine: Engine, folder: Path) -> Images:
    """Build all images under the names that docker-compose.yml has; takes about a minute and a half."""
    base = folder / "base.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "trixie", str(base)]
    subprocess.run(command, check=True, capture_output=True)
    engine.docker("import", str(base), BASE)
    _standin(engine, PYTHON, "python", folder, {"ca-certificates.crt": AUTHORITIES})
    _standin(engine, KAFKA, "kafka", folder, _kafka(folder))
    _standin(engine, PROMETHEUS, "prometheus", folder, {"prometheus": _program("prometheus")})
    alerting = {
        "alertmanager": _program("prometheus-alertmanager"),
        "templates": Path("/usr/share/prometheus/alertmanager"),
    }
    _standin(engine, ALERTMANAGER, "alertmanager", folder, alerting)
    for target, name in (("tolokad", "tolokad:latest"), ("simulator", "tolokad-simulator:latest")):
        engine.docker("build", "--quiet", "--network=host", "--target", target, "--tag", name, ".")
    return Images(engine.inspect(PYTHON)["Size"], engine.inspect("tolokad:latest")["Size"])


def rebuilt_layers(engine: Engine) -> list[str]:
    """The layers of an image that is built once more, without any cache."""
    engine.docker("build", "--quiet", "--no-cache", "--network=host", "--tag", "tolokad:again", ".")
    return list(engine.inspect("tolokad:again")["RootFS"]["Layers"])


def _standin(engine: Engine, image: str, name: str, folder: Path, more: Mapping[str, Path]) -> None:
    context = folder / name
    shutil.copytree(STANDINS / name, context)
    for target, source in more.items():
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, context / target)
    engine.docker("build", "--quiet", "--network=host", "--tag", image, str(context))


def _kafka(folder: Path) -> Mapping[str, Path]:
    runtime = folder / "java"
    command = ["jlink", "--add-modules", MODULES, "--strip-debug", "--no-man-pages", "--no-header-files"]
    subprocess.run([*command, "--output", str(runtime)], check=True, capture_output=True)
    logging = REPOSITORY / "tests" / "kafka" / "log4j2.properties"
    return {"java": runtime, "libs": jars.libs("4.3.1"), "log4j2.properties": logging}


def _program(name: str) -> Path:
    return Path(shutil.which(name) or f"{name} is not installed")
