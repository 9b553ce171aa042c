"""What `check --connect` says of a topic and of the spend guard, whatever the cluster is like."""

from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any, Final

import pytest

from daemon.app.demands import Demanded
from daemon.app.kit.kafka_checks import Stay, topic_check
from daemon.app.kit.toloka_checks import budget_check, toloka_checks
from daemon.edges.kafka.topics import Topic
from daemon.settings import load
from tests.simulator.knobs import API_KEY, Knobs
from tests.simulator.serving import serve
from tests.simulator.world import MODERATION_PROJECT
from tests.unit.app.test_starting import USUAL

DAY_SECONDS: Final = 86_400
INPUT = Demanded("TOLOKAD_KAFKA__INPUT_TOPIC", "in", "input")
OUTPUT = Demanded("TOLOKAD_KAFKA__OUTPUT_TOPIC", "out", "output")
LEDGER = Demanded("TOLOKAD_KAFKA__LEDGER_TOPIC", "ledger", "compacted")


def topic(name: str, days: float | None = 7, replicas: int = 3, policy: str = "delete") -> Topic:
    """A topic that keeps records for so many days, None for ever."""
    kept = -1 if days is None else round(days * DAY_SECONDS * 1000)
    return Topic(name, 2, {"cleanup.policy": policy, "retention.ms": str(kept)}, replicas)


def said(wanted: Demanded, found: Topic | None, **more: Any) -> tuple[int, str]:
    """The exit code and the message of a check."""
    stay = Stay(
        more.get("longest_days", 0) * DAY_SECONDS,
        more.get("input_days", 7) * DAY_SECONDS,
        more.get("largest"),
    )
    check = topic_check(wanted, found, stay, more.get("brokers", 3), create=more.get("create", False))
    return check.exit_code, check.message


def test_a_topic_that_fits() -> None:
    """Partitions, replication, policy and retention are told, and nothing is advised."""
    code, message = said(INPUT, topic("in"), longest_days=2)
    assert code == 0
    assert message == (
        "2 partitions, replication 3, cleanup.policy=delete, records are kept for 7 days,"
        " which must be longer than the longest turnaround: the oldest open item is 2 days old"
    )


def test_a_topic_that_takes_less_than_the_input_does() -> None:
    """What becomes of the largest record would not fit: the way out is a command."""
    code, message = said(OUTPUT, topic("out"), largest=1_048_588)
    assert code == 0
    assert message.endswith("--entity-name out --add-config max.message.bytes=2097164")
    assert "max.message.bytes" not in said(OUTPUT, topic("out"), largest=900_000)[1]


def test_retention_below_the_turnaround() -> None:
    """The fix is a command with twice the turnaround, in whole days."""
    code, message = said(INPUT, topic("in"), longest_days=9.7)
    assert code == 78
    assert message.endswith(f"--entity-name in --add-config retention.ms={20 * DAY_SECONDS * 1000}")
    assert said(INPUT, topic("in", days=None), longest_days=900)[0] == 0


@pytest.mark.parametrize(("days", "advised"), [(3, True), (7, False), (None, False)])
def test_results_kept_for_less_than_records(days: float | None, advised: bool) -> None:  # noqa: FBT001 - what is expected
    """Results that go before their records are missed by an audit: that is told, and is no failure."""
    code, message = said(OUTPUT, topic("out", days=days), longest_days=5)
    assert code == 0
    assert (f"set retention.ms={7 * DAY_SECONDS * 1000}" in message) is advised


def test_what_is_not_known_of_the_input_is_not_compared_with() -> None:
    """An input topic that is missing, or whose settings are hidden, keeps nothing for ever."""
    check = topic_check(OUTPUT, topic("out"), Stay(0.0, None), 3, create=False)
    assert check.message.endswith("records are kept for 7 days")
    for_ever = topic_check(OUTPUT, topic("out"), Stay(0.0, inf), 3, create=False)
    assert for_ever.message.endswith("set retention.ms=-1")


@pytest.mark.parametrize(("replicas", "brokers", "advised"), [(1, 3, True), (1, 1, False), (3, 3, False)])
def test_replication(replicas: int, brokers: int, advised: bool) -> None:  # noqa: FBT001 - as above
    """One copy among several brokers is advised against; with one broker there is no choice."""
    code, message = said(LEDGER, topic("ledger", replicas=replicas, policy="compact"), brokers=brokers)
    assert code == 0
    assert ("have it copied to 3" in message) is advised


def test_a_topic_that_is_not_there() -> None:
    """It fails, unless it is to be made."""
    code, message = said(LEDGER, None)
    assert code == 78
    # Whoever has set it already, and asks with another command first, is told what it takes.
    assert "let `tolokad run` do so with TOLOKAD_KAFKA__CREATE_TOPICS=true" in message
    assert said(LEDGER, None, create=True) == (0, "is not there, and is made at the first start")


def test_the_budget() -> None:
    """The tighter of two limits is told in items; a limit in money without a price fails as a start does."""
    settings = load({**USUAL, "TOLOKAD_BUDGET__MONEY_PER_DAY": "2", "TOLOKAD_BUDGET__ITEMS_TOTAL": "500"})
    check = budget_check(settings, Decimal("0.05"))
    assert (check.exit_code, check.message) == (
        0,
        "40 items a day and 500 items in all are submitted, then it holds",
    )
    unknown = budget_check(settings, None)
    assert unknown.exit_code == 78
    assert "TOLOKAD_BUDGET__MONEY_PER_DAY" in unknown.message


async def test_a_toloka_that_was_not_asked_has_not_answered(tmp_path: Path) -> None:
    """Where the file of authorities cannot be used, that is all that is said."""
    file = tmp_path / "authorities.pem"
    file.write_text("no certificate")
    settings = load({**USUAL, "TOLOKAD_TOLOKA__CA_FILE": str(file)})
    (check,) = [check async for check in toloka_checks(settings)]
    assert (check.name, check.exit_code) == ("toloka", 78)
    assert check.message.startswith("TOLOKAD_TOLOKA__CA_FILE: cannot be used")


@pytest.mark.parametrize(("toloka_ahead", "sign"), [(3600.0, "-"), (-3600.0, "+")])
async def test_a_clock_that_is_behind_is_said_to_be_behind(toloka_ahead: float, sign: str) -> None:
    """It is this machine's that is to be set, so that it is this machine's that is off."""
    async with serve(Knobs(clock_skew_seconds=toloka_ahead)) as toloka:
        variables = {
            "TOLOKAD_TOLOKA__URL": toloka.url,
            "TOLOKAD_TOLOKA__PROJECT_ID": MODERATION_PROJECT,
            "TOLOKAD_TOLOKA__TOKEN": API_KEY,
        }
        checks = {check.name: check async for check in toloka_checks(load({**USUAL, **variables}))}
    assert checks["clock"].exit_code == 78
    assert checks["clock"].message.startswith(sign)
    assert checks["clock"].message.endswith("from Toloka's: set this machine's clock")
