"""The image: small, the same each time, not root's, and content with a read-only file system."""

import pytest

from tests.containers.engine import Engine
from tests.containers.images import Images, rebuilt_layers

# The first test waits for all images.
pytestmark = pytest.mark.timeout(600)

MEGABYTE = 1_000_000
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--network=none")


def test_it_is_small(images: Images) -> None:
    """The program and all it needs take less than 50 MB on top of the base."""
    assert images.bytes - images.base_bytes < 50 * MEGABYTE


def test_its_configuration(engine: Engine, images: Images) -> None:
    """A numeric user, an entry point without a shell, SIGTERM, a health check of its own, and labels."""
    assert images
    found = engine.inspect("tolokad:latest")["Config"]
    uid, _, gid = found["User"].partition(":")
    assert min(int(uid), int(gid)) >= 10_000
    assert (found["Entrypoint"], found["Cmd"], found["StopSignal"]) == (["tolokad"], ["run"], "SIGTERM")
    assert found["Healthcheck"]["Test"] == ["CMD", "tolokad", "healthcheck"]
    assert list(found["ExposedPorts"]) == ["8080/tcp"]
    labels = {name.removeprefix("org.opencontainers.image.") for name in found["Labels"]}
    assert labels >= {"title", "description", "licenses", "version", "revision"}


def test_the_same_files_make_the_same_layers(engine: Engine, images: Images) -> None:
    """Built again without a cache, what is installed is the same to the byte, times included."""
    assert images
    assert rebuilt_layers(engine) == engine.inspect("tolokad:latest")["RootFS"]["Layers"]


def test_commands_work_hardened(engine: Engine, images: Images) -> None:
    """Without any capability, any place to write or any network: the program starts and says its version."""
    assert images
    said = engine.docker("run", "--rm", *HARDENED, "tolokad:latest", "version")
    assert said.startswith("tolokad ")


def test_no_tools_are_left_in_it(engine: Engine, images: Images) -> None:
    """Neither pip nor the build backend came along."""
    assert images
    listing = "import pathlib; print(*[p.name for p in pathlib.Path('/opt/tolokad/lib').glob('*/*/*')])"
    command = ("run", "--rm", *HARDENED, "--entrypoint", "python", "tolokad:latest", "-c", listing)
    installed = engine.docker(*command).split()
    assert "daemon" in installed
    assert not [name for name in installed if name.partition("-")[0] in {"pip", "hatchling", "setuptools"}]
