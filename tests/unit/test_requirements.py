"""What is installed is what pyproject.toml asks for: pinned, with hashes, and the same everywhere."""

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(.*(?:\n +--hash=.*)*)", re.MULTILINE)


def pins(name: str) -> dict[str, tuple[str, str]]:
    """The version and the hashes of each package in one of the files."""
    text = (ROOT / "config" / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return {canonicalize_name(package): (version, rest) for package, version, rest in PIN.findall(text)}


def asked() -> list[tuple[str, Requirement]]:
    """Each file with what pyproject.toml asks of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = [Requirement(line) for line in project["dependencies"]]
    dev = [Requirement(line) for line in project["optional-dependencies"]["dev"]]
    return [("runtime", each) for each in runtime] + [("dev", each) for each in (*runtime, *dev)]


@pytest.mark.parametrize(("name", "requirement"), asked(), ids=str)
def test_pinned_as_asked(name: str, requirement: Requirement) -> None:
    """Every dependency is pinned to a version that pyproject.toml allows."""
    version, _ = pins(name)[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_nothing_comes_without_a_hash(name: str) -> None:
    """A package that was changed after it was pinned is refused."""
    assert not [package for package, (_, rest) in pins(name).items() if "--hash=sha256:" not in rest]


def test_what_is_tested_is_what_is_shipped() -> None:
    """The image's versions are those that the tests run with."""
    dev = pins("dev")
    assert {package: version for package, (version, _) in pins("runtime").items()} == {
        package: dev[package][0] for package in pins("runtime")
    }
