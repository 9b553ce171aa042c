"""What is installed is what pyproject.toml asks for: pinned, with hashes, and the same everywhere."""

import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply.packages import ROOT, asked, graph, pinned

FILES: Final = tuple(sorted(file.stem for file in (ROOT / "config" / "requirements").glob("*.txt")))
# Where an index could be named: whoever installs decides which one is asked.
INDEX: Final = re.compile(r"index-url|find-links|trusted-host|https?://\S+/simple\b")
NAMING: Final = (
    "pyproject.toml",
    "Makefile",
    "Dockerfile",
    "docker-compose.yml",
    ".ci/run",
    ".ci/system-needs",
)


def wanted() -> list[tuple[str, Requirement]]:
    """Each file with what pyproject.toml asks of it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dev = [Requirement(line) for line in project["optional-dependencies"]["dev"]]
    return [("runtime", each) for each in asked()] + [("dev", each) for each in (*asked(), *dev)]


@pytest.mark.parametrize(("name", "requirement"), wanted(), ids=str)
def test_pinned_as_asked(name: str, requirement: Requirement) -> None:
    """Every dependency is pinned to a version that pyproject.toml allows."""
    package = pinned(name)[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(package.version)


@pytest.mark.parametrize("name", FILES)
def test_nothing_comes_without_a_hash(name: str) -> None:
    """A package that was changed after it was pinned is refused, in whichever environment."""
    packages = pinned(name).values()
    assert packages
    assert not [package.name for package in packages if not package.hashes]


def test_what_is_tested_is_what_is_shipped() -> None:
    """The images' versions are those that the tests run with, and those are installed."""
    dev = pinned("dev")
    for file in ("runtime", "simulator", "build"):
        for name, package in pinned(file).items():
            assert (name, package.version) == (name, dev[name].version)
            assert package.installed.version == package.version


def test_nothing_is_missing_and_nothing_left_over() -> None:
    """What the image installs is what tolokad needs, and what that needs: each of it, and no more."""
    packages = pinned("runtime")
    assert set(graph(packages)) - {""} == set(packages)


def test_no_file_names_an_index() -> None:
    """Where packages come from is for whoever installs them to say."""
    pages = (ROOT / "config" / "requirements").glob("*.txt")
    flows = (ROOT / ".github").rglob("*.yml")
    for page in chain(pages, flows, (ROOT / name for name in NAMING)):
        found = INDEX.search(Path(page).read_text(encoding="utf-8"))
        assert found is None, f"{page}: {found}"
