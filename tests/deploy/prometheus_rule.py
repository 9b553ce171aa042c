"""The PrometheusRule of deploy/kubernetes, made from deploy/prometheus: `make rules`."""

import sys
from typing import Any, Final

import yaml

from tests.deploy.yamls import PROMETHEUS, REPOSITORY, documents

PATH: Final = REPOSITORY / "deploy" / "kubernetes" / "overlays" / "production" / "prometheus-rule.yaml"
HEADER: Final = "# Made from deploy/prometheus/rules.yml and alerts.yml by `make rules`: change those.\n"
WIDE: Final = 10_000


def prometheus_rule() -> dict[str, Any]:
    """The manifest."""
    files = [documents((PROMETHEUS / name).read_text())[0] for name in ("rules.yml", "alerts.yml")]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "tolokad", "labels": {"app.kubernetes.io/name": "tolokad"}},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


def text() -> str:
    """The file."""
    return HEADER + yaml.safe_dump(prometheus_rule(), sort_keys=False, width=WIDE, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(text())
