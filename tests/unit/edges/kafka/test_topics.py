"""What is asked of the cluster about topics, and what is read from their settings."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v1, MetadataRequest_v5

from daemon.edges.kafka.topics import DEFAULT_MESSAGE_BYTES, Topic, Topics
from daemon.errors import Transient

TOPIC = "moderation.items"


class _Answer:
    def __init__(self, **rows: Any) -> None:
        self._rows = rows

    def to_object(self) -> dict[str, Any]:
        return self._rows


class _Admin:
    """Keeps what it is asked; the topic is there only where `settings_error` says how its settings show."""

    def __init__(self, settings_error: int | None = None) -> None:
        self.asked: list[MetadataRequest] = []
        self._settings_error = settings_error
        # What it would talk through.
        self._client = SimpleNamespace(_conns={})

    async def _send_request(self, request: MetadataRequest) -> _Answer:
        self.asked.append(request)
        error = 3 if self._settings_error is None else 0
        return _Answer(topics=[{"topic": TOPIC, "error_code": error, "partitions": [{"replicas": [1]}]}])

    async def describe_configs(self, _resources: object) -> list[_Answer]:
        topic: dict[str, Any] = {"resource_name": TOPIC, "error_code": self._settings_error}
        return [_Answer(resources=[{**topic, "config_entries": []}])]


async def test_looking_for_a_topic_does_not_make_it() -> None:
    """A broker that makes topics when asked would make them with its own settings: a ledger that forgets."""
    admin = _Admin()
    assert await Topics(admin).find([TOPIC]) == {}
    (request,) = admin.asked
    built = request.build(MetadataRequest_v5)
    assert built.allow_auto_topic_creation is False
    assert request.build(MetadataRequest_v1).topics == [TOPIC]


async def test_settings_that_we_may_not_see_are_unknown() -> None:
    """The topic is there all the same."""
    error = kafka_errors.TopicAuthorizationFailedError.errno
    assert await Topics(_Admin(error)).find([TOPIC]) == {TOPIC: Topic(TOPIC, 1, {})}


async def test_settings_that_cannot_be_shown_now_are_asked_for_again() -> None:
    """A broker that has not heard of the topic yet does not make a start pass over its settings."""
    with pytest.raises(Transient):
        await Topics(_Admin(kafka_errors.UnknownTopicOrPartitionError.errno)).find([TOPIC])


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
