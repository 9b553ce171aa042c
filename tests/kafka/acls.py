"""Access rules of a broker with an authorizer (KIP-11, prefixes: KIP-290)."""

import struct
from dataclasses import dataclass
from typing import Literal

from tests.kafka import wire
from tests.kafka.errors import KafkaUnavailableError

# org.apache.kafka.common.resource.ResourceType, .acl.AclOperation, .resource.PatternType
_RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional-id": 5}
_OPERATIONS = {
    "All": 2,
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "ClusterAction": 9,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
    "IdempotentWrite": 12,
}
_PATTERNS = {"literal": 3, "prefixed": 4}
_PERMISSIONS = {"deny": 2, "allow": 3}
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Acl:
    """One rule: this user may (or may not) do this to what is named so.

    Attributes:
        user: a SASL user name, or the subject of a client certificate (`CN=…`).
        resource: what `name` names; the cluster's name is `kafka-cluster`.
        name: the resource's name or, with pattern `prefixed`, how it begins.
        operation: as in Kafka's documentation, for example `Read`, `Write`, `Describe`.
        pattern: how `name` is meant.
        permission: `deny` beats every `allow`.
    """

    user: str
    resource: Literal["topic", "group", "cluster", "transactional-id"]
    name: str
    operation: str
    pattern: Literal["literal", "prefixed"] = "literal"
    permission: Literal["deny", "allow"] = "allow"

    def encoded(self) -> bytes:
        """The rule as CreateAcls v1 creates it and DeleteAcls v1 matches it."""
        return (
            struct.pack(">b", _RESOURCES[self.resource])
            + wire.string(self.name)
            + struct.pack(">b", _PATTERNS[self.pattern])
            + wire.string(f"User:{self.user}")
            + wire.string("*")
            + struct.pack(">bb", _OPERATIONS[self.operation], _PERMISSIONS[self.permission])
        )


def create(port: int, *rules: Acl) -> None:
    """Add rules through a listener whose user may.

    Raises:
        KafkaUnavailableError: the broker refused one, with Kafka's error code.
    """
    _change(port, wire.CREATE_ACLS, rules)


def delete(port: int, *rules: Acl) -> None:
    """Take rules back; one that is not there is no error.

    Raises:
        KafkaUnavailableError: the broker refused one, with Kafka's error code.
    """
    _change(port, wire.DELETE_ACLS, rules)


def _change(port: int, api_key: int, rules: tuple[Acl, ...]) -> None:
    body = struct.pack(">i", len(rules)) + b"".join(rule.encoded() for rule in rules)
    answer = wire.call(port, api_key, 1, body, timeout_seconds=_TIMEOUT_SECONDS)
    # Both answers begin: throttle time, count, the first result's error code. A request is refused
    # as a whole (no authorizer, not permitted), so the first result speaks for all.
    _throttle, _count, error_code = struct.unpack_from(">iih", answer)
    if error_code:
        raise KafkaUnavailableError(f"the broker refused the access rules with Kafka error {error_code}")
