"""A place in a group: what is decided comes through, and what the client meets behind its back is told."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import membership
from daemon.edges.kafka.membership import CONFIRM_SECONDS, JOIN_SECONDS, SURFACE_SECONDS, GroupMembership
from daemon.errors import Held, Transient
from daemon.settings import KafkaSettings
from tests.doubles import in_virtual_time

PLACES = [TopicPartition("items", 3), TopicPartition("items", 1)]


class Consumer:
    """The client's own: a member, which reads nothing."""

    def __init__(self, **given: object) -> None:
        self.given = given
        self.paused: set[TopicPartition] = set()
        self.topics: list[str] = []
        self.failures: list[Exception] = []
        self.polls = 0
        self.known: bool | None = True
        self.stopped = False
        self.silent = False
        self._client = AIOKafkaClient()
        self._coordinator = self
        self._coordination_task: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """See the client's own."""
        if self.silent:
            await asyncio.Event().wait()

    async def stop(self) -> None:
        """See the client's own."""
        self.stopped = True

    def subscribe(self, topics: list[str], listener: object) -> None:
        """See the client's own."""
        assert listener is not None
        self.topics = topics

    def pause(self, *places: TopicPartition) -> None:
        """See the client's own."""
        self.paused |= set(places)

    async def getmany(self, timeout_ms: int) -> None:
        """See the client's own."""
        self.polls += 1
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(timeout_ms / 1000)

    async def _do_heartbeat(self) -> bool:
        if self.known is None:
            await asyncio.Event().wait()
        return bool(self.known)


@in_virtual_time
async def test_what_is_decided_is_told_and_nothing_of_it_is_read() -> None:
    """Whoever owns a partition has a reader of its own; offsets that are missing here are none of ours."""
    consumer = Consumer()
    consumer.failures.append(kafka_errors.NoOffsetForPartitionError("items"))
    member = GroupMembership(consumer, "g")
    async with aclosing(member.assignments()) as decisions:
        for places in (PLACES, PLACES[:1]):
            await member.listener.on_partitions_revoked(PLACES)
            await member.listener.on_partitions_assigned(places)
            assert await anext(decisions) == {place.partition for place in places}
        assert consumer.paused == set(PLACES)
        waiting = asyncio.ensure_future(anext(decisions))
        await asyncio.sleep(10)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait({waiting})
    # Whoever has been given up takes no decision, and asks for nothing.
    await member.listener.on_partitions_assigned([])
    polls = consumer.polls
    assert polls > 1
    await asyncio.sleep(10)
    assert consumer.polls == polls
    assert not await member.confirm()


@in_virtual_time
async def test_a_member_is_confirmed_unless_something_else_is_decided() -> None:
    """It may be known to the group in a generation that has taken its partitions away."""
    consumer = Consumer()
    member = GroupMembership(consumer, "g")
    assert await member.confirm()
    await member.listener.on_partitions_assigned([])
    assert not await member.confirm()
    async with aclosing(member.assignments()) as decisions:
        assert await anext(decisions) == frozenset()
    assert await member.confirm()
    consumer.known = False
    assert not await member.confirm()


@in_virtual_time
async def test_a_group_that_says_nothing_is_not_waited_for_without_an_end() -> None:
    """Whether we are its member nobody knows then."""
    consumer, began = Consumer(), asyncio.get_running_loop().time()
    consumer.known = None
    with pytest.raises(Transient, match="asking the group g about us: no answer in time"):
        await GroupMembership(consumer, "g").confirm()
    assert asyncio.get_running_loop().time() - began == CONFIRM_SECONDS


@pytest.mark.parametrize(
    ("failure", "error", "told"),
    [
        (kafka_errors.GroupAuthorizationFailedError("g"), Held, "the membership in g: Kafka denies it"),
        (kafka_errors.KafkaConnectionError("closed"), Transient, "the membership in g: KafkaConnectionError"),
        (None, Transient, "the membership in g has died"),
    ],
)
def test_what_the_client_meets_ends_the_membership(
    failure: Exception | None, error: type[Exception], told: str
) -> None:
    """Also the end of its own task, of which it says nothing: no partition would ever be given again."""

    @in_virtual_time
    async def check() -> None:
        consumer = Consumer()
        member = GroupMembership(consumer, "g")
        consumer._coordination_task = running = asyncio.get_running_loop().create_future()
        waiting = asyncio.ensure_future(anext(member.assignments()))
        await asyncio.sleep(10 * SURFACE_SECONDS)
        assert not waiting.done()
        if failure is None:
            running.set_result(None)
        else:
            consumer.failures.append(failure)
        with pytest.raises(error, match=told):
            async with asyncio.timeout(2 * SURFACE_SECONDS):
                await waiting

    check()


@pytest.mark.parametrize("silent", [False, True])
def test_a_group_is_joined_and_left(monkeypatch: pytest.MonkeyPatch, *, silent: bool) -> None:
    """In bounded time; and nothing that a member does by itself touches the group's offsets."""
    made: list[Consumer] = []

    def make(**given: Any) -> Consumer:
        made.append(Consumer(**given))
        made[0].silent = silent
        return made[0]

    monkeypatch.setattr(membership, "AIOKafkaConsumer", make)
    settings = KafkaSettings(bootstrap_servers=("k:1",), session_timeout_seconds=15)

    @in_virtual_time
    async def check() -> None:
        began = asyncio.get_running_loop().time()
        if silent:
            with pytest.raises(Transient, match="joining the group g: no answer in time"):
                async with membership.membership(settings, "c", "g", "items"):
                    pytest.fail("it has joined")
            assert asyncio.get_running_loop().time() - began == JOIN_SECONDS
        else:
            async with membership.membership(settings, "c", "g", "items"):
                assert (made[0].topics, made[0].stopped) == (["items"], False)
        assert made[0].stopped

    check()
    given = made[0].given
    assert (given["group_id"], given["client_id"]) == ("g", "c")
    assert (given["enable_auto_commit"], given["auto_offset_reset"]) == (False, "none")
    assert (given["session_timeout_ms"], given["heartbeat_interval_ms"]) == (15_000, 3_000)
    # The largest number that the client can send: never.
    assert given["max_poll_interval_ms"] == 2**31 - 1
