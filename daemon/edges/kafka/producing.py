"""A transactional id's producer, as the requests that a transaction is made of (KIP-98).

The client's own keeps queues, and a task that sends what is in them when it sees fit. Here all of a
transaction is known when it begins: each request is made when the one before it is answered. That takes a
third less of a processor's time, and nothing goes on behind the back of whoever gives up.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)
from aiokafka.protocol.types import Int16, Int32, String

from daemon.edges.kafka.brokers import Brokers, Codes, Coordinator, Place, pauses
from daemon.edges.kafka.packing import RecordBatch
from daemon.edges.kafka.questions import Question
from daemon.model import OffsetCommit

# How long a broker may take to write a batch of records to all replicas.
_WRITE_MS: Final = 40_000
_ALL_REPLICAS: Final = -1
_SEQUENCES: Final = 2**31
_GROUP_DENIED: Final = kafka_errors.GroupAuthorizationFailedError.errno
# Where the answer to a batch was lost, and the broker has forgotten where it stands.
_WRITTEN = frozenset({kafka_errors.NoError, kafka_errors.DuplicateSequenceNumber})

Row = TypeVar("Row")


class RefusedError(Exception):
    """A topic does not take a batch of records: `cause` says why."""

    def __init__(self, place: Place, batch: RecordBatch, cause: kafka_errors.KafkaError) -> None:
        super().__init__(place, cause)
        self.place = place
        self.batch = batch
        self.cause = cause


class _Produce(ProduceRequest_v7):  # type: ignore[misc] # aiokafka has no types
    """The client copies the records for each level of the schema that they stand below; this, once."""

    def encode(self) -> bytes:
        """The request's bytes behind its header."""
        text = String("utf-8")
        parts = [text.encode(self.transactional_id), Int16.encode(self.required_acks)]
        parts += [Int32.encode(self.timeout), Int32.encode(len(self.topics))]
        for topic, partitions in self.topics:
            parts += [text.encode(topic), Int32.encode(len(partitions))]
            for partition, records in partitions:
                parts += [Int32.encode(partition), Int32.encode(len(records)), records]
        return b"".join(parts)


class Producer:
    """Asks the brokers for one step of a transaction after the other.

    `client` is started by its owner. Every step is asked for within `bounded`, for none gives up by itself.
    Whoever has begun a transaction commits it, or asks for nothing more.
    """

    def __init__(self, client: AIOKafkaClient, transactional_id: str) -> None:
        self._brokers = Brokers(client, transactional_id)
        self._id = transactional_id
        self._itself = Coordinator(CoordinationType.TRANSACTION, transactional_id)
        self._identity: tuple[int, int] = (-1, -1)
        self._sequences: defaultdict[Place, int] = defaultdict(int)

    @property
    def has_strays(self) -> bool:
        """See `Brokers.has_strays`."""
        return self._brokers.has_strays

    def bounded(self, seconds: float) -> AbstractAsyncContextManager[None]:
        """See `Brokers.bounded`."""
        return self._brokers.bounded(seconds)

    async def start(self, transaction_timeout_seconds: float) -> None:
        """Fence whoever had the transactional id, and wait for the end of what they left open.

        Raises:
            KafkaError: it is denied, naming the transactional id; or not to be had.
        """
        question = InitProducerIdRequest(self._id, int(transaction_timeout_seconds * 1000))
        answer = await self._brokers.ask(
            self._itself, question, lambda answer: [(answer.error_code, self._id)]
        )
        self._identity = (answer.producer_id, answer.producer_epoch)

    async def begin(self, places: Collection[Place], group: str | None) -> None:
        """Announce what the transaction will write: to these partitions, and to a group's offsets.

        Raises:
            KafkaError: fenced; or denied, naming the topics or the group.
        """
        asking = []
        if places:
            question = AddPartitionsToTxnRequest(self._id, *self._identity, _by_topic(places))
            asking.append(self._brokers.ask(self._itself, question, _codes_by_topic))
        if group is not None:
            offsets = AddOffsetsToTxnRequest(self._id, *self._identity, group)
            asking.append(
                self._brokers.ask(self._itself, offsets, lambda answer: [(answer.error_code, group)])
            )
        # Over one connection, on which a broker answers them in turn.
        await _together(asking)

    async def write(self, batches: Mapping[Place, Sequence[RecordBatch]]) -> None:
        """Write records: to each partition one batch after the other, to all of them at once.

        Raises:
            RefusedError: a batch is refused for good.
            KafkaError: a topic is denied, or not there.
        """
        waits = pauses()
        left = {place: list(reversed(those)) for place, those in batches.items() if those}
        while left:
            at_leaders: defaultdict[int, dict[Place, RecordBatch]] = defaultdict(dict)
            for place, those in left.items():
                at_leaders[await self._brokers.leader(place)][place] = those[-1]
            answers = await _together([self._produce(*there) for there in at_leaders.items()])
            errors = {place: error for answer in answers for place, error in answer.items()}
            for place, error in errors.items():
                if error is None:
                    self._count(place, left[place].pop())
                elif not error.retriable:
                    raise RefusedError(place, left[place][-1], error)
            left = {place: those for place, those in left.items() if those}
            failed = [error for error in errors.values() if error is not None]
            self._brokers.trouble = str(failed[0]) if failed else ""
            if failed:
                await asyncio.sleep(next(waits))
                await self._brokers.look_again_after(failed)

    async def commit_offset(self, commit: OffsetCommit) -> None:
        """Have the transaction commit a group's offset.

        Raises:
            KafkaError: fenced; or denied, naming the group or the topic; or its metadata is too large.
        """
        topics = [(commit.topic, [(commit.partition, commit.offset, commit.metadata)])]
        question = TxnOffsetCommitRequest(self._id, commit.group, *self._identity, topics)
        await self._brokers.ask(
            Coordinator(CoordinationType.GROUP, commit.group),
            question,
            lambda answer: [
                (code, commit.group if code == _GROUP_DENIED else topic)
                for topic, parts in answer.errors
                for _, code in parts
            ],
        )

    async def commit(self) -> None:
        """End the transaction that was begun: all of it counts.

        Raises:
            KafkaError: fenced; or it was ended before.
        """
        question = EndTxnRequest(self._id, *self._identity, transaction_result=True)
        await self._brokers.ask(self._itself, question, lambda answer: [(answer.error_code, self._id)])

    async def _produce(
        self, leader: int, batches: Mapping[Place, RecordBatch]
    ) -> Mapping[Place, kafka_errors.KafkaError | None]:
        """What became of a batch of records for each of some partitions, all led by one broker."""
        topics = _by_topic(
            (topic, (partition, batch.encoded(*self._identity, self._sequences[topic, partition])))
            for (topic, partition), batch in batches.items()
        )
        question = Question(_Produce, self._id, _ALL_REPLICAS, _WRITE_MS, topics)
        try:
            answer = await self._brokers.send(leader, question)
        except kafka_errors.KafkaError as error:
            if not error.retriable:
                raise
            return dict.fromkeys(batches, error)
        return {
            (topic, partition): _error_of_write(code, topic)
            for topic, partitions in answer.topics
            for partition, code, *_ in partitions
        }

    def _count(self, place: Place, batch: RecordBatch) -> None:
        # As KIP-98 counts: from the largest on from 0 again.
        self._sequences[place] = (self._sequences[place] + batch.count) % _SEQUENCES


def _by_topic(rows: Iterable[tuple[str, Row]]) -> list[tuple[str, list[Row]]]:
    """As requests have them: each topic once, with what there is for it."""
    topics: defaultdict[str, list[Row]] = defaultdict(list)
    for topic, row in rows:
        topics[topic].append(row)
    return list(topics.items())


def _codes_by_topic(answer: Any) -> Codes:
    return [(code, topic) for topic, partitions in answer.errors for _, code in partitions]


def _error_of_write(code: int, topic: str) -> kafka_errors.KafkaError | None:
    error = kafka_errors.for_code(code)
    return None if error in _WRITTEN else error(topic)


async def _together(asking: Sequence[Coroutine[Any, Any, Any]]) -> Sequence[Any]:
    """What comes of each; with the first that fails, the others are given up."""
    tasks = [asyncio.ensure_future(each) for each in asking]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
