"""What the cluster lets us do, asked without doing it (KIP-430: authorized operations).

The client's own metadata request is of an older version, which cannot ask.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from daemon.edges.kafka import kafka_client
from daemon.edges.kafka.questions import Question

# org.apache.kafka.common.acl.AclOperation
OPERATIONS: Final[Mapping[str, int]] = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}
_text = String("utf-8")


class _MetadataResponse(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", _text), ("port", Int32), ("rack", _text))),
        ("cluster_id", _text),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _text),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _Metadata(RequestStruct):  # type: ignore[misc] # as above
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(_text)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Groups(RequestStruct):  # type: ignore[misc] # as above
    """The client's own request of this version reads the answer as one of an older version."""

    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(_text)), ("include_authorized_operations", Boolean))


class Rights:
    """Questions about rights; `admin` is started by its owner."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def on_topics(self, names: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Which of `OPERATIONS` we may do with each of these topics; none with one that we may not see.

        Raises:
            Transient: Kafka cannot say now.
        """
        with kafka_client.translated("asking what is permitted"):
            async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
                create, of_cluster, of_topics = False, False, True
                question = Question(_Metadata, sorted(names), create, of_cluster, of_topics)
                answer = await self._admin._send_request(question)  # noqa: SLF001 - see above
            return {row["topic"]: granted(row) for row in answer.to_object()["topics"]}

    async def on_group(self, group: str) -> frozenset[str]:
        """Which of `OPERATIONS` we may do with a consumer group.

        Raises:
            Held: `not_permitted`.
            Transient: Kafka cannot say now; so a coordinator that has just started.
        """
        with kafka_client.translated(f"asking what is permitted with the group {group}"):
            async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
                coordinator = await self._admin.find_coordinator(group)
                what_is_permitted = True
                question = Question(_Groups, [group], what_is_permitted)
                answer = await self._admin._send_request(question, coordinator)  # noqa: SLF001 - as above
            return granted(answer.to_object()["groups"][0])


def granted(row: Mapping[str, Any]) -> frozenset[str]:
    """Which of `OPERATIONS` one row of an answer grants; none where not even describing is allowed.

    Raises:
        aiokafka.errors.KafkaError: the row says nothing of rights, for what it is about is not there yet.
    """
    error = kafka_errors.for_code(row["error_code"])
    if error in kafka_client.DENIED:
        return frozenset()
    if error is not kafka_errors.NoError:
        raise error
    return frozenset(name for name, bit in OPERATIONS.items() if row["authorized_operations"] >> bit & 1)
