"""Every overlay is valid to the letter, custom resources included."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.manifests import BASE, OVERLAYS, built

PYTHON = Path(__file__).parents[2] / ".venv-kubernetes" / "bin" / "python"
JUDGE = Path(__file__).with_name("judge.py")

pytestmark = [
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
    pytest.mark.skipif(not PYTHON.exists(), reason="its models are not installed: make test-system"),
]


def judged(stream: str) -> str:
    """What is found."""
    ended = subprocess.run([PYTHON, JUDGE], input=stream, capture_output=True, text=True, check=False)
    assert not ended.stderr, ended.stderr
    return ended.stdout.strip()


@pytest.mark.parametrize("name", [BASE, *OVERLAYS])
def test_it_is_valid(name: str) -> None:
    """Nothing misspelt, nothing of the wrong type."""
    assert judged(built(name)) == ""


@pytest.mark.parametrize(
    ("overlay", "right", "wrong"),
    [
        ("overlays/production", "livenessProbe:", "livenesProbe:"),
        ("overlays/production", "podMetricsEndpoints:\n  - interval", "podMetricsEndpoints:\n  - intervall"),
        ("overlays/production", "      annotations:", "      annotation:"),
        ("overlays/keda", "maxReplicaCount:", "maxReplicas:"),
    ],
)
def test_a_slip_is_found(overlay: str, right: str, wrong: str) -> None:
    """In Kubernetes' own kinds and in custom ones."""
    stream = built(overlay)
    assert right in stream
    assert judged(stream.replace(right, wrong, 1))
