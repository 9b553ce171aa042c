"""What kustomize makes of deploy/kubernetes."""

import subprocess
from functools import cache
from typing import Any, Final

from tests.deploy.yamls import REPOSITORY, documents

KUBERNETES: Final = REPOSITORY / "deploy" / "kubernetes"
BASE: Final = "base"
OVERLAYS: Final = tuple(sorted(f"overlays/{path.name}" for path in (KUBERNETES / "overlays").iterdir()))


@cache
def built(name: str) -> str:
    """The stream that `kubectl apply -k` would send."""
    command = ["kubectl", "kustomize", str(KUBERNETES / name)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def manifests(name: str, kind: str) -> list[dict[str, Any]]:
    """Those of one kind."""
    return [found for found in documents(built(name)) if found["kind"] == kind]


def deployment(name: str) -> dict[str, Any]:
    """The one Deployment."""
    (found,) = manifests(name, "Deployment")
    return found


def pod(name: str) -> dict[str, Any]:
    """What its pods are."""
    return dict(deployment(name)["spec"]["template"]["spec"])


def container(name: str) -> dict[str, Any]:
    """The one container of its pods."""
    (found,) = pod(name)["containers"]
    return dict(found)


def settings(name: str) -> dict[str, str]:
    """The variables that its pods are given."""
    wanted = {source["configMapRef"]["name"] for source in container(name)["envFrom"]}
    (found,) = [each for each in manifests(name, "ConfigMap") if each["metadata"]["name"] in wanted]
    return dict(found["data"])
