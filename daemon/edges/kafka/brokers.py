"""Brokers, asked in a producer's name until they answer: coordinators and leaders are found again."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import majority

# After a commit the coordinator is busy for some ms: no longer than that is slept at first.
SHORTEST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1
_NO_LEADER = frozenset({None, -1})
# Another may be the coordinator by now.
_ELSEWHERE = (
    kafka_errors.NotCoordinatorForGroupError,
    kafka_errors.GroupCoordinatorNotAvailableError,
    kafka_errors.NodeNotReadyError,
    kafka_errors.RequestTimedOutError,
    kafka_errors.KafkaConnectionError,
)
# Whatever else the request named.
_ABOUT_THE_ID = frozenset(
    {
        kafka_errors.TransactionalIdAuthorizationFailed,
        kafka_errors.InvalidProducerEpoch,
        kafka_errors.InvalidProducerIdMapping,
        kafka_errors.InvalidTxnState,
    }
)
# A broker that did not look at a partition because of another one says so.
_NO_REFUSAL = frozenset({kafka_errors.NoError, kafka_errors.OperationNotAttempted})

Place = tuple[str, int]
# The codes of an answer, each with the name of what it is about.
Codes = Iterable[tuple[int, str]]


def pauses() -> Iterator[float]:
    """How long to wait before each further try, in seconds."""
    pause_seconds = SHORTEST_PAUSE_SECONDS
    while True:
        yield pause_seconds
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


class Coordinator(NamedTuple):
    """Whoever coordinates a transactional id, or a group."""

    kind: CoordinationType
    name: str


class Brokers:
    """The brokers that a started client knows.

    Each request is made again where the answer is that it should be, or where there is none: without an end,
    so that whoever asks does so within `bounded`.
    """

    def __init__(self, client: AIOKafkaClient, transactional_id: str) -> None:
        self._client = client
        self._id = transactional_id
        self._coordinators: dict[Coordinator, int] = {}
        self.has_strays = False
        """Whether a request went unanswered: it may arrive yet, in the midst of another transaction."""
        self.trouble = ""
        """Why what is asked now has no good answer yet, where that is known."""

    @asynccontextmanager
    async def bounded(self, seconds: float) -> AsyncIterator[None]:
        """Bound the time of what is asked in this block.

        Raises:
            TimeoutError: it is over; with what was in the way, where that is known.
        """
        self.trouble = ""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise TimeoutError(self.trouble) from error

    async def ask(self, whom: Coordinator, question: Any, codes: Callable[[Any], Codes]) -> Any:
        """The answer of a coordinator, wherever it is, in which none of these codes is an error.

        Raises:
            KafkaError: one that no retry mends, naming what it is about.
        """
        waits = pauses()
        while True:
            try:
                answer = await self.send(await self._find(whom), question, ConnectionGroup.COORDINATION)
                self._insist(codes(answer))
            except kafka_errors.ConcurrentTransactions as error:
                # Its last one is still being ended.
                self.trouble = str(error)
            except kafka_errors.KafkaError as error:
                if not error.retriable:
                    raise
                self.trouble = str(error)
                if isinstance(error, _ELSEWHERE):
                    self._coordinators.pop(whom, None)
            else:
                self.trouble = ""
                return answer
            await asyncio.sleep(next(waits))

    async def send(self, broker: int, question: Any, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> Any:
        """What one broker answers, asked once.

        Raises:
            KafkaError: there is no answer.
        """
        try:
            return await self._client.send(broker, question, group=group)
        except asyncio.CancelledError:
            self.trouble = self.trouble or f"the broker {broker} says nothing"
            raise
        except kafka_errors.NodeNotReadyError:
            # It was not sent.
            raise
        except kafka_errors.KafkaError:
            self.has_strays = True
            raise

    async def leader(self, place: Place) -> int:
        """The broker that leads a partition.

        Raises:
            KafkaError: the topic is denied, or has no such partition.
        """
        topic, partition = place
        cluster = self._client.cluster
        waits = pauses()
        await self._client.add_topic(topic)
        while (leader := cluster.leader_for_partition(TopicPartition(topic, partition))) in _NO_LEADER:
            await self._client.force_metadata_update()
            if topic in cluster.unauthorized_topics:
                raise kafka_errors.TopicAuthorizationFailedError(topic)
            if partition not in (cluster.partitions_for_topic(topic) or {partition}):
                raise kafka_errors.UnknownTopicOrPartitionError(f"{topic} has no partition {partition}")
            self.trouble = f"{topic} {partition} has no leader"
            await asyncio.sleep(next(waits))
        return int(leader)

    async def look_again_after(self, errors: Iterable[kafka_errors.KafkaError]) -> None:
        """See who leads now, where one of these says that it may be another."""
        if any(getattr(error, "invalid_metadata", False) for error in errors):
            await self._client.force_metadata_update()

    async def _find(self, whom: Coordinator) -> int:
        if whom not in self._coordinators:
            # Any of them knows.
            ask = partial(self._client.send, request=FindCoordinatorRequest(whom.name, whom.kind))
            answer = await majority.in_time(self._client, ask, self._client.get_random_node())
            self._insist([(answer.error_code, whom.name)])
            self._coordinators[whom] = answer.coordinator_id
        return self._coordinators[whom]

    def _insist(self, codes: Codes) -> None:
        """Insist that nothing is refused.

        Raises:
            KafkaError: the refusal, naming all that it is about; where they differ, one that no retry mends.
        """
        refused: defaultdict[type[kafka_errors.KafkaError], list[str]] = defaultdict(list)
        for code, name in codes:
            if (error := kafka_errors.for_code(code)) not in _NO_REFUSAL:
                refused[error].append(self._id if error in _ABOUT_THE_ID else name)
        if refused:
            error = min(refused, key=lambda each: each.retriable)
            raise error(", ".join(sorted({*refused[error]})))
