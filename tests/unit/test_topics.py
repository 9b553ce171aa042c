"""What is asked of the cluster about topics."""

from typing import Any

from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v1, MetadataRequest_v5

from daemon.edges.topics import Topics


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
