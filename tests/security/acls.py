"""What the documentation says tolokad may do in Kafka, as rules that a broker enforces."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, cast

from tests.kafka import Acl
from tests.kafka.topics import Topics

PAGE: Final = Path(__file__).parents[2] / "deploy" / "kafka-acls.md"
ROW: Final = re.compile(r"^\| (Topic|Group|TransactionalId) \| `(.+?)` \| (\w+) \| (\w+) \|", re.MULTILINE)
RESOURCES: Final = {"Topic": "topic", "Group": "group", "TransactionalId": "transactional-id"}
COMPACTED: Final = {"cleanup.policy": "compact", "delete.retention.ms": "604800000"}
PLAIN_TOPICS: Final = ("results", "dead-letters")


def table(user: str, group: str) -> Iterator[Acl]:
    """The rows of the page's table for this user, where all names begin with the group's."""
    for resource, name, pattern, operation in ROW.findall(PAGE.read_text(encoding="utf-8")):
        kind = cast("Literal['topic', 'group', 'transactional-id']", RESOURCES[resource])
        ours = re.sub("^(tolokad|moderation)", group, name)
        yield Acl(user, kind, ours, operation, pattern=cast("Literal['literal', 'prefixed']", pattern))


async def make_topics(bootstrap_servers: str, group: str) -> None:
    """The topics that a deployment needs besides its input, for it has no right to make them."""
    topics = Topics(bootstrap_servers)
    for name in PLAIN_TOPICS:
        await topics.create(f"{group}.{name}")
    for name in ("ledger", "cursors"):
        await topics.create(f"{group}.{name}", configs=COMPACTED)
