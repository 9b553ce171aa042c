"""What a group has committed, as its coordinator says."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors

from daemon.edges.kafka import offsets
from daemon.edges.kafka.questions import Question
from daemon.model import Committed

UNSTABLE, COORDINATOR_MOVED = 88, 16
COORDINATOR = 2


async def committed(*parts: tuple[int, int, str | None, int], error_code: int = 0) -> Any:
    """What is found where a coordinator says this: partition, offset, metadata and error of each."""
    rows: list[tuple[Any, ...]] = [
        (partition, offset, -1, metadata, error, {}) for partition, offset, metadata, error in parts
    ]

    async def send(broker: int, request: Any) -> Any:
        if isinstance(request, Question):
            assert broker == COORDINATOR
            return SimpleNamespace(error_code=error_code, topics=[("t", rows, {})])
        return SimpleNamespace(error_code=0, coordinator_id=COORDINATOR)

    cluster = SimpleNamespace(brokers=lambda: [SimpleNamespace(nodeId=1)])
    admin: Any = SimpleNamespace(_client=SimpleNamespace(cluster=cluster, send=send))
    return await offsets.committed_offsets(admin, "g", "t", [0, 1], stable=True)


async def test_metadata_that_is_missing_is_empty() -> None:
    """Other clients commit none."""
    assert await committed((0, 5, None, 0), (1, -1, "", 0)) == {0: Committed(5, ""), 1: Committed(-1, "")}


async def test_an_offset_that_is_not_certain_yet_is_left_out() -> None:
    """Nothing is known of it now, nor is that the end of what is known of others."""
    assert await committed((0, 3, "", UNSTABLE), (1, 7, "m", 0)) == {1: Committed(7, "m")}


async def test_a_coordinator_that_refuses_is_believed() -> None:
    """In its answer as a whole, or in a partition's: there is no offset then, not even none."""
    with pytest.raises(kafka_errors.NotCoordinatorForGroupError):
        await committed(error_code=COORDINATOR_MOVED)
    with pytest.raises(kafka_errors.NotCoordinatorForGroupError):
        await committed((0, -1, "", COORDINATOR_MOVED))
