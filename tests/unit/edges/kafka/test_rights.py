"""What is read from a cluster's answers about rights: a refusal, or that it cannot say now."""

from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from daemon.edges.kafka.rights import OPERATIONS, Rights
from daemon.errors import Transient

READ_AND_DESCRIBE = 1 << OPERATIONS["Read"] | 1 << OPERATIONS["Describe"]
# What a broker gives where it was not asked, or cannot say.
NOTHING = -(2**31)


class _Answer:
    def __init__(self, **row: Any) -> None:
        self._row = row

    def to_object(self) -> dict[str, Any]:
        return {"topics": [{"topic": "items", **self._row}], "groups": [self._row]}


class _Admin:
    """A cluster that gives one answer to everything."""

    def __init__(self, error: type[kafka_errors.KafkaError], bits: int) -> None:
        self._answer = _Answer(error_code=error.errno, authorized_operations=bits)

    async def find_coordinator(self, group: str) -> int:
        return len(group)

    async def _send_request(self, _request: object, _node: int | None = None) -> _Answer:
        return self._answer


def rights(error: type[kafka_errors.KafkaError] = kafka_errors.NoError, bits: int = NOTHING) -> Rights:
    """Rights as a cluster with this answer shows them."""
    return Rights(_Admin(error, bits))


async def test_what_is_granted_is_named() -> None:
    """The bits of the answer that stand for operations of ours; others say nothing to us."""
    bits = READ_AND_DESCRIBE | 1 << 5
    assert await rights(bits=bits).on_group("g") == {"Read", "Describe"}
    assert await rights(bits=bits).on_topics(["items"]) == {"items": {"Read", "Describe"}}


async def test_who_may_not_even_describe_may_nothing() -> None:
    """The answer of an authorizer is no failure: it grants nothing."""
    assert await rights(kafka_errors.GroupAuthorizationFailedError).on_group("g") == set()
    topics = rights(kafka_errors.TopicAuthorizationFailedError)
    assert await topics.on_topics(["items"]) == {"items": set()}


@pytest.mark.parametrize(
    "error",
    [
        kafka_errors.GroupLoadInProgressError,
        kafka_errors.GroupCoordinatorNotAvailableError,
        kafka_errors.NotCoordinatorForGroupError,
    ],
)
async def test_a_coordinator_that_has_just_started_denies_nothing(
    error: type[kafka_errors.KafkaError],
) -> None:
    """It cannot say yet: that is asked again, not taken for a permission that is missing."""
    with pytest.raises(Transient, match="the group moderation"):
        await rights(error).on_group("moderation")


async def test_a_topic_that_is_not_known_yet_denies_nothing() -> None:
    """A broker that has not heard of a new topic is asked again."""
    with pytest.raises(Transient):
        await rights(kafka_errors.UnknownTopicOrPartitionError).on_topics(["items"])
