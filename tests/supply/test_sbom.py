"""The bill of materials: every pinned package of the image, and the same bytes for the same commit."""

import json
import subprocess
import sys

from tests.supply.packages import pinned
from tests.supply.sbom import ITSELF, bill


def test_it_holds_each_package_with_version_licence_and_hashes() -> None:
    """What a scanner looks packages up by is there, for all of them and for nothing else."""
    document, packages = bill(), pinned("runtime")
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    found = {each["name"]: each for each in document["components"]}
    assert {name: each["version"] for name, each in found.items()} == {
        name: package.version for name, package in packages.items()
    }
    for name, each in found.items():
        assert each["purl"] == f"pkg:pypi/{name}@{packages[name].version}"
        assert each["licenses"]
        assert {entry["content"] for entry in each["hashes"]} == set(packages[name].hashes)


def test_who_needs_whom() -> None:
    """Every package is needed by somebody, in the end by tolokad; no reference leads nowhere."""
    document = bill()
    needs = {each["ref"]: each["dependsOn"] for each in document["dependencies"]}
    assert set(needs) == {ITSELF, *(each["bom-ref"] for each in document["components"])}
    reached, left = set(), [ITSELF]
    while left:
        here = left.pop()
        if here not in reached:
            reached.add(here)
            left += needs[here]
    assert reached == set(needs)


def test_it_is_printed_and_reproducible() -> None:
    """`make sbom` prints a JSON document: no time, no chance, no path of a machine stands in it."""
    command = [sys.executable, "-m", "tests.supply.sbom"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == bill()
