"""What stands in the YAML files of deploy/."""

from pathlib import Path
from typing import Any, Final

import yaml

REPOSITORY: Final = Path(__file__).parents[2]
PROMETHEUS: Final = REPOSITORY / "deploy" / "prometheus"


def documents(text: str) -> list[dict[str, Any]]:
    """Every document of a stream."""
    return [document for document in yaml.safe_load_all(text) if document is not None]


def rules_in(name: str) -> list[dict[str, Any]]:
    """The rules of a file of deploy/prometheus, whatever group they are in."""
    (found,) = documents((PROMETHEUS / name).read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]
