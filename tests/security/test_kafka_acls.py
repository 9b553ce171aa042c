"""The table of deploy/kafka-acls.md is what a broker enforces: it suffices, and nothing of it is too much."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import pytest

from daemon.app.checking import check
from tests.kafka import Acl
from tests.kit.commands import Ended, tolokad
from tests.security.acls import PAGE, table
from tests.security.conftest import OPERATOR, PASSWORD, USER, Secured, prefixed
from tests.system.conftest import DeployOn
from tests.system.deployment import Deployment, eventually
from tests.system.feed import no_item, sources, with_own_id
from tests.system.processes import Replica

ITEMS: Final = 10
NOT_PERMITTED: Final = 77
pytestmark = pytest.mark.timeout(300)


def needed(user: str, group: str) -> list[Acl]:
    """The table's rows without which something does not work: all but those that only show settings."""
    return [rule for rule in table(user, group) if rule.operation != "DescribeConfigs"]


async def feed(deployment: Deployment, seed: int) -> None:
    """Items, and a record that is none."""
    await deployment.feed(sources(ITEMS, seed, kinds=((with_own_id, 1),)))
    await deployment.feed(sources(1, seed, kinds=((no_item, 1),)))


async def test_a_start_names_what_it_may_not(secured: Secured, deploy_on: DeployOn) -> None:
    """With the table `check` finds all well; with any one row less it names it: 77. So does a start."""
    deployment = await secured.deployment(deploy_on)
    environment = {**deployment.environment, "TOLOKAD_HTTP__HOST": "127.0.0.1", "TOLOKAD_HTTP__PORT": "0"}
    well = await check(environment, connect=True)
    assert well.exit_code == 0, well.as_json()
    rules = needed(USER, deployment.group)
    assert len(rules) == PAGE.read_text().count(" | Read | ") + PAGE.read_text().count(" | Write | ")
    for rule in rules:
        with taken(secured, rule):
            await eventually(partial(named, environment, rule), lambda r=rule: f"{r} is not named", 30)  # type: ignore[misc]
    # A start looks by the same rights, one kind after the other: each kind shows that it does.
    for kind in ("topic", "group", "transactional-id"):
        alike = [rule for rule in rules if rule.resource == kind]
        with taken(secured, *alike):
            await eventually(partial(named, environment, alike[-1]), lambda k=kind: f"no {k} is named", 30)  # type: ignore[misc]
            started = await tolokad(environment, "run")
        assert started.code == NOT_PERMITTED, f"{kind}: {started.out} {started.err}"
        assert len(started.err.splitlines()) == 1, started.err
        assert all(rule.name in started.err for rule in alike[:1]), f"{kind}: {started.err}"
        assert PASSWORD not in started.out + started.err


@contextmanager
def taken(secured: Secured, *rules: Acl) -> Iterator[None]:
    """Without these rules, for a while."""
    secured.broker.revoke(*rules)
    try:
        yield
    finally:
        secured.broker.allow(*rules)


async def named(environment: dict[str, str], rule: Acl) -> bool:
    """Whether `check` names it; the broker takes a moment to enforce a change."""
    report = await check(environment, connect=True)
    wrong = [f"{each.name} {each.message}" for each in report.checks if not each.ok]
    return report.exit_code == NOT_PERMITTED and any(rule.name in line for line in wrong)


@pytest.mark.fault(30)
async def test_whatever_is_taken_back_meanwhile_is_named(secured: Secured, deploy_on: DeployOn) -> None:
    """Row by row is taken from a running daemon: it names it, goes on by itself; 0 lost, 0 twice."""
    deployment = await secured.deployment(deploy_on)
    replica = await deployment.started(COLLECT__OVERLAP_EVERY_SECONDS="1")
    await feed(deployment, 0)
    await deployment.until_outcomes(deployment.due)
    for number, rule in enumerate(needed(USER, deployment.group), 1):
        before = len(denials(replica))
        secured.broker.revoke(rule)
        await feed(deployment, number)

        async def told(rule: Acl = rule, before: int = before) -> bool:
            return any(speaks_of(rule, detail) for detail in denials(replica)[before:])

        await eventually(told, lambda r=rule: f"{r} is not named: {deployment.state()}", 60)  # type: ignore[misc]
        assert (await replica.get("/livez")).status_code == 200
        secured.broker.allow(rule)
        await deployment.until_outcomes(deployment.due)
    assert len(list(replica.history("starting"))) == 1
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


def denials(replica: Replica) -> list[str]:
    """What it has said so far of things that Kafka denies it."""
    details = (event.get("detail", "") for event in replica.history())
    return [detail for detail in details if "Kafka denies it" in detail]


def speaks_of(rule: Acl, detail: str) -> bool:
    """Whether a denial names what the rule is about, and not merely something of the same name."""
    kinds = {"topic": "", "group": "group", "transactional-id": "TransactionalId"}
    return rule.name in detail and kinds[rule.resource].lower() in detail.lower()


# As the page says it: a user who looks, and what a replay needs besides.
LOOKING: Final[Sequence[tuple[str, ...]]] = (
    ("audit", "--json"),
    ("ledger", "show", "--json"),
    ("cursor", "show", "--json"),
    ("dlq", "list", "--json"),
)
STEERING: Final[Sequence[tuple[str, ...]]] = (
    ("pause", "--flow", "submit", "--json"),
    ("resume", "--flow", "submit", "--json"),
)


async def test_commands_under_the_documented_rules(secured: Secured, deploy_on: DeployOn) -> None:
    """To look takes Read; to steer, what the daemon has; to replay, Write on the input: and each says so."""
    deployment = await secured.deployment(deploy_on)
    await deployment.started()
    await feed(deployment, 1)
    await deployment.until_outcomes(deployment.due)
    operator = {**deployment.environment, **prefixed({"KAFKA__SASL_USERNAME": OPERATOR})}
    names = [deployment.topic(name) for name in ("items", "results", "dead-letters", "ledger", "cursors")]
    reads = [Acl(OPERATOR, "topic", name, "Read") for name in names]
    secured.broker.allow(*reads, Acl(OPERATOR, "group", deployment.group, "Read", pattern="prefixed"))
    for arguments, ended in zip(
        LOOKING, await asyncio.gather(*(tolokad(operator, *each) for each in LOOKING)), strict=True
    ):
        well(ended, arguments)
    for arguments in STEERING:
        well(await tolokad(deployment.environment, *arguments), arguments)
    refused = await tolokad(operator, "dlq", "replay", "--json")
    assert refused.code == NOT_PERMITTED, refused.out + refused.err
    assert len(refused.err.splitlines()) == 1, refused.err
    assert PASSWORD not in refused.out + refused.err


def well(ended: Ended, arguments: Sequence[str]) -> None:
    """A command has done what it was asked."""
    assert ended.code == 0, f"{arguments}: {ended.out} {ended.err}"
