"""A group's committed offsets; also as they certainly are, never those before a transaction just ending.

The client speaks version 3 of OffsetFetch at most, which answers with the offset from before while a commit's
marker is still on its way. Version 7 (Kafka 2.5, KIP-447) can say that it is not certain yet.
"""

from collections.abc import Collection, Mapping

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from daemon.edges.kafka import majority
from daemon.edges.kafka.questions import Question
from daemon.model import Committed

_UNSTABLE = 88
_TAGS = ("tags", TaggedFields)


class _Answer(Response):  # type: ignore[misc] # aiokafka has no types
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        ("error_code", Int16),
        _TAGS,
    )


class _CommittedOffsets(RequestStruct):  # type: ignore[misc] # as above
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), _TAGS),
        ),
        ("require_stable", Boolean),
        _TAGS,
    )


async def committed_offsets(
    admin: AIOKafkaAdminClient, group: str, topic: str, partitions: Collection[int], *, stable: bool
) -> Mapping[int, Committed]:
    """What the group has committed; where asked for what is stable, for the partitions where it is now.

    Raises:
        KafkaError: as the coordinator says; retriable ones among them.
    """
    coordinator = await majority.find_coordinator(admin, group)
    question = Question(_CommittedOffsets, group, [(topic, list(partitions), {})], stable, {})
    answer = await admin._client.send(coordinator, question)  # noqa: SLF001 - it has no method for this version
    _insist(answer.error_code)
    found = {}
    for _topic, parts, _tags in answer.topics:
        for partition, offset, _epoch, metadata, error_code, _more in parts:
            if error_code != _UNSTABLE:
                _insist(error_code)
                found[partition] = Committed(offset, metadata or "")
    return found


def _insist(error_code: int) -> None:
    if error_code:
        raise kafka_errors.for_code(error_code)
