"""Where a log ends is what that broker says whom most of them take for its leader, and nobody else."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from daemon.edges.kafka import bounds

NOT_LEADER = kafka_errors.NotLeaderForPartitionError.errno


class _Brokers:
    """What each of them answers for its partitions: an error code and an offset."""

    def __init__(self, answers: Mapping[int, Mapping[int, tuple[int, int]]]) -> None:
        self.asked: list[tuple[int, Any]] = []
        self._answers = answers

    async def send(self, broker: int, request: Any) -> Any:
        question = request.prepare({request.API_KEY: (1, 3)})
        self.asked.append((broker, question.isolation_level))
        ((topic, share),) = question.topics
        answers = self._answers[broker]
        rows = [(part, answers[part][0], at, answers[part][1]) for part, at in share]
        return SimpleNamespace(topics=[(topic, rows)])

    async def tell(self, leaders: Mapping[int, int], *, stable: bool = False) -> Mapping[int, int]:
        """The ends of the partitions that these lead."""
        admin: Any = SimpleNamespace(_client=self)
        return await bounds.offsets(admin, "t", leaders, bounds.END, stable=stable)


async def test_only_who_leads_is_asked() -> None:
    """Each partition's end is asked of its leader, all of one leader at once."""
    brokers = _Brokers({1: {0: (0, 5), 2: (0, 7)}, 2: {1: (0, 6)}})
    assert await brokers.tell({0: 1, 1: 2, 2: 1}) == {0: 5, 1: 6, 2: 7}
    assert brokers.asked == [(1, 0), (2, 0)]


async def test_where_readers_stop_is_another_question() -> None:
    """The last stable offset is asked for as a read_committed reader does."""
    brokers = _Brokers({1: {0: (0, 5)}})
    assert await brokers.tell({0: 1}, stable=True) == {0: 5}
    assert brokers.asked == [(1, 1)]


async def test_no_record_is_that_new() -> None:
    """A partition without such a record is left out."""
    assert await _Brokers({1: {0: (0, -1), 1: (0, 0)}}).tell({0: 1, 1: 1}) == {1: 0}


@pytest.mark.parametrize("leader", [1, -1])
async def test_nobody_leads_or_another_by_now(leader: int) -> None:
    """It can be asked again; no offset is made up."""
    with pytest.raises(kafka_errors.KafkaError) as caught:
        await _Brokers({1: {0: (NOT_LEADER, -1)}}).tell({0: leader})
    assert caught.value.retriable
