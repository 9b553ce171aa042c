"""The tasks API under `kill -9`, with every tenth answer lost: no task is created twice, and none is lost."""

import json
from typing import Any

import pytest

from tests.simulator.pools import TASKS_POOL
from tests.system.conftest import Deploy
from tests.system.deployment import LATE_SECONDS
from tests.system.feed import TASKS
from tests.system.test_kill import found, killed_and_started_again

ITEMS = 2_000
KILLS = 20
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unmeasured")]
POOL: dict[str, Any] = {"TOLOKA__API": "tasks", "TOLOKA__POOL_ID": TASKS_POOL, "SUBMIT__MAX_ITEMS": "20"}
# Workers take several tasks at a time; what they submit is accepted later.
CROWD = ("--suite-tasks", "3", "--accept-seconds", "1", "--log-order", "shuffled")


def lost(every: int) -> str:
    """So many requests apart, an answer is lost: to what is carried out at once, or later, or never."""
    common = {"operations": ["tasks"], "every": every}
    faults = [
        {**common, "kind": "drop", "committed": True},
        {**common, "kind": "late_commit", "delay_seconds": LATE_SECONDS},
        {**common, "kind": "drop_answer"},
        {"kind": "slow", "operations": ["tasks"], "probability": 0.3, "delay_seconds": 0.1},
        {"kind": "drop", "operations": ["operation", "operation_log"], "probability": 0.05},
    ]
    return json.dumps(faults)


async def test_operations(deploy: Deploy) -> None:
    """The only replica is killed 20 times; what is in doubt is sent again, and is there already."""
    deployment = await deploy(*CROWD, "--operation-seconds-max", "0.1", "--faults", lost(10), **POOL)
    verdict = await killed_and_started_again(deployment, TASKS, ITEMS, KILLS)
    stats = await deployment.control("GET", "stats")
    print(f"OPERATION_ALREADY_EXISTS met {stats['repeated_operations']} times; {stats['requests']['tasks']}")
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert stats["repeated_operations"] > 0
    assert found(deployment.replicas)["adopted"] > 0


async def test_at_once(deploy: Deploy) -> None:
    """Without operations, what is in doubt is looked for by its content."""
    deployment = await deploy(*CROWD, "--faults", lost(10), partitions=2, TASKS__ASYNC_MODE="false", **POOL)
    verdict = await killed_and_started_again(deployment, TASKS, ITEMS // 4, KILLS // 4)
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert found(deployment.replicas).total() > 0
