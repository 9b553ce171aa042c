"""The table of deploy/kafka-acls.md is what a broker enforces, over SASL_SSL with SCRAM."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, cast

import pytest
import trustme

from daemon.app.checking import Report, check
from tests.canary import CANARY
from tests.kafka import Acl, EmbeddedKafka, Security
from tests.kafka.fixtures import StartKafka, private_kafka
from tests.kafka.security import pem_keystore
from tests.kafka.topics import Topics
from tests.kit.planting import COMPACTED
from tests.simulator.serving import spawn
from tests.simulator.world import MODERATION_PROJECT
from tests.system.deployment import eventually

__all__ = ["private_kafka"]

PAGE: Final = Path(__file__).parents[2] / "deploy" / "kafka-acls.md"
ROW: Final = re.compile(r"^\| (Topic|Group|TransactionalId) \| `(.+?)` \| (\w+) \| (\w+) \|", re.MULTILINE)
RESOURCES: Final = {"Topic": "topic", "Group": "group", "TransactionalId": "transactional-id"}
TOPICS: Final = ("moderation.items", "moderation.results", "moderation.dead-letters")
PASSWORD: Final = "Scram-" + CANARY
NOT_PERMITTED: Final = 77
pytestmark = pytest.mark.timeout(300)


def rules() -> Iterator[Acl]:
    """The rows of the page's table."""
    for resource, name, pattern, operation in ROW.findall(PAGE.read_text(encoding="utf-8")):
        kind = cast("Literal['topic', 'group', 'transactional-id']", RESOURCES[resource])
        yield Acl("tolokad", kind, name, operation, pattern=cast("Literal['literal', 'prefixed']", pattern))


async def looked(environment: Mapping[str, str]) -> Report:
    """What `tolokad check --connect` finds."""
    return await check(environment, connect=True)


async def brought_up(private_kafka: StartKafka, authority: trustme.CA) -> EmbeddedKafka:
    """A broker that permits what the table has, and the topics."""
    keystore = pem_keystore(authority.issue_cert("127.0.0.1"))
    security = Security(users={"tolokad": PASSWORD}, keystore_pem=keystore, authorizer=True)
    broker = await private_kafka(security=security)
    topics = Topics(broker.internal_servers)
    for name in TOPICS:
        await topics.create(name)
    for name in ("tolokad.ledger", "tolokad.cursors"):
        await topics.create(name, configs=COMPACTED)
    broker.allow(*rules())
    return broker


async def test_the_table_suffices_and_nothing_of_it_is_too_much(
    private_kafka: StartKafka, tmp_path: Path
) -> None:
    """With the table all is well; without any one of its rows, what is missing is named."""
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    broker = await brought_up(private_kafka, authority)
    with spawn("--credentials", f"ApiKey {CANARY}") as toloka:
        environment = {
            "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "TOLOKAD_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "TOLOKAD_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "TOLOKAD_KAFKA__SASL_USERNAME": "tolokad",
            "TOLOKAD_KAFKA__SASL_PASSWORD": PASSWORD,
            "TOLOKAD_KAFKA__SSL_CAFILE": str(trusted),
            "TOLOKAD_TOLOKA__URL": toloka,
            "TOLOKAD_TOLOKA__PROJECT_ID": MODERATION_PROJECT,
            "TOLOKAD_TOLOKA__TOKEN": CANARY,
        }
        well = await looked(environment)
        assert well.exit_code == 0, "\n".join(well.lines())
        assert len(list(rules())) > len(TOPICS)
        for rule in rules():
            if rule.operation != "DescribeConfigs":
                await missed(broker, rule, environment)


async def missed(broker: EmbeddedKafka, rule: Acl, environment: Mapping[str, str]) -> None:
    """Take a row away until it is named, and give it back."""
    found = [""]

    async def named() -> bool:
        report = await looked(environment)
        found[0] = "\n".join(report.lines())
        failed = [each for each in report.checks if not each.ok]
        return (
            report.exit_code == NOT_PERMITTED
            and any(rule.name in f"{each.name} {each.message}" for each in failed)
            and PASSWORD not in found[0]
        )

    broker.revoke(rule)
    try:
        await eventually(named, lambda: f"{rule}: {found[0]}", 60)
    finally:
        broker.allow(rule)
