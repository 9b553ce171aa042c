"""A bill of materials of the image, CycloneDX 1.6: `python -m tests.supply.sbom`, which is `make sbom`.

From the pins alone, so that the same commit gives the same bytes.
"""

import json
import uuid
from typing import Any, Final

from daemon import __version__
from tests.supply.packages import Package, graph, pinned

ITSELF: Final = f"pkg:pypi/tolokad@{__version__}"


def bill() -> dict[str, Any]:
    """The document."""
    packages = pinned("runtime")
    needs = graph(packages)
    addresses = {name: package.address for name, package in packages.items()} | {"": ITSELF}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": ITSELF,
                "name": "tolokad",
                "version": __version__,
                "purl": ITSELF,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": [component(packages[name]) for name in sorted(packages)],
        "dependencies": [
            {"ref": addresses[name], "dependsOn": sorted(addresses[each] for each in needs[name])}
            for name in sorted(needs)
        ],
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, content).urn}


def component(package: Package) -> dict[str, Any]:
    """One package; its hashes are those of each file that may be installed, one for a platform."""
    licence = package.licence
    plain = " " not in licence
    return {
        "type": "library",
        "bom-ref": package.address,
        "name": package.name,
        "version": package.version,
        "purl": package.address,
        "licenses": [{"license": {"id": licence}} if plain else {"expression": licence}],
        "hashes": [{"alg": "SHA-256", "content": content} for content in package.hashes],
    }


if __name__ == "__main__":
    print(json.dumps(bill(), indent=2))
