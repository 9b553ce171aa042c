"""Transactions, request by request: what is asked again, what is refused, and what is a writer's last."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice, pairwise
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import majority, packing, producing, transactions
from daemon.edges.kafka.brokers import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, pauses
from daemon.edges.kafka.packing import BatchBytes, RecordBatch, packed
from daemon.edges.kafka.producing import Producer, RefusedError
from daemon.edges.kafka.transactions import TransactionalWriter
from daemon.errors import Fenced, Held, Transient
from daemon.metrics import Metrics
from daemon.model import Append, OffsetCommit, Transaction
from daemon.settings import KafkaSettings
from tests.doubles import in_virtual_time

LOADING, AWAY, MOVED, CONCURRENT = 14, 15, 16, 51
NOT_LEADER, TOO_LARGE, TOO_FEW_REPLICAS, DUPLICATE = 6, 10, 19, 46
TOPIC_DENIED, ID_DENIED, NOT_ATTEMPTED, FENCED = 29, 53, 55, 47
TOPIC_MISSING, SILENT = 3, -1
EVERY_REPLICA = -1
LEDGER, RESULTS = ("ledger", 0), ("results", 1)
SETTLING = Transaction(
    "settle",
    [Append(*LEDGER, b"k", b"v"), Append(*RESULTS, b"k", b"v")],
    OffsetCommit("g", "items", 0, 7, ""),
)


class Cluster:
    """What the client knows of a cluster: a leader each for two topics, and others by and by."""

    def __init__(self) -> None:
        self.leaders: dict[TopicPartition, int | None] = {
            TopicPartition(*LEDGER): 1,
            TopicPartition(*RESULTS): 2,
        }
        self.later: dict[TopicPartition, int] = {}
        self.unauthorized_topics: set[str] = set()

    def leader_for_partition(self, place: TopicPartition) -> int | None:
        """See the client's own."""
        return self.leaders.get(place)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """See the client's own."""
        return {place.partition for place in self.leaders if place.topic == topic} or None


class Client:
    """Answers that all is well, but for the codes and failures that a test has for some of the requests.

    Each of those is for one request of its kind, in their order.
    """

    def __init__(self, **troubles: Sequence[int | Exception]) -> None:
        self.cluster = Cluster()
        self.asked: list[tuple[str, int]] = []
        self.bodies: list[tuple[str, bytes]] = []
        self.terms: set[tuple[str, int]] = set()
        self.topics: set[str] = set()
        self._troubles = {kind: list(those) for kind, those in troubles.items()}
        self._conns: dict[object, object] = {}

    @property
    def kinds(self) -> list[str]:
        """What was asked, in its order."""
        return [kind for kind, _ in self.asked]

    def get_random_node(self) -> int:
        """See the client's own."""
        return 0

    async def add_topic(self, topic: str) -> None:
        """See the client's own."""
        self.topics.add(topic)

    async def force_metadata_update(self) -> None:
        """See the client's own."""
        self.cluster.leaders |= self.cluster.later
        self.asked.append(("look", 0))

    async def send(self, broker: int, request: Any, **_: object) -> Any:
        """See the client's own."""
        kind = _KINDS.get(request.API_KEY, "find")
        self.asked.append((kind, broker))
        trouble = next(iter(self._troubles.get(kind, ())), 0)
        if trouble:
            self._troubles[kind].pop(0)
        await asyncio.sleep(0)
        if trouble == SILENT:
            await asyncio.Event().wait()
        if isinstance(trouble, Exception):
            raise trouble
        return getattr(self, f"_{kind}")(request, trouble)

    def _find(self, request: FindCoordinatorRequest, code: int) -> Any:
        assert isinstance(request, FindCoordinatorRequest)
        return SimpleNamespace(error_code=code, coordinator_id=9)

    def _start(self, _: Any, code: int) -> Any:
        return SimpleNamespace(error_code=code, producer_id=5, producer_epoch=3)

    def _partitions(self, request: Any, code: int) -> Any:
        topics = request._topics
        return SimpleNamespace(
            errors=[
                (
                    topic,
                    [
                        (partition, code if topic == topics[-1][0] else code and NOT_ATTEMPTED)
                        for partition in partitions
                    ],
                )
                for topic, partitions in topics
            ]
        )

    def _group(self, _: Any, code: int) -> Any:
        return SimpleNamespace(error_code=code)

    def _write(self, request: Any, code: int) -> Any:
        transactional_id, acks, _, topics = request._fields
        self.terms.add((transactional_id, acks))
        self.bodies += [(topic, bytes(body)) for topic, parts in topics for _, body in parts]
        return SimpleNamespace(
            topics=[(topic, [(partition, code, 0) for partition, _ in parts]) for topic, parts in topics]
        )

    def _offset(self, _: Any, code: int) -> Any:
        return SimpleNamespace(errors=[("items", [(0, code)])])

    _commit = _group


_KINDS = {22: "start", 24: "partitions", 25: "group", 0: "write", 28: "offset", 26: "commit"}
_WHOLE = ["partitions", "group", "write", "write", "find", "offset", "commit"]


async def partitions(_topic: str) -> frozenset[int]:
    """Of every topic."""
    return frozenset({0, 1})


async def writer(
    client: Client, sizes: BatchBytes | None = None, metrics: Metrics | None = None
) -> TransactionalWriter:
    """A started one."""
    producer = Producer(client, "w")
    await producer.start(30.0)
    client.asked.clear()
    return TransactionalWriter(producer, "w", metrics or Metrics(), sizes or BatchBytes(), partitions)


async def started(client: Client) -> Producer:
    """A producer that has its identity."""
    producer = Producer(client, "w")
    await producer.start(30.0)
    client.asked.clear()
    return producer


async def begun_and_committed(producer: Producer) -> None:
    """A transaction in which nothing is written."""
    await producer.begin([LEDGER, RESULTS], "g")
    await producer.commit_offset(OffsetCommit("g", "items", 0, 7, ""))
    await producer.commit()


def batch(*values: bytes) -> RecordBatch:
    """A batch of these records."""
    (made,) = packed(100_000, [Append(*LEDGER, b"k", value) for value in values])
    return made


@in_virtual_time
async def test_a_transaction_is_announced_written_and_committed() -> None:
    """Nothing is written that was not announced, and all of it is there before it is committed."""
    client = Client()
    await (await writer(client)).transact(SETTLING)
    assert client.kinds == _WHOLE
    assert {("write", 1), ("write", 2), ("commit", 9)} <= set(client.asked)
    # Where the leader's own word is enough, what is committed may be lost with it.
    assert client.terms == {("w", EVERY_REPLICA)}


@in_virtual_time
async def test_where_all_is_well_nothing_is_waited_for() -> None:
    """Nor is anything announced that is not written: an intent is nothing but an offset."""
    client, began = Client(), asyncio.get_running_loop().time()
    made = await writer(client)
    await made.transact(SETTLING)
    client.asked.clear()
    await made.transact(Transaction("intent", offset=SETTLING.offset))
    assert client.kinds == ["group", "offset", "commit"]
    assert asyncio.get_running_loop().time() == began


@pytest.mark.parametrize("code", [LOADING, AWAY, MOVED, CONCURRENT])
@pytest.mark.parametrize("kind", ["partitions", "group", "offset", "commit"])
def test_what_a_coordinator_does_not_take_now_is_asked_again(kind: str, code: int) -> None:
    """It has answered, so that nothing of the first request is under way; it may be elsewhere now."""

    @in_virtual_time
    async def check() -> None:
        client = Client(**{kind: [code, code]})
        made = await writer(client)
        await made.transact(SETTLING)
        assert client.kinds.count(kind) == 3
        assert (client.kinds.count("find") > 1) == (code in {AWAY, MOVED})
        client.asked.clear()
        await made.transact(SETTLING)

    check()


@pytest.mark.parametrize(
    ("kind", "code", "error", "named"),
    [
        ("partitions", TOPIC_DENIED, kafka_errors.TopicAuthorizationFailedError, "results"),
        ("partitions", ID_DENIED, kafka_errors.TransactionalIdAuthorizationFailed, "w"),
        ("group", 30, kafka_errors.GroupAuthorizationFailedError, "g"),
        ("group", ID_DENIED, kafka_errors.TransactionalIdAuthorizationFailed, "w"),
        ("partitions", FENCED, kafka_errors.InvalidProducerEpoch, "w"),
        ("commit", FENCED, kafka_errors.InvalidProducerEpoch, "w"),
        ("offset", 30, kafka_errors.GroupAuthorizationFailedError, "g"),
        ("offset", TOPIC_DENIED, kafka_errors.TopicAuthorizationFailedError, "items"),
        ("offset", ID_DENIED, kafka_errors.TransactionalIdAuthorizationFailed, "w"),
    ],
)
def test_a_refusal_names_what_is_refused(kind: str, code: int, error: type[Exception], named: str) -> None:
    """Whoever may mend it is told the topic, the group or the transactional id, not what was left undone."""

    @in_virtual_time
    async def check() -> None:
        producer = await started(Client(**{kind: [code]}))
        with pytest.raises(error) as refused:
            await begun_and_committed(producer)
        assert refused.value.args == (named,)

    check()


@in_virtual_time
async def test_who_coordinates_is_asked_again_and_a_refusal_of_that_is_told() -> None:
    """Just after a start nobody may know; whoever is denied an answer would wait for one for ever."""
    client = Client(find=[AWAY, AWAY])
    await Producer(client, "w").start(30.0)
    assert client.kinds == ["find", "find", "find", "start"]
    with pytest.raises(kafka_errors.TransactionalIdAuthorizationFailed) as refused:
        await Producer(Client(find=[ID_DENIED]), "w").start(30.0)
    assert refused.value.args == ("w",)


@in_virtual_time
async def test_all_topics_that_are_denied_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may mend it does so once, and not for one after the other."""
    client = Client()

    def deny(request: Any, _: int) -> Any:
        answers = [(topic, [(part, TOPIC_DENIED) for part in parts]) for topic, parts in request._topics]
        return SimpleNamespace(errors=answers)

    monkeypatch.setattr(client, "_partitions", deny)
    producer = await started(client)
    with pytest.raises(kafka_errors.TopicAuthorizationFailedError, match="ledger, results"):
        await begun_and_committed(producer)


@in_virtual_time
async def test_a_topic_that_is_denied_is_told_though_another_may_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asking again for the one would wait for the other, which no time mends."""
    client, codes = Client(), {"ledger": TOPIC_MISSING, "results": TOPIC_DENIED}

    def answer(request: Any, _: int) -> Any:
        answers = [(topic, [(part, codes[topic]) for part in parts]) for topic, parts in request._topics]
        return SimpleNamespace(errors=answers)

    monkeypatch.setattr(client, "_partitions", answer)
    producer = await started(client)
    with pytest.raises(kafka_errors.TopicAuthorizationFailedError) as refused:
        await producer.begin([LEDGER, RESULTS], None)
    assert refused.value.args == ("results",)


@pytest.mark.parametrize(
    ("troubles", "told"),
    [
        ({"partitions": [TOPIC_MISSING] * 1000}, "UnknownTopicOrPartitionError: results"),
        ({"write": [TOO_FEW_REPLICAS] * 1000}, "NotEnoughReplicasError: (ledger|results)"),
        ({"offset": [LOADING] * 1000}, "GroupLoadInProgressError: items"),
        ({"commit": [CONCURRENT] * 1000}, "ConcurrentTransactions: w"),
        ({"write": [SILENT]}, "the broker 1 says nothing"),
        ({"partitions": [CONCURRENT], "write": [SILENT]}, "the broker 1 says nothing"),
        ({"write": [TOO_FEW_REPLICAS, TOO_FEW_REPLICAS], "commit": [SILENT]}, "the broker 9 says nothing"),
    ],
)
def test_what_was_in_the_way_is_told_when_the_time_is_over(
    troubles: Mapping[str, Sequence[int]], told: str
) -> None:
    """Nothing else says which topic is missing, or lacks replicas; what is over is not told."""

    @in_virtual_time
    async def check() -> None:
        made = await writer(Client(**troubles))
        with pytest.raises(Transient, match=f"no answer in time: .*{told}"):
            await made.transact(SETTLING)

    check()


@in_virtual_time
async def test_a_topic_without_a_leader_is_told() -> None:
    """When the time is over; until then one is waited for."""
    client = Client()
    client.cluster.leaders[TopicPartition(*LEDGER)] = -1
    made = await writer(client)
    with pytest.raises(Transient, match=r"no answer in time: .*ledger 0 has no leader"):
        await made.transact(SETTLING)


@in_virtual_time
async def test_records_are_numbered_by_partition() -> None:
    """A broker takes the next by its number, so that none is there twice and none is missing."""
    client = Client()
    producer = await started(client)
    await producer.write({LEDGER: [batch(b"1", b"2"), batch(b"3")], RESULTS: [batch(b"4")]})
    await producer.write({LEDGER: [batch(b"5")]})
    found = [(topic, sequence_of(body)) for topic, body in client.bodies]
    assert found == [("ledger", 0), ("results", 0), ("ledger", 2), ("ledger", 3)]


@in_virtual_time
async def test_numbers_begin_anew_behind_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have 31 bits, and a producer may live for years."""
    monkeypatch.setattr(producing, "_SEQUENCES", 3)
    client = Client()
    producer = await started(client)
    for values in ((b"1", b"2"), (b"3", b"4"), (b"5",)):
        await producer.write({LEDGER: [batch(*values)]})
    assert [sequence_of(body) for _, body in client.bodies] == [0, 2, 1]


@pytest.mark.parametrize("code", [NOT_LEADER, TOO_FEW_REPLICAS])
def test_what_a_leader_does_not_take_now_is_sent_again_as_it_was(code: int) -> None:
    """To whoever leads by then; the bytes are the same, so that the broker knows them again."""

    @in_virtual_time
    async def check() -> None:
        client = Client(write=[code, code])
        client.cluster.later = {TopicPartition(*LEDGER): 4}
        producer = await started(client)
        await producer.write({LEDGER: [batch(b"1"), batch(b"2")]})
        leader = 4 if code == NOT_LEADER else 1
        assert [broker for kind, broker in client.asked if kind == "write"] == [1, leader, leader, leader]
        first, second, third, fourth = (body for _, body in client.bodies)
        assert first == second == third != fourth
        assert not producer.has_strays

    check()


@in_virtual_time
async def test_a_batch_that_a_broker_had_already_is_written() -> None:
    """The answer to it was lost, and where it stands is not remembered any more."""
    producer = await started(Client(write=[DUPLICATE]))
    await producer.write({LEDGER: [batch(b"1")]})


@in_virtual_time
async def test_what_is_refused_for_good_is_told_with_its_batch() -> None:
    """Nothing else is asked after it."""
    client = Client(write=[TOO_LARGE])
    producer = await started(client)
    with pytest.raises(RefusedError) as refused:
        await producer.write({LEDGER: [batch(b"1"), batch(b"2")]})
    assert refused.value.place == LEDGER
    assert client.kinds == ["write"]


@in_virtual_time
async def test_a_topic_that_takes_no_large_batches_gets_smaller_ones() -> None:
    """By the next writer; a record that is refused alone is too large itself."""
    sizes = BatchBytes()
    whole = Transaction("settle", [Append(*LEDGER, b"k", b"v" * 1000)] * 9)
    with pytest.raises(Transient, match="smaller batches"):
        await (await writer(Client(write=[TOO_LARGE]), sizes)).transact(whole)
    client = Client()
    await (await writer(client, sizes)).transact(whole)
    assert len(client.bodies) > 1
    with pytest.raises(Held, match=r"max\.message\.bytes"):
        await (await writer(Client(write=[TOO_LARGE]))).transact(
            Transaction("settle", [Append(*LEDGER, b"k", b"v")])
        )


@in_virtual_time
async def test_smaller_batches_help_only_where_there_is_more_than_one_record_too_many() -> None:
    """Two can be sent apart; what is refused for another reason is so in any size."""
    two = Transaction("settle", [Append(*LEDGER, b"k", b"v")] * 2)
    with pytest.raises(Transient, match="smaller batches"):
        await (await writer(Client(write=[TOO_LARGE]))).transact(two)
    with pytest.raises(Held, match=r"Kafka denies it: .*ledger"):
        await (await writer(Client(write=[TOPIC_DENIED]))).transact(two)


@pytest.mark.parametrize(
    ("failures", "is_spent"),
    [
        ([], False),
        ([kafka_errors.NodeNotReadyError("not connected")], False),
        ([kafka_errors.RequestTimedOutError("no answer")], True),
        ([kafka_errors.KafkaConnectionError("closed")], True),
    ],
)
@pytest.mark.parametrize("kind", ["partitions", "write", "offset", "commit"])
def test_what_went_unanswered_was_a_writers_last(
    kind: str, failures: Sequence[Exception], *, is_spent: bool
) -> None:
    """The same request may arrive later, and would be taken for a part of its next transaction."""

    @in_virtual_time
    async def check() -> None:
        made = await writer(Client(**{kind: failures}))
        await made.transact(SETTLING)
        with pytest.raises(Transient) if is_spent else nullcontext():
            await made.transact(SETTLING)

    check()


@in_virtual_time
async def test_who_is_given_up_asks_nothing_more() -> None:
    """A transaction that was cancelled stays open until the next writer ends it: none of it is committed."""
    client = Client(partitions=[CONCURRENT] * 1000)
    made = await writer(client)
    running = asyncio.create_task(made.transact(SETTLING))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait({running})
    asked = len(client.asked)
    await asyncio.sleep(10)
    assert len(client.asked) == asked
    assert "commit" not in client.kinds
    for further in (made.transact(SETTLING), made.seal([LEDGER])):
        with pytest.raises(Transient, match="has failed before"):
            await further
    assert len(client.asked) == asked


@in_virtual_time
async def test_a_seal_that_fails_is_a_writers_last_as_well() -> None:
    """It is bounded as a transaction is, and what it has begun must not be committed with the next one."""
    client = Client(commit=[CONCURRENT] * 10_000)
    made, began = await writer(client), asyncio.get_running_loop().time()
    with pytest.raises(Transient, match=r"no answer in time: .*ConcurrentTransactions: w"):
        await made.seal([LEDGER], "g")
    assert asyncio.get_running_loop().time() - began == pytest.approx(transactions.COMMIT_SECONDS)
    with pytest.raises(Transient, match="has failed before"):
        await made.transact(SETTLING)


@in_virtual_time
async def test_a_seal_of_a_partition_that_is_gone_holds() -> None:
    """It would be asked for again and again; one that fences says so at once."""
    with pytest.raises(Held, match=r"ledger has no partitions \[7\]"):
        await (await writer(Client(partitions=[TOPIC_MISSING] * 10_000))).seal([LEDGER, ("ledger", 7)])
    with pytest.raises(Fenced):
        await (await writer(Client(partitions=[FENCED]))).seal([("ledger", 7)])


@in_virtual_time
async def test_a_seal_is_of_partitions_or_of_a_group_or_of_both() -> None:
    """What it does not name has nobody waiting for it."""
    client = Client()
    made = await writer(client)
    await made.seal([LEDGER])
    await made.seal((), "g")
    assert client.kinds == ["partitions", "commit", "group", "commit"]


@pytest.mark.parametrize(
    ("start_seconds", "told"),
    [
        (20.0, "starting the writer w: KafkaConnectionError"),
        (0.05, "starting the writer w: no answer in time"),
    ],
)
async def test_a_writer_that_cannot_start_is_given_up(
    monkeypatch: pytest.MonkeyPatch, start_seconds: float, told: str
) -> None:
    """Whether brokers hang up or say nothing: its owner opens the next one."""
    monkeypatch.setattr(transactions, "START_SECONDS", start_seconds)
    met: list[asyncio.StreamWriter] = []

    async def meet(_: asyncio.StreamReader, theirs: asyncio.StreamWriter) -> None:
        met.append(theirs)
        if start_seconds > 1:
            theirs.close()

    async with await asyncio.start_server(meet, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        settings = KafkaSettings(bootstrap_servers=(f"127.0.0.1:{port}",))
        with pytest.raises(Transient, match=told):
            async with transactions.writer(settings, "c", "w", Metrics(), BatchBytes(), partitions):
                pytest.fail("it has started")
        for theirs in met:
            theirs.close()


@in_virtual_time
async def test_transactions_are_timed_and_those_that_failed_are_counted() -> None:
    """By what they are for."""
    metrics = Metrics()
    made = await writer(Client(commit=[CONCURRENT, FENCED]), metrics=metrics)
    with pytest.raises(Fenced):
        await made.transact(SETTLING)
    await (await writer(Client(), metrics=metrics)).transact(SETTLING)
    kind = {"kind": SETTLING.kind}
    told = metrics.registry.get_sample_value
    assert told("tolokad_transaction_failures_total", kind) == 1
    assert told("tolokad_transaction_seconds_count", kind) == 1
    assert 0 < (told("tolokad_transaction_seconds_sum", kind) or 0) < 60


@in_virtual_time
async def test_the_first_refusal_ends_what_was_asked_beside_it() -> None:
    """Nobody asks on behind the back of a writer that has failed."""
    client = Client(partitions=[TOPIC_DENIED], group=[LOADING] * 1000)
    made = await writer(client)
    with pytest.raises(Held):
        await made.transact(SETTLING)
    asked = len(client.asked)
    await asyncio.sleep(10)
    assert len(client.asked) == asked


@in_virtual_time
async def test_what_fails_beside_the_first_is_no_error_that_nobody_waited_for() -> None:
    """Both are fenced, at every rolling restart: the log would tell of exceptions never retrieved."""
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    for troubles in ({"partitions": [FENCED], "group": [FENCED]}, {"write": [FENCED, FENCED]}):
        with pytest.raises(Fenced):
            await (await writer(Client(**troubles))).transact(SETTLING)
    await asyncio.sleep(1)
    gc.collect()
    assert not told


@in_virtual_time
async def test_a_leader_is_waited_for() -> None:
    """While brokers elect one there is none; a topic that is denied, or has no such partition, is told."""
    client = Client()
    client.cluster.leaders[TopicPartition(*LEDGER)] = -1
    client.cluster.later = {TopicPartition(*LEDGER): 3}
    producer = await started(client)
    await producer.write({LEDGER: [batch(b"1")]})
    assert ("write", 3) in client.asked
    with pytest.raises(kafka_errors.UnknownTopicOrPartitionError, match="ledger has no partition 8"):
        await producer.write({("ledger", 8): [batch(b"1")]})
    client.cluster.unauthorized_topics.add("secret")
    with pytest.raises(kafka_errors.TopicAuthorizationFailedError, match="secret"):
        await producer.write({("secret", 0): [batch(b"1")]})
    # A client that is to know of none in particular is shown those alone that are not denied.
    assert client.topics == {"ledger", "secret"}


@in_virtual_time
async def test_a_broker_that_is_silent_about_coordinators_is_not_waited_for() -> None:
    """Any broker knows, so that the next one is asked within seconds; nothing was begun by asking."""
    client = Client()
    answer: Callable[..., Awaitable[Any]] = client.send
    silent = iter([True])

    async def send(broker: int, request: Any, **named: object) -> Any:
        if next(silent, False):
            await asyncio.Event().wait()
        return await answer(broker, request, **named)

    client.send = send  # type: ignore[method-assign]
    began = asyncio.get_running_loop().time()
    producer = await started(client)
    assert asyncio.get_running_loop().time() - began < majority.PATIENCE_SECONDS + 1
    assert not producer.has_strays


@in_virtual_time
async def test_what_was_written_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of results may be megabytes, and every partition has a writer that may rest for days."""
    made: WeakSet[RecordBatch] = WeakSet()

    class Watched(RecordBatch):
        def __init__(self, max_bytes: int) -> None:
            super().__init__(max_bytes)
            made.add(self)

    monkeypatch.setattr(packing, "RecordBatch", Watched)
    client = Client()
    resting = await writer(client)
    await resting.transact(SETTLING)
    assert client.bodies
    gc.collect()
    assert not made


@in_virtual_time
async def test_nothing_is_asked_for_an_empty_transaction() -> None:
    """A coordinator takes no end of what was never begun."""
    client = Client()
    made = await writer(client)
    await made.transact(Transaction("intent"))
    await made.seal(())
    assert not client.asked
    await made.seal([LEDGER], "g")
    assert client.kinds == ["partitions", "group", "commit"]


def test_pauses_grow_to_a_bound() -> None:
    """After a commit an answer is there in a moment; brokers in trouble are not asked all the time."""
    first, *others = islice(pauses(), 20)
    assert first == SHORTEST_PAUSE_SECONDS
    assert others[-1] == LONGEST_PAUSE_SECONDS
    assert all(after <= 2 * before for before, after in pairwise([first, *others]))


@pytest.mark.parametrize("topics", [{}, {"ledger": {0: b"one", 7: b""}, "résultats": {1: b"x" * 1000}}])
def test_records_are_sent_as_the_client_would_send_them(topics: Mapping[str, Mapping[int, bytes]]) -> None:
    """The bytes are those of the client's own schema."""
    rows = [(topic, list(parts.items())) for topic, parts in topics.items()]
    assert (
        producing._Produce("w", -1, 40_000, rows).encode()
        == ProduceRequest_v7("w", -1, 40_000, rows).encode()
    )


def sequence_of(body: bytes) -> int:
    """The number of a batch's first record, where KIP-98 has it."""
    return int.from_bytes(body[53:57], "big")
