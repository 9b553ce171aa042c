"""Rules and alerts: valid, tried both ways, about metrics that exist, each with a page in the runbook."""

import re
import shutil
import subprocess

import pytest

from daemon.metrics import HOLD_REASONS
from tests.deploy.expressions import known_names, names_in, unknown_labels
from tests.deploy.yamls import PROMETHEUS, REPOSITORY, documents, rules_in

ALERTS = {rule["alert"]: rule for rule in rules_in("alerts.yml")}
RECORDED = {rule["record"] for rule in rules_in("rules.yml")}
RUNBOOK = REPOSITORY / "deploy" / "runbook.md"
TESTS = ("alerts_test.yml", "alerts_days_test.yml")
PARTS = ("**It means**", "**Look**", "**Do**", "**Do not**")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def promtool(*arguments: str) -> str:
    """Run promtool in deploy/prometheus; returns what it said.

    Raises:
        AssertionError: it found something.
    """
    ended = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return said


def sections() -> dict[str, str]:
    """The runbook's sections by their anchors."""
    parts = re.split(r"^### (.+)$", RUNBOOK.read_text(), flags=re.MULTILINE)
    return {title.lower(): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


@needs_promtool
def test_promtool_finds_nothing_in_the_rules() -> None:
    """Syntax and every lint, in rules, alerts and the configuration of docker-compose.yml."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml", "alerts.yml")
    promtool("check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")


@needs_promtool
def test_alerts_fire_and_keep_quiet() -> None:
    """Each as its cases say, labels and annotations included."""
    promtool("test", "rules", *TESTS)


@pytest.mark.skipif(shutil.which("amtool") is None, reason="amtool is not installed")
def test_alertmanager_takes_its_configuration() -> None:
    """The file that docker-compose.yml hands it, and both severities find a receiver."""
    path = str(PROMETHEUS / "alertmanager.yml")
    for arguments in (
        ("check-config", path),
        ("config", "routes", "test", f"--config.file={path}", "severity=critical"),
        ("config", "routes", "test", f"--config.file={path}", "severity=warning"),
    ):
        ended = subprocess.run(["amtool", *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_each_alert_has_a_case_of_both_kinds() -> None:
    """One in which it fires, one in which it does not."""
    files = [document for name in TESTS for document in documents((PROMETHEUS / name).read_text())]
    cases = [case for file in files for test in file["tests"] for case in test["alert_rule_test"]]
    tried = {(case["alertname"], bool(case["exp_alerts"])) for case in cases}
    assert tried == {(alert, fires) for alert in ALERTS for fires in (True, False)}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_complete(alert: str) -> None:
    """How bad it is, what it is, what it means, and a page that is there."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert all(rule["annotations"][part].endswith(".") for part in ("summary", "description"))
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert REPOSITORY / path == RUNBOOK
    assert anchor == alert.lower()
    assert anchor in sections()


@pytest.mark.parametrize(
    "rule", [*ALERTS.values(), *rules_in("rules.yml")], ids=lambda rule: rule.get("alert")
)
def test_rules_name_only_what_exists(rule: dict[str, str]) -> None:
    """Metrics that a replica shows, labels that they have, values that these take; or a recorded series."""
    names = names_in(rule["expr"]) - {"tolokad"}
    assert names - known_names() - RECORDED == set()
    assert list(unknown_labels(rule["expr"])) == []


def test_names_that_do_not_exist_are_noticed() -> None:
    """The check above can fail: by metric, by label, by value."""
    assert names_in("rate(tolokad_items_consumd_total[5m])") - known_names()
    assert list(unknown_labels('tolokad_held{reson="x"}')) == ["tolokad_held has no label reson"]
    assert list(unknown_labels('tolokad_held{reason="gone|paused"}')) == [
        "tolokad_held: reason is never gone"
    ]


def test_the_runbook_has_a_section_for_every_alert_and_every_hold() -> None:
    """No more, no less; each says what it means, how to look, what to do and what not to do."""
    assert set(sections()) == {alert.lower() for alert in ALERTS} | set(HOLD_REASONS)
    for anchor, body in sections().items():
        assert [part for part in PARTS if body.count(part) != 1] == [], anchor


def test_the_runbook_warns_before_anything_else() -> None:
    """Resetting the group's offsets erases intents, and pays again."""
    first = RUNBOOK.read_text().partition("## Alerts")[0]
    assert "never reset, delete or move the group's committed offsets" in first
    assert "pay for, the same items again" in first


@pytest.mark.parametrize(
    "page", [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("deploy/**/*.md"), *REPOSITORY.glob("config/*.md")],
    ids=lambda page: str(page.relative_to(REPOSITORY)),
)  # fmt: skip
def test_links_resolve(page: "object") -> None:
    """Every relative link of every page leads to a file, and to a heading where it names one."""
    path = REPOSITORY / str(page)
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = path.parent / target if target else path
        assert file.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), flags=re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, link


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_runbook_names_a_group_wherever_kafkas_tool_wants_one() -> None:
    """Without one it prints its usage, and whoever is in a hurry reads on there."""
    text = " ".join(RUNBOOK.read_text().split())
    commands = re.findall(r"`(kafka-consumer-groups\.sh [^`]+)`", text)
    assert commands
    assert [command for command in commands if "--group <group>" not in command] == []
