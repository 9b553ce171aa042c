"""Who coordinates a group, and who leads a topic, is what most of the brokers say that are asked."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.client import ConnectionGroup

from daemon.edges.kafka.majority import (
    ASKED,
    PATIENCE_SECONDS,
    NoMajorityError,
    ask_around,
    find_coordinator,
    find_leaders,
)
from tests.doubles import in_virtual_time

# A broker that does not answer, and one that hangs up.
SILENT, GONE = -2, -3
# What goes with a refusal.
NOBODY = -1
NOT_AVAILABLE = kafka_errors.GroupCoordinatorNotAvailableError.errno
DENIED = kafka_errors.GroupAuthorizationFailedError.errno


class _Cluster:
    """Brokers, each with its own idea of who is the coordinator."""

    def __init__(self, ideas: Mapping[int, int], error_code: int = 0) -> None:
        self.asked: list[int] = []
        self.looked_again = False
        self._ideas = ideas
        self._error_code = error_code

    def brokers(self) -> set[Any]:
        return {_Broker(broker) for broker in self._ideas}

    async def send(self, broker: int, _request: object) -> Any:
        self.asked.append(broker)
        idea = self._ideas[broker]
        if idea == SILENT:
            await asyncio.Event().wait()
        if idea == GONE:
            raise kafka_errors.KafkaConnectionError
        return SimpleNamespace(error_code=self._error_code, coordinator_id=idea)

    def look_again(self) -> None:
        self.looked_again = True

    def admin(self) -> Any:
        client = SimpleNamespace(
            cluster=self, send=self.send, force_metadata_update=self.look_again, _conns={}
        )
        return SimpleNamespace(_client=client)


class _Broker:
    def __init__(self, node: int) -> None:
        self.nodeId = node


async def coordinator(ideas: Mapping[int, int], error_code: int = 0) -> int:
    """What is found in a cluster of these brokers."""
    return await find_coordinator(_Cluster(ideas, error_code).admin(), "g")


@pytest.mark.parametrize("astray", [1, 2, 3])
async def test_a_broker_that_still_takes_itself_for_the_coordinator_is_outvoted(astray: int) -> None:
    """One that was frozen, or is cut off, answers as it would have before; the others know better."""
    other = astray % 3 + 1
    assert await coordinator({broker: astray if broker == astray else other for broker in (1, 2, 3)}) == other


@in_virtual_time
async def test_a_broker_that_does_not_answer_is_not_waited_for() -> None:
    """Frozen or gone, it does not matter: two of three agree."""
    began = asyncio.get_running_loop().time()
    for away in (1, 2, 3):
        other = away % 3 + 1
        for how in (SILENT, GONE):
            assert await coordinator({**dict.fromkeys((1, 2, 3), other), away: how}) == other
    assert asyncio.get_running_loop().time() == began


@in_virtual_time
async def test_where_two_of_three_agree_the_third_is_not_asked_any_longer() -> None:
    """It would be given up after nine seconds, and each start would take as long."""
    began = asyncio.get_running_loop().time()
    assert await coordinator({1: 2, 2: 2, 3: SILENT}) == 2
    assert asyncio.get_running_loop().time() == began


@pytest.mark.parametrize("how", [SILENT, GONE])
@pytest.mark.parametrize("away", [1, 2])
@in_virtual_time
async def test_of_two_brokers_the_one_that_answers_is_believed(away: int, how: int) -> None:
    """Nobody else is there to be asked; whether the other is still a broker is looked at again."""
    cluster = _Cluster({away: how, 3 - away: 3 - away})
    assert await find_coordinator(cluster.admin(), "g") == 3 - away
    assert cluster.looked_again


@pytest.mark.parametrize("how", [SILENT, GONE])
@in_virtual_time
async def test_one_of_three_brokers_is_not_believed(how: int) -> None:
    """It may be the one that was cut off; the question is repeated."""
    with pytest.raises(NoMajorityError):
        await coordinator({1: how, 2: how, 3: 3})


@in_virtual_time
async def test_brokers_none_of_which_answers_are_asked_again() -> None:
    """Each of them has its time, and no longer; a connection that is dead without a word is given up."""
    connection = SimpleNamespace(close=lambda: closed.append(1))
    closed: list[int] = []
    cluster = _Cluster({1: SILENT, 2: SILENT})
    admin = cluster.admin()
    admin._client._conns[2, ConnectionGroup.DEFAULT] = connection
    with pytest.raises(kafka_errors.RequestTimedOutError) as failure:
        await find_coordinator(admin, "g")
    assert (failure.value.retriable, closed, cluster.looked_again) == (True, [1], True)


async def test_a_single_broker_is_believed() -> None:
    """Nobody else is there to be asked."""
    assert await coordinator({7: 7}) == 7


async def test_brokers_that_do_not_agree_are_asked_again() -> None:
    """Which of the two is astray nobody knows; the question is repeated, as while a coordinator loads."""
    with pytest.raises(kafka_errors.KafkaError) as failure:
        await coordinator({1: 1, 2: 2})
    assert failure.value.retriable


async def test_a_refusal_that_most_agree_on_is_one() -> None:
    """What they say of it is raised, whether it is to be asked again or not."""
    with pytest.raises(kafka_errors.GroupCoordinatorNotAvailableError):
        await coordinator({1: NOBODY, 2: NOBODY, 3: NOBODY}, NOT_AVAILABLE)
    with pytest.raises(kafka_errors.GroupAuthorizationFailedError):
        await coordinator({1: NOBODY, 2: NOBODY, 3: NOBODY}, DENIED)


async def test_only_a_few_are_asked() -> None:
    """A cluster may have a hundred brokers."""
    cluster = _Cluster(dict.fromkeys(range(100), 5))
    assert await find_coordinator(cluster.admin(), "g") == 5
    assert len(cluster.asked) == 3


def _asking_around(cluster: _Cluster) -> Any:
    """An admin client of this cluster that asks around."""
    admin = cluster.admin()

    async def send(request: object, broker: int) -> Any:
        return await cluster.send(broker, request)

    admin._send_request = send
    ask_around(admin)
    return admin


@pytest.mark.parametrize("how", [SILENT, GONE])
@in_virtual_time
async def test_what_any_broker_can_tell_is_asked_of_another_where_one_says_nothing(how: int) -> None:
    """One that cannot be reached from here is shown for ever; whom the client asks first is chance."""
    for _ in range(20):
        began = asyncio.get_running_loop().time()
        answer = await _asking_around(_Cluster({1: how, 2: how, 3: 3}))._send_request("question")
        assert answer.coordinator_id == 3
        assert asyncio.get_running_loop().time() - began <= (ASKED - 1) * PATIENCE_SECONDS


@pytest.mark.parametrize("brokers", [1, 2, 5])
async def test_however_many_brokers_there_are_one_is_asked_around(brokers: int) -> None:
    """There may be but one."""
    cluster = _Cluster(dict.fromkeys(range(brokers), 3))
    assert (await _asking_around(cluster)._send_request("question")).coordinator_id == 3
    assert len(cluster.asked) == 1


async def test_a_question_to_one_broker_is_asked_of_no_other() -> None:
    """What only that one knows nobody else can tell."""
    cluster = _Cluster({1: GONE, 2: 2, 3: 3})
    with pytest.raises(kafka_errors.KafkaConnectionError):
        await _asking_around(cluster)._send_request("question", 1)
    assert cluster.asked == [1]


async def test_where_no_broker_is_known_the_client_says_what_it_makes_of_that() -> None:
    """It is no failure of another kind."""
    admin = _Cluster({}).admin()

    async def send(_request: object, broker: int | None) -> Any:
        assert broker is None
        raise kafka_errors.NoBrokersAvailable

    admin._send_request = send
    ask_around(admin)
    with pytest.raises(kafka_errors.NoBrokersAvailable):
        await admin._send_request("question")


class _Shown:
    """What a broker shows of a topic with one partition."""

    def __init__(self, leader: int, error_code: int) -> None:
        partitions = [{"partition": 0, "leader": leader}] if not error_code else []
        self._topics = [{"topic": "t", "error_code": error_code, "partitions": partitions}]

    def to_object(self) -> Mapping[str, Any]:
        return {"topics": self._topics}


async def leaders(ideas: Mapping[int, int], error_code: int = 0) -> Mapping[int, int]:
    """Who leads the topic, as these brokers have it."""

    async def send(broker: int, request: Any) -> Any:
        assert not request._allow_auto_topic_creation
        return _Shown(ideas[broker], error_code)

    client = SimpleNamespace(cluster=_Cluster(ideas), send=send)
    return await find_leaders(SimpleNamespace(_client=client), "t")


async def test_a_broker_that_still_takes_itself_for_the_leader_is_outvoted() -> None:
    """Where it believes its log to end, others have gone on."""
    assert await leaders({1: 1, 2: 3, 3: 3}) == {0: 3}


async def test_a_topic_that_is_not_there_is_said_not_to_be() -> None:
    """All of them say so, and it is not made by asking."""
    with pytest.raises(kafka_errors.UnknownTopicOrPartitionError):
        await leaders({1: 1, 2: 1, 3: 1}, kafka_errors.UnknownTopicOrPartitionError.errno)
