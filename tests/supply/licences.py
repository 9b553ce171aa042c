"""Which licences what is shipped stands under: `make licences` writes config/licences.md."""

from collections.abc import Iterator, Mapping
from typing import Final

from tests.supply.packages import SHIPPED, Package, pinned

# Whoever ships tolokad owes a notice under these, and nothing else.
PERMISSIVE: Final = frozenset({"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "ISC"})
# Copyleft that is accepted, package by package.
ACCEPTED: Final[Mapping[str, tuple[str, str]]] = {
    "certifi": (
        "MPL-2.0",
        "a list of authorities, shipped unchanged: only changed files are concerned",
    ),
}
HEAD: Final = """\
# Licences
What is shipped beside tolokad's own code, which is under Apache-2.0: its image has what `runtime` marks, the
simulator's has all of it. `make licences` writes this page anew; a test refuses what is not permissive.

| package | version | licence | in |
|---|---|---|---|"""


def shipped() -> Iterator[tuple[Package, str]]:
    """Each package with the files that pin it."""
    files = {file: pinned(file) for file in SHIPPED}
    every = {name: package for packages in files.values() for name, package in packages.items()}
    for name in sorted(every):
        yield every[name], ", ".join(file for file in SHIPPED if name in files[file])


def permitted(name: str, licence: str) -> bool:
    """Whether something under this licence may be shipped; of several to choose from, one is enough."""
    accepted = PERMISSIVE | {ACCEPTED[name][0]} if name in ACCEPTED else PERMISSIVE
    choices = licence.replace("(", "").replace(")", "").split(" OR ")
    return any(all(part in accepted for part in choice.split(" AND ")) for choice in choices)


def page() -> str:
    """The page."""
    rows = [f"| {each.name} | {each.version} | {each.licence} | {where} |" for each, where in shipped()]
    notes = [f"- {name}, {licence}: {why}." for name, (licence, why) in ACCEPTED.items()]
    return "\n".join([HEAD, *rows, "", "Accepted, though not permissive:", "", *notes, ""])


if __name__ == "__main__":
    print(page(), end="")
