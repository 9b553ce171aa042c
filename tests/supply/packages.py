"""What is shipped beside tolokad's own code: pinned packages, hashes, licences, and who wants whom."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

from packaging.licenses import canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
SHIPPED: Final = ("runtime", "simulator")
PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(.*(?:\n +--hash=.*)*)", re.MULTILINE)
HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# Older metadata names a licence in words of its own.
IN_WORDS: Final[Mapping[str, str]] = {
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
}
CLASSIFIERS: Final[Mapping[str, str]] = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
}


@dataclass(frozen=True)
class Package:
    """A pinned package, which is installed here as well.

    Attributes:
        name: as indexes compare names.
        version: exactly.
        hashes: SHA-256 of each of its files that may be installed.
    """

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def address(self) -> str:
        """Its package URL (purl), which names no index."""
        return f"pkg:pypi/{self.name}@{self.version}"

    @cached_property
    def installed(self) -> Distribution:
        """Its metadata; raises PackageNotFoundError where it is not installed."""
        return distribution(self.name)

    @property
    def licence(self) -> str:
        """An SPDX expression; raises ValueError where its metadata has none that is understood."""
        about = self.installed.metadata
        said = next((about[name] for name in ("License-Expression", "License") if about[name]), "")
        known = [CLASSIFIERS[each] for each in about.get_all("Classifier", []) if each in CLASSIFIERS]
        # Some put the licence's whole text there.
        text = said if said and "\n" not in said else " AND ".join(known)
        return str(canonicalize_license_expression(IN_WORDS.get(text, text)))

    def wants(self, extras: frozenset[str]) -> Iterator[Requirement]:
        """What it needs here, with these extras of its own."""
        for line in self.installed.requires or ():
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                yield needed


def pinned(file: str) -> dict[str, Package]:
    """The packages of one of the files of config/requirements, by name."""
    text = (ROOT / "config" / "requirements" / f"{file}.txt").read_text(encoding="utf-8")
    found = (
        Package(canonicalize_name(name), version, tuple(HASH.findall(rest)))
        for name, version, rest in PIN.findall(text)
    )
    return {package.name: package for package in found}


def asked() -> list[Requirement]:
    """What pyproject.toml wants at run time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["dependencies"]]


def graph(packages: Mapping[str, Package]) -> dict[str, set[str]]:
    """The names that each package needs, as far as anybody needs it; tolokad itself is the empty name.

    Raises:
        KeyError: something that is needed is not among the packages.
    """
    needs: dict[str, set[str]] = {"": set()}
    left = [("", each) for each in asked()]
    while left:
        who, wanted = left.pop()
        name = canonicalize_name(wanted.name)
        needs[who].add(name)
        seen = name in needs
        needs.setdefault(name, set())
        extras = frozenset(wanted.extras)
        if not seen or extras:
            further = packages[name].wants(extras)
            left += [(name, each) for each in further if canonicalize_name(each.name) not in needs[name]]
    return needs
