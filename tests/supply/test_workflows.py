"""Updates and audits run by themselves, and cover what is shipped and tested."""

import re
from typing import Any, Final

import pytest
import yaml

from tests.supply.packages import ROOT

WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Environments of tests alone, with old pins on purpose.
NOT_AUDITED: Final = {"toloka-kit", "kubernetes"}


def read(path: Any) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_updates_are_asked_for() -> None:
    """Pins, workflows and the base image each have their updates."""
    updates = read(ROOT / ".github" / "dependabot.yml")["updates"]
    kinds = {(each["package-ecosystem"], each["directory"]) for each in updates}
    assert kinds == {("pip", "/config/requirements"), ("github-actions", "/"), ("docker", "/")}


def test_every_pin_is_audited() -> None:
    """A known vulnerability in a pinned package fails the audit, daily and whenever a pin changes."""
    text = (ROOT / ".github" / "workflows" / "audit.yml").read_text(encoding="utf-8")
    audited = set(re.findall(r"config/requirements/([a-z-]+)\.txt", text))
    files = {file.stem for file in (ROOT / "config" / "requirements").glob("*.txt")}
    assert audited == files - NOT_AUDITED
    # YAML takes the word `on` for true.
    triggers = read(ROOT / ".github" / "workflows" / "audit.yml")[True]
    assert triggers["schedule"]
    assert "config/requirements/**" in triggers["pull_request"]["paths"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_workflows_may_do_little(path: Any) -> None:
    """A workflow reads the repository, keeps no credential behind, and each action has its version."""
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if (action := step.get("uses")) is not None:
                assert re.fullmatch(r"[a-z-]+/[a-z-]+@(v[0-9]+|[0-9a-f]{40})", action)
            if (action or "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
