"""The broker's Java classes: fetched once with Maven, archived once, then taken from a cache folder."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.kafka.errors import KafkaUnavailableError

VERSIONS = ("4.3.1", "3.9.2")
DEFAULT_VERSION = VERSIONS[0]
LOWEST_JAVA = 17
CACHE_VARIABLE = "TOLOKAD_TEST_KAFKA_CACHE"
FETCH_TIMEOUT_SECONDS = 600.0

_HERE = Path(__file__).parent
_INSTEAD = (
    "Or point TOLOKAD_KAFKA__BOOTSTRAP_SERVERS (tests: TOLOKAD_TEST_BOOTSTRAP_SERVERS) at a broker you have."
)


def java() -> str:
    """The path of a `java` that can run Kafka: `JAVA_HOME`'s, else the one on `PATH`.

    Raises:
        KafkaUnavailableError: none is found, or it is older than 17.
    """
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if path is None:
        raise KafkaUnavailableError(
            _advice("Kafka needs Java, and there is no `java`", "openjdk-17-jre-headless")
        )
    version = _java_version(path)
    if version < LOWEST_JAVA:
        raise KafkaUnavailableError(
            _advice(
                f"Kafka needs Java {LOWEST_JAVA}, and {path} is Java {version}", "openjdk-17-jre-headless"
            )
        )
    return path


def libs(version: str) -> Path:
    """The folder with the jars of one Kafka version, fetched on first use.

    Safe to call from several processes at once: one fetches, the others wait, and the folder
    appears under its final name only when it is complete.

    Raises:
        KafkaUnavailableError: the version is unknown, or Maven is missing or failed.
    """
    if version not in VERSIONS:
        raise KafkaUnavailableError(f"Kafka {version} is not one of {', '.join(VERSIONS)}")
    folder = _cache() / version / "libs"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / "fetch.lock"):
        if not folder.is_dir():
            _fetch(version, folder)
    return folder


def archive(version: str, make: Callable[[Path], object]) -> Path:
    """The classes that a broker loads, as Java has them in memory: with them it starts at half the cost.

    Made on first use, as the folder of the jars is. Java goes on without one that does not fit, as after an
    update of Java, or that is empty, where it could make none.

    Args:
        version: of Kafka.
        make: has Java make the archive at this path, whole or not at all.
    """
    path = libs(version).with_name("classes.jsa")
    if not path.exists():
        with _locked(path.with_suffix(".lock")):
            if not path.exists():
                new = path.with_suffix(".new")
                make(new)
                new.touch()
                new.rename(path)
    return path


def _cache() -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else _HERE.parents[1] / ".cache" / "kafka"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The kernel drops the lock when its holder dies: a killed fetch blocks nobody.
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as scratch:
        jars = Path(scratch) / "libs"
        _run_maven(version, jars)
        jars.rename(folder)


def _run_maven(version: str, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError(
            _advice("Kafka's jars are fetched with Maven, and there is no `mvn`", "maven")
        )
    command = [maven, "-B", "-q", "-Dstyle.color=never", "-f", str(_HERE / f"pom-{version}.xml")]
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    result = subprocess.run(
        [*command, *goal], capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_SECONDS
    )
    if result.returncode != 0:
        said = (result.stdout + result.stderr).strip()[-2000:]
        raise KafkaUnavailableError(f"Maven could not fetch Kafka {version}:\n{said}\n{_INSTEAD}")


def _java_version(path: str) -> int:
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    # "17.0.15", "21-ea" or, up to Java 8, "1.8.0".
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def _advice(problem: str, package: str) -> str:
    return f"{problem}. On Debian or Ubuntu: apt-get install {package}. {_INSTEAD}"
