"""What is asked of the cluster about topics, and what is read from their settings."""

from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v1, MetadataRequest_v5

from daemon.edges.topics import DEFAULT_MESSAGE_BYTES, Topic, Topics


class _Answer:
    def to_object(self) -> dict[str, Any]:
        return {"topics": [{"topic": "moderation.items", "error_code": 3, "partitions": []}]}


class _Admin:
    """Keeps what it is asked; no topic is there."""

    def __init__(self) -> None:
        self.asked: list[MetadataRequest] = []

    async def _send_request(self, request: MetadataRequest) -> _Answer:
        self.asked.append(request)
        return _Answer()


async def test_looking_for_a_topic_does_not_make_it() -> None:
    """A broker that makes topics when asked would make them with its own settings: a ledger that forgets."""
    admin = _Admin()
    assert await Topics(admin).find(["moderation.items"]) == {}
    (request,) = admin.asked
    built = request.build(MetadataRequest_v5)
    assert built.allow_auto_topic_creation is False
    assert request.build(MetadataRequest_v1).topics == ["moderation.items"]


@pytest.mark.parametrize(
    ("configs", "seconds"),
    [
        ({"retention.ms": "604800000"}, 604_800.0),
        ({"retention.ms": "500"}, 0.5),
        ({"retention.ms": "-1"}, None),
        ({}, None),
    ],
)
def test_retention(configs: dict[str, str], seconds: float | None) -> None:
    """In seconds; none where records are kept for ever, or where Kafka does not show it."""
    assert Topic("t", 1, configs).retention_seconds == seconds


def test_largest_message() -> None:
    """As the topic says, else Kafka's default."""
    assert Topic("t", 1, {"max.message.bytes": "17"}).max_message_bytes == 17
    assert Topic("t", 1, {}).max_message_bytes == DEFAULT_MESSAGE_BYTES
