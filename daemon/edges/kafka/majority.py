"""What most of some brokers say, for one alone may not know yet what has become of the others.

A broker that was frozen, or is cut off from its cluster, takes itself for the leader that it was: it tells
what a group had committed, and where a log ended, before others took that over from it. Whoever takes a
partition over by that would send once more what has been settled since; a collector would publish it again.

What any of them can tell is asked of another where one says nothing: see `ask_around`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

# This many are asked: one may be wrong, and one away.
ASKED = 3
# A broker that is frozen or gone would be waited for longer than anyone waits here.
PATIENCE_SECONDS = 3.0
_OF_A_GROUP = 0

Said = TypeVar("Said", bound=Hashable)
Answer = TypeVar("Answer")


class NoMajorityError(kafka_errors.KafkaError):  # type: ignore[misc] # aiokafka has no types
    """They do not agree now, as while something moves from one to another."""

    retriable = True


async def find_coordinator(admin: AIOKafkaAdminClient, group: str) -> int:
    """The broker that is the coordinator of a group, as most of those say that are asked.

    Raises:
        KafkaError: as they say; a retriable one where they do not agree.
    """

    async def ask(broker: int) -> tuple[int, int]:
        answer = await admin._client.send(broker, FindCoordinatorRequest(group, _OF_A_GROUP))  # noqa: SLF001 - it has no method that asks a certain one
        return answer.error_code, answer.coordinator_id

    error_code, coordinator = await most_say(admin, ask)
    if error_code:
        raise kafka_errors.for_code(error_code)(f"the coordinator of {group}")
    return coordinator


async def find_leaders(admin: AIOKafkaAdminClient, topic: str) -> Mapping[int, int]:
    """The leader of each partition of a topic, -1 for none, as most of those say that are asked.

    Raises:
        KafkaError: as they say; a retriable one where they do not agree.
    """
    # As in `daemon.edges.kafka.topics.describe`: what is missing must not be made by asking.
    question = MetadataRequest([topic], allow_auto_topic_creation=False)

    async def ask(broker: int) -> tuple[int, frozenset[tuple[int, int]]]:
        answer = await admin._client.send(broker, question)  # noqa: SLF001 - as above
        (found,) = answer.to_object()["topics"]
        return found["error_code"], frozenset(
            (part["partition"], part["leader"]) for part in found["partitions"]
        )

    error_code, leaders = await most_say(admin, ask)
    if not leaders:
        raise kafka_errors.for_code(error_code)(topic)
    return dict(leaders)


async def most_say(admin: AIOKafkaAdminClient, ask: Callable[[int], Awaitable[Said]]) -> Said:
    """The answer that more than half of the brokers give that are asked; of two, it may be the only one.

    Args:
        admin: knows the brokers.
        ask: asks one of them, by its id; raises KafkaError where it does not answer.

    Raises:
        NoMajorityError: they do not agree.
        KafkaError: none of them answers.
    """
    client = admin._client  # noqa: SLF001 - as above
    brokers = sorted((broker.nodeId for broker in client.cluster.brokers()), key=str)[:ASKED]
    asking = [asyncio.ensure_future(in_time(client, ask, broker)) for broker in brokers]
    answers: Counter[Said] = Counter()
    failure = kafka_errors.KafkaConnectionError("no broker is known")
    try:
        for answer in asyncio.as_completed(asking):
            try:
                said = await answer
            except kafka_errors.KafkaError as error:
                failure = error
                continue
            answers[said] += 1
            if answers[said] > len(brokers) // 2:
                return said
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    # Whoever is gone for longer is no longer shown, and not asked then.
    client.force_metadata_update()
    if not answers:
        raise failure
    if answers.total() * 2 == len(brokers):
        # The other one of two says nothing: there is nobody who would know better.
        return next(iter(answers))
    raise NoMajorityError(f"the brokers {brokers} do not agree: {dict(answers)}")


def ask_around(admin: AIOKafkaAdminClient) -> None:
    """Have a client that asks any broker, whichever it is, ask another one where that says nothing.

    One that cannot be reached from here is shown for as long as the others reach it, and the client would
    wait for it for longer than a start does.
    """
    send = admin._send_request  # noqa: SLF001 - what all its questions go through
    client = admin._client  # noqa: SLF001 - as above

    async def around(request: object, broker: int | None = None) -> Any:
        brokers = [each.nodeId for each in client.cluster.brokers()]
        if broker is None and brokers:
            *others, broker = random.sample(brokers, min(ASKED, len(brokers)))
            for other in others:
                with suppress(kafka_errors.KafkaError):
                    return await in_time(client, partial(send, request), other)
        return await send(request, broker)

    admin._send_request = around  # noqa: SLF001 - see above


async def in_time(client: AIOKafkaClient, ask: Callable[[int], Awaitable[Answer]], broker: int) -> Answer:
    """What a broker answers to something that it is only asked.

    Raises:
        KafkaError: as `ask`; RequestTimedOutError where it says nothing.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await ask(broker)
    except TimeoutError as error:
        # It may have been dropped without a word; the next question has a new one.
        if (connection := client._conns.get((broker, ConnectionGroup.DEFAULT))) is not None:  # noqa: SLF001 - it names them nowhere else
            connection.close()
        raise kafka_errors.RequestTimedOutError(f"the broker {broker} says nothing") from error
